"""How metrics and hyper-parameters are written in the pictures and tables of a sweep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dlrun.figures import style

SPLITS = {"train": "training", "val": "validation", "test": "test"}
METRICS = {
    "accuracy": ("accuracy", " (%)"),
    "loss": ("loss", ""),
    "mse": ("mean squared error", ""),
    "mae": ("mean absolute error", ""),
    "mape": ("mean absolute percentage error", " (%)"),
    "r2": ("R²", " (1 is perfect)"),
}


def metric_name(metric: str) -> str:
    """The metric in words.

    >>> metric_name("accuracy/val"), metric_name("r2/test"), metric_name("grad_norm")
    ('validation accuracy', 'test R²', 'grad_norm')
    """
    base, _, split = metric.partition("/")
    if split not in SPLITS:
        return metric
    return f"{SPLITS[split]} {METRICS.get(base, (base, ''))[0]}"


def metric_label(metric: str) -> str:
    """The metric in words with its unit, for an axis.

    >>> metric_label("accuracy/val")
    'validation accuracy (%)'
    """
    return metric_name(metric) + METRICS.get(metric.partition("/")[0], ("", ""))[1]


def metric_text(metric: str, value: float, unit: bool = True) -> str:
    """A value of the metric in its unit.

    >>> metric_text("accuracy/val", 0.97251), metric_text("loss/val", 0.08123)
    ('97.25 %', '0.0812')
    >>> metric_text("accuracy/val", 0.97251, unit=False)
    '97.25'
    """
    if not math.isfinite(value):
        return "none"
    base = metric.partition("/")[0]
    if base == "accuracy" and abs(value) < 1000:  # else it is none, and would be a long one
        return f"{100 * value:.2f}" + (" %" if unit else "")
    return number_text(value) + (" %" if unit and base == "mape" else "")


def number_text(value: float, position: int | None = None) -> str:
    """A number with three digits, short; position: of a tick, as matplotlib tells, has no part.

    >>> number_text(0.05), number_text(100000.0), number_text(1e-12), number_text(128.0)
    ('0.05', '1e5', '1e-12', '128')
    >>> number_text(1024.0)
    '1024'
    """
    if abs(value) < 1e5 and value == int(value):
        return str(int(value))
    number, e, exponent = f"{value:.3g}".partition("e")
    return f"{float(number):g}e{int(exponent)}" if e else number


def bounds(metric: str) -> tuple[float, float]:
    """Between what values of the metric lie; an interval of its mean may reach beyond.

    >>> bounds("accuracy/val"), bounds("mse/val"), bounds("grad_norm")
    ((0.0, 1.0), (0.0, inf), (-inf, inf))
    """
    base = metric.partition("/")[0]
    low = 0.0 if base in METRICS and base != "r2" else -math.inf
    return low, 1.0 if base in ("accuracy", "r2") else math.inf


def value_text(value: Any) -> str:
    """A hyper-parameter's value as one types it; nothing where there is none.

    >>> value_text(0.1), value_text("adam"), value_text(32.0), value_text(None), value_text(True)
    ('0.1', 'adam', '32', '', 'true')
    """
    if is_missing(value):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return number_text(float(value)) if math.isfinite(value) else str(float(value))
    return str(value)


def is_missing(value: Any) -> bool:
    """Whether a setting has no value there: None or NaN.

    >>> is_missing(None), is_missing(float("nan")), is_missing(0), is_missing("")
    (True, True, False, False)
    """
    return value is None or (isinstance(value, (float, np.floating)) and math.isnan(value))


def one_line(text: str, length: int) -> str:
    """The text as a label: one line, nothing invisible in it, shortened in its middle.

    A leading underscore, by which matplotlib would leave it out of a legend, gets a space before.

    >>> one_line("a\x1b[2J" + chr(10) + "b", 20), one_line("_x", 20), one_line("abcdefgh", 5)
    ('a[2J b', ' _x', 'ab…gh')
    """
    text = "".join(char if char.isprintable() else " " * char.isspace() for char in text)
    text = style.shorten(text, length)
    return " " + text if text.startswith("_") else text
