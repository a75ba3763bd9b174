"""What is measured of a split: training's own figures to the last digit, and the rest by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix

from dlrun import run
from dlrun.errors import UserError
from dlrun.judge.data import run_data, samples_of
from dlrun.judge.measure import Judged, calibration_of, judge
from dlrun.trained import Trained, open_trained

QUIET = {"quiet": True, "figures": False, "epochs": 2}
# Two classes with one logit and with two, scores without probabilities, a value, a picture.
RUNS = {
    "binary": ("dataset=moons", "model.hidden=[4]"),
    "two_logits": ("dataset=moons", "model.hidden=[4]", "loss=cross_entropy"),
    "hinge": ("dataset=moons", "model.hidden=[4]", "loss=hinge"),
    "classes": (
        *("dataset=digits", "dataset.limit=300", "model.hidden=[8]"),
        *("regularization=[dropout,label_smoothing]", "regularization.label_smoothing=0.1"),
    ),
    "values": ("dataset=boston", "model.hidden=[8]"),
    "pictures": ("dataset=digits", "dataset.limit=100", "model=autoencoder"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    folder = tmp_path_factory.mktemp("runs")
    found = {}
    for name, words in RUNS.items():
        run(*words, "device=cpu", f"hydra.run.dir={folder / name}", **QUIET)
        found[name] = open_trained(Path(folder / name))
    return found


def judged(trained: Trained, split: str = "test") -> Judged:
    return judge(trained, run_data(trained), split)


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("split", ["val", "test"])
def test_figures_are_those_of_training_to_the_last_digit(
    trained: dict[str, Trained], name: str, split: str
) -> None:
    metrics = trained[name].summary["metrics"]
    found = judged(trained[name], split)
    assert found.metrics == {key: metrics[f"{key}/{split}"] for key in found.metrics}
    assert len(found.metrics) >= 2


def test_classes(trained: dict[str, Trained]) -> None:
    one = trained["classes"]
    part = run_data(one).test
    found = judged(one)
    with torch.no_grad():
        outputs = one.model(part.inputs)
    predicted, targets = outputs.argmax(1).numpy(), part.targets.numpy()
    assert found.num_samples == len(part) and found.metrics["accuracy"] == pytest.approx(
        accuracy_score(targets, predicted)
    )
    assert found.confusion is not None and found.calibration is not None
    np.testing.assert_array_equal(
        found.confusion, confusion_matrix(targets, predicted, labels=range(10))
    )
    assert [score.name for score in found.per_class] == [str(k) for k in range(10)]
    assert found.calibration.mean_confidence == pytest.approx(
        float(outputs.softmax(1).amax(1).mean()), rel=1e-5
    )
    low, high = found.intervals["accuracy"]
    assert low < found.metrics["accuracy"] < high
    assert found.predictions is None and found.remarks == ()


def test_one_logit_is_the_probability_of_the_second_class(trained: dict[str, Trained]) -> None:
    one = trained["binary"]
    part = run_data(one).test
    with torch.no_grad():
        second = one.model(part.inputs)[:, 0].sigmoid()
    assert second.ndim == 1
    found = judged(one).calibration
    assert found is not None and found.counts[:7].sum() == 0  # nobody is less sure than a half
    expected = torch.maximum(second, 1 - second).mean()
    assert found.mean_confidence == pytest.approx(float(expected), rel=1e-5)


def test_hinge_has_no_probabilities(trained: dict[str, Trained]) -> None:
    found = judged(trained["hinge"])
    assert found.calibration is None
    assert found.remarks == ("loss=hinge gives scores, not probabilities: there is no calibration",)


def test_values_in_their_own_unit(trained: dict[str, Trained]) -> None:
    found = judged(trained["values"])
    assert found.predictions is not None and found.confusion is None
    targets, outputs = found.predictions
    assert 4.999 < targets.min() < 10 and 40 < targets.max() < 50.001  # 1,000 USD
    assert found.metrics["mse"] == pytest.approx(np.mean((outputs - targets) ** 2))
    assert found.metrics["mae"] == pytest.approx(np.abs(outputs - targets).mean())
    assert set(found.intervals) == {"mse", "mae"}
    for name, (low, high) in found.intervals.items():
        assert low < found.metrics[name] < high


def test_reconstructions(trained: dict[str, Trained]) -> None:
    found = judged(trained["pictures"])
    assert list(found.metrics) == ["loss", "mse", "mae"]
    low, high = found.intervals["mse"]
    assert low < found.metrics["mse"] < high
    assert found.confusion is None and found.predictions is None


def test_training_and_all_samples(trained: dict[str, Trained]) -> None:
    data = run_data(trained["classes"])
    parts = [judge(trained["classes"], data, name) for name in ("train", "val", "test")]
    whole = judge(trained["classes"], data, "all")
    assert whole.num_samples == sum(part.num_samples for part in parts)
    right = sum(part.metrics["accuracy"] * part.num_samples for part in parts)
    assert whole.metrics["accuracy"] == pytest.approx(right / whole.num_samples)


def test_an_empty_or_unknown_split(trained: dict[str, Trained]) -> None:
    data = run_data(trained["classes"])
    empty = replace(data, test=data.test.rows(torch.arange(0)))
    with pytest.raises(UserError, match="--split test: this data has no such samples"):
        judge(trained["classes"], empty, "test")
    with pytest.raises(UserError, match="--split tests: expected train, val, test, all"):
        samples_of(data, "tests")


def test_all_right_is_told_by_the_rule_of_three(trained: dict[str, Trained]) -> None:
    one = trained["two_logits"]
    data = run_data(one)
    with torch.no_grad():
        predicted = one.model(data.test.inputs).argmax(1)
    right = replace(data, test=replace(data.test, targets=predicted))
    found = judge(one, right, "test")
    assert found.intervals["accuracy"] == (1.0, 1.0)
    assert found.remarks == (
        "all of 100 right: resamples cannot differ; by the rule of three the accuracy is above "
        "0.9700 (95 %)",
    )


def test_outputs_that_are_not_finite(trained: dict[str, Trained]) -> None:
    right = torch.tensor([True, False])
    found, why = calibration_of("bce", torch.tensor([[1.0], [torch.nan]]), right)
    assert found is None and why == "some outputs are not finite numbers: there is no calibration"
    one = trained["values"]
    data = run_data(one)
    inputs = data.test.inputs
    assert isinstance(inputs, torch.Tensor)
    inputs[0] = torch.inf
    broken = judge(one, data, "test")
    assert broken.intervals == {}
    assert broken.remarks == ("some outputs are not finite numbers: no intervals",)
