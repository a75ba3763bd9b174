"""What a sweep costs beside the training in it, and what several processes gain.

    python tests/benchmark/sweeps.py [--jobs 200] [--runs 16] [--epochs 30] [--rounds 3]

Sweeps as users start them, in processes of their own. README.md beside this file says more.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    console = Console(width=100, highlight=False)
    if arguments.jobs:
        tell_overhead(console, arguments.jobs)
    if arguments.runs:
        tell_throughput(console, arguments.runs, arguments.epochs, arguments.rounds)


def tell_overhead(console: Console, jobs: int) -> None:
    """Time from the start of one job to that of the next, less the training in it."""
    with tempfile.TemporaryDirectory() as folder:
        last = 0.001 * jobs
        lr = f"optim.lr=range(0.001,{last + 0.0005:.4f},0.001)"
        sweep(folder, lr, "epochs=1", "stopping.max_steps=1")
        starts, ends = zip(*spans(Path(folder, "sweep")), strict=True)
        trained = [seconds(run_dir) for run_dir in run_dirs(Path(folder, "sweep"))]
    gaps = [after - before for before, after in zip(starts, starts[1:], strict=False)]
    overhead = [gap - training for gap, training in zip(gaps, trained, strict=False)]
    console.print(
        f"{len(starts)} jobs of one step, basic: overhead a job {median(overhead) * 1000:.0f} ms "
        f"(quartiles {quantile(overhead, 0.25):.0f} to {quantile(overhead, 0.75):.0f}); around the "
        f"10th {median(overhead[4:15]) * 1000:.0f} ms, around the last "
        f"{median(overhead[-11:]) * 1000:.0f} ms"
    )


def tell_throughput(console: Console, runs: int, epochs: int, rounds: int) -> None:
    """Wall time of the same sweep in one process and in several, in turn."""
    ratios = []
    for number in range(rounds):
        took: dict[str, tuple[float, float, float]] = {}
        for launcher in ("basic", "local"):
            with tempfile.TemporaryDirectory() as folder:
                begin = time.perf_counter()
                words = (f"seed=range({runs})", f"epochs={epochs}", f"hydra/launcher={launcher}")
                sweep(folder, *words)
                whole = time.perf_counter() - begin
                starts, ends = zip(*spans(Path(folder, "sweep")), strict=True)
                trained = sum(map(seconds, run_dirs(Path(folder, "sweep"))))
                took[launcher] = whole, max(ends) - min(starts), trained
        basic, local = took["basic"], took["local"]
        ratios.append(basic[1] / local[1])
        console.print(
            f"round {number}: basic {basic[1]:.1f} s of jobs ({basic[2]:.1f} s of training, "
            f"{basic[0]:.1f} s in all), local {local[1]:.1f} s ({local[2]:.1f} s of training in "
            f"all workers, {local[0]:.1f} s in all): {ratios[-1]:.2f} x the throughput, "
            f"{basic[0] / local[0]:.2f} x with start and report"
        )
    console.print(f"local / basic, {runs} runs of {epochs} epochs: median {median(ratios):.2f}")


def sweep(folder: str, *words: str) -> None:
    command = [sys.executable, "-m", "dlrun", "-m", "-q", *words, "hydra.sweep.dir=sweep"]
    subprocess.run(command, cwd=folder, check=True)


def run_dirs(folder: Path) -> list[Path]:
    return [file.parent for file in sorted(folder.glob("*/summary.json"))]


def spans(folder: Path) -> list[tuple[float, float]]:
    """When each job began, as it wrote its overrides, and when it wrote its summary for good."""
    return sorted(
        (
            (path / ".hydra" / "overrides.yaml").stat().st_mtime,
            (path / "summary.json").stat().st_mtime,
        )
        for path in run_dirs(folder)
    )


def seconds(run_dir: Path) -> float:
    """From before the first evaluation to the end of the last epoch."""
    summary = json.loads((run_dir / "summary.json").read_text())
    return float(summary["metrics"]["time/total"])


def quantile(values: list[float], share: float) -> float:
    """In milliseconds."""
    return 1000 * sorted(values)[round(share * (len(values) - 1))]


if __name__ == "__main__":
    main()
