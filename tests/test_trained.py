"""A run opened again: its best weights, what it kept of its data, another device."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from dlrun import run
from dlrun.checkpoint import load_checkpoint, save_checkpoint
from dlrun.errors import UserError
from dlrun.result import Result
from dlrun.trained import open_trained

WORDS = ("dataset=moons", "dataset.n_samples=60", "model.hidden=[4]")


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    folder = tmp_path_factory.mktemp("trained") / "run"
    places = {"hydra.run.dir": str(folder)}
    return run(*WORDS, epochs=2, figures=False, quiet=True, **places)


@pytest.fixture
def run_dir(result: Result, tmp_path: Path) -> Path:
    return Path(shutil.copytree(result.run_dir, tmp_path / "copy"))


def changed(run_dir: Path, **entries: object) -> None:
    """Writes best.pt anew with other entries."""
    path = run_dir / "checkpoints" / "best.pt"
    save_checkpoint(path, {**load_checkpoint(path), **entries})


def test_has_the_best_weights_and_what_is_known_of_the_data(result: Result, run_dir: Path) -> None:
    before = torch.get_rng_state()
    trained = open_trained(run_dir)
    assert torch.equal(torch.get_rng_state(), before)
    assert trained.name == "copy" and trained.epoch == result.best_epoch and not trained.notes
    assert trained.data.task == "binary" and trained.data.in_shape == (2,)
    assert trained.data.classes == ("0", "1") or len(trained.data.classes) == 2
    assert trained.settings.loss.name == "bce" and trained.choices["dataset"] == "moons"
    assert not trained.model.training
    for name, weights in result.model.state_dict().items():
        assert torch.equal(trained.model.state_dict()[name], weights), name


def test_a_device_that_is_not_here_gives_way_to_the_cpu(run_dir: Path) -> None:
    config = load_checkpoint(run_dir / "checkpoints" / "best.pt")["config"]
    config["device"]["name"] = "cuda:7"
    changed(run_dir, config=config)
    (run_dir / ".hydra" / "config.yaml").unlink()
    trained = open_trained(run_dir)
    assert trained.compute.device.type == "cpu"
    assert trained.notes == ("cuda:7, which it was trained on, is not here: computed on the cpu",)


def test_weights_of_another_model_are_refused(run_dir: Path) -> None:
    weights = load_checkpoint(run_dir / "checkpoints" / "best.pt")["model"]
    changed(run_dir, model={**weights, "layers.hidden_1.weight": torch.zeros(5, 2)})
    with pytest.raises(UserError) as caught:
        open_trained(run_dir)
    text = str(caught.value)
    assert "the weights in checkpoints/best.pt are not those of its model" in text
    assert "\n" not in text


@pytest.mark.parametrize("data", [{}, {"task": 3}, None])
def test_a_checkpoint_that_does_not_tell_its_data_is_refused(run_dir: Path, data: object) -> None:
    changed(run_dir, data=data)
    with pytest.raises(UserError, match="does not say what its data was"):
        open_trained(run_dir)


def test_a_run_without_weights_is_refused(run_dir: Path) -> None:
    (run_dir / "checkpoints" / "best.pt").unlink()
    with pytest.raises(UserError, match="has no checkpoints/best.pt"):
        open_trained(run_dir)


def test_a_stored_config_names_nothing_foreign(run_dir: Path) -> None:
    file = run_dir / ".hydra" / "config.yaml"
    file.write_text(file.read_text().replace("dlrun.models.mlp", "os.path"))
    with pytest.raises(UserError):
        open_trained(run_dir)
