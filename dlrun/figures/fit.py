"""A regression on one feature: the points, and the curve that the model draws through them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from dlrun.figures import measures, style

FIT = "#D55E00"
# Training points recede, test points stand out; the curve has a colour of its own.
SPLITS = ("train", "val", "test")
SPLIT_COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#4D4D4D")


def one_feature_fit(
    inputs: ArrayLike,
    targets: ArrayLike,
    grid: ArrayLike,
    fitted: ArrayLike,
    feature: str,
    target: str,
    *,
    splits: Sequence[str] | None = None,
    merit: str = "",
) -> Figure:
    """Target against feature: the samples as points, the model's output as a line.

    inputs, targets: (N,) or (N, 1), grid, fitted: (M,) or (M, 1), all in the data's own units.
    splits: the split of each sample; None draws all alike. merit: the title, such as `R² = 0.54`.

    The points fix the axes: a fit that leaves them is cut there, and the panel says how far it
    goes, or that it is not finite.
    """
    at, values = _vector(inputs), _vector(targets)  # (N,)
    assert at.shape == values.shape, (at.shape, values.shape)
    along, curve = _vector(grid), _vector(fitted)  # (M,)
    assert along.shape == curve.shape, (along.shape, curve.shape)
    names = ["samples"] * len(at) if splits is None else [str(name) for name in splits]
    assert len(names) == len(at), (len(names), len(at))

    figure = style.new_figure(6.4, 4.4)
    axes = figure.subplots()
    x_label, y_label = measures.one_line(feature, 50), measures.one_line(target, 40)
    style.dress(axes, merit if merit else f"{y_label} by {x_label}", x_label, y_label)
    finite = np.isfinite(at) & np.isfinite(values)
    low, high = _fix_limits(axes, at[finite], values[finite], along, curve)

    size = 22 if len(at) <= 300 else 12 if len(at) <= 3000 else 5
    handles = []
    known = [name for name in SPLITS if name in names]
    for number, name in enumerate(dict.fromkeys([*known, *names])):
        mine = np.array([other == name for other in names], dtype=bool) & finite
        look: dict[str, Any] = {
            "marker": style.MARKERS[number % len(style.MARKERS)],
            "color": SPLIT_COLOURS[number % len(SPLIT_COLOURS)],
        }
        axes.scatter(at[mine], values[mine], s=size, alpha=0.6, linewidths=0, **look)
        label = f"{measures.one_line(name, 18)} ({mine.sum():,})"
        handles.append(Line2D([], [], ls="", ms=6, label=label, **look))
    # Far outside, a number may be too large for the drawing library.
    reach = 3 * (high - low)
    shown = np.where(np.isfinite(curve), np.clip(curve, low - reach, high + reach), np.nan)
    order = np.argsort(along)
    axes.plot(along[order], shown[order], color=FIT, lw=2.2, zorder=3)
    if np.isfinite(curve).any():
        handles.append(Line2D([], [], color=FIT, lw=2.2, label="fit"))
    remark = _remark(curve, low, high)
    if remark:
        style.note(axes, remark, 0.5, 0.95, align="center")
    style.legend(figure, handles)
    return figure


def _vector(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _fix_limits(
    axes: Axes,
    at: NDArray[np.float64],
    values: NDArray[np.float64],
    along: NDArray[np.float64],
    curve: NDArray[np.float64],
) -> tuple[float, float]:
    """Sets both axes by the points, with room for a curve that overshoots a little; the y ones."""
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    span = high - low if high > low else max(1.0, abs(high))
    finite = curve[np.isfinite(curve)]
    low = min(low, max(finite.min(initial=low), low - 0.3 * span)) - 0.05 * span
    high = max(high, min(finite.max(initial=high), high + 0.3 * span)) + 0.05 * span
    axes.set_ylim(low, high)
    ends = np.concatenate([at, along[np.isfinite(along)]])
    left, right = (ends.min(), ends.max()) if len(ends) else (0.0, 1.0)
    margin = 0.03 * (right - left) if right > left else 0.5
    axes.set_xlim(left - margin, right + margin)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    return float(low), float(high)


def _remark(curve: NDArray[np.float64], low: float, high: float) -> str:
    """What of the curve cannot be seen, or nothing."""
    finite = curve[np.isfinite(curve)]
    if len(curve) and not len(finite):
        return "no fit to draw: its values are not finite (training diverged)"
    parts = []
    if len(finite) and (finite.min() < low or finite.max() > high):
        ends = (measures.number_text(float(v)) for v in (finite.min(), finite.max()))
        parts.append("the fit leaves the axes: from {} to {}".format(*ends))
    if len(finite) < len(curve):
        parts.append(f"{len(curve) - len(finite):,} of its {len(curve):,} values not finite")
    return "\n".join(parts)
