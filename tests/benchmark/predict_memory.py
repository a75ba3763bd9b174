"""Peak memory and speed of `dlrun predict` over few and over many rows of a CSV file.

    python tests/benchmark/predict_memory.py [--rows 1000 1000000]

A small network is trained on Boston housing; then each number of rows is predicted by a process of
its own, whose largest resident set is told when it has ended.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from dlrun import run
from dlrun.datasets.tabular import BOSTON_FEATURES, boston


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 1_000_000])
    arguments = parser.parse_args()
    table = Table(title="dlrun predict over rows of Boston housing, 13 columns, to a CSV file")
    for name in ("rows", "MB of CSV", "peak memory, MB", "seconds", "rows/s"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        model = f"{folder}/run"
        run(
            *("dataset=boston", "model=mlp", "quiet=true"),
            epochs=2,
            figures=False,
            **{"hydra.run.dir": model},
        )
        for rows in arguments.rows:
            file = Path(folder, "rows.csv")
            write_rows(file, rows)
            seconds, peak = measured(model, file, rows)
            size = file.stat().st_size / 1e6
            cells = (f"{rows:,}", f"{size:,.1f}", f"{peak:,.0f}", f"{seconds:.1f}")
            table.add_row(*cells, f"{rows / seconds:,.0f}")
    Console(width=100).print(table)


def write_rows(file: Path, rows: int) -> None:
    """The districts of Boston housing, over and over."""
    samples = boston(Path(), 0)
    lines = [",".join(f"{value:.6g}" for value in row) + "\n" for row in samples.inputs.tolist()]
    with file.open("w") as stream:
        stream.write(",".join(BOSTON_FEATURES) + "\n")
        for k in range(rows):
            stream.write(lines[k % len(lines)])


def measured(model: str, file: Path, rows: int) -> tuple[float, float]:
    """Seconds that the command takes, its start included, and its peak memory in MB."""
    out = file.with_name("predicted.csv")
    words = ["predict", model, str(file), "-o", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "dlrun", *words], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # getrusage(RUSAGE_CHILDREN) of this one alone
    seconds = time.perf_counter() - start
    with out.open() as stream:
        lines = sum(1 for _ in stream)
    assert status == 0 and lines == rows + 1, (status, lines)
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return seconds, kilobytes / 1000


if __name__ == "__main__":
    main()
