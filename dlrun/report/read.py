"""Sweeps and run directories as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlrun.errors import UserError, printable
from dlrun.report.files import Job, Source, number, read_lines, read_source, read_summary, text
from dlrun.report.hyper_parameters import Columns, hyper_parameters

if TYPE_CHECKING:
    import pandas

BASELINE = "baseline_"  # before the name of a simpler model, in the name of a column
HIGHER_IS_BETTER = ("accuracy", "r2")  # of all else, losses and errors, less is better
COUNTS = ("seed", "epochs_done", "best_epoch", "steps", "evaluations", "parameters")
FIXED = ("job", "folder", "status", "stopped_by", "error", *COUNTS, "seconds")


@dataclass(frozen=True)
class Sweep:
    """The runs of one or several folders, finished or not.

    metric: what settings are chosen by, never one of the test split. swept: hyper-parameters that
    vary, the seed left out, columns of `runs`; a missing value there means that the key does not
    apply (None in a column of objects, NaN in one of numbers). damaged: what could not be read or
    not be taken as it was, a line each.

    runs: one row a run, in the order of `job`, the index 0, 1, …:
      job (int, unique), folder (as seen from the sweep's), status (completed, diverged, failed,
      interrupted, running, pruned, pending; damaged: its summary cannot be read), stopped_by,
      error, seed, epochs_done, best_epoch, steps, evaluations (how often the loss of a batch was
      computed), parameters, seconds (of training): NaN or None where unknown;
      then hyper-parameters: all of `swept`, then those of the summaries (`lr`, `batch_size`,
      `optimizer`, `epochs`: the number asked for, …), which are filled from swept keys
      (`optimizer.lr`) for runs without a summary; numbers are float64 or int64, all else objects;
      then metrics at the best epoch (`loss/val`, `accuracy/test`, `time/total`, …), float64;
      then those of simpler models on the same splits (`baseline_linear:mse/test`), float64.
    curves: by job, lines of metrics.jsonl: epoch, step, `loss/train`, …, `time/total`, float64,
      what is not finite NaN; only of runs that have any. Epoch 0 is before training.
    run_dirs: by job where it lies.
    """

    name: str
    folder: Path
    metric: str
    higher_is_better: bool
    swept: list[str]
    runs: pandas.DataFrame
    curves: dict[int, pandas.DataFrame]
    damaged: list[str]
    run_dirs: dict[int, Path] = field(default_factory=dict)


def read_sweep(folders: Sequence[Path]) -> Sweep:
    """The sweep in a folder; several folders, or single run directories, make one comparison.

    Settings are told apart by the values in sweep.yaml. Where there is none, or several folders
    are compared, by the recorded hyper-parameters in which the runs differ.

    Raises UserError for a folder with neither sweep.yaml nor run directories.
    """
    import pandas

    damaged: list[str] = []
    sources = [_source(Path(folder), damaged) for folder in folders]
    jobs = _numbered(sources)
    summaries = [read_summary(job, damaged) for job in jobs]
    swept, hparams = hyper_parameters(sources, jobs, summaries, FIXED)
    metrics = _metrics(summaries, taken={*FIXED, *swept, *hparams})
    metric, higher_is_better = _metric(sources, metrics, damaged)
    columns = {**_fixed(jobs, summaries), **swept, **hparams, **metrics, **_baselines(summaries)}
    return Sweep(
        name=" + ".join(dict.fromkeys(source.name for source in sources)),
        folder=sources[0].folder,
        metric=metric,
        higher_is_better=higher_is_better,
        swept=[key for key, column in swept.items() if len(set(column)) > 1],
        runs=pandas.DataFrame({name: _series(name, column) for name, column in columns.items()}),
        curves=_curves(jobs, summaries, damaged),
        damaged=damaged,
        run_dirs={job.number: job.path for job in jobs if job.path is not None},
    )


def _source(folder: Path, damaged: list[str]) -> Source:
    source = read_source(folder, damaged)
    if source is not None:
        return source
    name = printable(str(folder))
    if not folder.is_dir():
        raise UserError(f"{name}: no such folder (expected that of a sweep or of a run)")
    within = sorted(path.parent for path in folder.glob("*/sweep.yaml"))
    hint = f"; its newest sweep is {printable(str(within[-1]))}" if within else ""
    raise UserError(
        f"{name}: holds neither a readable sweep.yaml nor run directories with a summary.json "
        f"(expected the folder of a sweep, such as outputs/sweeps/NAME/DATE_TIME-1a2b){hint}"
    )


def _numbered(sources: Sequence[Source]) -> list[Job]:
    """All jobs, those of later sources counted on, their folders told apart by the source's."""
    if len(sources) == 1:
        return sources[0].jobs
    jobs: list[Job] = []
    for source in sources:
        start = 1 + max((job.number for job in jobs), default=-1)
        for job in source.jobs:
            name = job.folder
            if job.path != source.folder:  # else the source is this one run
                name = f"{text(source.folder.resolve().name)}/{name}"
            jobs.append(replace(job, number=start + job.number, folder=name))
    return jobs


