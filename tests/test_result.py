"""What a run gives back and says of itself: summary.json, the final table, the exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from dlrun import run, schema
from dlrun.diagnostics import Verdict
from dlrun.divergence import Divergence
from dlrun.result import Beside, Result, conclude
from dlrun.runlog import RunLog
from dlrun.state import Fitted
from dlrun.terminal import Terminal

NOTHING = Beside({}, (), None)


def line(epoch: int, loss: float = 0.5) -> dict[str, float | None]:
    counts = {"epoch": epoch, "step": 4 * epoch, "evaluations": 4 * epoch}
    return {**counts, "loss/train": loss, "loss/val": loss, "lr": 0.1, "time/epoch": 0.5}


def concluded(beside: Beside = NOTHING, **changed: Any) -> tuple[Result, dict[str, Any], str]:
    """The result of a run of three epochs, its summary, and what the terminal shows."""
    fitted = Fitted(
        history=[line(k) for k in range(4)],
        best_epoch=2,
        best_value=0.5,
        stopped_by="epochs",
        steps=12,
        samples=120,
        evaluations=12,
        seconds=2.0,
    )
    for name, value in changed.items():
        setattr(fitted, name, value)
    console = Console(file=io.StringIO(), width=160, highlight=False)
    with RunLog(Path("run"), overrides=[], terminal=Terminal(console=console)) as log:
        metrics = {**fitted.history[2], "loss/test": 0.25}
        settings = schema.Config(optimizer={"lr": 0.1}, dataset={})
        result = conclude(log, fitted, metrics, beside, torch.nn.Linear(1, 1), settings)
    summary = json.loads(Path("run/summary.json").read_text())
    assert isinstance(console.file, io.StringIO)
    return result, summary, console.file.getvalue()


def test_a_completed_run() -> None:
    result, summary, text = concluded()
    assert (result.status, result.exit_code, result.advice) == ("completed", 0, None)
    assert (summary["status"], summary["stopped_by"], summary["error"]) == (
        *("completed", "epochs"),
        None,
    )
    assert not result.model.training
    assert list(result.history["epoch"]) == [0, 1, 2, 3]
    assert summary["samples_per_second"] == 60
    assert summary["baselines"] == {} and summary["diagnosis"] is None
    assert text.splitlines()[1] == (
        "completed: 3 epochs, 12 steps, 2.0 s of training; best epoch 2"
    )


def test_counts_are_no_metrics() -> None:
    result, summary, _ = concluded()
    expected = {"loss/train": 0.5, "loss/val": 0.5, "lr": 0.1, "time/epoch": 0.5, "loss/test": 0.25}
    assert result.metrics == summary["metrics"] == expected
    assert (summary["steps"], summary["evaluations"]) == (12, 12)


def test_what_stands_beside_is_kept_and_shown() -> None:
    baselines = {"pca": {"loss/test": 0.125, "principal_angle": 3.5}}
    verdict = Verdict("vanishing", "the gradient vanishes: so it is\nwhat helps: relu")
    _, summary, text = concluded(Beside(baselines, ("a note",), verdict))
    assert summary["baselines"] == baselines
    assert summary["diagnosis"] == {"kind": "vanishing", "text": verdict.text}
    shown = text.splitlines()
    place = shown.index("a note")
    assert shown[place + 1 : place + 3] == ["the gradient vanishes: so it is", "what helps: relu"]
    assert any(row.split() == ["pca", "0.1250"] for row in shown)
    assert any(row.split() == ["network", "0.2500"] for row in shown)


@pytest.mark.parametrize(
    ("changed", "end"),
    [
        ({"stopped_by": "target"}, "; stopped by target"),
        ({"evaluations": 1200}, "; 1,200 losses computed"),
        ({"skipped": 3}, "; 3 batches skipped"),
    ],
)
def test_the_headline_tells_what_is_not_as_usual(changed: dict[str, Any], end: str) -> None:
    _, summary, text = concluded(**changed)
    assert text.splitlines()[1].endswith(f"best epoch 2{end}")
    assert (summary["evaluations"], summary["skipped_batches"]) == (
        changed.get("evaluations", 12),
        changed.get("skipped", 0),
    )


def test_a_diverged_run() -> None:
    divergence = Divergence(9, 3, "the loss is nan", "layers.output", 20.0)
    result, summary, text = concluded(stopped_by="divergence", divergence=divergence)
    assert (result.status, result.exit_code) == ("diverged", 3)
    assert result.advice is not None
    assert result.advice.splitlines()[0] == summary["error"] == str(divergence)
    assert text.splitlines()[1].startswith("diverged: ")


def test_a_pruned_run_is_no_failure() -> None:
    result, summary, _ = concluded(stopped_by="pruned")
    assert (result.status, summary["status"], result.exit_code) == ("pruned", "pruned", 0)


def test_a_run_without_steps_has_no_speed() -> None:
    _, summary, text = concluded(
        history=3 * [line(0)], steps=0, samples=0, evaluations=0, seconds=0.0
    )
    assert summary["samples_per_second"] is None
    assert "losses computed" not in text


# ------------------------------------------------------------------------------ whole runs


def test_a_run_with_baselines_and_a_diagnosis(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(
        *("dataset=moons", "dataset.n_samples=60", "model=deep_mlp", "model.activation=sigmoid"),
        *("baselines=[constant,linear]", "diagnostics=gradients", "optim=sgd"),
        epochs=2,
        figures=False,
    )
    summary = json.loads((result.run_dir / "summary.json").read_text())
    assert list(summary["baselines"]) == ["constant", "linear"]
    assert summary["baselines"]["linear"]["accuracy/test"] > 0.7
    assert summary["diagnosis"]["kind"] == "vanishing"
    text = capsys.readouterr().out
    assert "on the same splits" in text
    assert "the gradient vanishes towards the input: " in text
    assert not (result.run_dir / "figures").exists()


def test_a_linear_autoencoder_stands_beside_pca() -> None:
    result = run(
        *("dataset=digits", "dataset.limit=80", "dataset.normalize=false", "quiet=true"),
        *("model=autoencoder", "model.hidden=[]", "model.output=identity", "model.latent_dim=2"),
        *("baselines=[pca]", "optim.lr=0.01"),
        epochs=2,
        figures=False,
    )
    summary = json.loads((result.run_dir / "summary.json").read_text())
    pca = summary["baselines"]["pca"]
    assert pca["mse/train"] < result.metrics["mse/train"]  # nothing linear does better
    assert 0 < pca["principal_angle"] <= 90
    same = run(
        *("dataset=digits", "dataset.limit=80", "dataset.normalize=false", "quiet=true"),
        *("model=pca", "model.latent_dim=2"),
        figures=False,
    )
    assert (same.lines[-1]["epoch"], same.status) == (0, "completed")
    for part in ("train", "val", "test"):
        assert same.metrics[f"mse/{part}"] == pytest.approx(pca[f"mse/{part}"], rel=1e-4)


def test_searches_say_how_many_losses_they_computed(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(
        *("dataset=surface", "model=point", "optim=nelder_mead", "optim.evaluations=7"),
        epochs=3,
        figures=False,
    )
    assert [entry["evaluations"] for entry in result.lines] == [0, 7, 14, 21]
    assert {entry["lr"] for entry in result.lines} == {None}
    text = capsys.readouterr().out
    assert "; 21 losses computed" in text
    assert "lr" not in text.partition("figures of an epoch")[2].partition("completed")[0]
