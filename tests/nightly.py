"""Runs the experiments of the course whole, and puts their results into the README.

    python tests/nightly.py [--data DIR] [--keep FOLDER] [NAME ...]

Without names: all that need no download, and with --data, a folder as for data_dir, also those on
MNIST and notMNIST that lie there. Each is a command as `dlrun experiments` lists it, in a process
of its own; what fails is listed at the end, and the exit code is 1. With --keep what lies in FOLDER
already is not run again. The README's table is only written when all were run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dlrun.datasets import available
from dlrun.experiments import Experiment, all_experiments, order
from dlrun.report.read import read_sweep
from dlrun.report.statistics import winner
from dlrun.report.words import figure, plus_minus

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- made by tests/nightly.py -->", "<!-- until here: experiments -->"
FIRST = ("digits_0_to_4",)  # others start from what these leave


@dataclass(frozen=True)
class Done:
    """One experiment that was run: its exit code, how long it took, and its figures in words."""

    experiment: Experiment
    code: int
    seconds: float
    result: str


def main() -> int:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    chosen = [
        e for e in sorted(all_experiments(), key=order) if is_wanted(e, args.names, args.data)
    ]
    chosen.sort(key=lambda e: name_of(e) not in FIRST)
    with tempfile.TemporaryDirectory() as scratch:
        folder = (args.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        done = [run(experiment, folder, args.data) for experiment in chosen]
    if not args.names:
        write_table(done)
    failed = [each for each in done if each.code not in (0, 3)]
    for each in failed:
        print(f"failed: dlrun {each.experiment.command}: exit code {each.code}")
    return 1 if failed else 0


def is_wanted(experiment: Experiment, names: list[str], data: Path | None) -> bool:
    if names:
        return name_of(experiment) in names
    needed = experiment.head.get("Data", "")
    if needed == "embedded":
        return True
    return data is not None and available(data).get(needed) == "present"


def name_of(experiment: Experiment) -> str:
    return experiment.command.partition("=")[2]


def run(experiment: Experiment, folder: Path, data: Path | None) -> Done:
    """Runs it in `folder`, under its own name there, and reads what it left."""
    group, name = experiment.command.split("=")
    kind = "hydra.run.dir" if group == "experiment" else "hydra.sweep.dir"
    place = "outputs/runs/digits_0_to_4" if name in FIRST else f"{group}/{name}"
    words = [experiment.command, f"{kind}={place}"]
    environment = dict(os.environ)
    if data is not None:
        environment["DLRUN_DATA_DIR"] = str(data.resolve())
    start, code = time.perf_counter(), 0
    if not is_over(folder / place):
        with (folder / f"{group}-{name}.log").open("w") as log:
            command = [sys.executable, "-m", "dlrun", *words]
            done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=log)
        code = done.returncode
    seconds = time.perf_counter() - start
    result = "–"
    if code in (0, 3):
        result = (
            run_result(folder / place) if group == "experiment" else sweep_result(folder / place)
        )
    print(f"{experiment.command}: {seconds:.0f} s, exit code {code}: {result}", flush=True)
    return Done(experiment, code, seconds, result)


def is_over(place: Path) -> bool:
    """Whether a run has ended there, or a sweep has come to its report."""
    if (place / "report.html").exists():
        return True
    summary = place / "summary.json"
    return summary.exists() and json.loads(summary.read_text())["status"] == "completed"


def run_result(run_dir: Path) -> str:
    """The figures of one run in words: validation and test, verdict, best baseline."""
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    metrics = summary["metrics"]
    for metric in ("accuracy", "mse", "loss"):
        if metrics.get(f"{metric}/val") is not None:
            break
    told = f"{metric} {figure(metrics[f'{metric}/val'])} validation"
    if metrics.get(f"{metric}/test") is not None and summary["hparams"]["surface"] is None:
        told += f", {figure(metrics[f'{metric}/test'])} test"
    for name, figures in summary["baselines"].items():
        told += f"; {name} {figure(figures[f'{metric}/test'])}"
        if (angle := figures.get("principal_angle")) is not None:
            told += f", angle {angle:.1f}°"
    if summary["diagnosis"] is not None:
        told += f"; gradients {summary['diagnosis']['kind']}"
    if summary["status"] != "completed":
        told = f"{summary['status']}: {told}"
    return told


def sweep_result(folder: Path) -> str:
    """The best setting of a sweep, its mean and interval; how many runs diverged or failed."""
    sweep = read_sweep([folder])
    best = winner(sweep)
    counts = sweep.runs["status"].value_counts()
    others = [f"{counts[kind]} {kind}" for kind in ("diverged", "failed") if kind in counts]
    told = (
        f"{sweep.metric} {plus_minus(best.mean, best.low, best.high)} (n = {best.n}): {best.label}"
    )
    return "; ".join([told, *others])


def write_table(done: list[Done]) -> None:
    """Writes the table between the marks of the README."""
    rows = ["| `dlrun …` | result |", "|---|---|"]
    for each in sorted(done, key=lambda each: order(each.experiment)):
        result = each.result.replace("|", "\\|")
        rows.append(f"| `{each.experiment.command}` | {result} |")
    text = README.read_text(encoding="utf-8")
    table = "\n".join([BEGIN, "", *rows, "", END])
    README.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
