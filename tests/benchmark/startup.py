"""Start-up time and peak memory of the command line.

    python tests/benchmark/startup.py [--rounds 5]

Whole processes, in turn: a bare `import torch`, `dlrun --help`, and a run whose record holds the
time from the process's start to its first optimizer step. Memory: the largest resident set of
one process that trains on the full MNIST.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

HELP_SECONDS = 1.0
FIRST_STEP_AFTER_IMPORT_SECONDS = 2.5
FIRST_STEP = ["model=mlp", "optim=adam", "epochs=1", "device=cpu"]
FULL_MNIST = ["dataset=mnist", "model=mlp", "optim=adam", "epochs=1", "device=cpu"]


def dlrun_command() -> list[str]:
    """The console script beside this interpreter; ends the program where there is none."""
    script = Path(sys.executable).with_name("dlrun")
    if not script.exists():
        sys.exit(f"{script} is absent: install the package first, pip install -e '.[bench]'")
    return [str(script)]


def wall_seconds(command: list[str]) -> float:
    """Seconds from the command's start to its end, output into a pipe."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.perf_counter()
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return seconds


def seconds_to_first_step(command: list[str]) -> float:
    """From the start of the process to the end of its first optimizer step, as train.log has it."""
    with tempfile.TemporaryDirectory() as directory:
        start = time.time()
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        end = time.time()
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        (log,) = Path(directory).glob("outputs/runs/*/*/train.log")
        found = re.search(r"first optimizer step at ([\d.]+)", log.read_text())
    assert found is not None, "train.log does not tell when the first step was"
    first_step = float(found[1])
    assert start < first_step < end, (start, first_step, end)
    return first_step - start


def peak_mebibytes(command: list[str]) -> float:
    """Largest resident set of the command's process, MiB."""
    with tempfile.TemporaryDirectory() as directory:
        child = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}")
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def verdict(value: float, bound: float) -> str:
    return f"≤ {bound:.2f} s: {'ok' if value <= bound else 'missed'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="counted starts of each command")
    arguments = parser.parse_args()
    dlrun = dlrun_command()
    rows: dict[str, list[float]] = {
        "python -c 'import torch'": [],
        "dlrun --help": [],
        "dlrun " + " ".join(FIRST_STEP[:2]) + ", to the first step": [],
    }
    bare, help_, first = rows
    for turn in range(arguments.rounds + 1):
        times = {
            bare: wall_seconds([sys.executable, "-c", "import torch"]),
            help_: wall_seconds([*dlrun, "--help"]),
            first: seconds_to_first_step([*dlrun, *FIRST_STEP]),
        }
        if turn > 0:  # the first warms the disk's cache
            for name, seconds in times.items():
                rows[name].append(seconds)

    medians = {name: median(values) for name, values in rows.items()}
    targets = {
        bare: "",
        help_: verdict(medians[help_], HELP_SECONDS),
        first: verdict(medians[first], medians[bare] + FIRST_STEP_AFTER_IMPORT_SECONDS),
    }
    title = f"Start-up, median (min to max) of n = {arguments.rounds} starts in turn"
    table = Table(title=title, title_justify="left")
    table.add_column("command")
    for column in ("seconds", "target"):
        table.add_column(column, justify="right")
    for name, values in rows.items():
        spread = f"{medians[name]:.2f} ({min(values):.2f} to {max(values):.2f})"
        table.add_row(name, spread, targets[name])
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    if "DLRUN_DATA_DIR" in os.environ:
        peak = peak_mebibytes([*dlrun, *FULL_MNIST])
        console.print(f"Peak memory of dlrun {' '.join(FULL_MNIST[:4])}: {peak:,.0f} MiB")
    else:
        console.print("Peak memory: not measured, DLRUN_DATA_DIR is not set")


if __name__ == "__main__":
    main()
