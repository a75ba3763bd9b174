"""The curve of a regression on one feature, also of one that diverged."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes

from dlrun.figures import one_feature_fit, pixels

INPUTS, TARGETS = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([10.0, 20.0, 30.0, 40.0])
GRID = np.array([0.0, 2.5, 5.0])


def curve(axes: Axes) -> tuple[list[float], list[float]]:
    (line,) = axes.lines
    return list(line.get_xdata()), list(line.get_ydata())


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_points_by_split_and_the_curve_in_the_datas_units():
    figure = one_feature_fit(
        INPUTS,
        TARGETS,
        GRID[::-1],
        10 * GRID[::-1],
        "LSTAT_$",
        "price",
        splits=["test", "train", "train", "train"],
        merit="R² = 1",
    )
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "R² = 1"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("LSTAT_$", "price")
    train, test = axes.collections
    np.testing.assert_array_equal(train.get_offsets(), [[2, 20], [3, 30], [4, 40]])
    np.testing.assert_array_equal(test.get_offsets(), [[1, 10]])
    assert curve(axes) == ([0, 2.5, 5], [0, 25, 50])  # in rising order
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == ["train (3)", "test (1)", "fit"]
    assert texts(axes) == []
    pixels(figure)


@pytest.mark.parametrize(
    ("fitted", "remark"),
    [
        ([1e5, 2e7, -1e300], "the fit leaves the axes: from -1e300 to 2e7"),
        ([10.0, np.nan, np.inf], "2 of its 3 values not finite"),
        ([np.nan] * 3, "no fit to draw: its values are not finite (training diverged)"),
        ([1e9, np.inf, 1.0], "the fit leaves the axes: from 1 to 1e9\n1 of its 3 values"),
    ],
)
def test_a_diverged_fit_leaves_the_points_readable(fitted, remark):
    axes = one_feature_fit(INPUTS, TARGETS, GRID, fitted, "x", "y").axes[0]
    assert len(texts(axes)) == 1 and texts(axes)[0].startswith(remark)
    low, high = axes.get_ylim()
    assert -10 < low < 10 and 40 < high < 60
    pixels(axes.get_figure())


def test_no_fit_no_entry_of_it_and_one_point_has_a_panel():
    figure = one_feature_fit([1.0], [2.0], [1.0], [np.nan], "x", "y")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["samples (1)"]
    low, high = figure.axes[0].get_ylim()
    assert low < 2 < high
    assert figure.axes[0].get_title(loc="left") == "y by x"
    pixels(figure)


def test_points_that_are_not_finite_are_not_counted():
    figure = one_feature_fit([1.0, 2.0, np.nan], [1.0, np.inf, 2.0], [], [], "x", "y")
    np.testing.assert_array_equal(figure.axes[0].collections[0].get_offsets(), [[1, 1]])
    assert figure.legends[0].get_texts()[0].get_text() == "samples (1)"
    pixels(figure)
