"""Reads sweeps, and writes results.csv, the pictures, the page and TensorBoard's mean runs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from dlrun.errors import UserError, shown
from dlrun.report.missing import missing
from dlrun.report.picture import Picture
from dlrun.report.read import Sweep, read_sweep
from dlrun.report.results import write_results
from dlrun.report.statistics import importance, performance_speed_tuneability, settings, winner
from dlrun.report.tensorboard import write_mean_runs
from dlrun.run_files import replace_file, replace_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Report:
    """What was read, and what was written.

    missing: what the report does not show, by name, and why. logdir: the folder for TensorBoard,
    where mean_runs lie.
    """

    sweep: Sweep
    results: Path
    page: Path
    figures: list[Path]
    missing: dict[str, str]
    logdir: Path
    mean_runs: list[Path]


def write_report(folders: Sequence[Path], out: Path) -> Report:
    """Writes `results.csv`, `figures/*` and `report.html` about the folders into `out`.

    Mean runs go beside the jobs of the one sweep where they can, else into `out`. Each file is
    replaced in one go, so that somebody who looks on meets no half of one.

    Raises UserError for a folder with neither sweep.yaml nor run directories, and when `out`
    cannot be made.
    """
    # These import matplotlib, which is slow: not before there is something to draw.
    from dlrun.report.figures import draw_figures
    from dlrun.report.html import Shown, render

    sweep = read_sweep(folders)
    _make(out / "figures")
    write_results(sweep, out / "results.csv")

    ranked, best = settings(sweep), winner(sweep)
    judged, mattered = performance_speed_tuneability(sweep), importance(sweep)
    pictures, paths = [], []
    for picture in draw_figures(sweep, ranked, judged, mattered):
        if isinstance(picture, Picture):
            kind, content, inches = "png", _png(picture.figure), picture.figure.get_figwidth()
        else:
            kind, content, inches = "gif", picture.gif, picture.width
        about = picture.name, picture.title, picture.caption
        pictures.append(Shown(*about, content, round(96 * inches), kind))
        paths.append(out / "figures" / f"{picture.name}.{kind}")
        replace_file(paths[-1], content)
    lacks = missing(ranked, sweep.metric, [picture.name for picture in pictures])
    page = render(sweep, ranked, best, judged, pictures, lacks, datetime.now())
    replace_text(out / "report.html", page)
    beside_jobs = len(folders) == 1 and os.access(folders[0], os.W_OK)
    logdir = folders[0] if beside_jobs else out
    means = write_mean_runs(sweep, logdir)
    return Report(sweep, out / "results.csv", out / "report.html", paths, lacks, logdir, means)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{shown(folder)}: cannot be made: {error.strerror} "
            "(choose where the report goes: -o DIR)"
        ) from error


def _png(figure: Figure) -> bytes:
    """The figure as PNG; a letter that the font lacks becomes a box, without a warning."""
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="png")
    return file.getvalue()
