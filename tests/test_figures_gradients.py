"""Gradients by layer: each norm at its layer and step, zeros and NaN in grey."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import QuadMesh

from dlrun.figures import gradient_heat_map, pixels, unit_shares, update_ratios

LAYERS = ["first", "mid_$x$", "last"]
STEPS = [0, 10, 30]
NORMS = np.array([[1e-6, 1e-5, 1e-4], [1e-3, 1e-3, 1e-3], [1.0, 10.0, 100.0]])


def mesh(figure) -> QuadMesh:
    return next(c for c in figure.axes[0].collections if isinstance(c, QuadMesh))


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def legend(figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def test_heat_map_has_the_logarithm_of_each_norm_at_its_layer_and_step():
    figure = gradient_heat_map(LAYERS, STEPS, NORMS, verdict="vanishing: layer first")
    left, right, bar = figure.axes
    assert left.get_title(loc="left") == "vanishing: layer first"
    np.testing.assert_allclose(mesh(figure).get_array(), [[-6, -5, -4], [-3, -3, -3], [0, 1, 2]])
    assert mesh(figure).get_clim() == (-6, 2)
    corners = np.asarray(mesh(figure).get_coordinates())
    np.testing.assert_array_equal(corners[0, :, 0], [-5, 5, 20, 40])  # half-way between the steps
    np.testing.assert_array_equal(corners[:, 0, 1], [-0.5, 0.5, 1.5, 2.5])
    assert left.get_ylim() == (2.5, -0.5)  # the layer at the input on top
    assert [text.get_text() for text in left.get_yticklabels()] == LAYERS
    assert not any(text.get_parse_math() for text in left.get_yticklabels())
    assert texts(left) == []
    assert bar.get_ylabel() == "log₁₀ of the gradient's norm"
    assert right.get_xscale() == "log"
    assert [line.get_label() for line in right.lines] == ["step 0", "step 10", "step 30"]
    np.testing.assert_allclose(right.lines[2].get_xdata(), [1e-4, 1e-3, 100])
    np.testing.assert_array_equal(right.lines[2].get_ydata(), [0, 1, 2])
    pixels(figure)


def test_zero_and_not_finite_norms_are_grey_and_said_to_be():
    norms = NORMS.copy()
    norms[0, 0], norms[1, 1], norms[2, 2] = 0.0, np.nan, np.inf
    figure = gradient_heat_map(LAYERS, STEPS, norms, verdict="diverged")
    np.testing.assert_array_equal(np.ma.getmaskarray(mesh(figure).get_array()), np.eye(3))
    assert texts(figure.axes[0]) == ["grey: zero or not finite"]
    pixels(figure)


@pytest.mark.parametrize(("value", "remark"), [(0.0, "zero"), (np.nan, "not finite")])
def test_a_heat_map_of_nothing_says_so(value, remark):
    figure = gradient_heat_map(["only"], [7], [[value]], verdict="none")
    assert texts(figure.axes[0]) == [f"grey: {remark} everywhere"]
    assert texts(figure.axes[1]) == ["no finite value"]
    pixels(figure)


def test_many_layers_with_long_names_and_norms_of_any_size():
    names = [f"model.encoder.layers.{k}.linear.weight" for k in range(60)]
    norms = 10.0 ** np.random.default_rng(0).uniform(-300, 300, (60, 4))
    figure = gradient_heat_map(names, [1, 2, 3, 1000], norms, verdict="exploding")
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == [str(k) for k in range(0, 60, 2)]
    low, high = mesh(figure).get_clim()
    assert high - low <= 24
    assert figure.get_size_inches()[1] <= 9
    pixels(figure)


def test_norms_at_the_ends_of_floating_point():
    for value in (1e308, 5e-324):
        pixels(gradient_heat_map(LAYERS, STEPS, np.full((3, 3), value), verdict="far out"))


def test_update_ratios_are_drawn_by_layer_beside_the_rule_of_thumb():
    ratios = np.array([[1e-4, 1e-3, 0.0], [1e-2, np.nan, 1e-2], [np.inf, 1e-3, 1e-1]])
    figure = update_ratios(LAYERS, STEPS, ratios)
    axes = figure.axes[0]
    guide, *drawn = axes.lines
    assert list(guide.get_ydata()) == [1e-3, 1e-3]
    nan = np.nan
    expected = [[1e-4, 1e-3, nan], [1e-2, nan, 1e-2], [nan, 1e-3, 1e-1]]
    np.testing.assert_array_equal([line.get_ydata() for line in drawn], expected)
    assert axes.get_yscale() == "log"
    low, high = axes.get_ylim()
    assert 1e-5 < low < 1e-4 and 1e-1 < high < 1
    assert legend(figure) == {*LAYERS, "rule of thumb: 0.001"}
    pixels(figure)
    pixels(update_ratios(LAYERS, STEPS, np.zeros((3, 3))))


def test_unit_shares_are_percentages_of_each_layer():
    shares = np.array([[0.0, 0.5, 1.0], [0.1, np.nan, 0.1], [0.2, 0.2, 0.2]])
    figure = unit_shares(LAYERS, STEPS, shares, "dead ReLUs")
    axes = figure.axes[0]
    assert axes.get_ylabel() == "dead ReLUs (%)"
    np.testing.assert_array_equal([line.get_ydata() for line in axes.lines], shares)
    assert axes.get_ylim() == (-0.03, 1.03)
    assert axes.yaxis.get_major_formatter()(0.5) == "50"
    pixels(figure)
    figure = unit_shares([f"layer {k}" for k in range(100)], [0], np.zeros((100, 1)), "dead")
    assert len(legend(figure)) <= 14
    pixels(figure)
