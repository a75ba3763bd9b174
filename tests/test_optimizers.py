"""Every optimizer of conf/optimizer: a step lowers the loss; first steps computed by hand."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate
from torch import nn

from dlrun.errors import UserError
from dlrun.optimizers import build

CPU = torch.device("cpu")
CONF = Path(__file__).parents[1] / "conf" / "optimizer"
FILES = sorted(  # of those with gradients; test_optimizers_direct has the others
    file for file in CONF.rglob("*.yaml") if "dlrun.optimizers.direct" not in file.read_text()
)
NAMES = [file.stem for file in FILES]
FULL_BATCH = {"gd", "lbfgs"}


def read(name: str) -> dict:
    """The optimizer's own settings in its YAML file."""
    content = yaml.safe_load(next(file for file in FILES if file.stem == name).read_text())
    return content["optimizer"] if name in FULL_BATCH else content


def factory(name: str, **settings) -> partial:
    return instantiate({"_convert_": "all", **read(name), **settings})


def one_weight(value: float = 1.0) -> nn.Linear:
    """A model of one weight, in double precision."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, value)
    return model


def weights_after(name: str, gradients: list[float], **settings) -> list[float]:
    """The weight, 1 at first, after each step with the given gradients."""
    model = one_weight()
    optimizer = build(factory(name, **settings), model, weight_decay=None, device=CPU)
    weights = []
    for gradient in gradients:
        model.weight.grad = torch.full_like(model.weight, gradient)
        optimizer.step()
        weights.append(model.weight.item())
    return weights


def test_all_choices_are_there():
    assert set(NAMES) == {
        *("gd", "sgd", "momentum", "nesterov", "adagrad", "adadelta", "rmsprop", "adam"),
        *("adamw", "nadam", "adabelief", "lion", "lbfgs"),
    }


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_file(file):
    text = file.read_text()
    content = yaml.safe_load(text)
    if file.stem in FULL_BATCH:
        assert text.startswith("# @package _global_\n")
        assert content["batch_size"] == "full"
        assert set(content) == {"batch_size", "optimizer"}
    settings = read(file.stem)
    assert settings["_partial_"] is True
    assert isinstance(settings["lr"], float)
    assert "params" not in settings
    assert ("weight_decay" in settings) == (file.stem in {"adamw", "lion"})
    assert "#   w <- w - " in text  # the update rule


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weight_decay", [None, 0.01])
def test_a_step_lowers_the_loss(name, weight_decay):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    inputs, targets = torch.randn(32, 4).double(), torch.randint(0, 3, (32,))
    if name == "lbfgs":
        weight_decay = None
    optimizer = build(factory(name), model, weight_decay=weight_decay, device=CPU)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        return loss

    before = closure().item()
    optimizer.step(closure)
    assert closure().item() < before


def test_sgd_and_gd_by_hand():
    assert weights_after("sgd", [2.0, -1.0], lr=0.1) == pytest.approx([0.8, 0.9])
    assert weights_after("gd", [2.0], lr=0.1) == pytest.approx([0.8])


def test_momentum_by_hand():
    # v = 2, then 0.9 * 2 - 1 = 0.8
    assert weights_after("momentum", [2.0, -1.0], lr=0.1) == pytest.approx([0.8, 0.72])


def test_nesterov_by_hand():
    # v = 2: 2 + 0.9 * 2 = 3.8; v = 0.8: -1 + 0.9 * 0.8 = -0.28
    assert weights_after("nesterov", [2.0, -1.0], lr=0.1) == pytest.approx([0.62, 0.648])


def test_adagrad_by_hand():
    # s = 9, then 25
    expected = [1 - 0.1 * 3 / 3, 1 - 0.1 * 3 / 3 - 0.1 * 4 / 5]
    assert weights_after("adagrad", [3.0, 4.0], lr=0.1) == pytest.approx(expected)


def test_adadelta_by_hand():
    step = 3 * math.sqrt(1e-6) / math.sqrt(0.1 * 9 + 1e-6)
    assert weights_after("adadelta", [3.0]) == pytest.approx([1 - step], rel=1e-9)


def test_rmsprop_by_hand():
    # s = 0.01 * 9 = 0.09, then 0.99 * 0.09 + 0.01 * 16 = 0.2491
    first = 1 - 0.01 * 3 / 0.3
    expected = [first, first - 0.01 * 4 / math.sqrt(0.2491)]
    assert weights_after("rmsprop", [3.0, 4.0]) == pytest.approx(expected, rel=1e-7)


def test_adam_by_hand():
    # m = 0.3, s = 0.009; then m = 0.9 * 0.3 - 0.1 = 0.17, s = 0.999 * 0.009 + 0.001 = 0.009991
    second = (0.17 / 0.19) / math.sqrt(0.009991 / 0.001999)
    expected = [1 - 0.001, 1 - 0.001 - 0.001 * second]
    assert weights_after("adam", [3.0, -1.0]) == pytest.approx(expected, rel=1e-9)


def test_adamw_decays_apart_from_the_gradient():
    assert weights_after("adamw", [3.0]) == pytest.approx([1 - 0.001 * 0.01 - 0.001], rel=1e-9)


def test_nadam_by_hand():
    mu_1, mu_2 = (0.9 * (1 - 0.96 ** (t * 0.004) / 2) for t in (1, 2))
    g = 3.0
    numerator = mu_2 * (0.1 * g) / (1 - mu_1 * mu_2) + (1 - mu_1) * g / (1 - mu_1)
    assert weights_after("nadam", [g]) == pytest.approx([1 - 0.002 * numerator / g], rel=1e-8)


def test_adabelief_by_hand():
    # m = 0.3, s = 0.001 * (3 - 0.3)^2, so the first step is 3 / 2.7 of lr
    assert weights_after("adabelief", [3.0]) == pytest.approx([1 - 0.001 * 3 / 2.7], rel=1e-9)


def test_lion_by_hand():
    # m = 0.01 * 3; then the sign of 0.9 * 0.03 + 0.1 * -0.2 = 0.007
    expected = [1 - 1e-4, 1 - 2e-4]
    assert weights_after("lion", [3.0, -0.2]) == pytest.approx(expected, rel=1e-9)


def test_lbfgs_solves_a_quadratic():
    model = one_weight(5.0)
    optimizer = build(factory("lbfgs"), model, weight_decay=None, device=CPU)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = 3 * (model.weight - 2).square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert model.weight.item() == pytest.approx(2, abs=1e-6)


def convolution_with_norm() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "lbfgs"])
def test_weight_decay_spares_biases_and_norms(name):
    model = convolution_with_norm()
    optimizer = build(factory(name), model, weight_decay=0.1, device=CPU)
    decayed, others = optimizer.param_groups
    assert decayed["weight_decay"] == 0.1
    assert others["weight_decay"] == 0.0
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight), id(model[3].weight)]
    assert [id(p) for p in others["params"]] == [
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias, model[3].bias)
    ]


@pytest.mark.parametrize("name", NAMES)
def test_own_weight_decay(name):
    optimizer = build(factory(name), convolution_with_norm(), weight_decay=None, device=CPU)
    decays = [group.get("weight_decay", 0) for group in optimizer.param_groups]
    assert decays == ([0.01, 0.0] if name == "adamw" else [0])


def test_weight_decay_zero_replaces_the_own_one():
    optimizer = build(factory("adamw"), convolution_with_norm(), weight_decay=0.0, device=CPU)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0]


def test_weight_decay_of_sgd_passes_through_the_gradient():
    model = one_weight(2.0)
    optimizer = build(factory("sgd", lr=0.1), model, weight_decay=0.5, device=CPU)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    assert model.weight.item() == pytest.approx(2 - 0.1 * (1 + 0.5 * 2))


def test_weight_decay_of_lion_is_decoupled():
    model = one_weight(2.0)
    optimizer = build(factory("lion", lr=0.1), model, weight_decay=0.5, device=CPU)
    model.weight.grad = torch.ones_like(model.weight)
    optimizer.step()
    assert model.weight.item() == pytest.approx(2 - 0.1 * (1 + 0.5 * 2))


def test_frozen_parameters_are_left_out():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimizer = build(factory("adam"), model, weight_decay=None, device=CPU)
    assert len(optimizer.param_groups[0]["params"]) == 2


@pytest.mark.parametrize("name", NAMES)
def test_fused_where_the_cpu_has_the_kernel(name):
    optimizer = build(factory(name), one_weight(), weight_decay=0.0, device=CPU)
    fused = {"gd", "sgd", "momentum", "nesterov", "adagrad", "adam", "adamw"}
    assert bool(optimizer.param_groups[0].get("fused")) == (name in fused)


@pytest.mark.parametrize("choice", [{"fused": False}, {"foreach": True}, {"foreach": False}])
def test_fused_is_left_to_the_config_that_chooses(choice):
    optimizer = build(factory("adam", **choice), one_weight(), weight_decay=None, device=CPU)
    assert not optimizer.param_groups[0]["fused"]


class NotFusedHere(torch.optim.SGD):
    """An optimizer whose fused kernel is missing on this device."""

    def step(self, closure=None):
        if self.defaults["fused"]:
            raise NotImplementedError("Could not run 'aten::_fused_sgd_' with this backend")
        return super().step(closure)


def test_a_missing_fused_kernel_is_found_before_training():
    optimizer = build(partial(NotFusedHere, lr=0.1), one_weight(), weight_decay=None, device=CPU)
    assert optimizer.defaults["fused"] is None


def test_an_optimizer_of_the_users_own_as_a_plain_function():
    def mine(params, lr: float):
        return torch.optim.SGD(params, lr=lr, momentum=0.5)

    optimizer = build(partial(mine, lr=0.1), one_weight(), weight_decay=None, device=CPU)
    assert optimizer.param_groups[0]["momentum"] == 0.5
    with pytest.raises(UserError, match="mine has no weight decay"):
        build(partial(mine, lr=0.1), one_weight(), weight_decay=0.1, device=CPU)


@pytest.mark.parametrize(
    ("name", "settings", "weight_decay", "text"),
    [
        *(
            (
                name,
                {"lr": value},
                None,
                f"optimizer.lr={value}: expected a finite number >= 0 "
                "(for example optimizer.lr=0.01)",
            )
            for name in ("sgd", "adam", "lion")
            for value in (-1, math.nan, math.inf)
        ),
        (
            "momentum",
            {"momentum": -0.9},
            None,
            "optimizer.momentum=-0.9: expected a number >= 0 (for example optimizer.momentum=0.9)",
        ),
        (
            "adadelta",
            {"rho": 2.0},
            None,
            "optimizer.rho=2.0: expected 0 <= value <= 1 (for example optimizer.rho=0.9)",
        ),
        (
            "adam",
            {"eps": -1e-8},
            None,
            "optimizer.eps=-1e-08: expected a number >= 0 (for example optimizer.eps=1e-08)",
        ),
        (
            "adam",
            {"betas": [0.9, 1.0]},
            None,
            "optimizer.betas=[0.9,1.0]: expected two decimal numbers, 0.0 <= value < 1.0 "
            "(for example optimizer.betas=[0.9,0.999])",
        ),
        (
            "lion",
            {"betas": [1.5, 0.9]},
            None,
            "optimizer.betas=[1.5,0.9]: expected two decimal numbers, 0.0 <= value < 1.0 "
            "(for example optimizer.betas=[0.9,0.999])",
        ),
        (
            "adamw",
            {"weight_decay": -0.1},
            None,
            "optimizer.weight_decay=-0.1: expected a number >= 0 "
            "(for example optimizer.weight_decay=0.01)",
        ),
        (
            "adam",
            {},
            -0.1,
            "regularization.weight_decay=-0.1: expected a number >= 0 "
            "(for example regularization.weight_decay=0.01)",
        ),
        (
            "nesterov",
            {"momentum": 0.0},
            None,
            "optimizer: SGD refuses its settings: Nesterov momentum requires a momentum and zero "
            "dampening",
        ),
        (
            "lion",
            {"lr": 1e308},
            None,
            "optimizer.lr=1e+308: expected numbers up to 1e+12 (for example optimizer.lr=0.01)",
        ),
        (
            "adam",
            {},
            2e12,
            "regularization.weight_decay=2000000000000.0: expected numbers up to 1e+12 "
            "(for example regularization.weight_decay=0.01)",
        ),
        (
            "lbfgs",
            {},
            0.01,
            "regularization.weight_decay=0.01: LBFGS has no weight decay; expected 0 or null\n"
            "(for example regularization.l1=1e-5, or optimizer=adamw)",
        ),
    ],
)
def test_errors(name, settings, weight_decay, text):
    with pytest.raises(UserError) as caught:
        build(factory(name, **settings), one_weight(), weight_decay=weight_decay, device=CPU)
    assert str(caught.value) == text
