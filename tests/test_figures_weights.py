"""Weights of the first layer: colours symmetric about zero."""

from __future__ import annotations

import numpy as np
import pytest

from dlrun.figures import first_layer_weights, pixels


def title(figure):
    return figure.axes[0].get_title(loc="left")


def test_units_stand_in_rows_in_colours_symmetric_about_zero():
    weights = np.zeros((6, 1, 2, 2))
    weights[0] = -0.25
    weights[5] = 0.1
    figure = first_layer_weights(weights, num_units=512)
    axes, bar = figure.axes
    assert title(figure) == "weights of 6 of 512 units of the first layer"
    assert [image.get_clim() for image in axes.images] == [(-0.25, 0.25)] * 6
    np.testing.assert_array_equal(axes.images[0].get_array(), np.full((2, 2), -0.25))
    assert bar.get_ylabel() == "weight"
    assert [text.get_text() for text in bar.get_yticklabels()] == ["-0.25", "0", "0.25"]
    pixels(figure)


def test_a_few_channels_stand_below_one_another_many_are_averaged():
    weights = np.arange(2 * 3 * 2 * 2, dtype=float).reshape(2, 3, 2, 2)
    figure = first_layer_weights(weights, num_units=2)
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), np.arange(12).reshape(6, 2))
    left, right, bottom, top = image.get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(3)
    assert title(figure).endswith("all 2 units of the first layer, 3 channels below one another")
    weights = np.stack([np.full((2, 2), k) for k in range(5)])[None]  # mean 2
    figure = first_layer_weights(weights, num_units=1)
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), np.full((2, 2), 2.0))
    assert title(figure) == "weights of one unit, mean over channels"
    pixels(figure)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_weights_without_a_scale_are_drawn(value):
    figure = first_layer_weights(np.full((3, 1, 2, 2), value), num_units=3)
    assert figure.axes[0].images[0].get_clim() == (-1.0, 1.0)
    pixels(figure)


def test_one_extreme_weight_does_not_whiten_all_others():
    weights = np.ones((10, 1, 10, 10))
    weights[0, 0, 0, 0] = 1000.0
    low, high = first_layer_weights(weights, num_units=10).axes[0].images[0].get_clim()
    assert (low, high) == (-1.0, 1.0)
