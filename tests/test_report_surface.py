"""Runs on a test function: whose ways are drawn, and what is said of them."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.lines import Line2D
from PIL import Image
from report_runs import sweep_of

from dlrun.report.picture import Animation, Picture
from dlrun.report.read import Sweep
from dlrun.report.statistics import settings
from dlrun.report.surface import paths_and_race
from dlrun.report.write import write_report
from dlrun.surfaces import contour, surface

LOSS = {"metric": "loss/val", "direction": "minimize"}


def run(
    optimizer: str,
    xs: Sequence[float | None],
    seed: int = 0,
    name: str | None = "bowl",
    **told: Any,
) -> dict[str, Any]:
    """A run along the x axis of the bowl, whose value is x²/2."""
    curve = [None if x is None else x**2 / 2 for x in xs]
    lines = {"x/val": xs, "y/val": [None if x is None else 0.0 for x in xs]}
    figures = {"metric": "loss", "value": curve[-1], "curve": curve, "lines": lines}
    hparams = {"optimizer": optimizer, "surface": name}
    return {"optimizer": optimizer, "seed": seed, "hparams": hparams, **figures, **told}


def drawn(sweep: Sweep) -> list[Picture | Animation]:
    return list(paths_and_race(sweep, settings(sweep)))


def ways(picture: Picture | Animation) -> dict[str, list[float]]:
    """The x of each way, by its name in the legend."""
    assert isinstance(picture, Picture)
    legend = picture.figure.legends[0]
    colours = {
        handle.get_color(): text.get_text()
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True)
        if isinstance(handle, Line2D)
    }
    lines = [line for line in picture.figure.axes[0].lines if len(line.get_xdata()) > 1]
    return {colours[line.get_color()]: np.asarray(line.get_xdata()).tolist() for line in lines}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    runs = [
        run("sgd", [-4.0, -2.0, -1.0], seed=1),
        run("sgd", [-4.0, -3.0, -2.0]),
        run("adam", [-4.0, -1.0, 0.5]),
        run("momentum", [-4.0, 4.5, None], status="diverged", value=None),
    ]
    return sweep_of(tmp_path / "s", runs, **LOSS)


def test_the_way_of_the_first_seed_of_each_setting(sweep: Sweep) -> None:
    picture, _ = drawn(sweep)
    assert picture.name == "paths"
    found = ways(picture)
    assert list(found) == ["sgd", "adam", "momentum (not finite at step 2)"]
    assert found["sgd"] == [-4.0, -3.0, -2.0] and found["adam"] == [-4.0, -1.0, 0.5]


def test_what_has_left_for_good_is_not_seen_again(tmp_path: Path) -> None:
    runs = [run("sgd", [-4.0, 6.0, -4.5, 7.0, -7.0, 8.0]), run("adam", [-4.0, -3.0])]
    picture, _ = drawn(sweep_of(tmp_path / "s", runs, **LOSS))
    found = ways(picture)
    assert found["sgd (leaves the view at step 3)"] == [-4.0, 6.0, -4.5, 7.0]
    assert "sgd at 32" in picture.caption  # 8²/2, where it really ended


def test_the_caption_tells_heights_and_who_diverged(sweep: Sweep) -> None:
    picture, race = drawn(sweep)
    assert picture.caption == (
        "All 3 settings, of each the run with its first seed. "
        "At the end: adam at 0.125 and sgd at 2. Diverged: momentum."
    )
    assert "A step is an epoch." in race.caption


def test_the_race_has_a_frame_a_step(sweep: Sweep) -> None:
    _, race = drawn(sweep)
    assert isinstance(race, Animation) and race.name == "race"
    with Image.open(BytesIO(race.gif)) as image:
        assert image.format == "GIF" and image.n_frames == 3
        assert image.width == 100 * race.width


def test_the_race_lies_beside_the_pictures_and_in_the_page(sweep: Sweep) -> None:
    report = write_report([sweep.folder], sweep.folder)
    gif = (sweep.folder / "figures" / "race.gif").read_bytes()
    assert sweep.folder / "figures" / "race.gif" in report.figures
    page = report.page.read_text(encoding="utf-8")
    (content,) = re.findall(r'src="data:image/gif;base64,([^"]+)"', page)
    assert base64.b64decode(content) == gif and gif.startswith(b"GIF89a")


def test_contours_are_the_surface_itself() -> None:
    x, y, values = contour(surface("bowl", 10.0))
    assert values.shape == (len(y), len(x)) and (x[0], y[-1]) == (-5.0, 3.0)
    assert values[3, 7] == pytest.approx((x[7] ** 2 + 10 * y[3] ** 2) / 2)


def test_a_bowl_of_another_condition_is_drawn_as_it_was(tmp_path: Path) -> None:
    runs = [run("sgd", [-4.0, -3.0]), run("adam", [-4.0, -3.5])]
    for entry in runs:
        entry["hparams"]["condition_number"] = 100.0
    picture, _ = drawn(sweep_of(tmp_path / "s", runs, **LOSS))
    assert isinstance(picture, Picture)
    bar = picture.figure.axes[1]
    highest = (5.0**2 + 100 * 3.0**2) / 2
    assert highest <= max(bar.get_ylim()) < 1.2 * highest


NO_PLANE = {
    "two surfaces": [run("sgd", [-4.0, 1.0]), run("adam", [1.0, 1.0], name="beale")],
    "one with a network": [run("sgd", [-4.0, 1.0]), run("adam", [1.0], name=None)],
    "no such surface": [run("sgd", [-4.0, 1.0], name="moon"), run("adam", [1.0], name="moon")],
    "a hundred dimensions": [
        run(name, [1.0, 0.5], name="quadratic_deep") for name in ("sgd", "adam")
    ],
    "no positions": [run(name, [1.0, 0.5], lines={}) for name in ("sgd", "adam")],
    "two conditions": [
        {**run("sgd", [1.0, 0.5]), "dataset.condition_number": number} for number in (10, 20)
    ],
}


@pytest.mark.parametrize("runs", NO_PLANE.values(), ids=list(NO_PLANE))
def test_where_there_is_no_one_plane_nothing_is_drawn(
    runs: list[dict[str, Any]], tmp_path: Path
) -> None:
    assert drawn(sweep_of(tmp_path / "s", runs, **LOSS)) == []


def test_of_many_settings_the_best_of_each_optimizer(tmp_path: Path) -> None:
    runs = [
        {**run(name, [-4.0, -4.0 + 0.1 * k]), "optimizer.lr": 0.1 * k}
        for name in ("sgd", "adam")
        for k in range(1, 8)
    ]
    picture, _ = drawn(sweep_of(tmp_path / "s", runs, **LOSS))
    assert picture.caption.startswith("Each at its best setting")
    assert list(ways(picture)) == ["sgd lr=0.7", "adam lr=0.7"]
    assert math.isclose(ways(picture)["sgd lr=0.7"][-1], -3.3)
