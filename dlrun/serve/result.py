"""What the page shows of one prediction: a word in large letters, a line below it, bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from dlrun.errors import printable
from dlrun.predict.model import Predicted
from dlrun.trained import Trained

MOST_BARS = 10

Bar = tuple[str, "float | None", str]  # the class, its probability, the same in words


def result(trained: Trained, predicted: Predicted) -> dict[str, Any]:
    """`answer`, `about` and `bars` of the first sample that was predicted; None for no bars."""
    data = trained.data
    if predicted.values is not None:
        return {
            "answer": number(float(predicted.values[0, 0])),
            "about": printable(data.target_name),
            "bars": None,
        }
    if predicted.mse is not None:
        return {"answer": "", "about": _reconstruction_line(predicted), "bars": None}
    assert predicted.labels is not None
    names = [printable(name) for name in data.classes]
    label = names[int(predicted.labels[0])]
    if predicted.probabilities is None:
        about = "a network trained with a hinge loss has no probabilities"
        return {"answer": label, "about": about, "bars": None}
    shares = predicted.probabilities[0]
    return {
        "answer": label,
        "about": f"with probability {percent(float(shares[int(predicted.labels[0])]))}",
        "bars": bars(names, shares),
    }


def bars(names: Sequence[str], shares: Tensor) -> list[Bar]:
    """All classes in their order where they are few, else the most probable ones, best first."""
    order = list(range(len(names)))
    if len(names) > MOST_BARS:
        order = shares.argsort(descending=True, stable=True)[:MOST_BARS].tolist()
    return [(names[k], finite(float(shares[k])), percent(float(shares[k]))) for k in order]


def finite(share: float) -> float | None:
    """The number, None where a network that diverged has made NaN of it, which JSON has not."""
    return share if math.isfinite(share) else None


def empty_bars(trained: Trained) -> list[Bar] | None:
    """The bars before anything was predicted; None where there will be none."""
    names = [printable(name) for name in trained.data.classes]
    if trained.data.task not in ("binary", "multiclass") or trained.settings.loss.name == "hinge":
        return None
    if len(names) > MOST_BARS:
        return [("", None, "") for _ in range(MOST_BARS)]
    return [(name, None, "") for name in names]


def percent(share: float) -> str:
    """A probability to be read; only what is nearly certain comes with more digits.

    >>> percent(0.0312), percent(0.9996), percent(1.0)
    ('3.1 %', '99.96 %', '100 %')
    """
    if share > 0.9995:
        return "100 %" if share >= 0.99995 else f"{share:.2%}".replace("%", " %")
    return f"{share:.1%}".replace("%", " %")


def number(value: float) -> str:
    """A value with five significant digits.

    >>> number(24.31742), number(152000.0), number(1.5e-7)
    ('24.317', '152,000', '1.5e-07')
    """
    return f"{value:,.0f}" if 1e5 <= abs(value) < 1e15 else f"{value:.5g}"


def _reconstruction_line(predicted: Predicted) -> str:
    assert predicted.mse is not None
    line = f"mean squared error {number(float(predicted.mse[0]))}"
    if predicted.codes is None:
        return line
    code = ", ".join(f"{value:.2f}" for value in predicted.codes[0].tolist())
    return f"{line}, code ({code})"
