"""Sweeps on disk for the tests of the report: what jobs leave behind, without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dlrun.report.read import Sweep, read_sweep


def write_run(
    folder: Path,
    *,
    value: float | None = None,
    test: float | None = None,
    curve: Sequence[float | None] = (),
    metric: str = "accuracy",
    lines: Mapping[str, Sequence[float | None]] | None = None,
    **summary: Any,
) -> Path:
    """A run directory: validation and test figure in summary.json, a validation curve beside it.

    curve: one value an epoch, epoch 0 first; epochs take 10 steps and 2 seconds. lines: by name
    what the lines of metrics.jsonl have in addition.
    """
    metrics = {} if value is None else {f"{metric}/val": value, "lr": 0.5, "time/total": 4.0}
    if test is not None:
        metrics[f"{metric}/test"] = test
    whole = {
        "status": "completed",
        "stopped_by": "epochs",
        "error": None,
        "seed": 0,
        "overrides": [],
        "hparams": {},
        "epochs": max(0, len(curve) - 1),
        "steps": 10 * max(0, len(curve) - 1),
        "parameters": 25,
        "best_epoch": max(0, len(curve) - 1),
        "metrics": metrics,
        "train_seconds": 3.0,
    }
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({**whole, **summary}))
    rows = [
        {"epoch": k, "step": 10 * k, f"{metric}/val": y, "lr": 0.5, "time/total": 2.0 * k}
        | {name: values[k] for name, values in (lines or {}).items()}
        for k, y in enumerate(curve)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_plan(folder: Path, jobs: Sequence[Mapping[str, Any]], **entries: Any) -> Path:
    """A sweep.yaml with jobs of these swept values, in folders 0000, 0001, …"""
    listed = [
        {"number": k, "folder": f"{k:04d}", "overrides": [], "values": dict(values)}
        for k, values in enumerate(jobs)
    ]
    head = {"format": 1, "name": "test", "metric": "accuracy/val", "direction": "maximize"}
    folder.mkdir(parents=True, exist_ok=True)
    plan = {**head, "search": "grid", **entries, "jobs": listed}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(plan, sort_keys=False))
    return folder


def sweep_of(folder: Path, runs: Sequence[Mapping[str, Any]], **entries: Any) -> Sweep:
    """The sweep of these runs: keys of `write_run`, all else swept values; `seed` is both.

    A run with status="pending" has not begun.
    """
    own = {"value", "test", "curve", "metric", "status", "error", "stopped_by", "train_seconds"}
    own |= {"hparams", "baselines", "steps", "evaluations", "lines"}
    values = [{key: v for key, v in run.items() if key not in own} for run in runs]
    write_plan(folder, values, **entries)
    for k, run in enumerate(runs):
        told = {key: v for key, v in run.items() if key in {*own, "seed"}}
        if told.get("status") != "pending":
            write_run(folder / f"{k:04d}", **told)
    return read_sweep([folder])
