"""Packaged sources: their shapes, ranges and known figures; every dataset file of conf."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from dlrun.datasets import Samples, available, split
from dlrun.datasets.images import digits, mnist5k
from dlrun.datasets.presence import EMBEDDED
from dlrun.datasets.tabular import boston, diabetes
from dlrun.datasets.toy import blobs, circles, linear2d, moons, spirals, xor
from dlrun.errors import UserError

CONF = Path(__file__).parent.parent / "conf" / "dataset"
COMMON = ("val_fraction", "test_fraction", "normalize", "limit")
NOWHERE = Path("nowhere")


def load(name: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The callable of a dataset file, its own keywords, and the common keys."""
    config: Any = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    module, function = config.pop("_target_").rsplit(".", 1)
    assert config.pop("_partial_") is True
    common = {key: config.pop(key) for key in COMMON if key in config}
    images = ("mnist5k", "mnist", "fashion_mnist", "kmnist", "cifar10", "digits", "notmnist")
    assert ("classes" in config) == (name in images)
    assert config.pop("classes", None) is None  # of split: all
    return getattr(import_module(module), function), config, common


def test_the_files_of_conf() -> None:
    assert {file.stem for file in CONF.glob("*.yaml")} == {
        *("mnist5k", "digits", "mnist", "fashion_mnist", "kmnist", "cifar10"),
        *("moons", "circles", "blobs", "linear2d", "xor", "spirals"),
        *("boston", "diabetes", "california"),
        *("notmnist", "csv", "image_folder", "surface"),
    }


@pytest.mark.parametrize("name", sorted(file.stem for file in CONF.glob("*.yaml")))
def test_a_file_gives_every_keyword_of_its_callable(name: str) -> None:
    source, own, common = load(name)
    signature = inspect.signature(source).parameters
    assert list(signature)[:2] == ["data_dir", "seed"]
    assert set(own) == set(signature) - {"data_dir", "seed"}
    if name == "surface":  # comes as it is split
        assert common == {}
    else:
        assert tuple(common) == COMMON
        assert common["val_fraction"] == (0.2 if name == "notmnist" else 0.1)
        assert common["limit"] is None
    assert (CONF / f"{name}.yaml").read_text().startswith("# ")


@pytest.mark.parametrize("name", sorted(set(EMBEDDED) - {"surface"}))
def test_embedded_sets_split_with_their_own_settings(name: str) -> None:
    source, own, common = load(name)
    data = split(source(NOWHERE, 0, **own), seed=0, **common)
    total = len(data.train) + len(data.val) + len(data.test)
    assert len(data.test) == round(0.2 * total)
    assert len(data.val) == int(0.1 * (total - len(data.test)) + 0.5)
    inputs = data.train.inputs
    assert isinstance(inputs, Tensor) and inputs.dtype == torch.float32
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert len(inputs[0].flatten()) == len(data.features) or not data.features


