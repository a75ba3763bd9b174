"""Checkpoints: atomic, linked without copying, and never a way to run code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from dlrun import checkpoint
from dlrun.checkpoint import link_checkpoint, load_checkpoint, save_checkpoint

STATE = {
    "model": {"weight": torch.tensor([[1.0, 2.0]])},
    "epoch": 3,
    "lr": 0.1,
    "classes": ["cat", "dog"],
    "scaling": None,
}


class Bomb:
    """What a pickle can do: call any function with any arguments when it is read."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def test_what_is_saved_is_loaded():
    save_checkpoint(Path("last.pt"), STATE)
    loaded = load_checkpoint(Path("last.pt"))
    weights = loaded.pop("model")["weight"]
    assert torch.equal(weights, STATE["model"]["weight"])
    assert weights.device.type == "cpu"
    assert loaded == {key: value for key, value in STATE.items() if key != "model"}
    assert os.listdir() == ["last.pt"]


def test_an_optimizers_state_survives():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], lr=0.25)
    weight.sum().backward()
    optimizer.step()
    save_checkpoint(Path("last.pt"), {"optimizer": optimizer.state_dict()})
    loaded = load_checkpoint(Path("last.pt"))["optimizer"]
    assert loaded["param_groups"] == optimizer.state_dict()["param_groups"]
    for name, value in optimizer.state_dict()["state"][0].items():
        assert torch.equal(loaded["state"][0][name], value)


@pytest.mark.parametrize("moment", ["while writing", "before renaming"])
def test_a_failing_save_leaves_the_old_one(moment, monkeypatch):
    path = Path("last.pt")
    save_checkpoint(path, {"epoch": 1})

    def fail(state: object, file: Path) -> None:
        file.write_bytes(b"half a checkpoint")
        raise OSError("No space left on device")

    def fail_renaming(source: Path, target: Path) -> None:
        raise OSError("killed")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space|killed"):
        if moment == "while writing":
            patch.setattr(torch, "save", fail)
        else:
            patch.setattr(checkpoint.os, "replace", fail_renaming)
        save_checkpoint(path, {"epoch": 2})
    assert load_checkpoint(path) == {"epoch": 1}
    save_checkpoint(path, {"epoch": 3})  # what the failure left behind is no obstacle
    assert load_checkpoint(path) == {"epoch": 3}


@pytest.fixture(params=["links", "no links"])
def file_system(request, monkeypatch):
    def refuse(source: Path, target: Path) -> None:
        raise OSError("Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(checkpoint.os, "link", refuse)
    return request.param


def test_link_keeps_its_content_when_the_source_is_replaced(file_system):
    last, best = Path("last.pt"), Path("best.pt")
    save_checkpoint(last, {"epoch": 1})
    link_checkpoint(last, best)
    assert last.samefile(best) == (file_system == "links")
    save_checkpoint(last, {"epoch": 2})
    assert load_checkpoint(best) == {"epoch": 1}
    assert load_checkpoint(last) == {"epoch": 2}
    link_checkpoint(last, best)
    assert load_checkpoint(best) == {"epoch": 2}


def test_linking_the_same_checkpoint_again_leaves_one_file_each():
    save_checkpoint(Path("last.pt"), {"epoch": 1})
    for _ in range(3):
        link_checkpoint(Path("last.pt"), Path("best.pt"))
    save_checkpoint(Path("last.pt"), {"epoch": 2})
    assert load_checkpoint(Path("best.pt")) == {"epoch": 1}


def test_linking_over_what_an_interrupted_run_left(file_system):
    save_checkpoint(Path("last.pt"), {"epoch": 1})
    Path(".best.pt.tmp").write_bytes(b"half")
    link_checkpoint(Path("last.pt"), Path("best.pt"))
    assert Path("best.pt").samefile("last.pt") == (file_system == "links")
    assert load_checkpoint(Path("best.pt")) == {"epoch": 1}
    assert sorted(os.listdir()) == ["best.pt", "last.pt"]


def test_load_refuses_code():
    path = Path("evil.pt")
    torch.save({"model": Bomb()}, path)
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load_checkpoint(path)
    assert not Path("exploded").exists()
    torch.load(path, weights_only=False)  # or this test shows nothing
    assert Path("exploded").exists()
