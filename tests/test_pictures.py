"""Which pictures a run gets by its task, and the numbers that they are drawn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor, nn

from dlrun import figures, run, schema
from dlrun.datasets import Scaling, Split, Splits
from dlrun.device import Compute
from dlrun.figures.animation import Frame
from dlrun.models.autoencoder import Autoencoder
from dlrun.models.cnn import CNN
from dlrun.models.mlp import MLP
from dlrun.pictures import classes, codes, layers, paths, values
from dlrun.pictures.shown import Shown, in_own_unit, outputs_for, pixels_of, spread
from dlrun.result import Result
from dlrun.runlog import RunLog
from dlrun.state import Fitted

CPU = Compute(torch.device("cpu"))
CURVES = {"learning_curves"}
GRADIENTS = {"gradients", "update_ratios"}

# ------------------------------------------------------------------------------ whole runs

# What is typed: the pictures, and what moves.
RUNS: dict[str, tuple[set[str], set[str]]] = {
    "dataset=digits dataset.limit=60 model.hidden=[4]": (
        CURVES | {"confusion_matrix", "worst_mistakes", "samples", "first_layer"},
        set(),
    ),
    "dataset=moons dataset.n_samples=40 model.hidden=[4] diagnostics=gradients": (
        CURVES | GRADIENTS | {"confusion_matrix", "decision_regions", "dead_relus"},
        {"decision_regions"},
    ),
    "dataset=diabetes dataset.limit=40 model.hidden=[4] model.activation=tanh"
    " diagnostics=gradients": (
        CURVES | GRADIENTS | {"predictions", "saturated_sigmoids"},
        set(),
    ),
    "dataset=boston dataset.limit=40 dataset.features=[LSTAT] model=linear": (
        CURVES | {"predictions", "fit"},
        set(),
    ),
    "dataset=digits dataset.limit=60 model=autoencoder model.hidden=[4] model.latent_dim=2": (
        CURVES | {"reconstructions", "latent", "latent_grid", "morph", "samples", "first_layer"},
        {"morph"},
    ),
    "dataset=digits dataset.limit=60 model=conv_autoencoder model.channels=[2]": (
        CURVES | {"reconstructions", "morph", "samples"},
        {"morph"},
    ),
    "dataset=diabetes dataset.limit=40 model=autoencoder model.hidden=[] model.latent_dim=2"
    " model.output=identity": (CURVES | {"latent"}, set()),
    "dataset=digits dataset.limit=60 model=pca model.latent_dim=2": (
        {"reconstructions", "latent", "latent_grid", "morph", "samples"},
        {"morph"},
    ),
    "dataset=surface dataset.name=cliff model=point optim=sgd optim.lr=0.001": (
        {"path"},
        {"path"},
    ),
    "dataset=surface dataset.name=quadratic_deep model=point optim=sgd": (set(), set()),
}


def drawn(result: Result) -> tuple[set[str], set[str]]:
    pictures, moving = (
        {file.stem for file in (result.run_dir / "figures").glob(f"*.{kind}")}
        for kind in ("png", "gif")
    )
    return pictures, moving


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are made and named as ever, but not rendered, which test_figures does."""

    def sketch(log: RunLog, name: str, figure: Figure, step: int = 0) -> None:
        assert isinstance(figure, Figure)
        (log.run_dir / "figures").mkdir(exist_ok=True)
        (log.run_dir / "figures" / f"{name}.png").touch(exist_ok=False)

    def frames(*given: Any, **options: Any) -> list[Frame]:
        return [np.zeros((4, 6, 3), dtype=np.uint8), np.ones((4, 6, 3), dtype=np.uint8)]

    monkeypatch.setattr(RunLog, "figure", sketch)
    for name in ("region_frames", "race_frames", "morph_frames"):
        monkeypatch.setattr(figures, name, frames)


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("words", RUNS)
def test_a_run_gets_the_pictures_of_its_task(words: str) -> None:
    epochs = {} if "model=pca" in words else {"epochs": 2}
    result = run(*words.split(" "), "quiet=true", animations=True, **epochs)
    assert drawn(result) == RUNS[words]


