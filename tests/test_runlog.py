"""What a run leaves behind, read back with JSON's and TensorBoard's own readers."""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.backend_context import Context

from dlrun.diagnostics import FIGURES, Record, read_records
from dlrun.errors import UserError
from dlrun.figures import gif
from dlrun.provenance import installed_versions
from dlrun.run_files import DIAGNOSTICS
from dlrun.runlog import RunLog
from dlrun.terminal import Terminal

SUMMARY_KEYS = {
    *("status", "stopped_by", "error", "seed", "overrides", "hparams", "epochs", "steps"),
    *("parameters", "best_epoch", "metrics", "train_seconds", "samples_per_second", "device"),
    *("monitor", "versions", "git", "skipped_batches", "resumed", "trainable_parameters"),
    *("evaluations", "baselines", "diagnosis"),
    *("started", "command", "rerun_of", "data", "host"),
}
MOMENTUM = {"optimizer": "momentum", "lr": 0.1, "momentum": 0.9, "beta1": None, "batch_norm": False}
ADAM = {"optimizer": "adam", "lr": 0.001, "momentum": None, "beta1": 0.9, "batch_norm": False}


def open_log(run_dir: Path) -> RunLog:
    return RunLog(run_dir, overrides=["optimizer=adam"], terminal=Terminal(quiet=True))


def epoch_line(epoch: int, loss: float = 0.5, **others: float | None) -> dict[str, float | None]:
    figures = {"loss/train": loss, "loss/val": 0.6, "accuracy/train": 0.9, "accuracy/val": 0.8}
    times = {"lr": 0.1, "grad_norm": None, "time/epoch": 0.1, "time/total": 0.1}
    counts = {"epoch": epoch, "step": 10 * epoch, "evaluations": 10 * epoch}
    return {**counts, **figures, **times, **others}


def write_run(run_dir: Path, hparams: Mapping[str, Any]) -> None:
    with open_log(run_dir) as log:
        log.start("seed: 0", "layer", hparams)
        for epoch in range(3):
            log.epoch(epoch_line(epoch))
        log.finals({"loss/test": 0.7, "accuracy/test": 0.75}, 20)
        log.update(status="completed", stopped_by="epochs")


