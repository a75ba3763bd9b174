"""Ways over a loss surface: the contours, the marks, and those that get lost."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dlrun.figures import pixels, race_frames, surface_paths

X, Y = np.linspace(-2, 2, 41), np.linspace(-1, 1, 21)
BOWL = X[None] ** 2 + 4 * Y[:, None] ** 2


def draw(paths, values=BOWL, minima=((0.0, 0.0),), log_levels=False) -> Figure:
    return surface_paths(X, Y, values, paths, minima=minima, title="bowl", log_levels=log_levels)


def legend(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.legends[0].get_texts()}


def lines(figure: Figure, marker: str) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_marker() == marker]


def position(line: Line2D) -> tuple[float, float]:
    return float(line.get_xdata()[0]), float(line.get_ydata()[0])


def levels(figure: Figure) -> np.ndarray:
    filled = next(c for c in figure.axes[0].collections if isinstance(c, QuadContourSet))
    return np.asarray(filled.levels)


def test_each_path_is_drawn_with_its_start_its_end_and_the_minimum():
    path = np.array([[-1.5, 0.5], [-1.0, 0.2], [0.1, 0.0]])
    figure = draw({"adam_$x$": path, "sgd": path[:2]})
    axes = figure.axes[0]
    assert axes.get_title(loc="left") == "bowl"
    assert (axes.get_xlim(), axes.get_ylim()) == ((-2, 2), (-1, 1))
    ways = lines(figure, "None")
    np.testing.assert_array_equal(ways[0].get_xydata(), path)
    assert [position(line) for line in lines(figure, "*")] == [(0.0, 0.0)]
    assert [position(line) for line in lines(figure, "o")] == [
        (-1.5, 0.5),
        (0.1, 0.0),
        (-1.5, 0.5),
        (-1.0, 0.2),
    ]
    assert legend(figure) == {"adam_$x$", "sgd", "start", "end", "minimum"}
    pixels(figure)


def test_a_path_that_leaves_is_marked_where_it_crosses_the_edge():
    figure = draw({"sgd": [[0.0, 0.0], [1.0, 0.5], [5.0, 1.5], [1e200, 0.0]]}, minima=())
    (cross,) = lines(figure, "X")
    # From (1, 0.5) in direction (4, 1): x reaches 2 after a quarter of the step.
    assert position(cross) == pytest.approx((2.0, 0.75))
    assert legend(figure) == {"sgd (leaves the view at step 2)", "start", "end", "last seen"}
    pixels(figure)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_a_path_that_is_no_longer_finite_is_marked_where_it_was_last(bad):
    figure = draw({"sgd": [[0.0, 0.0], [1.0, 0.5], [bad, 0.0]]})
    assert position(lines(figure, "X")[0]) == (1.0, 0.5)
    assert "sgd (not finite at step 2)" in legend(figure)
    pixels(figure)


def test_a_path_that_comes_back_ends_where_it_ends():
    figure = draw({"a": [[0.0, 0.0], [9.0, 0.0], [0.5, 0.5]], "b": [[9.0, 9.0]], "c": []})
    assert lines(figure, "X") == []
    assert (0.5, 0.5) in [position(line) for line in lines(figure, "o")]
    assert {"a", "b (never in view)", "c (never in view)"} <= legend(figure)
    pixels(figure)


def test_levels_are_even_or_at_a_constant_ratio():
    even = np.diff(levels(draw({})))
    np.testing.assert_allclose(even, even[0])
    log = levels(draw({}, log_levels=True))
    np.testing.assert_allclose(log[1:] / log[:-1], log[1] / log[0])
    assert log[0] > 0 and log[-1] == pytest.approx(8.0)  # 2² + 4 · 1²


@pytest.mark.parametrize(
    "values",
    [np.zeros_like(BOWL), -BOWL, np.full_like(BOWL, np.nan), np.where(BOWL > 1, np.inf, BOWL)],
)
@pytest.mark.parametrize("log_levels", [False, True])
def test_awkward_surfaces_are_drawn(values, log_levels):
    pixels(draw({"sgd": [[0.0, 0.0], [1.0, 0.5]]}, values, log_levels=log_levels))


def race(paths, losses, **settings):
    return race_frames(
        X, Y, BOWL, paths, losses, minima=[(0.0, 0.0)], log_levels=True, title="bowl", **settings
    )


def test_race_draws_at_most_max_frames_and_every_step_of_a_short_one():
    way = np.linspace([-1.8, 0.8], [0, 0], 30)
    losses = (way**2) @ [1, 4]
    assert len(race({"sgd": way}, {"sgd": losses}, max_frames=7)) == 7
    frames = race({"sgd": way[:4], "adam": way[:2]}, {"sgd": losses[:4], "adam": losses[:2]})
    assert [picture.shape for picture in frames] == [(480, 960, 3)] * 4


def test_race_moves_the_runner_to_its_position():
    way = np.array([[-1.5, 0.0], [1.5, 0.0]])
    frames = race({"sgd": way}, {"sgd": [1.0, 0.5]})
    blue = [np.argwhere((picture[:400, :480] == (0, 114, 178)).all(axis=2)) for picture in frames]
    assert blue[0][:, 1].max() < blue[1][:, 1].max() - 150  # 3 of 4 units of a panel ~ 400 wide
    # Beside it the loss: one dot first, then a line.
    beside = [(picture[:400, 540:] == (0, 114, 178)).all(axis=2).sum() for picture in frames]
    assert 0 < beside[0] < beside[1]


@pytest.mark.parametrize(
    "losses", [[1.0, np.inf, np.nan], [1.0, 1e300, 0.0], [0.0, -1.0, -5.0], [np.nan] * 3]
)
def test_race_of_diverged_and_negative_losses(losses):
    paths = {"sgd": [[0.0, 0.0], [1e200, np.nan], [np.inf, 0.0]], "gone": np.zeros((0, 2))}
    assert len(race(paths, {"sgd": losses, "gone": []})) == 3
