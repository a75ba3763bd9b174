"""Pictures of single runs beside one another: which are taken, how they are laid out and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_runs import sweep_of

from dlrun.figures import pixels
from dlrun.figures.sweep_side_by_side import side_by_side as draw
from dlrun.report.picture import Picture
from dlrun.report.read import Sweep
from dlrun.report.side_by_side import side_by_side
from dlrun.report.statistics import settings

COLOURS = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 90, 90)]


def save(folder: Path, job: int, colour: tuple[int, int, int], name: str = "fit") -> None:
    """A picture of one colour in the folder of a job."""
    figures = folder / f"{job:04d}" / "figures"
    figures.mkdir(exist_ok=True)
    Image.new("RGB", (300, 200), colour).save(figures / f"{name}.png")


def run(lr: float, seed: int, value: float, **told: Any) -> dict[str, Any]:
    return {"optimizer": "adam", "optimizer.lr": lr, "seed": seed, "value": value, **told}


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """lr 0.1 is best, then 0.01; of both the first seed is the second job."""
    runs = [run(0.01, 1, 0.7), run(0.01, 0, 0.7), run(0.1, 5, 0.9), run(0.1, 3, 0.9)]
    sweep = sweep_of(tmp_path / "s", runs)
    for job, colour in enumerate(COLOURS):
        save(tmp_path / "s", job, colour)
    return sweep


def drawn(sweep: Sweep) -> list[Picture]:
    return list(side_by_side(sweep, settings(sweep)))


def texts(picture: Picture) -> list[str]:
    return [text.get_text() for text in picture.figure.texts]


def test_of_each_setting_the_first_seed_the_best_first(sweep: Sweep) -> None:
    (picture,) = drawn(sweep)
    assert picture.name == "side_by_side_fit"
    assert texts(picture) == [
        *("1. lr=0.1", "accuracy/val 0.9000 ± 0 (n = 2)"),
        *("2. lr=0.01", "accuracy/val 0.7000 ± 0 (n = 2)"),
    ]
    first, second = (image.get_array()[0, 0] for image in picture.figure.images)
    assert (tuple(first), tuple(second)) == (COLOURS[3], COLOURS[1])


def test_a_run_without_the_picture_gives_way_to_the_next_seed(sweep: Sweep) -> None:
    (sweep.folder / "0003" / "figures" / "fit.png").unlink()
    (picture,) = drawn(sweep)
    assert tuple(picture.figure.images[0].get_array()[0, 0]) == COLOURS[2]


def test_each_kind_that_two_settings_have(sweep: Sweep) -> None:
    for job in (1, 3):
        save(sweep.folder, job, COLOURS[0], "latent")
    save(sweep.folder, 3, COLOURS[0], "gradients")
    save(sweep.folder, 1, COLOURS[0], "samples")  # the same for all runs
    save(sweep.folder, 3, COLOURS[0], "samples")
    assert [picture.name for picture in drawn(sweep)] == ["side_by_side_fit", "side_by_side_latent"]


@pytest.mark.parametrize(
    "content",
    [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", b"not a picture" * 100],
)
def test_a_file_that_is_no_picture_is_told_and_left_out(sweep: Sweep, content: bytes) -> None:
    (sweep.folder / "0003" / "figures" / "fit.png").write_bytes(content)
    assert drawn(sweep) == []  # one is left, with nothing beside it
    assert sweep.damaged == ["0003/figures/fit.png: cannot be read"]


def test_a_picture_larger_than_runs_draw_is_left_out(sweep: Sweep) -> None:
    Image.new("1", (6001, 10)).save(sweep.folder / "0003" / "figures" / "fit.png")
    assert drawn(sweep) == [] and len(sweep.damaged) == 1


def test_the_best_twelve(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path / "s", [run(0.1 + k, 0, 0.9 - 0.01 * k) for k in range(14)])
    for job in range(14):
        save(tmp_path / "s", job, (10 * job, 0, 0))
    (picture,) = drawn(sweep)
    shown = [int(image.get_array()[0, 0, 0]) for image in picture.figure.images]
    assert shown == [10 * k for k in range(12)]
    assert picture.caption.startswith("The best 12 of 14 settings")


def test_small_images_stand_pixel_by_pixel_under_their_headings() -> None:
    image = Image.fromarray(np.arange(180 * 100 * 3, dtype=np.uint8).reshape(100, 180, 3))
    figure = draw([image] * 3, ["1. a", "2. $x$", "3. " + "very " * 40], ["n"] * 3)
    canvas = pixels(figure)
    found = [
        (y, x)
        for y in range(canvas.shape[0] - 99)
        for x in range(canvas.shape[1] - 179)
        if (canvas[y, x] == [0, 1, 2]).all() and (canvas[y, x + 1] == [3, 4, 5]).all()
        if (canvas[y : y + 100, x : x + 180] == np.asarray(image)).all()
    ]
    assert len(found) == 3
    (left, top), width = (found[0][1], found[0][0]), canvas.shape[1]
    for text in figure.texts:
        box = text.get_window_extent()
        assert box.x0 >= left - 1 and box.x1 <= width, text.get_text()
    heading = figure.texts[0].get_window_extent()
    assert heading.y0 > canvas.shape[0] - top  # from below: above the picture


def test_wide_images_are_two_in_a_row_and_made_smaller() -> None:
    figure = draw([Image.new("RGB", (2000, 800))] * 3, list("abc"), list("def"))
    sizes = {image.get_size() for image in figure.images}
    assert sizes == {(372, 930)}  # 6.2 inches of 150 pixels
    assert len({image.ox for image in figure.images}) == 2
