"""From the config to what trains: models that start from data, recipes, snapshots, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlrun import schema
from dlrun.building import (
    LARGEST_SNAPSHOT,
    MOST_SNAPSHOTS,
    build_augment,
    build_criteria,
    build_model,
    build_recipe,
    check_output,
    resolve_monitor,
    snapshot_epochs,
)
from dlrun.datasets import Samples, Splits, split, to_reconstruct
from dlrun.datasets.surface import surface
from dlrun.device import Compute
from dlrun.errors import UserError
from dlrun.models.mlp import MLP

CPU = Compute(torch.device("cpu"))
LINEAR = {"hidden": [], "latent_dim": 2, "output": "identity"}


def splits_of(*shape: int, num_classes: int = 2, normalize: bool = True) -> Splits:
    """Random samples (40, *shape): 24 to train on, 6 and 10 besides."""
    inputs = torch.rand(40, *shape, generator=torch.Generator().manual_seed(0))
    if num_classes == 0:
        samples = Samples(inputs, torch.arange(40.0).unsqueeze(1), "regression")
    else:
        task = "binary" if num_classes == 2 else "multiclass"
        names = tuple("abcdefgh"[:num_classes])
        samples = Samples(inputs, torch.arange(40) % num_classes, task, classes=names)
    fractions = {"val_fraction": 0.2, "test_fraction": 0.25}
    return split(samples, seed=0, **fractions, normalize=normalize, limit=None)


def bowl() -> Splits:
    return surface(Path(), 0, name="bowl", condition_number=4.0, noise=0.0, n_samples=1)


def settings_of(target: str = "mlp.MLP", **model: Any) -> schema.Config:
    settings = schema.Config()
    model = model or {"hidden": [4]}
    settings.model = {"_target_": f"dlrun.models.{target}", "_partial_": True, **model}
    settings.loss.name = "mse"
    return settings


# ------------------------------------------------------------------------------ models


@pytest.mark.parametrize("normalize", [True, False])
def test_pca_starts_from_the_training_split(normalize: bool) -> None:
    data = to_reconstruct(splits_of(1, 4, 5, normalize=normalize))
    model, notes = build_model(settings_of("pca.PCA", latent_dim=2), data, CPU, resumed=False)
    assert notes == []
    mean = data.train.targets.flatten(1).mean(0)
    torch.testing.assert_close(model.offset.detach(), mean)
    identity = model.components @ model.components.T
    torch.testing.assert_close(identity, torch.eye(2), rtol=0, atol=1e-5)


def test_a_resumed_model_does_not_start_anew() -> None:
    fresh, _ = build_model(settings_of("point.Point", start=None), bowl(), CPU, resumed=False)
    resumed, _ = build_model(settings_of("point.Point", start=None), bowl(), CPU, resumed=True)
    assert fresh.position.tolist() == bowl().train.inputs[0].tolist()
    assert resumed.position.tolist() == [0.0, 0.0]  # until the checkpoint is loaded


def test_a_given_start_is_kept() -> None:
    settings = settings_of("point.Point", start=[0.5, -0.5])
    model, _ = build_model(settings, bowl(), CPU, resumed=False)
    assert model.position.tolist() == [0.5, -0.5]


def test_first_weights_hang_on_the_seed_alone() -> None:
    settings, data = settings_of(), splits_of(2, num_classes=0)
    first, _ = build_model(settings, data, CPU, resumed=False)
    torch.rand(5)
    again, _ = build_model(settings, data, CPU, resumed=False)
    settings.seed = 1
    other, _ = build_model(settings, data, CPU, resumed=False)
    weights = [torch.cat([p.flatten() for p in m.parameters()]) for m in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (to_reconstruct(splits_of(1, 4, 5)), 20),
        (to_reconstruct(splits_of(7, num_classes=0)), 7),
    ],
)
def test_an_autoencoder_has_as_many_outputs_as_inputs(data: Splits, size: int) -> None:
    model, _ = build_model(
        settings_of("autoencoder.Autoencoder", **LINEAR), data, CPU, resumed=False
    )
    assert model.decoder.output.out_features == size


class Fixed(nn.Module):
    """Gives what a function makes of its inputs."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        return self.function(inputs)


def test_outputs_of_an_autoencoder_have_the_shape_of_its_inputs() -> None:
    data = to_reconstruct(splits_of(1, 4, 5))
    check_output(Fixed(lambda x: x + 1), data, 20, CPU)
    with pytest.raises(UserError) as caught:
        check_output(Fixed(lambda x: x.flatten(1)), data, 20, CPU)
    assert str(caught.value) == (
        "model: gives outputs of shape (2, 20) for 2 samples, expected (2, 1, 4, 5): "
        "the shape of the inputs"
    )


def test_outputs_of_a_classifier_are_one_row_a_sample() -> None:
    check_output(Fixed(lambda x: torch.zeros(len(x), 3)), splits_of(2), 3, CPU)
    with pytest.raises(
        UserError, match=r"shape \(2, 2\) for 2 samples, expected \(2, 3\): one row"
    ):
        check_output(Fixed(lambda x: x), splits_of(2), 3, CPU)


def test_a_model_that_changes_its_inputs_is_told() -> None:
    with pytest.raises(UserError, match="^model: changes its inputs in place"):
        check_output(Fixed(lambda x: x.mul_(2)), to_reconstruct(splits_of(1, 4, 5)), 20, CPU)


