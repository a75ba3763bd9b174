"""What one part of the report draws: a figure or an animation, with its heading and caption."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """A figure with its file's name (without `.png`), its heading and what one sees in it."""

    name: str
    title: str
    figure: Figure
    caption: str


@dataclass(frozen=True)
class Animation:
    """A GIF likewise, its file's name without `.gif`; width in inches."""

    name: str
    title: str
    gif: bytes
    width: float
    caption: str