def read_summary(run_dir: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return summary


def read_events(run_dir: Path) -> EventAccumulator:
    (file,) = run_dir.rglob("*tfevents*")
    events = EventAccumulator(str(file))
    events.Reload()
    return events


def session_start(run_dir: Path) -> Any:
    content = read_events(run_dir).SummaryMetadata(metadata.SESSION_START_INFO_TAG)
    return metadata.parse_session_start_info_plugin_data(content.plugin_data.content)


def hparams_page(folder: Path) -> Any:
    """The columns that TensorBoard's tab HPARAMS shows for the runs in `folder`."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    backend = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(folder))))
    request = context.RequestContext()
    contents = backend.hparams_metadata(request, "")
    return backend.experiment_from_metadata(request, "", True, contents, [])


def test_one_event_file_holds_the_curves_and_the_hyper_parameters(tmp_path: Path) -> None:
    write_run(tmp_path / "run", ADAM)
    events = read_events(tmp_path / "run")
    expected = {"loss/train": 0.5, "loss/val": 0.6, "accuracy/train": 0.9, "accuracy/val": 0.8}
    for tag, value in expected.items():
        points = [(point.step, point.value) for point in events.Scalars(tag)]
        assert points == [(step, pytest.approx(value)) for step in (0, 10, 20)], tag
    assert events.Scalars("accuracy/test")[0].value == pytest.approx(0.75)
    assert {"epoch", "step", "time/total"}.isdisjoint(events.Tags()["scalars"])
    hparams = session_start(tmp_path / "run").hparams
    assert hparams["lr"].number_value == 0.001
    assert hparams["optimizer"].string_value == "adam"
    assert hparams["batch_norm"].WhichOneof("kind") == "bool_value"
    assert hparams["momentum"].WhichOneof("kind") == "null_value"
    content = events.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == api_pb2.STATUS_SUCCESS


def test_runs_with_different_optimizers_have_the_same_columns(tmp_path: Path) -> None:
    write_run(tmp_path / "a", MOMENTUM)
    write_run(tmp_path / "b", ADAM)
    keys = [set(session_start(tmp_path / name).hparams) for name in "ab"]
    assert keys[0] == keys[1] == set(ADAM)

    page = hparams_page(tmp_path)
    types = {column.name: column.type for column in page.hparam_infos}
    assert types == {
        "lr": api_pb2.DATA_TYPE_FLOAT64,
        "momentum": api_pb2.DATA_TYPE_FLOAT64,
        "beta1": api_pb2.DATA_TYPE_FLOAT64,
        "optimizer": api_pb2.DATA_TYPE_STRING,
        "batch_norm": api_pb2.DATA_TYPE_BOOL,
    }
    # What the runs differ in comes first: TensorBoard shows five columns unasked.
    assert [column.name for column in page.hparam_infos][-1] == "batch_norm"
    metrics = {metric.name.tag for metric in page.metric_infos}
    assert {"loss/val", "accuracy/val", "loss/test", "accuracy/test"} <= metrics


def test_custom_scalars_draw_what_the_run_measures_and_nothing_else(tmp_path: Path) -> None:
    write_run(tmp_path / "run", ADAM)
    (event,) = read_events(tmp_path / "run").Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {chart.title: list(chart.multiline.tag) for chart in layout.category[0].chart}
    assert charts == {
        "loss": ["loss/train", "loss/val"],
        "accuracy": ["accuracy/train", "accuracy/val"],
    }


def test_a_figure_is_a_file_and_an_image_in_tensorboard(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.figure("curves", Figure(figsize=(2, 1)), step=20)
    assert (tmp_path / "figures/curves.png").stat().st_size > 0
    (image,) = read_events(tmp_path).Images("plots/curves")
    assert image.step == 20
    assert image.width == 2 * image.height


def test_an_animation_is_a_file_and_moves_in_tensorboard_too(tmp_path: Path) -> None:
    pictures = [np.full((20, 30, 3), value, dtype=np.uint8) for value in (0, 255, 40)]
    content = gif(pictures)
    with open_log(tmp_path) as log:
        log.animation("path", content, width=30, height=20, step=7)
    assert (tmp_path / "figures/path.gif").read_bytes() == content
    (image,) = read_events(tmp_path).Images("animations/path")
    assert (image.step, image.width, image.height) == (7, 30, 20)
    assert image.encoded_image_string == content
    with Image.open(io.BytesIO(image.encoded_image_string)) as opened:
        assert (opened.format, opened.size, opened.n_frames) == ("GIF", (30, 20), 3)


def record(step: int, grad: float, **others: float) -> Record:
    figures = {"size": 6.0, "grad": grad, "weight": 2.0, "update": 0.5, "ratio": 0.25}
    return {"step": step, "layers": {"hidden": dict.fromkeys(FIGURES) | figures | others}}


def test_what_was_watched_is_a_line_and_scalars(tmp_path: Path) -> None:
    records = [record(1, 0.5, dead=0.25), record(10, math.inf)]
    with open_log(tmp_path) as log:
        for one in records:
            log.watched(one)
    assert read_records(tmp_path / DIAGNOSTICS) == records
    assert len((tmp_path / DIAGNOSTICS).read_text().splitlines()) == 2
    events = read_events(tmp_path)
    gradients = [(point.step, point.value) for point in events.Scalars("gradients/hidden")]
    assert gradients == [(1, 0.5), (10, math.inf)]
    assert [point.value for point in events.Scalars("update_ratio/hidden")] == [0.25, 0.25]
    assert [point.step for point in events.Scalars("dead_relus/hidden")] == [1]
    assert "saturated/hidden" not in events.Tags()["scalars"]


def test_nothing_watched_leaves_no_file(tmp_path: Path) -> None:
    write_run(tmp_path, ADAM)
    assert not (tmp_path / DIAGNOSTICS).exists()


def test_evaluations_are_told_where_they_are_not_the_steps(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        for epoch in range(3):
            log.epoch(epoch_line(epoch, evaluations=100 * epoch))
        assert read_summary(tmp_path)["evaluations"] == 200
    points = [(point.step, point.value) for point in read_events(tmp_path).Scalars("evaluations")]
    assert points == [(10, 100), (20, 200)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["evaluations"] for line in lines] == [0, 100, 200]


def test_evaluations_that_are_the_steps_are_not_told_twice(tmp_path: Path) -> None:
    write_run(tmp_path, ADAM)
    assert read_summary(tmp_path)["evaluations"] == 20
    assert "evaluations" not in read_events(tmp_path).Tags()["scalars"]


def test_summary_stands_from_the_first_moment(tmp_path: Path) -> None:
    with open_log(tmp_path):
        summary = read_summary(tmp_path)
        assert set(summary) == SUMMARY_KEYS
        assert summary["status"] == "running"
        assert summary["overrides"] == ["optimizer=adam"]
        assert summary["versions"] == installed_versions()
        assert {path.name for path in tmp_path.glob(".*")} == {".lock", ".room"}


def test_summary_follows_the_epochs(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.epoch(epoch_line(2))
        assert (read_summary(tmp_path)["epochs"], read_summary(tmp_path)["steps"]) == (2, 20)


def test_summary_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that is cut short before its end leaves the summary that was there."""
    with open_log(tmp_path) as log:
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                log.update(seed=7)
        assert read_summary(tmp_path)["seed"] is None


def test_numbers_that_json_lacks_become_null(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    with open_log(tmp_path) as log:
        log.epoch(epoch_line(1, loss=math.nan, **{"loss/val": math.inf}))
        log.update(metrics={"loss/val": -math.inf})
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    read = json.loads(line, parse_constant=refuse)
    assert (read["loss/train"], read["loss/val"], read["accuracy/val"]) == (None, None, 0.8)
    text = (tmp_path / "summary.json").read_text()
    assert json.loads(text, parse_constant=refuse)["metrics"] == {"loss/val": None}


def test_a_file_name_that_is_not_utf8_does_not_stop_the_run(tmp_path: Path) -> None:
    path = os.fsdecode(b"dataset.path=\xff.csv")
    with RunLog(tmp_path, overrides=[path], terminal=Terminal(quiet=True)):
        assert read_summary(tmp_path)["overrides"] == [path]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RuntimeError("boom"), "RuntimeError: boom"),
        (UserError("batch_size=0: expected"), "batch_size=0: expected"),
    ],
)
def test_a_failed_run_says_why(tmp_path: Path, error: Exception, text: str) -> None:
    with pytest.raises(type(error)), open_log(tmp_path) as log:
        log.start("seed: 0", "layer", ADAM)
        raise error
    summary = read_summary(tmp_path)
    assert (summary["status"], summary["error"]) == ("failed", text)
    content = read_events(tmp_path).SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data
    end = metadata.parse_session_end_info_plugin_data(content.content)
    assert end.status == api_pb2.STATUS_FAILURE


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), open_log(tmp_path) as log:
        log.epoch(epoch_line(1))
        raise KeyboardInterrupt
    summary = read_summary(tmp_path)
    assert (summary["status"], summary["stopped_by"]) == ("interrupted", "signal")
    assert summary["epochs"] == 1


def test_an_existing_run_is_refused_and_left_alone(tmp_path: Path) -> None:
    with open_log(tmp_path) as log:
        log.update(status="completed")
    before = (tmp_path / "summary.json").read_bytes()
    with pytest.raises(UserError) as caught, open_log(tmp_path):
        pytest.fail("was opened a second time")
    assert str(caught.value) == (
        f"hydra.run.dir={tmp_path}: holds a run already; a run never writes over another "
        "(name a new directory)"
    )
    assert (tmp_path / "summary.json").read_bytes() == before


def test_git_is_the_commit_and_nothing_about_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=Jane Roe", "-c", "user.email=jane@example.org")
        done = subprocess.run(["git", *identity, *words], check=True, capture_output=True)
        return done.stdout.decode().strip()

    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert open_log(tmp_path / "none").summary["git"] is None
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message=first")
    clean = open_log(tmp_path / "clean").summary
    assert clean["git"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "new.py").touch()
    assert open_log(tmp_path / "dirty").summary["git"]["dirty"] is True
    text = json.dumps([clean["git"], clean["versions"]])
    for private in ("Jane", "jane", str(tmp_path), str(Path.home())):
        assert private not in text