# ------------------------------------------------------------------------------ losses


def test_the_loss_of_training_is_smoothed_and_that_of_evaluation_is_not() -> None:
    settings = settings_of()
    settings.loss.name = "cross_entropy"
    settings.regularization.label_smoothing = 0.5
    training, evaluation = build_criteria(settings, splits_of(2, num_classes=3))
    outputs, targets = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])
    expected = F.cross_entropy(outputs, targets, label_smoothing=0.5)
    assert training(outputs, targets) == expected
    assert evaluation(outputs, targets) == F.cross_entropy(outputs, targets) < expected


def test_a_surface_brings_its_own_loss() -> None:
    settings = settings_of()
    settings.loss.name = "surface"  # has no function
    criteria = build_criteria(settings, bowl())
    for criterion in criteria:
        value = criterion(torch.tensor([[1.0, 1.0], [3.0, 0.0]]), torch.zeros(2, 2))
        assert value.item() == pytest.approx(((1 + 4) / 2 + 9 / 2) / 2)


# ------------------------------------------------------------------------------ recipes


def test_a_recipe_watches_only_when_asked() -> None:
    settings, data = settings_of(), splits_of(2)
    model = MLP((2,), 1, hidden=[4])
    settings.diagnostics.every_steps = 7
    assert build_recipe(settings, data, model).watch_every_steps is None
    settings.diagnostics.gradients = True
    assert build_recipe(settings, data, model).watch_every_steps == 7


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("multiclass", "accuracy/val"),
        ("binary", "accuracy/val"),
        ("regression", "loss/val"),
        ("reconstruction", "loss/val"),
        ("surface", "loss/val"),
    ],
)
def test_the_best_epoch_goes_by(task: Any, expected: str) -> None:
    data = replace(splits_of(2), task=task)
    assert resolve_monitor("auto", data) == expected
    assert resolve_monitor("mae/val", data) == "mae/val"


def animated(epochs: int) -> schema.Config:
    settings = settings_of()
    settings.animations, settings.epochs = True, epochs
    return settings


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [(0, {0}), (1, {0, 1}), (5, {0, 1, 2, 3, 4, 5})],
)
def test_short_runs_keep_the_weights_of_every_epoch(epochs: int, expected: set[int]) -> None:
    assert snapshot_epochs(animated(epochs), splits_of(2), MLP((2,), 1, hidden=[4])) == expected


def test_long_runs_keep_few_and_those_dense_at_first() -> None:
    found = sorted(snapshot_epochs(animated(10_000), splits_of(2), MLP((2,), 1, hidden=[4])))
    assert len(found) == MOST_SNAPSHOTS
    assert (found[0], found[-1]) == (0, 10_000)
    gaps = [after - before for before, after in zip(found, found[1:], strict=False)]
    assert all(after >= before - 1 for before, after in zip(gaps, gaps[1:], strict=False))
    assert gaps[0] < 10 < 400 < gaps[-1]


def test_debug_caps_the_epochs_of_snapshots() -> None:
    settings = animated(100)
    settings.debug.max_epochs = 1
    assert snapshot_epochs(settings, splits_of(2), MLP((2,), 1, hidden=[4])) == {0, 1}


def test_weights_are_kept_only_where_there_is_a_plane_to_draw() -> None:
    small = MLP((2,), 1, hidden=[4])
    large = MLP((2,), 1, hidden=[LARGEST_SNAPSHOT])
    assert snapshot_epochs(animated(3), splits_of(2), small)
    still = animated(3)
    still.animations = False
    assert snapshot_epochs(still, splits_of(2), small) == frozenset()
    assert snapshot_epochs(animated(3), splits_of(2), large) == frozenset()
    assert snapshot_epochs(animated(3), splits_of(3), small) == frozenset()
    assert snapshot_epochs(animated(3), splits_of(2, num_classes=0), small) == frozenset()
    assert snapshot_epochs(animated(3), bowl(), small) == frozenset()


# ------------------------------------------------------------------------------ augmentation


def test_no_knob_no_augmentation() -> None:
    assert build_augment(schema.Regularization(), to_reconstruct(splits_of(1, 4, 5))) is None


@pytest.mark.parametrize("knob", ["augment_shift", "augment_degrees"])
def test_an_autoencoder_cannot_give_back_what_it_has_not_seen(knob: str) -> None:
    knobs = schema.Regularization(**{knob: 1.0})
    assert build_augment(knobs, splits_of(1, 4, 5)) is not None
    with pytest.raises(UserError) as caught:
        build_augment(knobs, to_reconstruct(splits_of(1, 4, 5)))
    assert str(caught.value) == (
        "regularization=augment: an autoencoder would have to give back images that it has "
        "not seen (leave augment out)"
    )


def test_pixels_that_move_in_are_background() -> None:
    data = splits_of(1, 4, 4)
    augment = build_augment(schema.Regularization(augment_shift=4.0), data)
    assert augment is not None and data.input_scaling is not None
    white = data.input_scaling.apply(torch.ones(50, 1, 4, 4))
    black = float(data.input_scaling.apply(torch.zeros(1, 1, 1)))
    moved = augment(white, torch.Generator().manual_seed(0))
    assert moved.min().item() == pytest.approx(black, abs=1e-5)
    assert moved.max().item() == pytest.approx(white.max().item(), abs=1e-5)