POINT = ("dataset=surface", "model=point", "optim=sgd", "quiet=true")


def test_pictures_and_animations_are_files_that_open() -> None:
    result = run(*POINT, epochs=2, animations=True)
    assert drawn(result) == ({"path"}, {"path"})
    with Image.open(result.run_dir / "figures" / "path.png") as opened:
        opened.load()
    with Image.open(result.run_dir / "figures" / "path.gif") as opened:
        assert opened.n_frames >= 3


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"figures": False}, (set(), set())),
        ({"figures": False, "animations": True}, (set(), {"path"})),
        ({}, ({"path"}, set())),
    ],
)
def test_pictures_and_animations_are_wanted_apart(
    settings: dict[str, Any], expected: tuple[set[str], set[str]]
) -> None:
    assert drawn(run(*POINT, epochs=1, **settings)) == expected


@pytest.mark.usefixtures("sketched")
@pytest.mark.parametrize("model", ["model=mlp", "model=autoencoder model.latent_dim=2"])
def test_a_run_without_test_and_validation_split_shows_what_it_can(model: str) -> None:
    words = ("dataset=digits", "dataset.test_fraction=0", "dataset.val_fraction=0")
    words = (*words, "dataset.limit=30", "quiet=true", *model.split(" "))
    result = run(*words, "model.hidden=[4]", epochs=1, animations=True)
    assert drawn(result) == (CURVES | {"samples", "first_layer"}, set())


MOONS = ("dataset=moons", "dataset.n_samples=40", "model.hidden=[2]", "quiet=true")


@pytest.mark.usefixtures("sketched")
def test_a_run_without_epochs_has_pictures() -> None:
    expected = {"confusion_matrix", "decision_regions"}
    assert drawn(run(*MOONS, epochs=0, animations=True)) == (expected, {"decision_regions"})


@pytest.mark.usefixtures("sketched")
def test_without_a_test_split_pictures_are_of_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "confusion_matrix")
    run(*MOONS, "dataset.test_fraction=0", "dataset.val_fraction=0.25", epochs=1)
    ((matrix, _),) = calls["confusion_matrix"]
    assert matrix.sum() == 10


# ------------------------------------------------------------------------------ their numbers


def shown(
    data: Splits, model: nn.Module, *, fitted: Fitted | None = None, **settings: Any
) -> Shown:
    part = data.test
    model.eval()
    with torch.no_grad():
        outputs = model(part.inputs)
    fitted = fitted or Fitted()
    return Shown(schema.Config(**settings), fitted, data, model, CPU, part, outputs, part.targets)


def same(part: Split, **more: Any) -> Splits:
    """Splits that are all the same one."""
    inputs = part.inputs
    assert isinstance(inputs, Tensor)
    return Splits(train=part, val=part, test=part, in_shape=tuple(inputs.shape[1:]), **more)


