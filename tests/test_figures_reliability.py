"""The reliability figure: bars, gaps, counts, and what stands in the legend."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlrun.figures import pixels
from dlrun.figures.reliability import OPACITY, PALE, reliability_diagram

EDGES = [0.0, 0.25, 0.5, 0.75, 1.0]
COUNTS = [0, 20, 4, 76]
CONFIDENCE = [np.nan, 0.4, 0.7, 0.9]
ACCURACY = [np.nan, 0.5, 0.25, 0.8]


def diagram(num_classes: int = 10) -> Figure:
    return reliability_diagram(EDGES, COUNTS, CONFIDENCE, ACCURACY, 0.114, num_classes)


def bars(axes: Axes) -> list[tuple[float, float, float, float | None]]:
    """Left edge, bottom, height and opacity of each bar."""
    return [
        (bar.get_x(), bar.get_y(), round(bar.get_height(), 6), bar.get_alpha())
        for bar in axes.patches
    ]


def test_bars_of_accuracy_and_the_gaps_to_confidence() -> None:
    figure = diagram()
    above, below = figure.axes
    assert bars(above) == [
        (0.25, 0, 0.5, OPACITY),
        (0.75, 0, 0.8, OPACITY),
        (0.25, 0.4, 0.1, OPACITY + 0.25),  # less sure than right: the gap lies within the bar
        (0.75, 0.8, 0.1, OPACITY + 0.25),  # surer than right: it lies on top
        (0.5, 0, 0.25, PALE),  # four samples
        (0.5, 0.25, 0.45, PALE + 0.25),
    ]
    assert [(x, height) for x, _, height, _ in bars(below)] == [
        *((0.0, 0), (0.25, 20), (0.5, 4), (0.75, 76))
    ]
    assert below.get_yscale() == "log"
    pixels(figure)


def test_title_and_legend_say_the_figures() -> None:
    figure = diagram()
    assert figure.axes[0].get_title(loc="left") == "expected calibration error 11.40 %, 100 samples"
    shown = {text.get_text() for text in figure.legends[0].get_texts()}
    # (20 * 0.4 + 4 * 0.7 + 76 * 0.9) / 100 and (10 + 1 + 60.8) / 100
    assert {"mean confidence 79.2 %", "mean accuracy 71.8 %", "fewer than 10 samples"} <= shown


def test_the_axis_begins_where_confidence_can() -> None:
    assert diagram(10).axes[0].get_xlim() == (0.0, 1.0)
    assert diagram(2).axes[0].get_xlim() == (0.5, 1.0)


def test_no_samples() -> None:
    empty = [np.nan] * 4
    figure = reliability_diagram(EDGES, [0] * 4, empty, empty, 0.0, 2)
    assert figure.axes[0].get_title(loc="left") == "no samples"
    assert figure.axes[0].texts[0].get_text() == "no finite value"
    pixels(figure)
