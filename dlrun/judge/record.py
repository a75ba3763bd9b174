"""What an evaluation leaves behind: evaluation.json, and pictures beside it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlrun.device import describe
from dlrun.errors import UserError, shown
from dlrun.judge.calibration import Calibration
from dlrun.judge.interval import LEVEL, RESAMPLES, resamples
from dlrun.judge.measure import Judged
from dlrun.judge.per_class import macro_average
from dlrun.judge.source import Source
from dlrun.run_files import plain, replace_text
from dlrun.trained import Trained

FOLDER = "evaluations"
RECORD = "evaluation.json"
ROUNDING = 1e-5  # relative; what another order of summation may make of a float32 loss


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The figures that training wrote of the same split, by name, and what to say of them.

    same: to the last digit. close: but for rounding.
    """

    before: Mapping[str, float]
    same: bool
    close: bool
    text: str


def compared(trained: Trained, source: Source, judged: Judged) -> Comparison | None:
    """The judged figures beside those of the run's summary; None where it has none of this split.

    Figures of training are no more of one network than the epoch is of one: they are left out.
    """
    stored = trained.summary.get("metrics")
    if source.kind != "own" or judged.split not in ("val", "test") or not isinstance(stored, dict):
        return None
    known: dict[str, float] = {}
    pairs: dict[str, tuple[float, float]] = {}
    for name, now in judged.metrics.items():
        before = stored.get(f"{name}/{judged.split}")
        if isinstance(before, (int, float)) and now is not None:
            known[name] = float(before)
            pairs[name] = (known[name], now)
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if not pairs:
        return None
    if not differing:
        return Comparison(known, True, True, "equal to training's figures, to the last digit")
    close = all(math.isclose(*pair, rel_tol=ROUNDING) for pair in differing.values())
    then = trained.summary.get("device")
    where = f"trained on {shown(then, 60)}, judged on {describe(trained.compute.device)}"
    listed = ", ".join(f"{n} {a!r} then, {b!r} now" for n, (a, b) in differing.items())
    kind = "equal to training's figures but for rounding" if close else "not training's figures"
    return Comparison(known, False, close, f"{kind}: {listed} ({where})")


def folder_of(trained: Trained, source: Source, out: Path | None) -> Path:
    """The folder that the evaluation is written to, made if need be, and found to be writable.

    out: None for RUN/evaluations/SPLIT, or DATASET-SPLIT where the data is not the run's own.
    Raises UserError where nothing can be written.
    """
    name = source.split if source.kind == "own" else f"{source.name}-{source.split}"
    folder = trained.run_dir / FOLDER / file_name(name) if out is None else out
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{RECORD}.probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        advice = "say where else with -o DIR" if out is None else "for example -o evaluation"
        raise UserError(
            f"{shown(folder)}: cannot be written to: {error.strerror} ({advice})"
        ) from error
    return folder


def file_name(name: str) -> str:
    """A name that is one part of a path, whatever stands in a stranger's config.

    >>> file_name("mnist-test"), file_name("../x y/all")
    ('mnist-test', '_x_y_all')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".")[:100] or "data"


def record(
    trained: Trained,
    source: Source,
    judged: Judged,
    comparison: Comparison | None,
    words: Sequence[str],
) -> dict[str, Any]:
    """All figures as plain values, with what they are of."""
    entry: dict[str, Any] = {
        "run": trained.name,
        "epoch": trained.epoch,
        "data": source.name,
        "data_kind": source.kind,
        "words": list(words),
        "split": judged.split,
        "samples": judged.num_samples,
        "device": describe(trained.compute.device),
        "metrics": dict(judged.metrics),
        "intervals": {
            name: {"low": low, "high": high, "level": LEVEL}
            for name, (low, high) in judged.intervals.items()
        },
        "resamples": RESAMPLES if judged.confusion is not None else resamples(judged.num_samples),
        "training": None
        if comparison is None
        else {"metrics": dict(comparison.before), "equal": comparison.same},
        "notes": [*trained.notes, *source.notes, *judged.remarks],
    }
    if judged.confusion is not None:
        average = dataclasses.asdict(macro_average(judged.per_class))
        entry |= {
            "classes": [dataclasses.asdict(scores) for scores in judged.per_class],
            "macro_average": {k: v for k, v in average.items() if k != "name"},
            "confusion": judged.confusion.tolist(),
            "calibration": calibration_record(judged.calibration),
        }
    cleaned: dict[str, Any] = plain(entry)
    return cleaned


def calibration_record(calibration: Calibration | None) -> dict[str, Any] | None:
    """The calibration as plain values, its bins one by one."""
    if calibration is None:
        return None
    return {
        "expected_calibration_error": calibration.ece,
        "mean_confidence": calibration.mean_confidence,
        "bins": [
            {
                "low": float(calibration.edges[b]),
                "high": float(calibration.edges[b + 1]),
                "samples": int(calibration.counts[b]),
                "confidence": float(calibration.confidence[b]),
                "accuracy": float(calibration.accuracy[b]),
            }
            for b in range(len(calibration.counts))
        ],
    }


def as_text(entry: Mapping[str, Any]) -> str:
    """The record as JSON."""
    return json.dumps(entry, indent=2, ensure_ascii=False)


def write(folder: Path, entry: Mapping[str, Any], trained: Trained, judged: Judged) -> list[Path]:
    """The files now in the folder: the record, and the pictures that the task has."""
    files = [folder / RECORD]
    replace_text(files[0], as_text(entry) + "\n")
    for name, figure in pictures(trained, judged):
        files.append(folder / f"{name}.png")
        figure.savefig(files[-1])
    return files


def pictures(trained: Trained, judged: Judged) -> Iterator[tuple[str, Any]]:
    """Names and figures of a judged split."""
    from dlrun import figures  # matplotlib takes a second to import
    from dlrun.figures.reliability import reliability_diagram

    classes = trained.data.classes
    if judged.confusion is not None:
        yield "confusion", figures.confusion_matrix(judged.confusion, classes)
    if (found := judged.calibration) is not None:
        yield (
            "reliability",
            reliability_diagram(
                *(found.edges, found.counts, found.confidence, found.accuracy, found.ece),
                num_classes=len(classes),
            ),
        )
    if judged.predictions is not None:
        targets, outputs = (np.asarray(values) for values in judged.predictions)
        yield "residuals", figures.predictions(targets, outputs, trained.data.target_name)
