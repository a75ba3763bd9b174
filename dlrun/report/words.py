"""How numbers, settings and job numbers are written in tables, sentences and names of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MAX_DECIMALS = 6
GROUPS = ("model", "optimizer", "dataset", "regularization", "scheduler")


def figure(value: float) -> str:
    """A metric with four decimals, or four digits where those would not show it; – for none.

    >>> figure(0.95), figure(3.1e-05), figure(47840143343616.0), figure(float("nan"))
    ('0.9500', '3.1e-05', '4.784e+13', '–')
    """
    if math.isnan(value):
        return "–"
    return f"{value:.4f}" if value == 0 or 0.01 <= abs(value) < 1e5 else f"{value:.4g}"


def plus_minus(mean: float, low: float, high: float) -> str:
    """Mean and half the interval from low to high, with two digits of the latter.

    The mean alone where there is no interval.

    >>> plus_minus(0.96123, 0.95783, 0.96463), plus_minus(21.53, 20.3, 22.76)
    ('0.9612 ± 0.0034', '21.5 ± 1.2')
    >>> plus_minus(0.95, math.nan, math.nan), plus_minus(1.0, 1.0, 1.0)
    ('0.9500', '1.0000 ± 0')
    """
    half = (high - low) / 2
    if not half > 0:
        return figure(mean) + (" ± 0" if half == 0 else "")
    decimals = 1 - math.floor(math.log10(half))
    if decimals > MAX_DECIMALS or abs(mean) >= 1e5:
        return f"{mean:.4g} ± {half:.2g}"
    decimals = max(0, decimals)
    return f"{mean:.{decimals}f} ± {half:.{decimals}f}"


def probability(p: float) -> str:
    """`p = 0.034`, or `p < 0.001`.

    >>> probability(0.0341), probability(1e-9)
    ('p = 0.034', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def value(entry: Any, digits: int | None = 4) -> str:
    """A hyper-parameter as one would type it; "" for none, numbers with so many digits or all.

    >>> value(64.0), value(0.00123456), value(True), value(1e-05), value(None)
    ('64', '0.001235', 'true', '1e-05', '')
    >>> value(0.1 + 0.2, digits=None)
    '0.30000000000000004'
    """
    if entry is None or entry != entry:
        return ""
    if isinstance(entry, str):
        return entry
    if isinstance(entry, bool):
        return str(entry).lower()
    if entry == int(entry) and abs(entry) < 1e15:
        return str(int(entry))
    return repr(float(entry)) if digits is None else f"{entry:.{digits}g}"


def label(values: Mapping[str, Any], names: Mapping[str, str], digits: int | None = 4) -> str:
    """A setting in words: its keys, by their short names, that apply to it.

    >>> label({"optimizer": "adam", "optimizer.lr": 0.01, "x": None}, {"optimizer.lr": "lr"})
    'optimizer=adam lr=0.01'
    """
    words = [
        f"{names.get(key, key)}={value(entry, digits)}"
        for key, entry in values.items()
        if value(entry) != ""
    ]
    return " ".join(words) or "all runs"


def brief_label(values: Mapping[str, Any], swept: Sequence[str]) -> str:
    """A setting in as few words as tell it: what was chosen of a group needs no key.

    >>> brief_label({"optimizer": "adam", "optimizer.lr": 0.01}, ["optimizer", "optimizer.lr"])
    'adam lr=0.01'
    """
    names = short_names(swept)
    words = [
        value(entry) if key in GROUPS else f"{names[key]}={value(entry)}"
        for key, entry in values.items()
        if value(entry) != ""
    ]
    return " ".join(words) or "all runs"


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """By key its last part, or the key itself where two would be called the same.

    >>> short_names(["optimizer", "optimizer.lr", "model.name", "dataset.name"])
    {'optimizer': 'optimizer', 'optimizer.lr': 'lr', 'model.name': 'model.name', \
'dataset.name': 'dataset.name'}
    """
    last = [key.rpartition(".")[2] for key in keys]
    return {
        key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)
    }


def counted(number: int, noun: str) -> str:
    """The number with its noun, in the plural where that is due.

    >>> counted(1, "run"), counted(1200, "run")
    ('1 run', '1,200 runs')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(words: Iterable[str], most: int = 12) -> str:
    """Words with commas and a last `and`; of more than `most` the rest only counted.

    >>> listed(["a"]), listed(["a", "b", "c"]), listed("abcd", most=2)
    ('a', 'a, b and c', 'a, b and 2 more')
    """
    told = list(words)
    if len(told) > most:
        told = [*told[:most], f"{len(told) - most} more"]
    return told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"


def number_ranges(numbers: Iterable[int]) -> str:
    """Whole numbers in order, with neighbours joined.

    >>> number_ranges([7, 3, 4, 5, 10, 11])
    '3–5, 7, 10, 11'
    """
    ranges: list[list[int]] = []
    for n in sorted(numbers):
        if ranges and n == ranges[-1][-1] + 1:
            ranges[-1].append(n)
        else:
            ranges.append([n])
    return ", ".join(
        f"{span[0]}–{span[-1]}" if len(span) > 2 else ", ".join(map(str, span)) for span in ranges
    )
