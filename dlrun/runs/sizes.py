"""How much room files take, in numbers and in words."""

from __future__ import annotations

import os
from pathlib import Path

UNITS = ("bytes", "kB", "MB", "GB", "TB")


def folder_size(folder: Path) -> int:
    """Bytes of all files below a folder; links count as links. What vanishes meanwhile is 0."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue
    return total


def size_text(size: int) -> str:
    """Bytes in a unit that leaves few digits.

    >>> size_text(0), size_text(999), size_text(1_500), size_text(123_456_789)
    ('0 bytes', '999 bytes', '1.5 kB', '123 MB')
    """
    amount, unit = float(size), 0
    while amount >= 999.5 and unit < len(UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 1 if unit and amount < 9.95 else 0
    return f"{amount:,.{digits}f} {UNITS[unit]}"
