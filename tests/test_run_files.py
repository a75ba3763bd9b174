"""The files of a run directory: locked, cut back, replaced in one go, and what a full disk does."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SERVER
from filelock import FileLock

from dlrun.errors import UserError
from dlrun.run_files import (
    METRICS,
    ROOM,
    cut_back,
    give_up_room,
    locked,
    plain,
    read_history,
    read_summary,
    replace_text,
    room_for_last_words,
    sizes,
    train_log,
    write_summary,
    writing_threads_quiet,
)

HERE = Path(".")
EVENT_FILE = "events.out.tfevents.1.host.2.0"
LINES = [{"epoch": 0, "step": 0, "loss/train": 2.5}, {"epoch": 1, "step": 9, "lr": None}]
FULL_DISK = Path("/dev/full")  # Linux's: whatever is written there meets a full disk
needs_full_disk = pytest.mark.skipif(not FULL_DISK.exists(), reason="needs /dev/full")


def hold(folder: str) -> None:
    """Holds a run directory until its process is killed."""
    with locked(Path(folder)):
        Path("held").touch()
        threading.Event().wait()


def in_use(folder: str) -> str:
    return (
        f"{folder}: in use by another process "
        "(wait until it is over, or stop it with Ctrl-C; then type dlrun resume again)"
    )


def test_a_directory_is_held_by_one_process_until_it_is_gone() -> None:
    Path("run").mkdir()
    process = SERVER.Process(target=hold, args=("run",))
    process.start()
    while not Path("held").exists():
        assert process.is_alive()
    with pytest.raises(UserError, match=f"^{re.escape(in_use('run'))}$"), locked(Path("run")):
        pass
    process.kill()
    process.join()
    with locked(Path("run")):
        pass


def test_locks_may_be_nested() -> None:
    lock = FileLock(HERE / ".lock", timeout=0, is_singleton=True)  # that of both
    with locked(HERE):
        with locked(HERE):
            assert lock.is_locked
        assert lock.is_locked
    assert not lock.is_locked


def test_the_inner_of_two_locks_does_not_let_go() -> None:
    with locked(HERE):
        with locked(HERE):
            pass
        process = SERVER.Process(target=hold, args=(".",))
        process.start()
        process.join()
        assert process.exitcode == 1
        assert not Path("held").exists()


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_directory_that_cannot_be_written_is_not_in_use(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> int:
        raise OSError(code, os.strerror(code), ".lock")

    with monkeypatch.context() as patch, pytest.raises(OSError, match=os.strerror(code)):
        patch.setattr(os, "open", refuse)
        with locked(HERE):
            pass


def test_the_log_takes_everything_and_the_console_warnings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = logging.getLogger("dlrun.test")
    before = logging.getLogger().handlers
    with train_log(Path("train.log")):
        logger.info("epoch %d", 1)
        logger.warning("a \x1b[2J name")
        try:
            raise ValueError("raised \x1b[2J")
        except ValueError:
            logger.info("failed", exc_info=True)
    logger.warning("after")
    text = Path("train.log").read_text()
    assert re.search(r"^\d{4}-.* INFO dlrun\.test: epoch 1$", text, re.MULTILINE)
    assert "WARNING dlrun.test: a \\x1b[2J name\n" in text
    assert "\nValueError: raised \\x1b[2J\n" in text
    assert "\x1b" not in text
    assert "after" not in text
    assert capsys.readouterr().err == "WARNING: a \\x1b[2J name\n"
    assert logging.getLogger().handlers is before


@needs_full_disk
def test_a_log_on_a_full_disk_raises_where_it_is_written_to(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = logging.getLogger().handlers
    with pytest.raises(OSError, match="No space left"), train_log(FULL_DISK):
        with pytest.raises(OSError, match="No space left"):
            logging.getLogger().info("epoch 1")
        raise AssertionError("closing the file, too, meets the full disk")
    assert capsys.readouterr().err == ""
    assert logging.getLogger().handlers is before


def test_a_wrong_log_call_of_the_users_own_code_ends_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with train_log(Path("train.log")):
        logging.getLogger().info("no place for it", 1)
        logging.getLogger().info("on")
    assert "INFO root: on" in Path("train.log").read_text()
    assert "not all arguments converted" in capsys.readouterr().err


def test_room_is_kept_and_given_up() -> None:
    with room_for_last_words(HERE):
        assert Path(ROOM).stat().st_size == 16_384
        give_up_room(HERE)
        assert os.listdir() == []
    Path(ROOM).touch()  # of a run that was killed
    with room_for_last_words(HERE):
        assert Path(ROOM).stat().st_size == 16_384
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("error", "printed"), [(OSError(errno.ENOSPC, "full"), ""), (ValueError("odd"), "odd")]
)
def test_threads_are_quiet_about_the_disk_alone(
    error: Exception, printed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(str(args.exc_value)))
    before = threading.excepthook

    def fail() -> None:
        raise error

    with writing_threads_quiet():
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
    assert "".join(told) == printed
    assert threading.excepthook is before


def write_files() -> None:
    Path(METRICS).write_text("".join(json.dumps(line) + "\n" for line in LINES))
    Path(EVENT_FILE).write_bytes(bytes(100))


def test_sizes_are_those_of_the_files_that_grow() -> None:
    assert sizes(HERE) == {}
    write_files()
    Path("train.log").write_text("not counted")
    assert sizes(HERE) == {METRICS: Path(METRICS).stat().st_size, EVENT_FILE: 100}


def test_files_are_cut_back_to_the_checkpoint() -> None:
    write_files()
    first = len(json.dumps(LINES[0])) + 1
    later = Path("events.out.tfevents.2.host.2.0")
    later.touch()
    cut_back(HERE, {METRICS: first, EVENT_FILE: 60})
    assert read_history(HERE, 0) == LINES[:1]
    assert Path(EVENT_FILE).stat().st_size == 60
    assert not later.exists()  # it was not there at the checkpoint


def test_a_shorter_event_file_stays_and_metrics_may_be_empty() -> None:
    write_files()
    Path(METRICS).unlink()
    cut_back(HERE, {METRICS: 0, EVENT_FILE: 500})
    assert Path(EVENT_FILE).stat().st_size == 100


@pytest.mark.parametrize("change", [lambda: os.truncate(METRICS, 40), Path(METRICS).unlink])
def test_metrics_that_lack_lines_are_refused(change: Callable[[], None]) -> None:
    write_files()
    wanted = sizes(HERE)
    change()
    with pytest.raises(UserError) as caught:
        cut_back(HERE, wanted)
    left = Path(METRICS).stat().st_size if Path(METRICS).exists() else 0
    assert str(caught.value) == (
        f"metrics.jsonl: shorter than it was at the checkpoint ({left} of {wanted[METRICS]} bytes) "
        "(put it back as it was, or start a new run)"
    )


def test_the_history_is_read() -> None:
    write_files()
    assert read_history(HERE, 1) == LINES


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": 3}',
        '{"epoch": 1, "loss/val": "\x1b[2J"}',
        '{"epoch": 1',
        "[1]",
        "",
        '{"epoch": 1}\n{"epoch": 2}',
        "\udc80",
        "[" * 100_000,
    ],
    ids=["other epoch", "text", "torn", "list", "too few", "too many", "no UTF-8", "nested"],
)
def test_other_lines_are_refused(line: str) -> None:
    text = json.dumps(LINES[0]) + "\n" + line
    Path(METRICS).write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(UserError) as caught:
        read_history(HERE, 1)
    assert str(caught.value) == (
        "metrics.jsonl: damaged, expected the lines of 1 epochs "
        "(put it back as it was, or start a new run)"
    )


def test_the_summary_is_written_and_read() -> None:
    assert read_summary(HERE) is None
    summary = {"status": "failed", "error": "é\udc80", "metrics": {"loss": math.nan, "lr": 0.1}}
    write_summary(HERE, summary)
    assert read_summary(HERE) == {**summary, "metrics": {"loss": None, "lr": 0.1}}
    assert os.listdir() == ["summary.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"status"', '{"versions": 1}', '{"resumed": {}}', "[" * 100_000]
)
def test_a_damaged_summary_is_told(text: str) -> None:
    Path("summary.json").write_text(text)
    with pytest.raises(UserError) as caught:
        read_summary(HERE)
    assert str(caught.value) == "summary.json: damaged, expected the JSON that dlrun writes"


@needs_full_disk
def test_text_that_does_not_fit_leaves_the_old_file_and_nothing_beside() -> None:
    replace_text(Path("config.yaml"), "seed: 0\n")
    Path(".config.yaml.tmp").symlink_to(FULL_DISK)
    with pytest.raises(OSError, match="No space left"):
        replace_text(Path("config.yaml"), "seed: 1\n")
    assert os.listdir() == ["config.yaml"]
    assert Path("config.yaml").read_text() == "seed: 0\n"


def test_plain_values_have_only_numbers_that_json_knows() -> None:
    value = {"a": [math.inf, (1.5, math.nan)], "b": {"c": -math.inf}, "d": True, "e": "nan"}
    assert plain(value) == {"a": [None, [1.5, None]], "b": {"c": None}, "d": True, "e": "nan"}
