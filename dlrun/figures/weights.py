"""What the units of the first layer look at."""

from __future__ import annotations

import math
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from dlrun.figures import measures, style, tiles

COLOURS = "RdBu_r"  # red and blue are told apart with any colour vision; 0 is white
GAP = 0.1  # of a tile's width
MAX_CHANNELS = 4  # more are shown as their mean


def first_layer_weights(weights: ArrayLike, *, num_units: int) -> Figure:
    """The weights of each unit as an image: red raises its input, blue lowers it.

    weights: (U, C, H, W), the units shown. num_units: how many the layer has. Up to four channels
    stand below one another, more are averaged. The colours are symmetric about 0; the strongest
    0.5 % of the weights share the last ones.
    """
    filters = np.asarray(weights, dtype=np.float64)  # (U, C, H, W)
    assert filters.ndim == 4 and len(filters) > 0, filters.shape
    shown, channels, height, width = filters.shape
    averaged = channels > MAX_CHANNELS
    if averaged:
        filters, channels = filters.mean(axis=1, keepdims=True), 1
    finite = np.abs(filters[np.isfinite(filters)])
    limit = float(np.quantile(finite, 0.995)) if len(finite) else 0.0
    limit = limit if limit > 0 else float(finite.max(initial=0.0)) or 1.0
    norm = Normalize(-limit, limit)
    colours = matplotlib.colormaps[COLOURS].with_extremes(bad=style.ABSENT)

    tile = channels * height / width  # height of a unit's tile, in tile widths
    columns = max(1, min(shown, math.ceil(math.sqrt(shown * 1.5 * tile))))
    rows = math.ceil(shown / columns)
    inches = float(np.clip(8.0 / columns, 0.35, 1.1))
    x_step, y_step = 1 + GAP, tile + GAP
    figure = style.new_figure(
        max(inches * columns * x_step + 1.1, 4.2), max(inches * rows * y_step + 0.5, 1.8)
    )
    axes = figure.subplots()
    for k, channel_weights in enumerate(filters):
        x, y = k % columns * x_step, k // columns * y_step
        stacked = np.ma.masked_invalid(channel_weights.reshape(channels * height, width))
        image = axes.imshow(stacked, extent=(x, x + 1, y + tile, y), cmap=colours, norm=norm)
        edge: dict[str, Any] = {"color": style.GRID, "lw": 0.8}
        axes.plot([x, x + 1, x + 1, x, x], [y, y, y + tile, y + tile, y], **edge)
    count = f"all {shown:,}" if shown == num_units else f"{shown:,} of {num_units:,}"
    title = f"weights of {count} units of the first layer" if shown > 1 else "weights of one unit"
    if averaged:
        title += ", mean over channels"
    elif channels > 1:
        title += f", {channels} channels below one another"
    axes.set_title(title, fontsize=style.TITLE_SIZE, loc="left")
    tiles.close(axes, columns * x_step - GAP / 2, -GAP / 2, rows * y_step - GAP / 2, -GAP / 2)
    extend = "both" if finite.max(initial=0.0) > limit else "neither"
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=25, pad=0.02, extend=extend)
    bar.set_ticks([-limit, 0.0, limit])
    bar.set_ticklabels([measures.number_text(float(f"{v:.2g}")) for v in (-limit, 0.0, limit)])
    bar.ax.tick_params(labelsize=style.TICK_SIZE)
    bar.outline.set_visible(False)
    bar.set_label("weight", fontsize=style.LABEL_SIZE)
    return figure
