"""Runs and sweeps as their files tell them, also where anybody has written them."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from report_runs import write_plan, write_run

from dlrun.run_files import locked
from dlrun.runs.records import Record, best_figure, read_record, records

HEX = "0f3a"
DAY = "2026-11-22"
NOON = datetime(2026, 11, 22, 14, 3, 22).timestamp()  # of this machine's clock, as in names


def names(*folders: str) -> list[str]:
    return [record.name for record in records([Path(folder) for folder in folders])]


def test_a_run_is_told_by_its_summary() -> None:
    folder = write_run(
        Path(f"outputs/runs/{DAY}/14-03-22-mlp-adam-digits-{HEX}"),
        value=0.75,
        overrides=["dataset=digits"],
        hparams={"lr": 0.1},
    )
    (folder / "tags").write_text("good\n\n  b_1 \n")
    (record,) = records([Path("outputs")])
    assert record == read_record(folder)
    assert (record.path, record.kind, record.status) == (folder, "run", "completed")
    assert record.name == f"14-03-22-mlp-adam-digits-{HEX}"
    assert (record.begun, record.seconds) == (NOON, 3.0)
    assert (record.overrides, record.hparams) == (("dataset=digits",), {"lr": 0.1})
    assert record.metrics["accuracy/val"] == 0.75
    assert record.tags == ("good", "b_1")
    assert record.summary["parameters"] == 25
    assert record.reason == ""


DAMAGE = {
    "empty": (b"", "empty"),
    "blank": (b" \n", "empty"),
    "cut off": (b'{"status": "comp', "not the JSON of a run, or cut off"),
    "no text": (b"\xff\xfe\x00\x01", "not the JSON of a run, or cut off"),
    "a huge number": (b'{"status": "completed", "seed": %s}' % (b"9" * 9999), "not the JSON"),
    "a list": (b"[]", "expected an object"),
    "nested": (b"[" * 200_000, "nested too deep"),
    "nested, but whole": (b'{"status": "a", "x": %s%s}' % (b"[" * 90, b"]" * 90), "too deep"),
    "no status": (b"{}", "has no status"),
    "another status": (b'{"status": 3}', "has no status"),
    "metrics": (b'{"status": "completed", "metrics": []}', "metrics is no object"),
    "hparams": (b'{"status": "completed", "hparams": null}', "hparams is no object"),
    "overrides": (b'{"status": "completed", "overrides": {}}', "overrides is no list"),
    "an override": (b'{"status": "completed", "overrides": [1]}', "overrides are not all text"),
    "a figure": (b'{"status": "completed", "metrics": {"a": "b"}}', "a figure is no number"),
    "a truth": (b'{"status": "completed", "metrics": {"a": true}}', "a figure is no number"),
    "the time": (b'{"status": "completed", "train_seconds": "1"}', "a figure is no number"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_summary_is_told(name: str) -> None:
    content, reason = DAMAGE[name]
    folder = Path(f"outputs/runs/{DAY}/14-03-22-a-b-c-{HEX}")
    folder.mkdir(parents=True)
    (folder / "summary.json").write_bytes(content)
    (folder / "tags").write_text("kept")
    (record,) = records([Path("outputs")])
    assert (record.status, record.begun, record.tags) == ("damaged", NOON, ("kept",))
    assert record.reason.startswith("summary.json: ") and reason in record.reason
    assert (record.summary, record.metrics, record.overrides) == ({}, {}, ())


def a_directory(path: Path) -> None:
    path.mkdir()


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_large_as_a_disk(path: Path) -> None:
    path.touch()
    os.truncate(path, 2**40)


@pytest.mark.parametrize("make", [a_directory, a_link_to_nothing, a_pipe, as_large_as_a_disk])
def test_what_is_no_file_is_damaged_and_not_waited_for(make: Callable[[Path], None]) -> None:
    Path("a").mkdir()
    make(Path("a/summary.json"))
    (record,) = records([Path()])
    assert (record.name, record.status) == ("a", "damaged")
    assert record.reason.startswith("summary.json: ")
    Path("tags").mkdir()
    write_run(Path("b"))
    make(Path("b/tags"))
    told = read_record(Path("b"))
    assert (told.status, told.tags) == ("completed", ())
    assert told.reason.startswith("tags: ") or make is a_link_to_nothing


def test_a_run_that_has_lost_its_summary_is_damaged_and_other_folders_are_none() -> None:
    write_run(Path("lost"))
    os.remove("lost/summary.json")
    Path("lost/.hydra").mkdir()
    Path("other/.hydra").mkdir(parents=True)  # of another program with Hydra
    Path("empty").mkdir()
    (record,) = records([Path()])
    assert (record.name, record.status) == ("lost", "damaged")
    assert record.reason == "summary.json: No such file or directory"


def test_what_may_not_be_listed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(Path("runs/a"))
    Path("runs/b").mkdir()
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refusing)
    found = list(records([Path("runs")]))
    assert [(r.name, r.status) for r in found] == [("a", "completed"), ("b", "damaged")]
    assert found[1].reason == "cannot be listed: Permission denied"


def test_figures_that_are_no_numbers_are_none() -> None:
    text = '{"status": "completed", "metrics": {"a": NaN, "b": 1e999, "c": %s, "d": -Infinity}}'
    Path("a").mkdir()
    Path("a/summary.json").write_text(text % ("1" * 400))
    record = read_record(Path("a"))
    assert record.metrics == dict.fromkeys("abcd")
    assert best_figure(record) is None


def test_trash_hidden_folders_links_and_runs_within_runs_are_left_out() -> None:
    write_run(Path("outputs/runs/a"))
    write_run(Path("outputs/runs/a/within"))
    write_run(Path("outputs/trash/b"))
    write_run(Path("outputs/.hidden/c"))
    write_run(Path("elsewhere/trash/d"))
    Path("outputs/link").symlink_to("../elsewhere")
    assert names("outputs") == ["a"]
    assert names(".") == ["d", "a"]
    assert names("outputs/trash", "elsewhere") == ["b", "d"]


def test_when_a_run_began() -> None:
    dated = f"{DAY}/14-03-22-mlp-adam-digits-{HEX}"
    told = {
        "2026-01-02T03:04:05+00:00": 1767323045.0,
        "2026-01-02T03:04:05Z": 1767323045.0,
        "2026-01-02T05:04:05.250+02:00": 1767323045.25,
        "yesterday": NOON,
        "9999-99-99": NOON,
        3: NOON,
    }
    for started, begun in told.items():
        folder = write_run(Path(f"{len(names('.'))}/{dated}"), started=started)
        assert read_record(folder).begun == begun
    odd = write_run(Path("2026-13-45/99-99-99-x"))  # of no calendar: the files tell it then
    (odd / ".hydra").mkdir()
    first = odd / ".hydra" / "overrides.yaml"
    first.touch()
    os.utime(first, (86_400, 86_400))
    assert read_record(odd).begun == 86_400


@pytest.mark.skipif(sys.platform == "win32", reason="locks are asked for with flock")
def test_a_run_that_nothing_keeps_running_was_killed() -> None:
    folder = write_run(Path("a"), status="running")
    assert read_record(folder).status == "killed"
    with locked(folder):
        assert read_record(folder).status == "running"
    assert read_record(folder).status == "killed"
    with locked(folder):  # to look has not kept the lock
        pass


def a_sweep(folder: Path = Path(f"outputs/sweeps/rates/{DAY}_14-03-22-{HEX}")) -> Path:
    write_plan(folder, [{"lr": 0.1}] * 5)
    for k, (value, status) in enumerate(
        [(0.5, "completed"), (0.75, "completed"), (0.875, "diverged"), (None, "failed")]
    ):
        words = ["model=mlp", f"optimizer.lr={k}", "seed=0"]
        hparams = {"model": "mlp", "lr": float(k)}
        write_run(
            folder / f"{k:04d}-x", value=value, status=status, overrides=words, hparams=hparams
        )
    return folder


def test_a_sweep_is_one_record() -> None:
    folder = a_sweep()
    (record,) = records([Path("outputs")])
    assert record == read_record(folder)
    assert (record.kind, record.name) == ("sweep", f"rates/{DAY}_14-03-22-{HEX}")
    assert (record.begun, record.seconds) == (NOON, 4 * 3.0)
    assert record.status == "pending"  # one of five has not begun
    assert record.overrides == ("model=mlp", "seed=0")
    assert record.hparams == {"model": "mlp"}
    assert record.summary == {
        "jobs": {"completed": 2, "diverged": 1, "failed": 1, "pending": 1},
        "swept": ["optimizer.lr"],
        "metric": "accuracy/val",
        "best_job": "0001-x",
    }
    assert best_figure(record) == ("accuracy/val", 0.75)  # what diverged is no result
    assert json.dumps(dict(record.summary))


def test_the_jobs_of_a_sweep_that_is_named_are_records() -> None:
    folder = a_sweep()
    assert names(str(folder)) == ["0000-x", "0001-x", "0002-x", "0003-x"]
    assert names("outputs") == [f"rates/{DAY}_14-03-22-{HEX}"]


def test_the_metric_of_a_sweep_may_be_one_to_minimize() -> None:
    folder = write_plan(Path("s"), [{}, {}], metric="loss/val", direction="minimize")
    for k, loss in enumerate((0.5, 0.25)):
        write_run(folder / f"{k:04d}", value=loss, metric="loss")
    record = read_record(folder)
    assert (record.status, best_figure(record)) == ("completed", ("loss/val", 0.25))


def test_no_figure_of_the_test_split_chooses() -> None:
    folder = write_plan(Path("s"), [{}], metric="accuracy/test")
    write_run(folder / "0000", test=0.9)
    assert best_figure(read_record(folder)) is None
    assert best_figure(read_record(folder / "0000")) is None


def plan(folder: Path, content: bytes) -> Record:
    (folder / "sweep.yaml").write_bytes(content)
    (record,) = records([Path("outputs")])
    return record


def test_a_sweep_with_a_damaged_plan_is_told_by_its_jobs() -> None:
    folder = a_sweep()
    for content in (b"", b"\xff\x00", b"metric: [\n", b"metric: accuracy/test\n- number: x"):
        record = plan(folder, content)
        assert best_figure(record) == ("accuracy/val", 0.75)
        assert sum(record.summary["jobs"].values()) >= 4
    (folder / "0000-x" / "summary.json").write_text("{")
    assert plan(folder, b"").summary["jobs"]["damaged"] == 1
    os.remove(folder / "sweep.yaml")
    (folder / "sweep.yaml").mkdir()
    (record,) = records([Path("outputs")])
    assert (record.kind, record.status) == ("sweep", "damaged")
    assert record.reason == "sweep.yaml: not a regular file"


@pytest.mark.skipif(sys.platform == "win32", reason="locks are asked for with flock")
def test_a_sweep_stands_as_its_jobs_do() -> None:
    folder = write_plan(Path("s"), [{}, {}])
    write_run(folder / "0000", status="completed")
    write_run(folder / "0001", status="diverged")
    assert read_record(folder).status == "completed"
    (folder / "0001" / "summary.json").write_text('{"status": "running"}')
    assert read_record(folder).status == "killed"
    with locked(folder):
        assert read_record(folder).status == "running"
