"""Originals above their reconstructions, each with its error."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from dlrun.figures import pixels, reconstructions


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_each_output_stands_below_its_original_above_its_error():
    originals = np.zeros((2, 1, 2, 4))
    outputs = originals.copy()
    outputs[0] += 0.5  # squared: 0.25
    outputs[1, 0, 0, 0] = 2.0  # one of 8 pixels off by 2; shown clipped
    figure = reconstructions(originals, outputs, ["cat", "$a_b$"])
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "mean squared error 0.375 on average"
    assert texts(axes) == ["cat", "0.25", "input", "output", "MSE", "$a_b$", "0.5"]
    first, below, second, _ = axes.images
    np.testing.assert_array_equal(below.get_array(), np.full((2, 4), 0.5))
    assert first.get_extent()[:2] == below.get_extent()[:2]
    assert below.get_extent()[3] > first.get_extent()[2]  # y grows downwards
    assert second.get_extent()[0] > first.get_extent()[1]
    assert np.asarray(axes.images[3].get_array()).max() == 1.0
    pixels(figure)


def test_rows_wrap_and_labels_may_be_absent():
    images = np.random.default_rng(0).uniform(size=(13, 3, 4, 4))
    figure = reconstructions(images, images, None)
    axes = figure.axes[0]
    assert len(axes.images) == 26
    assert texts(axes).count("MSE") == 2
    assert texts(axes).count("0") == 13
    left = [image.get_extent()[0] for image in axes.images[::2]]
    assert left[10] == left[0]
    pixels(figure)


def test_one_image_and_outputs_that_are_not_finite():
    image = np.ones((1, 1, 4, 4))
    figure = reconstructions(image, image * np.nan, ["a very long label indeed"])
    assert "not finite" in texts(figure.axes[0])
    assert figure.axes[0].get_title(loc="left") == ""
    pixels(figure)
    figure = reconstructions(image, image * -1e300, None)
    assert "not finite" in texts(figure.axes[0])
    pixels(figure)


def test_no_images_are_said_to_be_none():
    figure = reconstructions(np.zeros((0, 1, 4, 4)), np.zeros((0, 1, 4, 4)), [])
    assert figure.axes[0].get_title(loc="left") == "no images"
    pixels(figure)
