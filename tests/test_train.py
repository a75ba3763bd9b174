"""Whole runs: what they leave, that they repeat, that Python and command line agree."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, only_run

from dlrun import run
from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError

QUICK = ("dataset=digits", "model.hidden=[16]", "quiet=true")
TIMES = ("time/epoch", "time/total")


def lines_without_times(run_dir: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def test_a_run_leaves_what_it_promises() -> None:
    result = run(*QUICK, epochs=2)
    files = {str(file.relative_to(result.run_dir)) for file in result.run_dir.rglob("*.*")}
    events = {file for file in files if file.startswith("events.out.tfevents.")}
    assert len(events) == 1
    assert files - events == {
        ".lock",
        ".hydra",
        ".hydra/config.yaml",
        ".hydra/hydra.yaml",
        ".hydra/overrides.yaml",
        "summary.json",
        "metrics.jsonl",
        "train.log",
        "checkpoints/last.pt",
        "checkpoints/previous.pt",
        "checkpoints/best.pt",
        "figures/first_layer.png",
        "figures/learning_curves.png",
        "figures/confusion_matrix.png",
        "figures/samples.png",
        "figures/worst_mistakes.png",
    }
    summary = json.loads((result.run_dir / "summary.json").read_text())
    assert summary["status"] == "completed"
    assert summary["stopped_by"] == "epochs"
    assert summary["epochs"] == 2
    assert summary["metrics"]["accuracy/test"] == result.metrics["accuracy/test"]
    lines = [
        json.loads(line) for line in (result.run_dir / "metrics.jsonl").read_text().splitlines()
    ]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    assert lines[1]["step"] * 2 == lines[2]["step"] == summary["steps"]
    logged = (result.run_dir / "train.log").read_text()
    assert "epoch 2" in logged


@pytest.mark.parametrize(
    "words",
    [
        ("regularization=[dropout,l1]",),
        ("model=cnn", "model.channels=[4]", "model.dense=[8]", "regularization=[augment,dropout]"),
        ("optim=momentum", "scheduler=one_cycle", "regularization=batch_norm"),
    ],
)
def test_same_seed_same_metrics_bit_for_bit(words: tuple[str, ...]) -> None:
    base = tuple(word for word in QUICK if "hidden" not in word or "model=cnn" not in words)
    first = run(*base, *words, epochs=2, figures=False)
    # Whatever else drew random numbers before must not matter.
    torch.rand(3), np.random.rand(3), random.random()  # noqa: B018, NPY002
    second = run(*base, *words, epochs=2, figures=False)
    other = run(*base, *words, epochs=2, figures=False, seed=1)
    assert lines_without_times(first.run_dir) == lines_without_times(second.run_dir)
    assert lines_without_times(first.run_dir) != lines_without_times(other.run_dir)
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_run_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(*QUICK, "regularization=dropout", epochs=1, figures=False)
    assert torch.equal(torch.rand(3), expected)


def test_python_and_command_line_agree(dlrun: Command, tmp_path: Path) -> None:
    result = run(*QUICK, epochs=1, figures=False, **{"hydra.run.dir": "python"})
    done = dlrun(*QUICK, "epochs=1", "figures=false", "hydra.run.dir=shell")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert lines_without_times(tmp_path / "shell") == lines_without_times(result.run_dir)
    assert list(result.history["epoch"]) == [0, 1]
    assert result.history["accuracy/val"].iloc[-1] == result.lines[-1]["accuracy/val"]


def test_runs_of_one_second_do_not_share_a_directory(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "dlrun", *QUICK, "epochs=0", "figures=false"]
    both = [subprocess.Popen(words, cwd=tmp_path) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    assert len(list(tmp_path.rglob("summary.json"))) == 2


def test_an_existing_run_is_not_written_over() -> None:
    place = {"hydra.run.dir": "here"}
    first = run(*QUICK, epochs=0, figures=False, **place)
    before = (first.run_dir / "summary.json").read_text()
    with pytest.raises(UserError, match="hydra.run.dir=here: exists and is not empty"):
        run(*QUICK, epochs=0, figures=False, **place)
    assert (first.run_dir / "summary.json").read_text() == before


def test_test_split_is_seen_with_the_best_weights() -> None:
    # One step too large at the end: the last epoch is worse than the best.
    result = run(*QUICK, "optim=sgd", "optim.lr=0.5", "regularization=batch_norm", epochs=4)
    checkpoint = load_checkpoint(result.run_dir / "checkpoints" / "best.pt")
    assert checkpoint["epoch"] == result.best_epoch
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, checkpoint["model"][name])
    best = max(line["accuracy/val"] or 0 for line in result.lines[1:])
    assert result.metrics["accuracy/val"] == best


def test_checkpoint_carries_what_prediction_needs() -> None:
    result = run("dataset=boston", "quiet=true", epochs=1, figures=False)
    for name in ("last.pt", "best.pt"):
        checkpoint = load_checkpoint(result.run_dir / "checkpoints" / name)
        data = checkpoint["data"]
        assert data["in_shape"] == [13]
        assert data["input_scaling"]["mean"].shape == (13,)
        assert 15 < float(data["target_scaling"]["mean"]) < 30  # 1,000 USD
        assert checkpoint["config"]["model"]["hidden"] == [256]
        assert checkpoint["choices"]["dataset"] == "boston"


def test_regression_figures_are_in_the_targets_own_unit() -> None:
    result = run("dataset=boston", "quiet=true", epochs=30, figures=False)
    assert result.metrics["r2/val"] is not None
    assert 1 < result.metrics["mae/val"] < 6  # 1,000 USD; in scaled units it would be below 1
    assert result.metrics["loss/val"] < 1  # scaled: the mean predictor has about 1


def test_overfit_drives_one_batch_to_zero_loss() -> None:
    result = run("dataset=digits", "debug=overfit", "quiet=true", figures=False)
    assert result.lines[-1]["loss/train"] < 0.01
    assert result.lines[-1]["accuracy/train"] == 1.0
    assert result.lines[-1]["step"] == 300


def test_divergence_is_a_status_of_its_own(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("dataset=digits", "optim=sgd", "optim.lr=1e6", "-q")
    assert done.returncode == 3
    run_dir = only_run(tmp_path)
    summary = json.loads((run_dir / "summary.json").read_text())
    assert (summary["status"], summary["stopped_by"]) == ("diverged", "divergence")
    said, advice = done.stderr.splitlines()
    assert said == summary["error"]
    assert re.fullmatch(
        r"diverged at step \d+ \(epoch 1\): the loss is (inf|nan); the largest gradient was that "
        r"of layers.\w+ \(norm \S+\)",
        said,
    )
    assert advice == (
        "try a smaller optimizer.lr (now 1e+06) or regularization=grad_clip; "
        f"the last good checkpoint is in {run_dir.relative_to(tmp_path)}"
    )
    assert load_checkpoint(run_dir / "checkpoints" / "last.pt")["step"] == 0
    assert len(list(run_dir.glob("figures/*.png"))) == 5
    again = dlrun("resume", str(run_dir))
    assert again.returncode == 3
    assert "finished (diverged" in again.stdout


def test_hparams_have_the_same_keys_for_every_run() -> None:
    first = run(*QUICK, epochs=0, figures=False)
    second = run(
        "dataset=boston", "model=linear", "optim=momentum", "quiet=true", epochs=0, figures=False
    )
    hparams = [
        json.loads((result.run_dir / "summary.json").read_text())["hparams"]
        for result in (first, second)
    ]
    assert hparams[0].keys() == hparams[1].keys()
    assert (hparams[0]["momentum"], hparams[1]["momentum"]) == (None, 0.9)
    assert (hparams[0]["beta1"], hparams[1]["beta1"]) == (0.9, None)


def test_course_mlp_has_476_490_parameters(dlrun: Command) -> None:
    done = dlrun("model.hidden=[512,128,64]", "epochs=0", "figures=false")
    assert done.returncode == 0
    for count in ("401,920", "65,664", "8,256", "650", "476,490"):
        assert count in done.stdout


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_learns(precision: str) -> None:
    result = run(*QUICK, f"device.precision={precision}", epochs=15, figures=False)
    assert result.metrics["accuracy/test"] > 0.8


def test_compiled_model_has_the_names_of_the_plain_one() -> None:
    plain = run(*QUICK, epochs=1, figures=False)
    compiled = run(*QUICK, "device.compile=true", epochs=1, figures=False)
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()
    assert compiled.lines[-1]["loss/val"] == pytest.approx(plain.lines[-1]["loss/val"], rel=1e-3)
