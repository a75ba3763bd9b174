"""What summary.json says from the first moment on, and what a run adds to it that goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlrun.datasets import Splits
from dlrun.environment import host
from dlrun.provenance import Origin, installed_versions, now


def new_summary(overrides: Sequence[str], origin: Origin) -> dict[str, Any]:
    """All entries of a run's summary, most of them still empty."""
    return {
        "status": "running",
        "started": now(),
        "command": list(origin.command),
        "rerun_of": origin.rerun_of,
        "stopped_by": None,
        "error": None,
        "seed": None,
        "overrides": list(overrides),
        "hparams": {},
        "epochs": 0,
        "steps": 0,
        "evaluations": 0,
        "parameters": None,
        "trainable_parameters": None,
        "monitor": None,
        "best_epoch": None,
        "metrics": {},
        "baselines": {},
        "diagnosis": None,
        "skipped_batches": 0,
        "train_seconds": None,
        "samples_per_second": None,
        "data": None,
        "device": None,
        "host": host(),
        "versions": dict(installed_versions()),
        "git": origin.git,
        "resumed": [],
    }


def resumed_summary(
    before: Mapping[str, Any], fresh: Mapping[str, Any], step: int
) -> dict[str, Any]:
    """The summary of a run that goes on after so many steps: what it was, and a note on that.

    fresh: what it would say if it began here and now, which is all there is where the summary has
    been lost. host: in the note where it is another one.
    """
    # Of the beginning; a summary of an older dlrun does not tell, and here is not there.
    begun = {} if not before else dict.fromkeys(("started", "command", "rerun_of", "host", "git"))
    note = {
        "step": step,
        "overrides": fresh["overrides"],
        "versions": changed_versions({**fresh, **before}, fresh),
        "started": fresh["started"],
        "command": fresh["command"],
        "host": None if fresh["host"] == before.get("host", fresh["host"]) else fresh["host"],
        "git": fresh["git"],
    }
    summary = {**fresh, **begun, **before}
    summary.update(status="running", stopped_by=None, error=None)
    summary["resumed"] = [*summary["resumed"], note]
    return summary


def changed_versions(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The versions in the summary `after` that are not those in the summary `before`."""
    known = before.get("versions", {})
    return {name: v for name, v in after["versions"].items() if known.get(name) != v}


def data_record(name: str, data: Splits) -> dict[str, Any]:
    """What the summary says of the data: its name, its checksum, the samples of each split."""
    parts = {"train": data.train, "val": data.val, "test": data.test}
    counts = {split: len(part) for split, part in parts.items()}
    return {"name": name, "checksum": data.checksum, "num_samples": counts}