def _curves(
    jobs: Sequence[Job], summaries: Sequence[Mapping[str, Any]], damaged: list[str]
) -> dict[int, pandas.DataFrame]:
    import pandas

    curves = {}
    indexes: dict[tuple[str, ...], pandas.Index[str]] = {}  # making one takes longer than a frame
    for job, summary in zip(jobs, summaries, strict=True):
        if summary["status"] == "pending":
            continue
        names, values = read_lines(job, summary["status"] == "running", damaged)
        if len(values):
            if (key := tuple(names)) not in indexes:
                indexes[key] = pandas.Index(names)
            curves[job.number] = pandas.DataFrame(values, columns=indexes[key])
    return curves


def _fixed(jobs: Sequence[Job], summaries: Sequence[Mapping[str, Any]]) -> Columns:
    columns: Columns = {"job": [job.number for job in jobs]}
    columns["folder"] = [job.folder for job in jobs]
    for name in ("status", "stopped_by", "error"):
        entries = [summary.get(name) for summary in summaries]
        columns[name] = [None if entry is None else text(entry) for entry in entries]
    for name in (*COUNTS, "seconds"):
        stored = {"epochs_done": "epochs", "seconds": "train_seconds"}.get(name, name)
        columns[name] = [number(summary.get(stored)) for summary in summaries]
    planned = [number(job.values.get("seed")) for job in jobs]
    columns["seed"] = [
        plan if math.isnan(seed) else seed
        for seed, plan in zip(columns["seed"], planned, strict=True)
    ]
    return columns


def _metrics(summaries: Sequence[Mapping[str, Any]], taken: set[str]) -> Columns:
    """A column for each figure at the best epoch, by name, times last."""
    names = {text(name) for summary in summaries for name in summary.get("metrics", {})} - taken
    rows = [
        {text(name): number(value) for name, value in summary.get("metrics", {}).items()}
        for summary in summaries
    ]
    ordered = sorted(names, key=lambda name: (name.startswith("time/"), name))
    return {name: [row.get(name, math.nan) for row in rows] for name in ordered}


def _baselines(summaries: Sequence[Mapping[str, Any]]) -> Columns:
    """A column for each figure of each baseline, `baseline_NAME:METRIC`, in the runs' order."""
    rows = []
    for summary in summaries:
        found = summary.get("baselines")
        named = found.items() if isinstance(found, dict) else ()
        rows.append(
            {
                f"{BASELINE}{text(name)}:{text(metric)}": number(value)
                for name, figures in named
                if isinstance(figures, dict)
                for metric, value in figures.items()
            }
        )
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name, math.nan) for row in rows] for name in names}


def _metric(
    sources: Sequence[Source], metrics: Iterable[str], damaged: list[str]
) -> tuple[str, bool]:
    """What settings are chosen by and whether more of it is better."""
    planned = [source for source in sources if source.metric is not None]
    metric = "accuracy/val" if "accuracy/val" in metrics else "loss/val"
    if planned and planned[0].metric is not None:
        metric = planned[0].metric
    for source in planned:
        if source.metric != metric:
            damaged.append(
                f"{source.name}: its metric is {source.metric}; {metric} is used for all"
            )
    if metric.endswith("/test"):
        validation = f"{metric.removesuffix('/test')}/val"
        damaged.append(
            f"sweep.yaml: metric {metric}: the test split decides nothing; {validation} is used"
        )
        metric = validation
    higher = planned[0].higher_is_better if planned else None
    return metric, metric.partition("/")[0] in HIGHER_IS_BETTER if higher is None else higher


def _series(name: str, column: Sequence[Any]) -> pandas.Series[Any]:
    """Numbers as int64 where all are whole and there, else float64; all else as objects."""
    import pandas

    present = [value for value in column if value is not None]
    if not present or not all(type(value) in (int, float) for value in present):
        kind = "object" if name not in (*COUNTS, "seconds", "job") else "float64"
        return pandas.Series(list(column), dtype=kind)
    if len(present) == len(column) and all(type(value) is int for value in present):
        return pandas.Series(column, dtype="int64")
    whole = name in COUNTS and all(value == value for value in present)
    return pandas.Series(column, dtype="float64").astype("int64" if whole else "float64")
