"""Pictures that the runs of a sweep drew, one of each setting, as one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlrun.figures import measures
from dlrun.report.picture import Picture
from dlrun.report.settings import rows_of
from dlrun.report.words import brief_label, plus_minus

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

    from dlrun.report.read import Sweep

# By the name of a run's picture what the heading calls it.
PICTURES = {
    "decision_regions": "Decision regions",
    "fit": "Fits",
    "reconstructions": "Reconstructions",
    "latent": "Latent spaces",
    "learning_curves": "Learning curves of single runs",
    "gradients": "Gradients",
    "path": "Ways over the surface",
}
MOST = 12
LARGEST_FILE = 20 * 2**20  # bytes; dlrun's own pictures have 0.2 MB
LARGEST_SIDE = 6000  # pixels


@dataclass(frozen=True)
class Panel:
    """A run's picture, what stands above it, and that of which seed it is."""

    image: Image
    heading: str
    note: str


def side_by_side(sweep: Sweep, ranked: pandas.DataFrame) -> Iterator[Picture]:
    """For each kind of picture that two settings have one that shows them, the best first."""
    from dlrun.figures.sweep_side_by_side import side_by_side as draw

    for name, title in PICTURES.items():
        found = _with_picture(sweep, ranked, name)
        panels = list(_panels(sweep, ranked, found[:MOST], name))
        if len(panels) < 2:
            continue
        figure = draw(
            [panel.image for panel in panels],
            [panel.heading for panel in panels],
            [panel.note for panel in panels],
        )
        text = _caption(sweep, len(panels), len(found))
        yield Picture(f"side_by_side_{name}", f"{title}, side by side", figure, text)


def _with_picture(sweep: Sweep, ranked: pandas.DataFrame, name: str) -> list[tuple[int, int]]:
    """Rank and job of each setting of which a run has the picture: the run with the first seed."""
    found = []
    for rank, jobs in enumerate(ranked["jobs"]):
        runs = sweep.runs.iloc[rows_of(sweep, jobs)].sort_values("seed", kind="stable")
        for job in runs["job"].tolist():
            if job in sweep.run_dirs and _file(sweep, job, name).is_file():
                found.append((rank, job))
                break
    return found


def _file(sweep: Sweep, job: int, name: str) -> Path:
    return sweep.run_dirs[job] / "figures" / f"{name}.png"


def _panels(
    sweep: Sweep, ranked: pandas.DataFrame, found: Sequence[tuple[int, int]], name: str
) -> Iterator[Panel]:
    for rank, job in found:
        image = _read(_file(sweep, job, name))
        if image is None:
            folder = sweep.runs["folder"].iloc[rows_of(sweep, [job])[0]]
            sweep.damaged.append(f"{folder}/figures/{name}.png: cannot be read")
            continue
        setting = ranked.iloc[rank]
        label = brief_label({key: setting[key] for key in sweep.swept}, sweep.swept)
        mean = plus_minus(setting["mean"], setting["low"], setting["high"])
        n = f" (n = {setting['n']})" if setting["n"] > 1 else ""
        value = f"{sweep.metric} {mean}{n}" if setting["n"] else "no completed run"
        yield Panel(image, f"{rank + 1}. {label}", value)


def _read(file: Path) -> Image | None:
    """The picture in RGB; None for a file that holds none, or a larger one than runs draw."""
    from PIL import Image

    if file.stat().st_size > LARGEST_FILE:
        return None
    try:
        with Image.open(file, formats=["PNG"]) as image:
            if max(image.size) > LARGEST_SIDE:
                return None
            return image.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # SyntaxError: a broken chunk
        return None


def _caption(sweep: Sweep, shown: int, found: int) -> str:
    some = f"The best {shown} of {found}" if shown < found else f"All {shown}"
    return (
        f"{some} settings whose runs have such a picture, in their order by "
        f"{measures.metric_name(sweep.metric)}; of each the run with its first seed. Above it the "
        "setting's mean over all of its seeds."
    )
