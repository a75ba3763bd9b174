"""What a trained run says of inputs in their own unit: what evaluation says of its splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from predict_runs import Trained, trained

from dlrun.checkpoint import load_checkpoint
from dlrun.datasets import Splits
from dlrun.datasets.tabular import boston
from dlrun.describe import read_stored_data, stored_data
from dlrun.errors import UserError
from dlrun.evaluation import evaluate, predict
from dlrun.loading import for_model, load_data
from dlrun.losses import loss_function
from dlrun.predict.model import (
    class_probabilities,
    network_inputs,
    predict_inputs,
    require_predicting,
)
from dlrun.trained import Trained as Opened
from dlrun.trained import open_trained

__all__ = ["trained"]


def opened(run_dir: Path) -> tuple[Opened, Splits]:
    run = open_trained(run_dir)
    return run, for_model(load_data(run.settings), run.settings)


def raw_test_rows(run: Opened, data: Splits) -> torch.Tensor:
    """The rows of Boston housing as they stand in its file that make up the test split."""
    samples = boston(Path(), 0, features=list(run.data.columns) or None)
    seen = network_inputs(run.data, samples.inputs)
    rows = [int((seen == row).all(1).nonzero()[0]) for row in data.test.inputs]
    return samples.inputs[torch.tensor(rows)]


@pytest.mark.parametrize("name", ["boston", "log"])
def test_prices_are_those_of_evaluation_to_the_last_digit(trained: Trained, name: str):
    run, data = opened(trained(name))
    outputs = torch.cat([batch for batch, _ in predict(run.model, data.test, run.compute)])
    expected = data.target_scaling.undo(outputs.double())
    predicted = predict_inputs(run, raw_test_rows(run, data))
    assert torch.equal(predicted.values, expected)
    targets = data.target_scaling.undo(data.test.targets.double())
    mse = float((predicted.values - targets).square().mean())
    assert mse == pytest.approx(run.summary["metrics"]["mse/test"], rel=1e-12)
    assert predicted.labels is predicted.probabilities is predicted.images is None


def test_classes_are_those_of_evaluation(trained: Trained):
    run, data = opened(trained("digits"))
    pixels = data.input_scaling.undo(data.test.inputs)
    predicted = predict_inputs(run, pixels)
    accuracy = float((predicted.labels == data.test.targets).double().mean())
    assert accuracy == run.summary["metrics"]["accuracy/test"]
    assert torch.equal(predicted.probabilities.argmax(1), predicted.labels)
    assert torch.allclose(predicted.probabilities.sum(1), torch.ones(1, dtype=torch.float64))
    loss = -predicted.probabilities[range(len(pixels)), data.test.targets].log().mean()
    assert float(loss) == pytest.approx(run.summary["metrics"]["loss/test"], rel=1e-4)


def test_probabilities_by_hand():
    two = torch.tensor([[1.0, 0.0]])
    e = torch.e
    expected = torch.tensor([[e / (e + 1), 1 / (e + 1)]], dtype=torch.float64)
    assert torch.allclose(class_probabilities(two, "cross_entropy"), expected)
    assert torch.allclose(class_probabilities(-two[:, :1], "bce"), expected)
    assert class_probabilities(two, "hinge") is None


def test_one_output_parts_two_classes(trained: Trained):
    run, data = opened(trained("moons"))
    assert run.settings.loss.name == "bce"
    predicted = predict_inputs(run, data.input_scaling.undo(data.test.inputs))
    assert predicted.probabilities.shape == (len(data.test), 2)
    assert torch.equal(predicted.probabilities[:, 1] > 0.5, predicted.labels == 1)
    accuracy = float((predicted.labels == data.test.targets).double().mean())
    assert accuracy == run.summary["metrics"]["accuracy/test"]


def test_hinge_has_classes_and_no_probabilities(trained: Trained):
    run, data = opened(trained("hinge"))
    predicted = predict_inputs(run, data.input_scaling.undo(data.test.inputs))
    assert predicted.probabilities is None
    accuracy = float((predicted.labels == data.test.targets).double().mean())
    assert accuracy == run.summary["metrics"]["accuracy/test"]


def test_reconstructions_have_their_error_and_code(trained: Trained):
    run, data = opened(trained("codes"))
    pixels = data.test.targets
    predicted = predict_inputs(run, pixels)
    assert predicted.images.shape == pixels.shape
    assert predicted.codes.shape == (len(pixels), 2)
    line = evaluate(run.model, loss_function("mse"), data.test, data, run.compute)
    assert float(predicted.mse.double().mean()) == pytest.approx(line["mse"], rel=1e-5)
    by_hand = (predicted.images - pixels).square().flatten(1).mean(1)
    assert torch.allclose(predicted.mse, by_hand)


def test_missing_values_are_filled_by_the_training_mean(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(trained("colours").parent)
    run, data = opened(trained("colours"))
    assert run.data.fill.tolist() == pytest.approx(data.fill.tolist())
    mean = run.data.fill.clone()
    missing = mean.clone()
    missing[0] = torch.nan
    predicted = predict_inputs(run, torch.stack([mean, missing]).double())
    assert torch.allclose(predicted.values[0], predicted.values[1])
    assert predicted.values.isfinite().all()


def test_no_inputs_give_no_predictions(trained: Trained):
    run, _ = opened(trained("boston"))
    assert predict_inputs(run, torch.empty(0, 13)).values.shape == (0, 1)


def test_a_surface_predicts_nothing(trained: Trained):
    with pytest.raises(UserError, match="the lowest point of a surface"):
        require_predicting(open_trained(trained("surface")))


def test_what_is_stored_can_be_read_back(trained: Trained):
    run = open_trained(trained("log"))
    assert run.data.columns == ("LSTAT", "RM")
    assert run.data.features == ("log LSTAT", "log RM")
    assert (run.data.transform, run.data.fill, run.data.framing) == ("log", None, None)
    digits = open_trained(trained("digits")).data
    assert (digits.framing.background, digits.framing.extent) == (0.0, pytest.approx(20 / 28))


def test_older_runs_have_kept_less(trained: Trained):
    stored = load_checkpoint(trained("digits") / "checkpoints" / "best.pt")["data"]
    for name in ("columns", "transform", "fill", "framing"):
        del stored[name]
    data = read_stored_data(stored)
    assert (data.columns, data.transform, data.fill, data.framing) == ((), "none", None, None)


@pytest.mark.parametrize(
    "damage",
    [
        {"transform": "rot13"},
        {"framing": {"background": None, "extent": 0.5}},
        {"framing": {"background": 0.0, "extent": 1e9}},
        {"framing": {"background": "black", "extent": None}},
        {"fill": torch.zeros(5)},
        {"fill": "mean"},
    ],
)
def test_damaged_data_is_not_believed(trained: Trained, damage: dict[str, object]):
    _, data = opened(trained("boston"))
    stored = stored_data(replace(data))
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_stored_data({**stored, **damage})
