"""A run in words and numbers: the tree shows what is on, hyper-parameters have the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from dlrun import schema
from dlrun.checkpoint import load_checkpoint, save_checkpoint
from dlrun.datasets import Scaling, Split, Splits
from dlrun.describe import config_tree, describe_task, flat_hparams, stored_data

CHOICES = {
    "model": "mlp",
    "optimizer": "adam",
    "dataset": "mnist5k",
    "regularization": "none",
    "scheduler": "constant",
    "stopping": "epochs",
}


def settings(**groups: Any) -> schema.Config:
    return schema.Config(
        model={"_target_": "a.b", "_partial_": True, "hidden": [8, 4], "dropout": 0.0},
        optimizer={"_target_": "a.c", "_partial_": True, "lr": 0.1, "betas": [0.9, 0.99]},
        dataset={"_target_": "a.d", "_partial_": True, "val_fraction": 0.1, "limit": None},
        **groups,
    )


def splits(task: str = "multiclass", **entries: Any) -> Splits:
    part = Split(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    return Splits(part, part, part, task=task, in_shape=(3,), **entries)


def test_tree_shows_what_is_on():
    tree = config_tree(settings(loss=schema.Loss("cross_entropy")), CHOICES)
    assert tree["model"] == ("mlp", {"hidden": [8, 4]})  # no dropout, nothing of Hydra's
    assert tree["optimizer"] == ("adam", {"lr": 0.1, "betas": [0.9, 0.99]})
    assert tree["dataset"] == ("mnist5k", {"val_fraction": 0.1})
    assert tree["loss"] == ("cross_entropy", {})
    assert tree["regularization"] == ("none", {})
    assert tree["run"] == ("", {"epochs": 10, "batch_size": 64, "seed": 0})
    assert not {"stopping", "debug", "device"} & set(tree)  # as ever


def test_tree_shows_what_differs_from_the_default():
    config = settings(
        regularization=schema.Regularization(dropout=0.5, l1=1e-5),
        stopping=schema.Stopping(max_steps=7),
        device=schema.Device(precision="bf16"),
    )
    choices = {**CHOICES, "regularization": OmegaConf.create(["dropout", "l1"])}
    tree = config_tree(config, choices)
    assert tree["regularization"] == ("dropout+l1", {"dropout": 0.5, "l1": 1e-5})
    assert tree["stopping"] == ("epochs", {"max_steps": 7})
    assert tree["device"][1] == {"precision": "bf16"}


def test_hparams_have_the_same_names_for_every_run():
    rich = flat_hparams(settings(), CHOICES, 64)
    bare = schema.Config(model={}, optimizer={}, dataset={})
    poor = flat_hparams(bare, {**CHOICES, "model": "mine"}, 10)
    assert list(rich) == list(poor)
    assert rich["lr"] == 0.1
    assert (rich["beta1"], rich["beta2"], rich["hidden"]) == (0.9, 0.99, "[8, 4]")
    assert poor["lr"] is poor["beta1"] is poor["momentum"] is poor["hidden"] is None
    assert set(vars(schema.Regularization())) <= set(rich)
    plain = (str, int, float, bool, type(None))  # what TensorBoard can show
    assert all(isinstance(value, plain) for value in [*rich.values(), *poor.values()])


def test_weight_decay_is_the_one_in_force():
    def weight_decay(own: float | None, knob: float | None) -> object:
        config = settings(regularization=schema.Regularization(weight_decay=knob))
        if own is not None:
            config.optimizer["weight_decay"] = own
        return flat_hparams(config, CHOICES, 1)["weight_decay"]

    assert weight_decay(own=0.01, knob=None) == 0.01
    assert weight_decay(own=0.01, knob=0.0) == 0.0
    assert weight_decay(own=0.01, knob=0.5) == 0.5
    assert weight_decay(own=None, knob=None) == 0.0


def test_task_in_words():
    assert describe_task(splits(classes=("cat", "dog"))) == "2 classes: cat, dog"
    many = tuple(str(k) for k in range(20))
    assert describe_task(splits(classes=many)) == (
        "20 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"
    )
    assert describe_task(splits("regression", target_name="price")) == "regression of price"


def test_stored_data_can_be_read_back():
    scaling = Scaling(torch.tensor([1.0]), torch.tensor([2.0]))
    stored = stored_data(splits(classes=("cat", "dog"), features=("a",), input_scaling=scaling))
    save_checkpoint(Path("last.pt"), stored)
    loaded = load_checkpoint(Path("last.pt"))
    assert loaded["classes"] == ["cat", "dog"]
    assert loaded["in_shape"] == [3]
    assert loaded["target_scaling"] is None
    assert loaded["input_scaling"]["std"].tolist() == [2.0]
