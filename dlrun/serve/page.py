"""The page as text: the run's name and facts, style and script in one, all names escaped."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

import dlrun
from dlrun.errors import UserError, printable, shown
from dlrun.serve.form import MOST_FIELDS, fields, known_means
from dlrun.serve.result import empty_bars
from dlrun.trained import Trained

LIMITS = {"image": 10 * 10**6, "table": 50 * 10**6, "row": 10**6}  # bytes of an upload
PAPER = 280  # pixels of the longer side of what is drawn on


def page(trained: Trained, token: str, nonce: str) -> str:
    """The HTML of the page. nonce: of its one script and style; token: what its requests carry."""
    return template().render(
        name=printable(trained.name),
        subtitle=subtitle(trained),
        facts=facts(trained, token),
        version=dlrun.__version__,
        nonce=nonce,
        style=packaged("page.css"),
        script=packaged("page.js"),
    )


@cache
def template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(packaged("page.html"))


@cache
def packaged(name: str) -> str:
    """The text of a file beside this one."""
    return files("dlrun.serve").joinpath(name).read_text(encoding="utf-8")


def takes_images(trained: Trained) -> bool:
    """Whether the network's inputs are images (C, H, W), not rows (D,).

    Raises UserError where they are neither, and for images that are not grey or RGB.
    """
    shape = trained.data.in_shape
    if len(shape) == 1:
        return False
    if len(shape) == 3 and shape[0] in (1, 3):
        return True
    raise UserError(
        f"{shown(trained.name)}: its inputs are {' x '.join(map(str, shape))} numbers; the page "
        "has room for rows of a table and for images, grey or RGB"
    )


def facts(trained: Trained, token: str) -> dict[str, Any]:
    """What the script of the page has to know."""
    known = {
        "token": token,
        "task": trained.data.task,
        "kind": "image" if takes_images(trained) else "table",
        "limits": LIMITS,
        "bars": empty_bars(trained),
    }
    if takes_images(trained):
        channels, height, width = trained.data.in_shape
        scale = PAPER / max(height, width)
        colours = "grey" if channels == 1 else "colour"
        return {
            **known,
            "ink": channels == 1,
            "paper": [max(round(width * scale), 1), max(round(height * scale), 1)],
            "size": f"{width} x {height} pixels, {colours}",
        }
    form = fields(trained)
    columns = [asdict(field) for field in form] if len(form) <= MOST_FIELDS else []
    means = known_means(trained.data) is not None
    return {**known, "width": len(form), "columns": columns, "means": means}


def subtitle(trained: Trained) -> str:
    """What was trained on what, and how well it did.

    For example `cnn on mnist, weights of epoch 11, accuracy/test 0.9941`.
    """
    model, dataset = (trained.choices.get(group) for group in ("model", "dataset"))
    parts = [f"{model} on {dataset}", f"weights of epoch {trained.epoch}"]
    metrics = trained.summary.get("metrics")
    if isinstance(metrics, dict):
        names = [f"{name}/{split}" for split in ("test", "val") for name in ("accuracy", "mae")]
        found = [n for n in [*names, "loss/test", "loss/val"] if isinstance(metrics.get(n), float)]
        parts += [f"{name} {metrics[name]:.4g}" for name in found[:1]]
    return printable(", ".join(parts))
