"""The surest mistakes: names and probabilities stand at their images."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from dlrun.figures import pixels, worst_mistakes


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_image_has_both_classes_with_their_probabilities():
    images = np.linspace(0, 1, 3 * 16).reshape(3, 1, 4, 4)
    figure = worst_mistakes(
        images, ["4", "$a_b$", "7"], ["9", "cat", "1"], [0.9996, 0.82, 0.5], [0.0001, 0.15, 0.0]
    )
    axes = figure.axes[0]
    assert len(axes.images) == 3
    np.testing.assert_allclose(axes.images[1].get_array(), images[1, 0], rtol=1e-6)
    assert texts(axes)[:4] == ["is 4", "<0.1 %", "seen as 9", ">99.9 %"]
    assert texts(axes)[4:8] == ["is $a_b$", "15 %", "seen as cat", "82 %"]
    left, right, bottom, _ = axes.images[1].get_extent()
    x, y = axes.texts[4].get_position()
    assert x == left and y < bottom
    assert axes.texts[5].get_position()[0] == right
    pixels(figure)


@pytest.mark.parametrize("count", [1, 2, 20])
def test_long_names_and_any_number_of_images_fit(count):
    names = ["a class with quite a long name"] * count
    figure = worst_mistakes(
        np.ones((count, 3, 4, 6)), names, names, [0.5] * count, [np.nan] * count
    )
    axes = figure.axes[0]
    assert len(axes.images) == count
    assert texts(axes)[1] == "– %"
    assert max(map(len, texts(axes))) <= len("seen as ") + 12
    picture = pixels(figure)
    assert picture.shape[1] < 2000
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(box.x0 >= 0 and box.x1 <= picture.shape[1] for box in boxes)
    # Name and probability of a line do not touch.
    assert all(name.x1 < share.x0 for name, share in zip(boxes[::2], boxes[1::2], strict=True))


def test_no_mistakes_are_said_to_be_none():
    figure = worst_mistakes(np.zeros((0, 1, 4, 4)), [], [], [], [])
    assert texts(figure.axes[0]) == ["no mistakes"]
    pixels(figure)
