"""Baselines: figures by hand and scikit-learn's own, in the network's definitions and units."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from dlrun import baselines
from dlrun.baselines import BASELINES, SUITABLE, check_names, measure
from dlrun.datasets import Samples, Scaling, Split, Splits, Streamed, split, to_reconstruct
from dlrun.errors import UserError
from dlrun.metrics import METRICS
from dlrun.models.autoencoder import Autoencoder
from dlrun.randomness import stream_seed

PARTS = ("train", "val", "test")
PREDICTORS = ("constant", "linear", "knn", "random_forest")


def column(*values: float) -> Tensor:
    return torch.tensor(values).unsqueeze(1)


def regression(train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], **more) -> Splits:
    """Splits whose validation split is the test split."""
    splits = {"train": Split(*train), "val": Split(*test), "test": Split(*test)}
    return Splits(**splits, task="regression", in_shape=tuple(train[0].shape[1:]), **more)


def classification(num_classes: int, *, seed: int = 0, normalize: bool = True) -> Splits:
    """Images (1, 3, 3) around one point for each class."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(120) % num_classes
    centres = torch.randn(num_classes, 1, 3, 3, generator=generator)
    inputs = centres[targets] + 0.8 * torch.randn(120, 1, 3, 3, generator=generator)
    samples = Samples(
        inputs,
        targets,
        "binary" if num_classes == 2 else "multiclass",
        classes=tuple(str(k) for k in range(num_classes)),
    )
    fractions = {"val_fraction": 0.2, "test_fraction": 0.25}
    return split(samples, seed=seed, **fractions, normalize=normalize, limit=None)