class Given(nn.Module):
    """Outputs that a function makes of the inputs; counts nothing, learns nothing."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


def caught(monkeypatch: pytest.MonkeyPatch, *names: str) -> dict[str, list[tuple[Any, ...]]]:
    """What the figures of these names are called with from now on: arguments, by name."""
    calls: dict[str, list[tuple[Any, ...]]] = {name: [] for name in names}
    for name in names:
        draw = getattr(figures, name)

        def seen(*given: Any, _name: str = name, _draw: Any = draw, **options: Any) -> Any:
            calls[_name].append((*given, *options.values()))
            return _draw(*given, **options)

        monkeypatch.setattr(figures, name, seen)
    return calls


def test_samples_are_taken_from_each_class_in_turn() -> None:
    labels = torch.tensor([2, 2, 0, 0, 0, 2])
    assert spread(labels, 6, 4).tolist() == [2, 0, 3, 1]  # there is no class 1
    assert spread(labels, 6, 20).tolist() == [2, 0, 3, 1, 4, 5]
    assert spread(None, 6, 4).tolist() == [0, 1, 2, 3]
    assert spread(None, 2, 4).tolist() == [0, 1]


def test_scaling_is_undone() -> None:
    scaling = Scaling(torch.tensor([0.5]), torch.tensor([0.25]))
    inputs = torch.tensor([-2.0, 0.0, 2.0, 9.0]).reshape(4, 1, 1, 1)
    data = same(Split(inputs, torch.zeros(4, 1)), task="regression", input_scaling=scaling)
    assert pixels_of(data.test, data).flatten().tolist() == [0.0, 0.5, 1.0, 1.0]
    plain = replace(data, input_scaling=None)
    assert pixels_of(plain.test, plain).flatten().tolist() == [0.0, 0.0, 1.0, 1.0]
    scaled = replace(data, target_scaling=scaling)
    assert in_own_unit(torch.tensor([2.0]), scaled).tolist() == [1.0]
    assert in_own_unit(torch.tensor([2.0]), data).tolist() == [2.0]


def test_the_confusion_matrix_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "confusion_matrix")
    inputs = torch.tensor([[0.0], [1.0], [2.0], [2.0]])  # what is predicted
    part = Split(inputs, torch.tensor([0, 1, 1, 2]))
    model = Given(lambda x: nn.functional.one_hot(x[:, 0].long(), 3).float())
    list(
        classes.classification(shown(same(part, task="multiclass", classes=("a", "b", "c")), model))
    )
    ((matrix, names),) = calls["confusion_matrix"]
    assert matrix.tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
    assert names == ("a", "b", "c")


def test_one_logit_is_two_probabilities() -> None:
    found = classes.probabilities(torch.tensor([[0.0], [np.log(3.0)]]).float())
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    two = classes.probabilities(torch.tensor([[0.0, np.log(3.0)]]).float())
    torch.testing.assert_close(two, torch.tensor([[0.25, 0.75]]))


def test_the_worst_mistakes_are_those_it_was_surest_of(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "worst_mistakes")
    # the logit of class b is the brightness; all are a, but the last one
    brightness = torch.tensor([0.25, 1.0, -1.0, 0.5, 0.75])
    part = Split(brightness.reshape(5, 1, 1, 1).expand(5, 1, 2, 2), torch.tensor([0, 0, 0, 0, 1]))
    model = Given(lambda x: x.flatten(1)[:, :1])
    list(classes.mistakes(shown(same(part, task="binary", classes=("a", "b")), model)))
    ((images, true, predicted, sure, of_truth),) = calls["worst_mistakes"]
    assert images[:, 0, 0, 0].tolist() == [1.0, 0.5, 0.25]
    assert (true, predicted) == (["a"] * 3, ["b"] * 3)
    expected = torch.tensor([1.0, 0.5, 0.25]).sigmoid()
    assert sure.tolist() == pytest.approx(expected.tolist())
    assert of_truth.tolist() == pytest.approx((1 - expected).tolist())


def test_without_a_mistake_there_is_no_picture_of_mistakes() -> None:
    part = Split(torch.ones(3, 1, 2, 2), torch.ones(3, dtype=torch.int64))
    run_ = shown(same(part, task="binary", classes=("a", "b")), Given(lambda x: x[:, 0, 0, :1]))
    assert list(classes.mistakes(run_)) == []


def plane_data() -> Splits:
    """Points in a plane that is scaled: x1 from 10 to 30, x2 from -1 to 3."""
    scaling = Scaling(torch.tensor([20.0, 1.0]), torch.tensor([10.0, 2.0]))
    inputs = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, 0.5]])
    part = Split(inputs, torch.tensor([0, 1, 1]))
    return same(part, task="binary", classes=("a", "b"), input_scaling=scaling)


def test_the_plane_is_seen_by_the_network_scaled_and_by_people_not() -> None:
    data = plane_data()
    run_ = shown(data, Given(lambda x: x[:, :1]))
    x, y, grid = classes.plane(run_)
    assert (x[0], x[-1]) == pytest.approx((10 - 2.4, 30 + 2.4))
    assert (y[0], y[-1]) == pytest.approx((-1 - 0.48, 3 + 0.48))
    assert grid.shape == (classes.GRID**2, 2)
    scaling = data.input_scaling
    assert scaling is not None
    rows = scaling.undo(grid).reshape(classes.GRID, classes.GRID, 2).numpy()
    np.testing.assert_allclose(rows[:, :, 0], np.broadcast_to(x, rows.shape[:2]), rtol=1e-5)
    np.testing.assert_allclose(rows[:, :, 1].T, np.broadcast_to(y, rows.shape[:2]), rtol=1e-4)
    found = classes.regions(run_, grid)  # the second class where the scaled x1 is above 0
    assert found.shape == (classes.GRID, classes.GRID, 2)
    assert ((found[:, :, 1] > 0.5) == (x > 20)).all()
    np.testing.assert_allclose(found.sum(2), 1, rtol=1e-6)


def test_points_are_in_the_unit_of_the_data() -> None:
    found = classes.points(shown(plane_data(), Given(lambda x: x[:, :1])))
    assert list(found) == ["train", "test"]
    positions, numbers = found["test"]
    assert positions.tolist() == [[10.0, -1.0], [30.0, 3.0], [20.0, 2.0]]
    assert numbers.tolist() == [0, 1, 1]


def test_the_network_has_its_best_weights_again_when_regions_have_grown() -> None:
    torch.manual_seed(0)
    model = MLP((2,), 1, hidden=[3])
    fitted = Fitted(history=[{"epoch": 0}, {"epoch": 1}], best_epoch=1)
    for epoch in (0, 1):
        weights = {name: torch.randn_like(value) for name, value in model.state_dict().items()}
        fitted.snapshots[epoch] = weights
    fitted.best_state = {n: torch.randn_like(value) for n, value in model.state_dict().items()}
    frames = classes.grown_regions(shown(plane_data(), model, fitted=fitted))
    assert len(frames) >= 2
    assert any(not np.array_equal(frames[0], later) for later in frames[1:])
    for name, value in model.state_dict().items():
        assert torch.equal(value, fitted.best_state[name])


def test_axes_are_named_after_the_features_if_there_are_two() -> None:
    data = plane_data()
    assert classes.axis_names(data) == ("x1", "x2")
    assert classes.axis_names(replace(data, features=("age", "height"))) == ("age", "height")


# ------------------------------------------------------------------------------ codes


@cache
def coded(latent_dim: int = 2) -> Shown:
    torch.manual_seed(0)
    images = torch.rand(12, 1, 3, 3)
    labels = torch.arange(12) % 3
    part = Split(images, images, labels)
    data = same(part, task="reconstruction", classes=("a", "b", "c"))
    model = Autoencoder((1, 3, 3), 9, hidden=[], latent_dim=latent_dim)
    return shown(data, model)


def test_a_morph_goes_straight_from_code_to_code_and_back() -> None:
    run_ = coded()
    stops, decoded = codes.morph(run_)
    steps = codes.MORPH_STEPS
    assert stops == [0, *(steps * k for k in range(1, codes.MORPHED + 1))]
    assert decoded.shape == (stops[-1] + 1, 1, 3, 3)
    chosen = [0, 1, 2, 3, 4, 0]  # classes in turn
    assert isinstance(run_.part.inputs, Tensor)
    with torch.no_grad():
        ends = run_.model.encode(run_.part.inputs[chosen])
        between = run_.model.decode(0.25 * ends[1:2] + 0.75 * ends[:1])
        np.testing.assert_allclose(decoded[stops], run_.model.decode(ends), atol=1e-6)
        np.testing.assert_allclose(decoded[steps // 4], between[0], atol=1e-6)
    np.testing.assert_array_equal(decoded[0], decoded[-1])


def test_a_morph_of_few_samples_goes_through_all_of_them() -> None:
    run_ = coded()
    few = replace(run_, part=run_.part.rows(torch.tensor([4, 7])))
    stops, decoded = codes.morph(few)
    assert stops == [0, codes.MORPH_STEPS, 2 * codes.MORPH_STEPS]
    assert [name for name, _ in codes.codes(few)] == ["latent", "latent_grid", "morph"]


def test_the_strip_is_part_of_the_morph(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "morph_strip")
    list(codes.codes(coded()))
    ((strip,),) = calls["morph_strip"]
    _, decoded = codes.morph(coded())
    assert strip.shape == (codes.MORPHED, 5, 1, 3, 3)  # a row a pair, five steps of it
    for row in range(codes.MORPHED):
        for column in range(5):
            place = row * codes.MORPH_STEPS + column * codes.MORPH_STEPS // 5
            np.testing.assert_array_equal(strip[row, column], decoded[place])


def test_the_grid_is_decoded_where_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "latent_grid", "latent_scatter")
    run_ = coded()
    list(codes.codes(run_))
    ((images, x, y),) = calls["latent_grid"]
    assert images.shape == (codes.DECODED, codes.DECODED, 1, 3, 3)
    for row, column in ((0, 0), (3, 7), (14, 2)):
        code = torch.tensor([[x[column], y[row]]])  # rows go up, columns to the right
        with torch.no_grad():
            expected = run_.model.decode(code)[0]
        np.testing.assert_allclose(images[row, column], expected, atol=1e-6)
    ((scattered, labels, names),) = calls["latent_scatter"]
    with torch.no_grad():
        np.testing.assert_allclose(scattered, run_.model.encode(run_.part.inputs), atol=1e-6)
    assert labels.tolist() == 4 * [0, 1, 2] and names == ("a", "b", "c")


def test_more_than_two_numbers_have_no_plane() -> None:
    assert [name for name, _ in codes.codes(coded(3))] == ["morph"]


def test_reconstructions_stand_beside_their_originals(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = caught(monkeypatch, "reconstructions")
    run_ = coded()
    list(codes.reconstruction(run_))
    ((originals, outputs, names),) = calls["reconstructions"]
    np.testing.assert_array_equal(originals, run_.targets[:10])
    np.testing.assert_array_equal(outputs, run_.outputs[:10])
    assert names == list("abcabcabca")


def test_one_sample_is_shown_and_has_no_plane() -> None:
    run_ = coded()
    one = replace(
        run_,
        part=run_.part.rows(torch.tensor([0])),
        outputs=run_.outputs[:1],
        targets=run_.targets[:1],
    )
    assert [name for name, _ in codes.reconstruction(one)] == ["reconstructions"]


# ------------------------------------------------------------------------------ layers, values


def test_the_first_layer_is_seen_where_a_unit_sees_the_whole_image() -> None:
    shape = (1, 3, 3)
    mlp = MLP(shape, 2, hidden=[5])
    found = layers.first_layer(mlp, shape)
    assert found is not None and found.shape == (5, 1, 3, 3)
    weights = mlp.layers.hidden_1.weight
    assert torch.equal(found.flatten(1), weights)
    assert layers.first_layer(CNN(shape, 2, channels=[2], dense=[4], pool=1), shape) is None
    assert layers.first_layer(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), shape) is None
    assert layers.first_layer(nn.Flatten(), shape) is None


def test_samples_of_an_autoencoder_are_named_after_their_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = caught(monkeypatch, "sample_grid")
    list(layers.images(coded()))
    run_ = coded()
    plain = replace(run_.data, classes=(), train=replace(run_.data.train, labels=None))
    list(layers.images(replace(run_, data=plain)))
    (images, labels), (_, none) = calls["sample_grid"]
    np.testing.assert_array_equal(images, run_.targets)
    assert labels == 4 * ["a", "b", "c"]
    assert none == 12 * [""]


def test_the_fit_of_one_feature_is_in_the_datas_own_units(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = caught(monkeypatch, "one_feature_fit")
    # scaled y = 2 x; x is 10 + 4 x and y is 100 + 50 y in their own units
    inputs = torch.tensor([[-1.0], [0.0], [1.0]])
    data = same(
        Split(inputs, 2 * inputs),
        task="regression",
        features=("rooms",),
        target_name="price",
        input_scaling=Scaling(torch.tensor([10.0]), torch.tensor([4.0])),
        target_scaling=Scaling(torch.tensor([100.0]), torch.tensor([50.0])),
    )
    fitted = Fitted(history=[{"mse/val": 0.125}])
    values.one_feature_fit(shown(data, Given(lambda x: 2 * x), fitted=fitted))
    ((x, y, grid, curve, feature, target, names, merit),) = calls["one_feature_fit"]
    assert x.tolist() == 3 * [6.0, 10.0, 14.0]
    assert y.tolist() == 3 * [0.0, 100.0, 200.0]
    assert (grid[0], grid[-1]) == pytest.approx((6.0, 14.0))
    np.testing.assert_allclose(curve, 100 + 100 * (grid - 10) / 4, rtol=1e-5, atol=1e-3)
    assert (feature, target) == ("rooms", "price")
    assert names == 3 * ["train"] + 3 * ["validation"] + 3 * ["test"]
    assert merit == "validation MSE 0.125"


def test_outputs_are_float32_whatever_the_precision() -> None:
    run_ = shown(plane_data(), nn.Linear(2, 1))
    low = replace(run_, compute=Compute(torch.device("cpu"), torch.bfloat16))
    inputs = torch.ones(2, 2)
    assert outputs_for(low, inputs).dtype == torch.float32
    torch.testing.assert_close(
        outputs_for(low, inputs), outputs_for(run_, inputs), atol=0.02, rtol=0
    )


# ------------------------------------------------------------------------------ paths


def on_bowl(optimizer: dict[str, Any]) -> Shown:
    history = [
        {"epoch": k, "x/val": 3.0 - k, "y/val": 0.5 * k, "loss/val": 4.0 - k} for k in (0, 1, 2)
    ]
    part = Split(torch.zeros(1, 2), torch.zeros(1, 2))
    data = same(part, task="surface")
    dataset = {"name": "bowl", "condition_number": 4.0}
    fitted = Fitted(history=history)
    return shown(data, Given(lambda x: x), fitted=fitted, dataset=dataset, optimizer=optimizer)


SGD = {"_target_": "torch.optim.SGD", "lr": 0.05}


def test_the_path_is_that_of_the_epochs_over_the_functions_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = caught(monkeypatch, "surface_paths", "race_frames")
    assert [name for name, _ in paths.path(on_bowl(SGD))] == ["path"]
    frames = paths.race(on_bowl(SGD))
    assert len(frames) >= 3
    x, y, height, ways, title, minima, _ = calls["surface_paths"][0]
    assert height.shape == (len(y), len(x))
    np.testing.assert_allclose(height, (x[None] ** 2 + 4 * y[:, None] ** 2) / 2, rtol=1e-5)
    assert {name: way.tolist() for name, way in ways.items()} == {
        "SGD lr=0.05": [[3.0, 0.0], [2.0, 0.5], [1.0, 1.0]]
    }
    assert minima == [(0.0, 0.0)] and title == "bowl: 2 steps"
    assert calls["race_frames"][0][4]["SGD lr=0.05"].tolist() == [4.0, 3.0, 2.0]


def test_a_path_is_named_after_what_made_it() -> None:
    search = {"_target_": "dlrun.optimizers.direct.cma_es", "evaluations": 5}
    assert paths.label(on_bowl(search)) == "cma_es"
    assert paths.label(on_bowl({**SGD, "lr": 1e-5})) == "SGD lr=1e-05"


def test_a_path_that_leaves_all_bounds_is_drawn() -> None:
    run_ = on_bowl(SGD)
    lost: list[dict[str, float | None]] = [
        {"x/val": 1e30, "y/val": -1e30, "loss/val": 1e38},
        {"x/val": None, "y/val": None, "loss/val": None},
    ]
    run_ = replace(run_, fitted=Fitted(history=[*run_.fitted.history, *lost]))
    assert np.isnan(paths.way(run_)[-1]).all()
    assert [name for name, _ in paths.path(run_)] == ["path"]
    assert len(paths.race(run_)) >= 2
