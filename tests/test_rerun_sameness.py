"""Two runs side by side: where they first differ, and when they are called the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from dlrun.checkpoint import save_checkpoint
from dlrun.rerun.sameness import compare, history

Line = dict[str, float | None]


def run_with(
    name: str, losses: list[float | None], weights: list[float], best: int | None = None
) -> tuple[Path, dict[str, Any]]:
    """A run directory with an epoch for each loss and these best weights, and its summary."""
    run_dir = Path(name)
    (run_dir / "checkpoints").mkdir(parents=True)
    lines = [
        {"epoch": epoch, "step": epoch, "loss/val": loss, "time/epoch": hash(name) % 7 + 0.5}
        for epoch, loss in enumerate(losses)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run_dir / "metrics.jsonl").write_text(text)
    best = len(losses) - 1 if best is None else best
    state = {"model": {"w": torch.tensor(weights)}, "epoch": best}
    save_checkpoint(run_dir / "checkpoints" / "best.pt", state)
    metrics = {"loss/val": losses[-1], "time/total": 1.0}
    return run_dir, {"metrics": metrics, "best_epoch": best}


@pytest.mark.parametrize(
    ("then", "now", "same", "sentence"),
    [
        (
            ([3.0, 2.0, 1.0], [1.0, float("nan")]),
            ([3.0, 2.0, 1.0], [1.0, float("nan")]),
            True,
            "the same, bit for bit: 2 epochs of metrics.jsonl (times aside) "
            "and the best weights are equal",
        ),
        (
            ([3.0, 2.0, 1.0], [1.0]),
            ([3.0, 2.0000000000000004, 1.0], [1.0]),
            False,
            "not the same: they first differ in epoch 1, loss/val: "
            "2.0 then, 2.0000000000000004 now",
        ),
        (
            ([3.0, 2.0], [1.0]),
            ([3.0, None], [1.0]),
            False,
            "not the same: they first differ in epoch 1, loss/val: 2.0 then, None now",
        ),
        (
            ([3.0, 2.0], [0.0]),
            ([3.0, 2.0], [-0.0]),
            False,
            "not the same: 1 epoch of metrics.jsonl (times aside) are equal, "
            "but w among the best weights differs",
        ),
        (
            ([3.0, 2.0], [1.0]),
            ([3.0, 2.0, 1.0], [2.0]),
            True,
            "the same, bit for bit, as far as both go: 1 epoch of metrics.jsonl (times aside) are "
            "equal (1 epochs then, 2 now); the best weights are of epoch 1 then, 2 now",
        ),
        (
            ([], [1.0], 0),
            ([3.0], [1.0]),
            False,
            "nothing to compare: metrics.jsonl has no epoch then",
        ),
    ],
)
def test_what_is_said_of_two_runs(then: Any, now: Any, same: bool, sentence: str) -> None:
    if not then[0]:
        then_dir, before = run_with("then", [None], *then[1:])
        (then_dir / "metrics.jsonl").write_text("torn {")
    else:
        then_dir, before = run_with("then", *then)
    now_dir, after = run_with("now", *now)
    found = compare(then_dir, now_dir, before, after)
    assert (found.same, found.sentence) == (same, sentence)


def test_rows_have_both_figures_and_no_times() -> None:
    then, before = run_with("then", [3.0, 2.0], [1.0])
    now, after = run_with("now", [3.0, 1.5], [1.0])
    before["metrics"]["accuracy/test"] = 0.5
    found = compare(then, now, before, after)
    assert found.rows == [("loss/val", 2.0, 1.5), ("accuracy/test", 0.5, None)]
    assert found.best == (1, 1)


def test_a_test_figure_counts_too() -> None:
    then, before = run_with("then", [3.0, 2.0], [1.0])
    now, after = run_with("now", [3.0, 2.0], [1.0])
    before["metrics"]["loss/test"], after["metrics"]["loss/test"] = 0.5, 0.25
    found = compare(then, now, before, after)
    assert not found.same
    assert found.sentence.endswith("are equal, but loss/test is 0.5 then, 0.25 now")


def test_weights_that_are_not_there_are_not_compared() -> None:
    then, before = run_with("then", [3.0], [1.0])
    now, after = run_with("now", [3.0], [1.0])
    (then / "checkpoints" / "best.pt").unlink()
    found = compare(then, now, before, after)
    assert found.same
    assert "the best weights are not compared (then/checkpoints/best.pt: no such file)" in (
        found.sentence
    )


@pytest.mark.parametrize(
    "weights", [{"v": torch.ones(1)}, {"w": torch.ones(2)}, {"w": torch.ones(1).double()}, 5]
)
def test_weights_of_another_kind_differ(weights: Any) -> None:
    then, before = run_with("then", [3.0], [1.0])
    now, after = run_with("now", [3.0], [1.0])
    save_checkpoint(then / "checkpoints" / "best.pt", {"model": weights, "epoch": 0})
    assert not compare(then, now, before, after).same


def test_lines_of_a_stranger_are_read_as_far_as_they_are_sound() -> None:
    Path("metrics.jsonl").write_text(
        '{"epoch": 0, "loss/val": 1, "note": "x", "big": 1e3}\n'
        f'{{"epoch": 1, "loss/val": {10**400}, "accuracy/val": true}}\n'
        '{"epoch": 3, "loss/val": 1}\n'
    )
    assert history(Path()) == [{"epoch": 0, "loss/val": 1, "big": 1000.0}, {"epoch": 1}]
    Path("metrics.jsonl").write_text("[" * 100_000)
    assert history(Path()) == []
    assert history(Path("nowhere")) == []