def numbers(normalize: bool, *, seed: int = 0) -> Splits:
    """A noisy plane over 3 features, with targets around 500 of some unit."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(200, 3, generator=generator) * torch.tensor([1.0, 10.0, 0.1])
    targets = 500 + inputs @ column(30.0, 2.0, 50.0) + torch.randn(200, 1, generator=generator)
    samples = Samples(inputs, targets, "regression")
    fractions = {"val_fraction": 0.2, "test_fraction": 0.25}
    return split(samples, seed=seed, **fractions, normalize=normalize, limit=None)


def own_unit(data: Splits, part: str) -> np.ndarray:
    targets = getattr(data, part).targets
    scaling = data.target_scaling
    return (targets if scaling is None else scaling.undo(targets))[:, 0].double().numpy()


def test_constant_by_hand():
    # the mean of 1, 2, 6 is 3: squares 4, 1, 9 and absolutes 2, 1, 3; test errors 1 and -3
    train = column(0.0, 0.0, 0.0), column(1.0, 2.0, 6.0)
    test = column(0.0, 0.0), column(2.0, 6.0)
    figures, notes = measure(["constant"], regression(train, test), seed=0)
    assert notes == ()
    assert figures["constant"] == pytest.approx(
        {
            "mse/train": 14 / 3,
            "mae/train": 2,
            "mape/train": 100 * (2 + 1 / 2 + 1 / 2) / 3,
            "r2/train": 0,
            "mse/val": 5,
            "mae/val": 2,
            "mape/val": 100 * (1 / 2 + 1 / 2) / 2,
            "r2/val": 1 - 10 / 8,
            "mse/test": 5,
            "mae/test": 2,
            "mape/test": 100 * (1 / 2 + 1 / 2) / 2,
            "r2/test": 1 - 10 / 8,
        }
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_constants_mse_is_the_variance_in_the_targets_own_unit(normalize):
    data = numbers(normalize)
    figures = measure(["constant"], data, seed=0)[0]["constant"]
    train, test = own_unit(data, "train"), own_unit(data, "test")
    assert train.var() > 100  # that of standardised targets would be 1
    assert figures["mse/train"] == pytest.approx(train.var(), rel=1e-4)
    expected = metrics.mean_squared_error(test, np.full_like(test, train.mean()))
    assert figures["mse/test"] == pytest.approx(expected, rel=1e-4)


def test_linear_is_exact_on_a_line():
    inputs = column(0.0, 1.0, 2.0, 5.0)
    test = column(-3.0, 10.0)
    data = regression((inputs, 2 * inputs + 1), (test, 2 * test + 1))
    figures = measure(["linear"], data, seed=0)[0]["linear"]
    for part in PARTS:
        assert figures[f"mse/{part}"] == pytest.approx(0, abs=1e-10)
        assert figures[f"r2/{part}"] == pytest.approx(1)


def test_linear_does_not_mind_columns_nearly_alike():
    generator = torch.Generator().manual_seed(0)
    one = torch.randn(50, 1, generator=generator)
    inputs = torch.cat([one, one + 1e-5 * torch.randn(50, 1, generator=generator)], 1)
    targets = 1e3 * (inputs[:, :1] - inputs[:, 1:])
    figures = measure(["linear"], regression((inputs, targets), (inputs, targets)), seed=0)[0]
    assert figures["linear"]["r2/test"] == pytest.approx(1, abs=1e-6)


def test_knn_by_hand():
    # of 0, 1, 2, 3, 4 and 100 the five nearest to 2 are the first five, whose mean is 2
    inputs = column(0.0, 1.0, 2.0, 3.0, 4.0, 100.0)
    data = regression((inputs, inputs), (column(2.0), column(5.0)))
    figures, notes = measure(["knn"], data, seed=0)
    assert figures["knn"]["mse/test"] == pytest.approx(9)
    assert figures["knn"]["r2/test"] is None  # one sample does not vary
    assert notes == ()


def test_knn_with_fewer_samples_than_neighbours_says_so():
    inputs = column(0.0, 1.0, 5.0)
    figures, notes = measure(
        ["knn"], regression((inputs, inputs), (column(9.0), column(2.0))), seed=0
    )
    assert figures["knn"]["mse/test"] == pytest.approx(0)  # the mean of all three
    assert notes == ("baseline knn: 3 neighbours, there are no more samples",)


@pytest.mark.parametrize("normalize", [True, False])
def test_figures_are_sklearns(normalize):
    data = numbers(normalize)
    figures = measure(["random_forest"], data, seed=7)[0]["random_forest"]
    assert data.train.targets.shape == (120, 1)
    forest = RandomForestRegressor(50, random_state=stream_seed(7, "baselines", bits=32))
    forest.fit(data.train.inputs.double().numpy(), data.train.targets[:, 0].numpy())
    for part in PARTS:
        predicted = torch.from_numpy(forest.predict(getattr(data, part).inputs.double().numpy()))
        if data.target_scaling is not None:
            predicted = data.target_scaling.undo(predicted)
        expected = own_unit(data, part), predicted.numpy()
        assert {name: figures[f"{name}/{part}"] for name in ("mse", "mae", "mape", "r2")} == (
            pytest.approx(
                {
                    "mse": metrics.mean_squared_error(*expected),
                    "mae": metrics.mean_absolute_error(*expected),
                    "mape": 100 * metrics.mean_absolute_percentage_error(*expected),
                    "r2": metrics.r2_score(*expected),
                },
                rel=1e-4,
            )
        )


def test_the_most_frequent_class_by_hand():
    inputs = torch.zeros(4, 2)
    data = Splits(
        train=Split(inputs, torch.tensor([2, 0, 2, 1])),
        val=Split(inputs[:0], torch.tensor([], dtype=torch.int64)),
        test=Split(inputs, torch.tensor([2, 2, 2, 0])),
        task="multiclass",
        in_shape=(2,),
        classes=("a", "b", "c"),
    )
    figures = measure(["constant"], data, seed=0)[0]
    expected = {"accuracy/train": 0.5, "accuracy/val": None, "accuracy/test": 0.75}
    assert figures == {"constant": expected}


@pytest.mark.parametrize("num_classes", [2, 4])
def test_accuracy_is_sklearns(num_classes):
    data = classification(num_classes)
    figures, notes = measure(["linear"], data, seed=0)
    model = LogisticRegression(max_iter=1000)
    model.fit(data.train.inputs.flatten(1).numpy(), data.train.targets.numpy())
    for part in PARTS:
        samples = getattr(data, part)
        expected = model.score(samples.inputs.flatten(1).numpy(), samples.targets.numpy())
        assert figures["linear"][f"accuracy/{part}"] == pytest.approx(expected)
    assert figures["linear"]["accuracy/test"] > 1 / num_classes + 0.2
    assert notes == ()


@pytest.mark.parametrize("data", [numbers(True), classification(2), classification(3)])
def test_all_have_the_metrics_of_the_task_but_no_loss(data):
    figures, _ = measure(PREDICTORS, data, seed=0)
    names = [f"{name}/{part}" for part in PARTS for name in METRICS[data.task] if name != "loss"]
    assert list(figures) == list(PREDICTORS)
    for of_one in figures.values():
        assert list(of_one) == names
        assert all(isinstance(value, float) for value in of_one.values())
    best = "r2/test" if data.task == "regression" else "accuracy/test"
    for name in set(PREDICTORS) - {"constant"}:
        assert figures[name][best] > figures["constant"][best]


def test_a_seed_repeats_and_another_differs():
    data = numbers(True)
    first, again, other = (measure(["random_forest"], data, seed=seed)[0] for seed in (0, 0, 1))
    assert first == again != other


def test_a_name_twice_is_measured_once():
    inputs = column(0.0, 1.0)
    figures, notes = measure(["knn", "knn"], regression((inputs, inputs), (inputs, inputs)), 0)
    assert list(figures) == ["knn"]
    assert len(notes) == 1


def test_no_names_no_figures():
    assert measure([], numbers(True), seed=0) == ({}, ())


def test_fits_that_do_not_converge_are_noted(monkeypatch):
    monkeypatch.setattr(baselines, "ITERATIONS", 2)
    figures, notes = measure(["constant", "linear"], classification(3), seed=0)
    assert figures["linear"]["accuracy/train"] is not None
    assert notes == (
        "baseline linear: not converged after 2 iterations "
        "(inputs that are not standardised often are why)",
    )


def test_other_warnings_are_passed_on():
    class Warner:
        def fit(self, inputs, targets):
            warnings.warn("slow", ConvergenceWarning, stacklevel=1)
            warnings.warn("odd", RuntimeWarning, stacklevel=1)

    with pytest.warns(RuntimeWarning, match="odd") as caught, warnings.catch_warnings():
        warnings.simplefilter("always")
        notes = baselines.fit("knn", Warner(), np.zeros((1, 1)), np.zeros(1))
    assert [warning.category for warning in caught] == [RuntimeWarning]
    assert len(notes) == 1


def test_unknown_names_are_told():
    assert check_names(BASELINES) == []
    assert check_names(["lineer", "xyz"]) == [
        "baselines=[lineer]: expected constant, linear, knn, random_forest, pca; "
        "did you mean linear?",
        "baselines=[xyz]: expected constant, linear, knn, random_forest, pca "
        "(for example baselines=[linear,constant])",
    ]
    with pytest.raises(UserError, match=r"baselines=\[lineer\]: expected constant"):
        measure(["linear", "lineer"], numbers(True), seed=0)


def test_streamed_inputs_are_told():
    data = numbers(True)
    streamed = Streamed(data.train.inputs, torch.arange(3))
    data = replace(data, train=Split(streamed, data.train.targets[:3]))
    with pytest.raises(UserError) as caught:
        measure(["linear", "knn"], data, seed=0)
    assert str(caught.value).splitlines() == [
        "baselines=[linear,knn]: needs all inputs in memory, this data set is read batch by batch",
        "(raise dataset.max_gigabytes if there is room, take smaller images, or leave "
        "baselines out)",
    ]


@pytest.mark.parametrize(
    ("task", "name", "expected"),
    [
        ("reconstruction", "constant", "pca"),
        ("surface", "constant", "none"),
        ("surface", "pca", "none"),
        ("multiclass", "pca", "constant, linear, knn, random_forest"),
        ("regression", "pca", "constant, linear, knn, random_forest"),
    ],
)
def test_what_a_task_does_not_have_is_told(task, name, expected):
    with pytest.raises(UserError) as caught:
        measure([name], replace(numbers(True), task=task), seed=0)
    example = ",".join([] if expected == "none" else expected.split(", ")[:2])
    assert str(caught.value) == (
        f"baselines=[{name}]: expected {expected}, for the task is {task} "
        f"(for example baselines=[{example}])"
    )


def test_every_task_says_what_suits_it():
    assert set(SUITABLE) == set(METRICS)
    assert {name for names in SUITABLE.values() for name in names} == set(BASELINES)


def images(*, normalize: bool) -> Splits:
    """Images (1, 3, 3) to reconstruct: 72 to train on, 18 and 30 besides."""
    return to_reconstruct(classification(3, normalize=normalize))


def linear_autoencoder(latent_dim: int) -> Autoencoder:
    return Autoencoder((1, 3, 3), 9, hidden=[], latent_dim=latent_dim, output="identity")


@pytest.mark.parametrize("normalize", [True, False])
def test_pca_is_scikit_learns_on_the_pixels(normalize):
    data = images(normalize=normalize)
    figures, notes = measure(["pca", "pca"], data, seed=0, model=linear_autoencoder(2))
    rows = {part: getattr(data, part).targets.flatten(1).numpy() for part in PARTS}
    pca = PCA(2).fit(rows["train"])
    for part, targets in rows.items():
        error = pca.inverse_transform(pca.transform(targets)) - targets
        assert figures["pca"][f"mse/{part}"] == pytest.approx((error**2).mean(), rel=1e-4)
        assert figures["pca"][f"mae/{part}"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    assert list(figures) == ["pca"]
    assert 0 < figures["pca"]["principal_angle"] <= 90
    assert notes[0].endswith("degrees (of 2 dimensions)")


def test_the_principal_angle_by_hand():
    # PCA finds the first axis; the decoder's line lies 30 degrees from it
    rows = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    part = Split(rows, rows)
    data = Splits(train=part, val=part, test=part, task="reconstruction", in_shape=(2,))
    model = Autoencoder((2,), 2, hidden=[], latent_dim=1, output="identity")
    with torch.no_grad():
        model.decoder.output.weight.copy_(torch.tensor([[3**0.5], [1.0]]))
    figures, notes = measure(["pca"], data, seed=0, model=model)
    assert figures["pca"]["principal_angle"] == pytest.approx(30, abs=1e-3)
    assert figures["pca"]["mse/test"] == pytest.approx(2 / 8)  # the second axis is lost
    assert notes == (
        "largest angle between the decoder's subspace and that of PCA: 30.00 degrees "
        "(of 1 dimensions)",
    )


def test_bent_decoders_and_codes_larger_than_the_data_have_no_angle():
    data = images(normalize=False)
    bent = Autoencoder((1, 3, 3), 9, hidden=[], latent_dim=2)  # with a sigmoid
    few = replace(data, train=data.train.rows(torch.arange(3)))
    for part, model in ((data, bent), (few, linear_autoencoder(5))):
        figures, notes = measure(["pca"], part, seed=0, model=model)
        assert "principal_angle" not in figures["pca"]
        assert notes == ()
    assert figures["pca"]["mse/train"] == pytest.approx(0, abs=1e-10)  # three of three samples


def test_pca_of_an_empty_split_has_no_figures():
    data = images(normalize=False)
    data = replace(data, val=data.val.rows(torch.arange(0)))
    figures, _ = measure(["pca"], data, seed=0, model=linear_autoencoder(2))
    assert figures["pca"]["mse/val"] is figures["pca"]["mae/val"] is None
    assert figures["pca"]["mse/test"] > 0


def test_target_scaling_is_undone():
    # scaled targets -1 and 1 are 8 and 12: the constant is off by 2
    scaled = column(-1.0, 1.0)
    scaling = Scaling(torch.tensor([10.0]), torch.tensor([2.0]))
    data = regression((scaled, scaled), (scaled, scaled), target_scaling=scaling)
    figures = measure(["constant"], data, seed=0)[0]["constant"]
    assert (figures["mse/test"], figures["mae/test"]) == (4.0, 2.0)
    assert figures["mape/test"] == pytest.approx(100 * (2 / 8 + 2 / 12) / 2)


def test_scikit_learn_is_imported_only_when_something_is_measured():
    code = "import sys, dlrun.baselines; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
