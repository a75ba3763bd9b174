"""Losses: which fits which task, values by hand and against scikit-learn, errors."""

from __future__ import annotations

import math
import typing
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from dlrun.datasets.splits import Task
from dlrun.errors import UserError
from dlrun.losses import LossName, l1_penalty, loss_function, out_features, resolve

CONF = Path(__file__).parents[1] / "conf" / "loss"
FITTING = {
    "multiclass": {"cross_entropy", "nll", "hinge"},
    "binary": {"bce", "cross_entropy", "nll", "hinge"},
    "regression": {"mse", "mae", "huber"},
    "reconstruction": {"mse", "mae", "huber"},
    "surface": set(),
}
LOGITS = torch.tensor([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])
CLASSES = torch.tensor([1, 0])


def test_every_loss_has_its_file():
    files = sorted(CONF.rglob("*.yaml"))
    assert {file.stem for file in files} == set(typing.get_args(LossName))
    for file in files:
        content = yaml.safe_load(file.read_text())
        assert content.pop("name") == file.stem
        assert content == ({"huber_delta": 1.0} if file.stem == "huber" else {})


@pytest.mark.parametrize("task", typing.get_args(Task))
@pytest.mark.parametrize("name", [name for name in typing.get_args(LossName) if name != "auto"])
def test_resolve_accepts_what_fits(name, task):
    if name in FITTING[task]:
        assert resolve(name, task) == name
    else:
        with pytest.raises(UserError, match=f"^loss.name={name}: expected "):
            resolve(name, task)


def test_auto():
    assert resolve("auto", "multiclass") == "cross_entropy"
    assert resolve("auto", "binary") == "bce"
    assert resolve("auto", "regression") == "mse"
    assert resolve("auto", "reconstruction") == "mse"
    assert resolve("auto", "surface") == "surface"


@pytest.mark.parametrize(
    ("name", "task", "num_classes", "text"),
    [
        (
            "bce",
            "multiclass",
            10,
            "loss.name=bce: expected cross_entropy, nll or hinge for 10 classes "
            "(for example loss=cross_entropy)",
        ),
        (
            "bce",
            "multiclass",
            None,
            "loss.name=bce: expected cross_entropy, nll or hinge for several classes "
            "(for example loss=cross_entropy)",
        ),
        (
            "mse",
            "binary",
            2,
            "loss.name=mse: expected bce, cross_entropy, nll or hinge for two classes "
            "(for example loss=bce)",
        ),
        (
            "cross_entropy",
            "regression",
            0,
            "loss.name=cross_entropy: expected mse, mae or huber for regression "
            "(for example loss=mse)",
        ),
        (
            "hubber",
            "regression",
            0,
            "loss.name=hubber: expected mse, mae or huber for regression; did you mean huber? "
            "(for example loss=mse)",
        ),
    ],
)
def test_resolve_errors(name, task, num_classes, text):
    with pytest.raises(UserError) as caught:
        resolve(name, task, num_classes)
    assert str(caught.value) == text


def test_out_features():
    assert out_features("cross_entropy", "multiclass", 10) == 10
    assert out_features("bce", "binary", 2) == 1
    assert out_features("auto", "binary", 2) == 1
    assert out_features("nll", "binary", 2) == 2
    assert out_features("mse", "regression", 0) == 1


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_cross_entropy_against_scikit_learn(name):
    from sklearn.metrics import log_loss

    probabilities = torch.softmax(LOGITS.double(), 1).numpy()
    expected = log_loss(CLASSES.numpy(), probabilities, labels=[0, 1, 2])
    assert loss_function(name)(LOGITS, CLASSES).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "nll"])
def test_label_smoothing_by_hand(name):
    # Softmax of log p is p. Target 1 with s = 0.3 of three classes: 0.8 and twice 0.1.
    outputs = torch.tensor([[0.2, 0.7, 0.1]]).log()
    expected = -(0.1 * math.log(0.2) + 0.8 * math.log(0.7) + 0.1 * math.log(0.1))
    loss = loss_function(name, label_smoothing=0.3)(outputs, torch.tensor([1]))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_bce_against_scikit_learn():
    from sklearn.metrics import log_loss

    outputs, targets = torch.tensor([[0.3], [-2.0], [5.0]]), torch.tensor([1, 0, 0])
    expected = log_loss(targets.numpy(), torch.sigmoid(outputs[:, 0].double()).numpy())
    assert loss_function("bce")(outputs, targets).item() == pytest.approx(expected, rel=1e-6)


