"""Decision regions: colours, boundary and points lie where the classes are."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlrun.figures import decision_regions, pixels, region_frames, regions, style

BLUE, VERMILLION = (np.array(to_rgb(colour)) for colour in style.colours(2))
X, Y = np.linspace(0, 10, 21), np.linspace(-1, 1, 11)
POINTS = {
    "train": (np.array([[1.0, 0.5], [9.0, -0.5], [2.0, 0.0]]), np.array([0, 1, 0])),
    "test": (np.array([[8.0, 0.1]]), np.array([1])),
}
NAMES = ("length (cm)", "$width_1$")


def two_classes(edge: float) -> NDArray[np.float64]:
    """Class 1 right of x = edge, its probability growing by 0.05 a unit: (11, 21, 2)."""
    right = np.clip(0.5 + 0.05 * (X - edge), 0, 1)
    right = np.tile(right, (len(Y), 1))
    return np.stack([1 - right, right], axis=-1)


def contours(figure: Figure) -> list[QuadContourSet]:
    return [c for c in figure.axes[0].collections if isinstance(c, QuadContourSet)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_regions_take_the_colour_of_the_likeliest_class():
    figure = decision_regions(X, Y, two_classes(5.0), POINTS, ["a", "b"], NAMES, title="94 %")
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "94 %"
    assert (axes.get_xlabel(), axes.get_ylabel()) == NAMES
    image = axes.images[0]
    assert image.origin == "lower"
    np.testing.assert_allclose(image.get_extent(), [-0.25, 10.25, -1.1, 1.1])
    shown = np.asarray(image.get_array())
    # At x = 0 class 0 has 0.75, half-way from a guess to certainty: strength 0.08 + 0.52 / 2.
    np.testing.assert_allclose(shown[0, 0], 1 - 0.34 * (1 - BLUE))
    np.testing.assert_allclose(shown[0, 20], 1 - 0.34 * (1 - VERMILLION))
    pixels(figure)


def test_the_boundary_runs_where_both_are_equally_likely():
    figure = decision_regions(X, Y, two_classes(5.3), POINTS, ["a", "b"], NAMES)
    (line,) = contours(figure)
    (path,) = [path for path in line.get_paths() if len(path.vertices)]
    np.testing.assert_allclose(path.vertices[:, 0], 5.3, atol=1e-6)
    assert path.vertices[:, 1].min() == -1 and path.vertices[:, 1].max() == 1


def test_points_lie_in_data_units_with_a_marker_for_each_split():
    figure = decision_regions(X, Y, two_classes(5.0), POINTS, ["a", "b"], NAMES)
    train, test = (c for c in figure.axes[0].collections if not isinstance(c, QuadContourSet))
    np.testing.assert_array_equal(train.get_offsets(), POINTS["train"][0])
    np.testing.assert_allclose(train.get_facecolors()[:, :3], [BLUE, VERMILLION, BLUE])
    np.testing.assert_array_equal(test.get_offsets(), [[8.0, 0.1]])
    assert len(train.get_paths()[0].vertices) != len(test.get_paths()[0].vertices)
    assert legend(figure) == ["a", "b", "train", "test", "boundary"]


def test_ten_classes_have_ten_colours_and_a_boundary_each():
    angle = np.arctan2(Y[:, None], X[None] - 5) + np.pi  # 0 … 2π
    centres = (np.arange(10) + 0.5) * 2 * np.pi / 10
    logits = 20 * np.cos(angle[..., None] - centres)
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    names = [f"a class with a long name, {k}" for k in range(10)]
    figure = decision_regions(X, Y, shares, {}, names, NAMES)
    assert len(set(style.colours(10))) == 10
    assert len(contours(figure)) == 10
    assert len(legend(figure)) == 11
    assert all(len(text) <= 18 for text in legend(figure))
    pixels(figure)


def test_one_class_fills_the_plane_without_a_boundary():
    figure = decision_regions(X, Y, np.ones((11, 21, 1)), {}, ["only"], NAMES)
    assert contours(figure) == []
    assert legend(figure) == ["only"]
    shown = np.asarray(figure.axes[0].images[0].get_array())
    np.testing.assert_allclose(shown, np.broadcast_to(1 - 0.6 * (1 - BLUE), shown.shape))
    pixels(figure)


def test_what_is_not_finite_is_grey():
    shares = two_classes(5.0)
    shares[3, 4] = np.nan
    colours = regions.shade(shares, style.colours(2))
    np.testing.assert_allclose(colours[3, 4], to_rgb(style.ABSENT))
    np.testing.assert_allclose(colours[3, 0], 1 - 0.34 * (1 - BLUE))
    pixels(decision_regions(X, Y, shares, POINTS, ["a", "b"], NAMES))
    pixels(decision_regions(X, Y, np.full((11, 21, 2), np.nan), POINTS, ["a", "b"], NAMES))


@pytest.mark.parametrize("number", [1, 2, 10, 11, 40])
def test_colours_differ(number):
    colours = style.colours(number)
    assert len(set(colours)) == number


def test_frames_show_the_boundary_move():
    edges = [2.0, 8.0, 20.0]
    frames = region_frames(
        X, Y, [two_classes(edge) for edge in edges], [0, 5, 1000], POINTS, ["a", "b"], NAMES
    )
    assert [picture.shape for picture in frames] == [(480, 640, 3)] * 3

    def share_of_orange(picture: NDArray[np.uint8]) -> float:
        panel = picture[40:380, 90:620].astype(int)
        return float((panel[..., 0] > panel[..., 2] + 10).mean())

    shares = [share_of_orange(picture) for picture in frames]
    assert shares[0] > 0.7 > 0.4 > shares[1] > shares[2]  # edge 20: only the points remain
    # Nothing but panel and title changes: the legend stays where it was.
    np.testing.assert_array_equal(frames[0][400:], frames[2][400:])
