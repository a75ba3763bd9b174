"""Puts the result of momentum against Adam into the README: its table and its picture.

    python tests/readme/sweep_result.py [SWEEP_DIR]

Without a directory it runs `dlrun sweep=momentum_vs_adam` in a temporary one, some minutes long.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dlrun.report.read import read_sweep
from dlrun.report.statistics import settings, winner
from dlrun.report.words import plus_minus

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
BEGIN, END = "<!-- made by tests/readme/sweep_result.py -->", "<!-- until here -->"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            put_in(Path(sys.argv[1]))
            return
        command = [sys.executable, "-m", "dlrun", "sweep=momentum_vs_adam", "hydra.sweep.dir=sweep"]
        subprocess.run(command, cwd=folder, check=True)
        put_in(Path(folder, "sweep"))


def put_in(sweep_dir: Path) -> None:
    """Writes table and sentence between the marks, and copies the picture."""
    text = README.read_text(encoding="utf-8")
    result = f"{BEGIN}\n\n{table(sweep_dir)}\n\n{sentence(sweep_dir)}\n\n{END}"
    text = re.sub(f"{BEGIN}.*{END}", lambda _: result, text, flags=re.DOTALL)
    README.write_text(text, encoding="utf-8")
    shutil.copy(sweep_dir / "figures" / "lr_sensitivity.png", HERE / "momentum_vs_adam.png")


def table(sweep_dir: Path) -> str:
    """The best setting of each optimizer, as Markdown."""
    ranked = settings(read_sweep([sweep_dir]))
    ranked["momentum"] = ranked["optimizer.momentum"].fillna(0)
    best = ranked.groupby(["optimizer", "momentum"], sort=False).head(1)
    lines = [
        "| | best learning rate | best batch size | validation accuracy | test accuracy | n |",
        "|---|---|---|---|---|---|",
    ]
    for row in best.itertuples():
        name = f"{row.optimizer} {row.momentum:g}" if row.momentum else row.optimizer
        found = best.loc[row.Index]
        figures = [
            plus_minus(found[f"{split}mean"], found[f"{split}low"], found[f"{split}high"])
            for split in ("", "test_")
        ]
        lines.append(
            f"| {name} | {found['optimizer.lr']:g} | {found['batch_size']} | "
            f"{figures[0]} | {figures[1]} | {row.n} |"
        )
    return "\n".join(lines)


def sentence(sweep_dir: Path) -> str:
    """What the report says of the winner."""
    return winner(read_sweep([sweep_dir])).sentence


if __name__ == "__main__":
    main()