def test_bce_label_smoothing_by_hand():
    # sigmoid(log 3) = 3/4; target 1 becomes 0.9 with s = 0.2
    loss = loss_function("bce", label_smoothing=0.2)
    value = loss(torch.tensor([[math.log(3)]]), torch.tensor([1])).item()
    assert value == pytest.approx(-0.9 * math.log(0.75) - 0.1 * math.log(0.25), rel=1e-6)


def test_hinge_by_hand():
    # Target 1: max(0, 1-2+1) + max(0, 1-2+0.5) = 0; target 0: max(0, 1-0-1) + 1-0+3 = 4.
    assert loss_function("hinge")(LOGITS, CLASSES).item() == pytest.approx((0 + 4 / 3) / 2)


def test_hinge_of_two_classes_is_half_of_scikit_learns():
    from sklearn.metrics import hinge_loss

    outputs = torch.tensor([[0.3, 0.1], [-1.0, 2.0], [0.5, 0.2]])
    targets = torch.tensor([1, 1, 0])
    decision = (outputs[:, 1] - outputs[:, 0]).numpy()
    expected = hinge_loss(targets.numpy(), decision) / 2
    assert loss_function("hinge")(outputs, targets).item() == pytest.approx(expected, rel=1e-6)


def test_regression_by_hand():
    outputs, targets = torch.tensor([[1.0], [5.0]]), torch.tensor([[2.0], [2.0]])
    assert loss_function("mse")(outputs, targets).item() == (1 + 9) / 2
    assert loss_function("mae")(outputs, targets).item() == (1 + 3) / 2
    huber = loss_function("huber", huber_delta=2.0)(outputs, targets).item()
    assert huber == (1 / 2 + 2 * (3 - 1)) / 2


@pytest.mark.parametrize("name", [name for name in typing.get_args(LossName) if name != "auto"])
def test_gradient_reaches_the_outputs_in_half_precision_too(name):
    torch.manual_seed(0)
    width = 1 if name in {"bce", "mse", "mae", "huber"} else 3
    layer, inputs = nn.Linear(4, width), torch.randn(8, 4)
    targets = torch.arange(8) % 2
    if name in FITTING["regression"]:
        targets = targets.float().unsqueeze(1)
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_function(name)(layer(inputs), targets)
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    loss.backward()
    assert layer.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        (
            "hinge",
            {"label_smoothing": 0.1},
            "regularization.label_smoothing=0.1: expected 0 with loss=hinge, only cross_entropy, "
            "nll and bce smooth labels (for example loss=auto on classes)",
        ),
        (
            "mse",
            {"label_smoothing": 0.1},
            "regularization.label_smoothing=0.1: expected 0 with loss=mse, only cross_entropy, "
            "nll and bce smooth labels (for example loss=auto on classes)",
        ),
        (
            "nll",
            {"label_smoothing": 1.0},
            "regularization.label_smoothing=1.0: expected a fraction, 0 <= value < 1 "
            "(for example regularization.label_smoothing=0.1)",
        ),
        (
            "huber",
            {"huber_delta": 0.0},
            "loss.huber_delta=0.0: expected a number > 0 (for example loss.huber_delta=1.0)",
        ),
    ],
)
def test_errors(name, settings, text):
    with pytest.raises(UserError) as caught:
        loss_function(name, **settings)
    assert str(caught.value) == text


def test_l1_penalty_and_its_gradient_by_hand():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 3.0]]))
        model[2].weight.copy_(torch.tensor([[-0.5, 0.25]]))
    penalty = l1_penalty(model.parameters(), 0.1)
    assert penalty.item() == pytest.approx(0.1 * (6 + 0.75))
    penalty.backward()
    torch.testing.assert_close(model[0].weight.grad, torch.tensor([[0.1, -0.1], [0.0, 0.1]]))
    torch.testing.assert_close(model[2].weight.grad, torch.tensor([[-0.1, 0.1]]))
    assert model[0].bias.grad is None
    assert model[1].weight.grad is None


def test_l1_penalty_of_nothing_to_penalise():
    assert l1_penalty([torch.ones(3)], 0.1).item() == 0