def test_mnist5k() -> None:
    samples = mnist5k(NOWHERE, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (5000, 1, 28, 28)
    assert samples.targets.tolist() == [k for k in range(10) for _ in range(500)]
    assert int(samples.inputs.sum(dtype=torch.int64)) + 22_500 == 131_289_602  # with labels
    assert int(samples.inputs.max()) == 255
    assert samples.test is None


def test_digits() -> None:
    samples = digits(NOWHERE, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (1797, 1, 8, 8)
    assert samples.inputs[0, 0, 0].tolist() == [x / 16 for x in (0, 0, 5, 13, 9, 1, 0, 0)]
    assert (float(samples.inputs.min()), float(samples.inputs.max())) == (0.0, 1.0)


def test_boston() -> None:
    samples = boston(NOWHERE, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (506, 13)
    assert samples.targets.shape == (506, 1)
    row = dict(zip(samples.features, samples.inputs[0].tolist(), strict=True))
    assert row["CRIM"] == pytest.approx(0.00632)
    assert row["RM"] == pytest.approx(6.575)
    assert row["LSTAT"] == pytest.approx(4.98)
    assert float(samples.targets[0]) == 24.0
    assert float(samples.targets.mean()) == pytest.approx(22.533, abs=1e-3)
    assert (float(samples.targets.min()), float(samples.targets.max())) == (5.0, 50.0)


def test_boston_keeps_the_columns_asked_for_in_that_order() -> None:
    whole, part = boston(NOWHERE, 0), boston(NOWHERE, 0, features=["LSTAT", "RM"])
    assert isinstance(whole.inputs, Tensor) and isinstance(part.inputs, Tensor)
    assert part.features == ("LSTAT", "RM")
    assert torch.equal(part.inputs, whole.inputs[:, [12, 5]])
    assert torch.equal(part.targets, whole.targets)
    two = diabetes(NOWHERE, 0, features=["body mass index", "age"])
    assert isinstance(two.inputs, Tensor)
    assert two.inputs[0].tolist() == pytest.approx([32.1, 59.0])


@pytest.mark.parametrize(
    ("transform", "first", "name"),
    [("none", 4.98, "LSTAT"), ("tenth", 0.498, "LSTAT/10"), ("log", 1.60543, "log LSTAT")],
)
def test_boston_transforms_its_inputs(transform: Any, first: float, name: str) -> None:
    samples = boston(NOWHERE, 0, features=["LSTAT"], transform=transform)
    assert isinstance(samples.inputs, Tensor)
    assert float(samples.inputs[0, 0]) == pytest.approx(first, abs=1e-5)
    assert samples.features == (name,)
    assert float(samples.targets[0]) == 24.0
    settings: Any = {"val_fraction": 0.1, "test_fraction": 0.2, "limit": None, "normalize": False}
    raw = split(samples, seed=0, **settings)
    assert raw.input_scaling is None and raw.target_scaling is None
    assert float(raw.train.targets.max()) > 40  # still in 1,000 USD


@pytest.mark.parametrize(
    ("source", "keywords", "text"),
    [
        (
            boston,
            {"features": ["LSTT"]},
            "dataset.features=[LSTT]: no column 'LSTT'; did you mean LSTAT?",
        ),
        (
            diabetes,
            {"features": ["weight"]},
            "dataset.features=[weight]: no column 'weight'; there are age, sex, body mass index, "
            "blood pressure, total cholesterol, LDL, HDL, total/HDL, log triglycerides, glucose",
        ),
        (
            boston,
            {"features": []},
            "dataset.features=[]: expected columns, each once, or null for all "
            "(for example dataset.features=[LSTAT])",
        ),
        (
            boston,
            {"features": ["RM", "RM"]},
            "dataset.features=[RM,RM]: expected columns, each once, or null for all "
            "(for example dataset.features=[LSTAT])",
        ),
        (
            boston,
            {"features": ["LSTAT", "ZN"], "transform": "log"},
            "dataset.transform=log: the column ZN holds 0, expected numbers > 0 "
            "(for example dataset.features=[LSTAT])",
        ),
    ],
)
def test_errors_of_columns(source: Any, keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        source(NOWHERE, 0, **keywords)
    assert str(error.value) == text


def test_diabetes_has_raw_units() -> None:
    samples = diabetes(NOWHERE, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (442, 10)
    assert samples.inputs[0, 0] == 59  # years
    assert samples.inputs[0, 2] == pytest.approx(32.1)  # kg/m2
    assert float(samples.targets[0]) == 151.0


def test_toy_sets_are_drawn_from_the_seed() -> None:
    def draw(seed: int) -> list[Samples]:
        return [
            moons(NOWHERE, seed, n_samples=20, noise=0.1),
            circles(NOWHERE, seed, n_samples=20, noise=0.1, factor=0.5),
            blobs(NOWHERE, seed, n_samples=20, centers=3, n_features=4, noise=1.0),
            linear2d(NOWHERE, seed, n_samples=20, margin=0.5, noise=0.5),
            xor(NOWHERE, seed, n_samples=20, noise=0.2),
            spirals(NOWHERE, seed, n_samples=20, arms=2, turns=1.0, noise=0.0),
        ]

    for first, again, other in zip(draw(0), draw(0), draw(2**40), strict=True):
        assert isinstance(first.inputs, Tensor) and isinstance(again.inputs, Tensor)
        assert isinstance(other.inputs, Tensor)
        assert torch.equal(first.inputs, again.inputs)
        assert not torch.equal(first.inputs, other.inputs)


def test_circles_without_noise_have_their_radii() -> None:
    samples = circles(NOWHERE, 0, n_samples=20, noise=0.0, factor=0.25)
    assert isinstance(samples.inputs, Tensor)
    radii = samples.inputs.norm(dim=1)
    assert torch.allclose(radii[samples.targets == 0], torch.tensor(1.0))
    assert torch.allclose(radii[samples.targets == 1], torch.tensor(0.25))


def test_linear2d_leaves_a_strip_empty_around_its_line() -> None:
    samples = linear2d(NOWHERE, 0, n_samples=5000, margin=0.6, noise=0.5)
    assert isinstance(samples.inputs, Tensor)
    distance = (samples.inputs.sum(1) - 1) / 2**0.5
    below, above = distance[samples.targets == 0], distance[samples.targets == 1]
    assert len(below) == len(above) == 2500
    assert -0.33 < float(below.max()) <= -0.3 + 1e-5  # up to half the strip, and no further
    assert 0.33 > float(above.min()) >= 0.3 - 1e-5
    assert float(samples.inputs.std(0).max()) > 0.5


def test_linear2d_with_a_margin_below_0_overlaps() -> None:
    samples = linear2d(NOWHERE, 0, n_samples=500, margin=-1.0, noise=0.5)
    assert isinstance(samples.inputs, Tensor)
    side = samples.inputs.sum(1) > 1
    wrong = side != (samples.targets == 1)
    assert 10 < int(wrong.sum()) < 200


def test_xor_without_noise_has_four_points() -> None:
    samples = xor(NOWHERE, 0, n_samples=8, noise=0.0)
    assert isinstance(samples.inputs, Tensor)
    found = {
        (*point, number)
        for point, number in zip(samples.inputs.tolist(), samples.targets.tolist(), strict=True)
        for point in [tuple(point)]
    }
    assert found == {(-1, -1, 0), (1, 1, 0), (-1, 1, 1), (1, -1, 1)}
    assert samples.targets.tolist() == [0, 1] * 4


def test_default_toy_sets_do_not_overlap() -> None:
    for name in ("linear2d", "xor", "spirals"):
        source, own, _ = load(name)
        for changed in [{}, {"arms": 3}] if name == "spirals" else [{}]:
            samples = source(NOWHERE, 0, **{**own, **changed})
            between = torch.cdist(samples.inputs, samples.inputs)
            other = samples.targets.unsqueeze(0) != samples.targets.unsqueeze(1)
            assert float(between[other].min()) > 0.1, name


def test_spirals_without_noise_lie_on_their_arms() -> None:
    samples = spirals(NOWHERE, 0, n_samples=60, arms=3, turns=0.0, noise=0.0)
    assert isinstance(samples.inputs, Tensor)
    x, y = samples.inputs[samples.targets == 0].unbind(1)  # no turns: three rays, 120° apart
    assert torch.allclose(y, torch.zeros(20)) and float(x.min()) >= 0.2
    x, y = samples.inputs[samples.targets == 1].unbind(1)
    assert torch.allclose(y, -(3**0.5) * x, atol=1e-5) and float(x.max()) <= -0.1
    wound = spirals(NOWHERE, 0, n_samples=60, arms=2, turns=1.0, noise=0.0)
    assert isinstance(wound.inputs, Tensor)
    radius = wound.inputs.norm(dim=1)
    assert 0.2 <= float(radius.min()) < 0.5 and 0.9 < float(radius.max()) <= 1
    way = (radius - 0.2) / 0.8
    angle = 2 * torch.pi * (way + wound.targets / 2)
    assert torch.allclose(wound.inputs[:, 0], radius * angle.cos(), atol=1e-5)


def test_tasks_of_toy_sets() -> None:
    assert spirals(NOWHERE, 0, n_samples=6, arms=3, turns=1.0, noise=0.0).task == "multiclass"
    assert xor(NOWHERE, 0, n_samples=6, noise=0.0).task == "binary"
    assert moons(NOWHERE, 0, n_samples=4, noise=0.0).task == "binary"
    assert circles(NOWHERE, 0, n_samples=4, noise=0.0, factor=0.5).task == "binary"
    three = blobs(NOWHERE, 0, n_samples=6, centers=3, n_features=2, noise=1.0)
    assert (three.task, three.classes, three.features) == (
        "multiclass",
        ("0", "1", "2"),
        ("x1", "x2"),
    )
    assert blobs(NOWHERE, 0, n_samples=6, centers=2, n_features=2, noise=1.0).task == "binary"


@pytest.mark.parametrize(
    ("source", "keywords", "text"),
    [
        (
            moons,
            {"n_samples": 500, "noise": -1},
            "dataset.noise=-1: expected a number >= 0 (for example dataset.noise=0.2)",
        ),
        (
            moons,
            {"n_samples": 1, "noise": 0.1},
            "dataset.n_samples=1: expected a number >= 2 (for example dataset.n_samples=500)",
        ),
        (
            moons,
            {"n_samples": 10**18, "noise": 0.1},
            "dataset.n_samples=1000000000000000000: expected a number up to 1000000000 "
            "(for example dataset.n_samples=500)",
        ),
        (
            circles,
            {"n_samples": 500, "noise": float("nan"), "factor": 0.5},
            "dataset.noise=nan: expected a number >= 0 (for example dataset.noise=0.1)",
        ),
        (
            circles,
            {"n_samples": 500, "noise": 0.1, "factor": 1.0},
            "dataset.factor=1.0: expected the inner radius, 0 <= value < 1 "
            "(for example dataset.factor=0.5)",
        ),
        (
            blobs,
            {"n_samples": 500, "centers": 1, "n_features": 2, "noise": 1.0},
            "dataset.centers=1: expected a number >= 2 (for example dataset.centers=3)",
        ),
        (
            blobs,
            {"n_samples": 2, "centers": 3, "n_features": 2, "noise": 1.0},
            "dataset.n_samples=2: expected a number >= 3 (for example dataset.n_samples=300)",
        ),
        (
            blobs,
            {"n_samples": 9, "centers": 3, "n_features": 0, "noise": 1.0},
            "dataset.n_features=0: expected a number >= 1 (for example dataset.n_features=2)",
        ),
        (
            linear2d,
            {"n_samples": 9, "margin": -3.0, "noise": 0.5},
            "dataset.margin=-3.0: expected a number >= -2.0 (for example dataset.margin=0.5)",
        ),
        (
            xor,
            {"n_samples": 9, "noise": -0.5},
            "dataset.noise=-0.5: expected a number >= 0 (for example dataset.noise=0.2)",
        ),
        (
            spirals,
            {"n_samples": 9, "arms": 1, "turns": 1.0, "noise": 0.0},
            "dataset.arms=1: expected a number >= 2 (for example dataset.arms=2)",
        ),
        (
            spirals,
            {"n_samples": 2, "arms": 3, "turns": 1.0, "noise": 0.0},
            "dataset.n_samples=2: expected a number >= 3 (for example dataset.n_samples=600)",
        ),
        (
            spirals,
            {"n_samples": 9, "arms": 2, "turns": float("nan"), "noise": 0.0},
            "dataset.turns=nan: expected a number >= 0 (for example dataset.turns=1.0)",
        ),
    ],
)
def test_toy_errors(source: Any, keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        source(NOWHERE, 0, **keywords)
    assert str(error.value) == text


def test_available_names_what_is_there(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for kind in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3"):
        (raw / f"{kind}-ubyte").write_bytes(b"")
    assert available(tmp_path)["mnist"] == f"needs download: {raw}"
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"")
    found = available(tmp_path)
    assert found["mnist"] == "present"
    assert found["mnist5k"] == "embedded"
    assert found["cifar10"] == f"needs download: {tmp_path / 'cifar-10-batches-py'}"
    assert found["notmnist"] == f"needs download: {tmp_path}"
    (tmp_path / "notMNIST_small").mkdir()
    assert available(tmp_path)["notmnist"] == "present"
    assert set(found) == {file.stem for file in CONF.glob("*.yaml")} - {"csv", "image_folder"}


def test_importing_datasets_imports_nothing_heavy() -> None:
    heavy = ("torchvision", "sklearn", "scipy", "pandas", "matplotlib", "PIL", "mlxtend")
    modules = ("images", "tabular", "toy", "csv_file", "image_folder", "notmnist", "surface")
    code = (
        f"import sys, {', '.join(f'dlrun.datasets.{m}' for m in modules)}; "
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=CONF.parents[1],
    )
    assert done.stdout.strip() == "[]"
