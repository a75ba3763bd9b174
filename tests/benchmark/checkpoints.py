"""What checkpoints cost: their share of the training time on the full MNIST, one every epoch.

    python tests/benchmark/checkpoints.py [--epochs 5] [--threads 2]

Runs as users start them, in this process; every call that writes a checkpoint is timed. README.md
beside this file says more.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from dlrun import run
from dlrun.runlog import RunLog

RUNS = {
    "mlp 784-256-10, batch 64": ("model=mlp", "batch_size=64"),
    "mlp 784-256-10, batch 512": ("model=mlp", "batch_size=512"),
    "cnn 16-32-64, batch 64": ("model=cnn", "batch_size=64"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    table = Table(title=f"checkpoints of {arguments.epochs} epochs on the full MNIST, Adam")
    for name in ("run", "n", "ms a checkpoint (range)", "MiB", "training s", "share of training"):
        table.add_column(name, justify="left" if name == "run" else "right")
    for name, words in RUNS.items():
        table.add_row(name, *measured(words, arguments.epochs, arguments.threads))
    Console(width=110).print(table)


def measured(words: tuple[str, ...], epochs: int, threads: int | None) -> list[str]:
    """The cells of one run: number of checkpoints, time and size of one, and their share."""
    seconds: list[float] = []
    write = RunLog.checkpoint

    def timed(log: RunLog, state: dict[str, object]) -> None:
        start = time.perf_counter()
        write(log, state)
        seconds.append(time.perf_counter() - start)

    RunLog.checkpoint = timed  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            result = run(
                *("dataset=mnist", "optim=adam", "quiet=true", *words),
                epochs=epochs,
                figures=False,
                **{"hydra.run.dir": f"{folder}/run", "device.threads": threads},
            )
            size = sum(
                (Path(folder) / "run/checkpoints" / file).stat().st_size
                for file in ("last.pt", "best.pt")
            )
    finally:
        RunLog.checkpoint = write  # type: ignore[method-assign]
    training = result.lines[-1]["time/total"] or 0.0
    share = sum(seconds) / training
    spread = f"{1e3 * median(seconds):.1f} ({1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f})"
    figures = [str(len(seconds)), spread, f"{size / 2**20:.1f}", f"{training:.1f}"]
    return [*figures, f"{100 * share:.2f} %"]


if __name__ == "__main__":
    main()
