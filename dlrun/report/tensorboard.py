"""Runs that average the seeds of a setting, for TensorBoard, which cannot do that itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlrun.report.settings import rows_of, settings
from dlrun.report.words import number_ranges

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from dlrun.report.read import Sweep

PREFIX = "mean±"
MAX_NAME = 200  # bytes of a folder's name; file systems take 255
LOW, HIGH = "mean-std/", "mean+std/"  # before a tag: ends of the band
LARGEST_STEP = 2**62  # what an event file's 64 bits hold
BANDED = ("/train", "/val")
NOT_AVERAGED = ("epoch", "step", "time/total")


def write_mean_runs(sweep: Sweep, folder: Path) -> list[Path]:
    """The runs written into the folder: `mean±SETTING` for each setting with 2 finished seeds.

    Each has, under the tags of the runs themselves, the mean over seeds at every epoch that all
    of them have, so that it lies on one chart with them; of losses and metrics, under mean-std/…
    and mean+std/…, one standard deviation (of a sample) to both sides, which the tab Custom
    Scalars draws as a band; and as text which seeds it averages. Only completed runs take part,
    as in `settings`.

    Such runs of an earlier report are replaced. The wall time is the mean training time, so that
    TensorBoard's relative axis shows it.
    """
    _remove_earlier(folder)
    written: list[Path] = []
    names: set[str] = set()
    for row in settings(sweep).to_dict("records"):
        runs = sweep.runs.iloc[rows_of(sweep, row["jobs"])]
        runs = runs[(runs["status"] == "completed") & runs["job"].isin(list(sweep.curves))]
        if runs["seed"].nunique() < 2:
            continue
        setting = row["label"].replace(" ", ",") if sweep.swept else "seeds"
        path = folder / _free_name(f"{PREFIX}{setting}", names)
        path.mkdir(exist_ok=True)
        lines = [sweep.curves[job] for job in runs["job"]]
        _write(path, *average(lines), _about(row, runs))
        written.append(path)
    return written


def average(
    lines: Sequence[pandas.DataFrame],
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """Columns that all curves have, their mean (epochs, columns), and their standard deviation.

    Only epochs that all have count: where a seed stopped early, the mean would jump. NaN where a
    curve has no value.
    """
    columns = [str(name) for name in lines[0] if all(name in other for other in lines)]
    tables = [curve[columns].to_numpy() for curve in lines]
    place = columns.index("epoch")
    rows = [{epoch: k for k, epoch in enumerate(table[:, place].tolist())} for table in tables]
    epochs = sorted(set.intersection(*map(set, rows)))
    values = np.stack(
        [table[[own[epoch] for epoch in epochs]] for table, own in zip(tables, rows, strict=True)]
    )  # (runs, epochs, columns)
    return columns, values.mean(0), values.std(0, ddof=1)


def _write(
    path: Path,
    columns: Sequence[str],
    means: NDArray[np.float64],
    deviations: NDArray[np.float64],
    about: str,
) -> None:
    """One event file; several values of one step share a record, which halves the time."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    tags = [name for name in columns if name not in NOT_AVERAGED]
    start = time.time()
    name = f"events.out.tfevents.{start:.0f}.mean"
    with (path / name).open("wb") as file:
        writer = RecordWriter(file)

        def write(step: int = 0, seconds: float = 0.0, **content: Any) -> None:
            event = Event(wall_time=start + seconds, step=step, **content)
            writer.write(event.SerializeToString())

        write(file_version="brain.Event:2")
        banded = [tag for tag in tags if tag.endswith(BANDED)]
        write(summary=Summary(value=[_text("seeds", about), _layout(banded)]))
        for mean, deviation in zip(means, deviations, strict=True):
            at_epoch = dict(zip(columns, mean.tolist(), strict=True))
            spread = dict(zip(columns, deviation.tolist(), strict=True))
            step = at_epoch.get("step", at_epoch["epoch"])
            if not 0 <= step < LARGEST_STEP:  # NaN: a line that is damaged
                continue
            total = at_epoch.get("time/total", 0.0)
            values = [
                Summary.Value(tag=f"{prefix}{tag}", simple_value=value)
                for tag in tags
                for prefix, value in _band(tag, at_epoch[tag], spread[tag])
                if value == value
            ]
            write(round(step), total if total == total else 0.0, summary=Summary(value=values))


def _band(tag: str, mean: float, deviation: float) -> list[tuple[str, float]]:
    ends = [(LOW, mean - deviation), (HIGH, mean + deviation)]
    return [("", mean), *(ends if tag.endswith(BANDED) else [])]


def _layout(tags: Sequence[str]) -> Any:
    """A summary for the tab Custom Scalars: a chart with a band for each tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.custom_scalar import metadata
    from tensorboard.plugins.custom_scalar.layout_pb2 import (
        Category,
        Chart,
        Layout,
        MarginChartContent,
    )

    charts = []
    for tag in tags:
        series = MarginChartContent.Series(value=tag, lower=f"{LOW}{tag}", upper=f"{HIGH}{tag}")
        charts.append(Chart(title=tag, margin=MarginChartContent(series=[series])))
    layout = Layout(category=[Category(title="mean ± standard deviation over seeds", chart=charts)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    return Summary.Value(
        tag=metadata.CONFIG_SUMMARY_TAG,
        tensor=tensor,
        metadata=metadata.create_summary_metadata(),
    )


def _text(tag: str, text: str) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.text import metadata

    shown = "\n".join(f"    {line}" for line in text.splitlines())  # Markdown for: as it stands
    return Summary.Value(
        tag=tag,
        tensor=TensorProto(dtype=DT_STRING, string_val=[shown.encode()]),
        metadata=metadata.create_summary_metadata(display_name=tag, description=""),
    )


def _about(row: dict[Any, Any], runs: pandas.DataFrame) -> str:
    seeds = number_ranges({int(seed) for seed in runs["seed"].dropna()})
    text = f"{row['label']}\nmean of the jobs {number_ranges(runs['job'])} (seeds {seeds})"
    left_out = sorted(set(row["jobs"]) - set(runs["job"]))
    return text + (f"\nleft out: jobs {number_ranges(left_out)}" if left_out else "")


def _free_name(name: str, taken: set[str]) -> str:
    """The name as a folder may be called, with a number behind it where it is taken."""
    safe = re.sub(r'[\x00-\x1f\x7f/\\:*?"<>|]', "_", name)
    short = safe.encode()[:MAX_NAME].decode(errors="ignore")
    found, k = short, 2
    while found in taken:
        found, k = f"{short}~{k}", k + 1
    taken.add(found)
    return found


def _remove_earlier(folder: Path) -> None:
    """Takes away mean runs; a folder that holds anything else keeps that."""
    for path in folder.glob(f"{PREFIX}*"):
        for events in path.glob("events.out.tfevents.*.mean"):
            events.unlink()
        if path.is_dir() and not any(path.iterdir()):
            os.rmdir(path)
