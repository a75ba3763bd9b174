"""Frames and the GIF made of them: how many, how long, in which colours."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dlrun.figures import animation, frame, gif, style

WHITE = (255, 255, 255)


def squares(count: int) -> list[NDArray[np.uint8]]:
    """White frames, (40, 60, 3), with a vermillion square that moves right by 5 pixels a frame."""
    frames = np.full((count, 40, 60, 3), 255, dtype=np.uint8)
    for k, picture in enumerate(frames):
        picture[10:20, 5 * k : 5 * k + 5] = (213, 94, 0)
    return list(frames)


def read(data: bytes) -> tuple[list[NDArray[np.uint8]], list[int], int]:
    with Image.open(BytesIO(data)) as image:
        frames, durations = [], []
        for k in range(image.n_frames):
            image.seek(k)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
        return frames, durations, image.info["loop"]


def test_gif_holds_every_frame_and_loops_for_ever():
    given = squares(7)
    frames, durations, loop = read(gif(given, milliseconds=120, hold_last=2000))
    assert durations == [120] * 6 + [2000]
    assert loop == 0
    np.testing.assert_array_equal(frames, given)  # two colours: none is lost


def test_gif_of_one_frame_is_that_frame():
    frames, durations, _ = read(gif(squares(1)))
    np.testing.assert_array_equal(frames, squares(1))
    assert durations in ([1500], [0])  # Pillow need not time a lone frame


def test_gif_keeps_time_where_frames_are_alike():
    one = squares(1)[0]
    _, durations, _ = read(gif([one, one, one, squares(2)[1]], milliseconds=80, hold_last=500))
    assert sum(durations) == 3 * 80 + 500


def test_gif_of_many_colours_is_near_them_and_keeps_white_and_large_areas():
    rng = np.random.default_rng(0)
    given = np.full((4, 60, 80, 3), 255, dtype=np.uint8)
    given[:, :20] = (251, 250, 247)
    given[:, 40:] = rng.integers(0, 256, (4, 20, 80, 3))  # more colours than a palette has
    frames, _, _ = read(gif(list(given)))
    for picture, original in zip(frames, given, strict=True):
        assert {tuple(pixel) for pixel in picture[20:40].reshape(-1, 3)} == {WHITE}
        assert {tuple(pixel) for pixel in picture[:20].reshape(-1, 3)} == {(251, 250, 247)}
        error = np.abs(picture[40:].astype(int) - original[40:]).mean()
        assert error < 20  # of 255, in colours drawn at random


def test_gif_wants_frames_of_one_size():
    with pytest.raises(AssertionError, match="no frames"):
        gif([])
    with pytest.raises(AssertionError, match="several sizes"):
        gif([squares(1)[0], squares(1)[0][:20]])


def test_frame_has_100_pixels_an_inch():
    figure = style.new_figure(3.0, 2.0)
    picture = frame(figure)
    assert picture.shape == (200, 300, 3)
    assert picture.dtype == np.uint8


def test_film_moves_what_moves_and_leaves_the_rest():
    figure = style.new_figure(3.0, 2.0)
    axes = figure.subplots()
    axes.set_xlim(0, 10)
    axes.set_ylim(0, 1)
    axes.plot([0, 10], [0.9, 0.9], color="#009E73", lw=4)
    (dot,) = axes.plot([], [], "o", color="#D55E00", ms=10)
    frames = animation.film(figure, [dot], [2, 8], lambda x: dot.set_data([x], [0.3]))
    assert [picture.shape for picture in frames] == [(200, 300, 3)] * 2

    def columns(picture: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.int64]:
        return np.flatnonzero((picture == colour).all(axis=2).any(axis=0))

    orange = [columns(picture, (213, 94, 0)) for picture in frames]
    assert len(orange[0]) and orange[0].max() < orange[1].min()  # gone from where it was
    green = [columns(picture, (0, 158, 115)) for picture in frames]
    assert len(green[0]) > 100
    np.testing.assert_array_equal(green[0], green[1])
