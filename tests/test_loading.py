"""From the config to data: what the model makes of the task, what moves to a device."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from dlrun import schema
from dlrun.datasets import Split, Splits, Streamed
from dlrun.describe import fingerprint
from dlrun.device import Compute
from dlrun.errors import Failure, UserError
from dlrun.loading import check_same_data, for_model, load_all, load_data, moved, to_device

AUTOENCODERS = ("autoencoder.Autoencoder", "conv_autoencoder.ConvAutoencoder", "pca.PCA")
OTHERS = ("mlp.MLP", "mlp.deep_mlp", "linear.Linear", "cnn.CNN", "point.Point")
SPLIT = {"val_fraction": 0.2, "test_fraction": 0.2, "normalize": True, "limit": None}


def settings_of(model: str = "mlp.MLP", **dataset: Any) -> schema.Config:
    settings = schema.Config()
    settings.model = {"_target_": f"dlrun.models.{model}", "_partial_": True}
    settings.dataset = {"_partial_": True, **dataset}
    return settings


def moons(**changed: Any) -> schema.Config:
    target = "dlrun.datasets.toy.moons"
    return settings_of(_target_=target, n_samples=50, noise=0.1, **{**SPLIT, **changed})


def test_samples_are_split_and_scaled() -> None:
    data = load_data(moons())
    assert [len(part) for part in (data.train, data.val, data.test)] == [32, 8, 10]
    assert data.input_scaling is not None
    assert load_data(moons(normalize=False)).input_scaling is None


def test_splits_are_taken_as_they_are() -> None:
    given = {"name": "bowl", "condition_number": 2.0, "noise": 0.0, "n_samples": 1}
    data = load_data(settings_of(_target_="dlrun.datasets.surface.surface", **given))
    assert (data.task, len(data.train)) == ("surface", 1)


def test_samples_need_to_know_how_they_are_split() -> None:
    settings = moons()
    del settings.dataset["test_fraction"]
    with pytest.raises(UserError, match=r"^dataset.test_fraction: needs a value.*val_fraction, "):
        load_data(settings)


def test_what_is_no_data_is_told() -> None:
    with pytest.raises(UserError) as caught:
        load_data(settings_of(_target_="builtins.dict"))
    assert str(caught.value) == (
        "dataset._target_=builtins.dict: expected Samples or Splits from dlrun.datasets, got dict"
    )


def test_a_run_that_goes_on_cannot_be_told_to_type_something_else() -> None:
    def load(settings: schema.Config) -> Splits:
        raise UserError("dataset.path=gone.csv: no such file")

    for again, kind in ((False, UserError), (True, Failure)):
        with pytest.raises(kind, match=r"^dataset.path=gone.csv: no such file$"):
            load_all(moons(), load, again=again)


@pytest.mark.parametrize("model", AUTOENCODERS)
def test_autoencoders_give_back_their_inputs(model: str) -> None:
    data = load_data(moons())
    found = for_model(data, settings_of(model))
    assert found.task == "reconstruction"
    assert found.train.targets is found.train.inputs is data.train.inputs
    assert found.train.labels is data.train.targets


@pytest.mark.parametrize("model", OTHERS)
def test_other_models_leave_the_task_as_it_is(model: str) -> None:
    data = load_data(moons())
    assert for_model(data, settings_of(model)) is data


def test_a_surface_has_nothing_to_reconstruct() -> None:
    data = replace(load_data(moons()), task="surface")
    with pytest.raises(UserError) as caught:
        for_model(data, settings_of("autoencoder.Autoencoder"))
    assert str(caught.value) == ("dataset=surface: has nothing to reconstruct (type model=point)")


def test_what_is_its_own_target_travels_once() -> None:
    values, labels = torch.zeros(4, 2), torch.zeros(4, dtype=torch.int64)
    meta = torch.device("meta")  # stands for a GPU
    itself = moved(Split(values, values, labels), meta)
    assert itself.inputs is itself.targets
    assert itself.inputs.device == meta
    assert itself.labels is labels  # of pictures alone
    other = moved(Split(values, values + 1), meta)
    assert other.inputs is not other.targets
    assert other.targets.device == meta


def test_all_splits_move_to_the_device_but_what_is_streamed_does_not() -> None:
    data = load_data(moons())
    meta = Compute(torch.device("meta"))
    there = to_device(data, meta)
    for part in (there.train, there.val, there.test):
        assert isinstance(part.inputs, torch.Tensor)
        assert part.inputs.device.type == part.targets.device.type == "meta"
    assert to_device(data, Compute(torch.device("cpu"))) is data
    assert isinstance(data.train.inputs, torch.Tensor)
    streamed = Split(Streamed(data.train.inputs, torch.arange(32)), data.train.targets)
    data = replace(data, train=streamed)
    assert to_device(data, meta) is data


def test_other_data_than_that_of_the_checkpoint_is_a_failure() -> None:
    data = load_data(moons())
    checkpoint = {"data": {"fingerprint": fingerprint(data)}}
    check_same_data(data, checkpoint)
    other = moons()
    other.seed = 1
    with pytest.raises(Failure, match="the data is not what the run was trained on"):
        check_same_data(load_data(other), checkpoint)
    with pytest.raises(Failure, match="the data is not what the run was trained on"):
        check_same_data(for_model(data, settings_of(AUTOENCODERS[0])), checkpoint)
