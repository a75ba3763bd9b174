"""Runs that average the seeds, read back with TensorBoard's own reader."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from report_runs import sweep_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2, metadata

from dlrun.report.tensorboard import average, write_mean_runs


def scalars(run: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(run))
    events.Reload()
    found = events.Tensors(tag) if tag in events.Tags()["tensors"] else events.Scalars(tag)
    return [(event.step, pytest.approx(event.value)) for event in found]


def two_seeds(**told: Any) -> list[dict[str, Any]]:
    return [
        {"seed": 0, "value": 0.7, "curve": [0.1, 0.5, 0.7], **told},
        {"seed": 1, "value": 0.9, "curve": [0.3, 0.7, 0.9], **told},
    ]


def test_a_run_averages_the_seeds_of_a_setting(tmp_path: Path) -> None:
    runs = [
        *two_seeds(optimizer="adam", **{"optimizer.lr": 0.1}),
        {"optimizer": "sgd", "optimizer.lr": 0.1, "seed": 0, "value": 0.5, "curve": [0.1, 0.5]},
    ]
    written = write_mean_runs(sweep_of(tmp_path, runs), tmp_path)
    assert written == [tmp_path / "mean±optimizer=adam"]  # the other setting has one seed
    (run,) = written
    assert scalars(run, "accuracy/val") == [(0, 0.2), (10, 0.6), (20, 0.8)]
    half = math.sqrt(0.02)  # of 0.1 and 0.3: sqrt((0.01 + 0.01) / 1)
    assert scalars(run, "mean-std/accuracy/val") == [
        (0, 0.2 - half),
        (10, 0.6 - half),
        (20, 0.8 - half),
    ]
    assert scalars(run, "mean+std/accuracy/val")[2] == (20, 0.8 + half)
    assert scalars(run, "lr") == [(0, 0.5), (10, 0.5), (20, 0.5)]
    events = EventAccumulator(str(run))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == [
        "accuracy/val",
        "lr",
        "mean+std/accuracy/val",
        "mean-std/accuracy/val",
    ]
    times = [event.wall_time for event in events.Scalars("accuracy/val")]
    assert np.diff(times) == pytest.approx([2, 2], abs=1e-3)  # seconds of training


def test_what_a_mean_run_is_made_of_is_told(tmp_path: Path) -> None:
    runs = [*two_seeds(), {"seed": 2, "status": "diverged", "curve": [0.1]}]
    (run,) = write_mean_runs(sweep_of(tmp_path, runs), tmp_path)
    assert run.name == "mean±seeds"
    events = EventAccumulator(str(run))
    events.Reload()
    (text,) = events.Tensors("seeds")
    assert text.tensor_proto.string_val[0].decode() == (
        "    all runs\n    mean of the jobs 0, 1 (seeds 0, 1)\n    left out: jobs 2"
    )
    (entry,) = events.Tensors(metadata.CONFIG_SUMMARY_TAG)
    layout = layout_pb2.Layout.FromString(entry.tensor_proto.string_val[0])
    ((chart,),) = [category.chart for category in layout.category]
    (series,) = chart.margin.series
    assert (series.value, series.lower, series.upper) == (
        "accuracy/val",
        "mean-std/accuracy/val",
        "mean+std/accuracy/val",
    )


def test_only_epochs_that_all_seeds_have_are_averaged() -> None:
    long = pandas.DataFrame({"epoch": [0, 1, 2], "a": [1.0, 2.0, 9.0], "b": [0.0, 0.0, 0.0]})
    short = pandas.DataFrame({"epoch": [0, 1, 1], "a": [3.0, 8.0, 4.0]})  # resumed: the last counts
    columns, mean, std = average([long, short])
    assert columns == ["epoch", "a"]
    assert mean.tolist() == [[0, 2], [1, 3]]
    assert std[:, 1].tolist() == pytest.approx([math.sqrt(2), math.sqrt(2)])


def test_a_value_that_a_seed_lacks_has_no_mean(tmp_path: Path) -> None:
    runs = two_seeds()
    runs[1]["curve"] = [0.3, None, 0.9]
    (run,) = write_mean_runs(sweep_of(tmp_path, runs), tmp_path)
    assert scalars(run, "accuracy/val") == [(0, 0.2), (20, 0.8)]


def test_an_epoch_without_a_step_is_left_out(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, two_seeds())
    sweep.curves[0].loc[1, "step"] = math.nan
    (run,) = write_mean_runs(sweep, tmp_path)
    assert scalars(run, "accuracy/val") == [(0, 0.2), (20, 0.8)]


def test_one_seed_twice_is_not_two(tmp_path: Path) -> None:
    runs = [{**run, "seed": 0} for run in two_seeds()]
    assert write_mean_runs(sweep_of(tmp_path, runs), tmp_path) == []


def test_a_new_report_replaces_its_runs_and_nothing_else(tmp_path: Path) -> None:
    before = sweep_of(tmp_path, two_seeds(x="a/b: \x1b" + "y" * 300) + two_seeds(x="c"))
    gone, kept = write_mean_runs(before, tmp_path)
    assert len(gone.name.encode()) == 200
    assert gone.name.startswith("mean±x=a_b_,_yyy")
    assert kept == tmp_path / "mean±x=c"
    (kept / "mine.txt").write_text("a note")
    (tmp_path / "mean±file").write_text("another")
    after = tmp_path / "after"
    write_mean_runs(sweep_of(after, two_seeds(x="d") + two_seeds(x="e")), tmp_path)
    names = sorted(path.name for path in tmp_path.glob("mean±*"))
    assert names == ["mean±file", "mean±x=c", "mean±x=d", "mean±x=e"]
    assert [path.name for path in kept.iterdir()] == ["mine.txt"]


def test_settings_of_one_name_keep_apart(tmp_path: Path) -> None:
    runs = two_seeds(x="a/b") + two_seeds(x="a:b")
    names = [path.name for path in write_mean_runs(sweep_of(tmp_path, runs), tmp_path)]
    assert names == ["mean±x=a_b", "mean±x=a_b~2"]


def test_mean_runs_do_not_count_as_runs(tmp_path: Path) -> None:
    from dlrun.report.read import read_sweep

    sweep = sweep_of(tmp_path, two_seeds(x=1) + two_seeds(x=2))
    assert len(write_mean_runs(sweep, tmp_path)) == 2
    (tmp_path / "sweep.yaml").unlink()
    assert len(read_sweep([tmp_path]).runs) == 4
