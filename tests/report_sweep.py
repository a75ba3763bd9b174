"""Sweeps made up for the tests of the report: what they hold is known, nothing is trained."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dlrun.report.read import Sweep, read_sweep

BEST_LR = {"momentum": 0.03, "adam": 0.001}


def values_of(**keys: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations, `__` in a name standing for a dot: `values_of(optimizer__lr=[0.1])`."""
    names = [name.replace("__", ".") for name in keys]
    return [dict(zip(names, row, strict=True)) for row in product(*keys.values())]


def grid() -> list[dict[str, Any]]:
    """2 optimizers x 5 learning rates x 3 batch sizes x 3 seeds."""
    return values_of(
        optimizer=["momentum", "adam"],
        optimizer__lr=[1.0, 0.1, 0.01, 0.001, 0.0001],
        batch_size=[32, 128, 512],
        seed=[0, 1, 2],
    )


def final_accuracy(values: Mapping[str, Any]) -> float:
    """Best near a learning rate that grows with the batch size, a little noise by seed."""
    lr = float(values.get("optimizer.lr", 0.01))
    best = BEST_LR.get(str(values.get("optimizer")), 0.01) * _batch(values) / 32
    noise = random.Random(json.dumps(dict(values), default=str)).gauss(0, 0.004)
    return max(0.1, min(1.0, 0.97 - 0.06 * math.log10(lr / best) ** 2 + noise))


def _batch(values: Mapping[str, Any]) -> float:
    size = values.get("batch_size", 32)
    return 1000.0 if size == "full" else float(size)


def status_of(values: Mapping[str, Any]) -> str:
    """Diverged for the largest learning rate of momentum, failed for one run."""
    if values.get("optimizer") == "momentum" and values.get("optimizer.lr", 0) >= 1.0:
        return "diverged"
    failing = {"optimizer": "adam", "optimizer.lr": 0.1, "batch_size": 512, "seed": 2}
    return "failed" if dict(values) == failing else "completed"


def write_sweep(
    folder: Path,
    jobs: Iterable[Mapping[str, Any]],
    statuses: Mapping[int, str] | None = None,
    epochs: int = 6,
    metric: str = "accuracy/val",
    name: str = "made_up",
) -> Path:
    """The folder, with sweep.yaml and a run directory for each job that is not pending."""
    listed = []
    for number, values in enumerate(jobs):
        run = f"{number:04d}-job"
        keys = [f"{key}={value}" for key, value in values.items()]
        listed.append({"number": number, "folder": run, "overrides": keys, "values": dict(values)})
        status = (statuses or {}).get(number) or status_of(values)
        if status != "pending":
            write_run(folder / run, values, status, epochs)
    direction = "maximize" if metric.startswith("accuracy") else "minimize"
    plan = {"format": 1, "name": name, "metric": metric, "direction": direction, "search": "grid"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.yaml").write_text(
        yaml.safe_dump({**plan, "jobs": listed}, sort_keys=False), encoding="utf-8"
    )
    return folder


def write_run(folder: Path, values: Mapping[str, Any], status: str, epochs: int = 6) -> None:
    """A run directory: the accuracy rises to `final_accuracy`, the test split has 0.01 less."""
    folder.mkdir(parents=True)
    final = final_accuracy(values)
    done = {"completed": epochs, "pruned": epochs // 2}.get(status, 1)
    lines = [_line(epoch, epochs, final, _batch(values)) for epoch in range(done + 1)]
    metrics = {key: lines[-1][key] for key in lines[-1] if key not in ("epoch", "step")}
    metrics |= {"accuracy/test": metrics["accuracy/val"] - 0.01, "loss/test": 0.3}
    hparams = {key.rpartition(".")[2]: value for key, value in values.items()}
    summary = {
        "status": status,
        "stopped_by": {"completed": "epochs", "diverged": "divergence"}.get(status),
        "error": "ValueError: no such thing" if status == "failed" else None,
        "seed": values.get("seed"),
        "overrides": [],
        "hparams": {"optimizer": "momentum", "lr": 0.01, "batch_size": 32, **hparams},
        "epochs": done,
        "steps": 10 * done,
        "parameters": 1234,
        "best_epoch": done,
        "metrics": metrics if status == "completed" else {},
        "train_seconds": lines[-1]["time/total"],
    }
    (folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")


def _line(epoch: int, epochs: int, final: float, batch_size: float) -> dict[str, float]:
    accuracy = final if epoch == epochs else 0.1 + (final - 0.1) * (1 - math.exp(-1.2 * epoch))
    return {
        "epoch": epoch,
        "step": 10 * epoch,
        "loss/train": 2.3 * math.exp(-0.9 * epoch * final) + 0.02,
        "loss/val": 2.3 * math.exp(-0.7 * epoch * final) + 0.05,
        "accuracy/train": accuracy,
        "accuracy/val": accuracy,
        "time/total": 3.2 * epoch / batch_size,
    }


def made_up(folder: Path, jobs: Iterable[Mapping[str, Any]], **options: Any) -> Sweep:
    """What `write_sweep` writes, read."""
    return read_sweep([write_sweep(folder, jobs, **options)])


def settings_frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Settings with the columns that pictures ask for, what is not given NaN or none."""
    nothing = dict.fromkeys(
        ["mean", "std", "low", "high", "test_mean", "test_low", "test_high"], math.nan
    )
    return pd.DataFrame([{**nothing, "n": 3, "num_diverged": 0, **row} for row in rows])
