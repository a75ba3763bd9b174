"""The files of a run directory: who may write them, and how they are put back to a checkpoint."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from dlrun.errors import UserError, printable
from dlrun.privacy import all_without_names

METRICS = "metrics.jsonl"
DIAGNOSTICS = "diagnostics.jsonl"
EVENTS = "events.out.tfevents.*"
ROOM = ".room"
PUT_BACK = "(put it back as it was, or start a new run)"


@contextmanager
def locked(run_dir: Path, seconds: float = 0.0) -> Iterator[None]:
    """Holds the run directory for this process; the system lets go of it when the process ends.

    May be nested. Raises UserError when another process holds it for longer than so many seconds.
    """
    lock = filelock.FileLock(run_dir / ".lock", timeout=0, is_singleton=True)
    try:
        lock.acquire(timeout=seconds)
    except filelock.Timeout:
        raise UserError(
            f"{printable(str(run_dir))}: in use by another process "
            "(wait until it is over, or stop it with Ctrl-C; then type dlrun resume again)"
        ) from None
    try:
        yield
    finally:
        lock.release()


class File(logging.FileHandler):
    """A log whose disk may be full: that ends a run, where logging would print it and go on."""

    def handleError(self, record: logging.LogRecord) -> None:
        if isinstance(sys.exc_info()[1], OSError):
            raise  # noqa: PLE0704 - called where the error is handled
        super().handleError(record)


class Printable(logging.Formatter):
    """Messages and tracebacks with nothing in them that a terminal would obey."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def train_log(path: Path) -> Iterator[None]:
    """Within it, log messages go to the file, and warnings to standard error as well."""
    file = File(path, encoding="utf-8")
    file.setFormatter(Printable("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(Printable("%(levelname)s: %(message)s"))
    console.setLevel(logging.WARNING)
    root = logging.getLogger()
    before = root.level, root.handlers
    root.handlers = [file, console]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(before[0])
        root.handlers = before[1]
        file.close()


@contextmanager
def room_for_last_words(run_dir: Path) -> Iterator[None]:
    """Within it a file in the run directory keeps room on the disk, which is given up at the end.

    On a full disk a run could not even write down that it has failed, and why.
    """
    try:
        (run_dir / ROOM).write_bytes(os.urandom(16_384))  # zeros may take no room
        yield
    finally:
        give_up_room(run_dir)


def give_up_room(run_dir: Path) -> None:
    (run_dir / ROOM).unlink(missing_ok=True)


@contextmanager
def writing_threads_quiet() -> Iterator[None]:
    """Within it threads that the disk refuses print no traceback.

    TensorBoard writes in one, and raises its error where the writer is used next.
    """
    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not isinstance(args.exc_value, OSError):
            before(args)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before


def sizes(run_dir: Path) -> dict[str, int]:
    """Bytes by name of the files that grow while a run trains."""
    files = [run_dir / METRICS, run_dir / DIAGNOSTICS, *sorted(run_dir.glob(EVENTS))]
    return {file.name: file.stat().st_size for file in files if file.exists()}


def cut_back(run_dir: Path, wanted: Mapping[str, int]) -> None:
    """Cuts metrics and event files to the sizes that they had when a checkpoint was written.

    So no point stands twice. An event file that is shorter, after a power cut, say, stays as it
    is: TensorBoard reads up to a torn record. Raises UserError when metrics.jsonl lacks lines.
    """
    present = sizes(run_dir)
    if present.get(METRICS, 0) < wanted[METRICS]:
        raise UserError(
            f"{printable(str(run_dir / METRICS))}: shorter than it was at the checkpoint "
            f"({present.get(METRICS, 0):,} of {wanted[METRICS]:,} bytes) {PUT_BACK}"
        )
    for name, size in present.items():
        kept = wanted.get(name, 0)
        if kept == 0 and name != METRICS:
            (run_dir / name).unlink()
        elif size > kept:
            os.truncate(run_dir / name, kept)


def read_history(run_dir: Path, epochs: int) -> list[dict[str, float | None]]:
    """The lines of metrics.jsonl, epoch 0 and so many more. Raises UserError for other ones."""
    path = run_dir / METRICS
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (ValueError, RecursionError):
        lines = []
    if len(lines) != epochs + 1 or not all(map(_is_line, lines, range(epochs + 1))):
        raise UserError(
            f"{printable(str(path))}: damaged, expected the lines of {epochs} epochs {PUT_BACK}"
        )
    return lines


def _is_line(line: Any, epoch: int) -> bool:
    if not isinstance(line, dict) or line.get("epoch") != epoch:
        return False
    return all(value is None or isinstance(value, (int, float)) for value in line.values())


def read_summary(run_dir: Path) -> dict[str, Any] | None:
    """What summary.json says, None where there is none. Raises UserError when it is damaged."""
    path = run_dir / "summary.json"
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        summary = None
    kinds = {"versions": dict, "resumed": list}  # what is looked into
    if isinstance(summary, dict) and all(
        isinstance(summary.get(key, kind()), kind) for key, kind in kinds.items()
    ):
        return summary
    raise UserError(f"{printable(str(path))}: damaged, expected the JSON that dlrun writes")


def write_summary(run_dir: Path, summary: Mapping[str, Any]) -> None:
    """Replaces summary.json; the user's name and home directory are left out of it."""
    text = json.dumps(all_without_names(plain(summary)), indent=2, ensure_ascii=False)
    replace_text(run_dir / "summary.json", text + "\n")


def replace_text(path: Path, text: str, *, on_disk: bool = False) -> None:
    """Replaces a file by a text in UTF-8, as `replace_file` does."""
    # A file name that is not UTF-8 has lone surrogates in it; JSON writes them so.
    replace_file(path, text.encode("utf-8", "backslashreplace"), on_disk=on_disk)


def replace_file(path: Path, content: bytes, *, on_disk: bool = False) -> None:
    """Replaces a file in one go, so that nobody ever meets half of it.

    on_disk: waits until the content has come to the disk itself, where a power cut leaves it.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            if on_disk:
                file.flush()
                os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def plain(value: Any) -> Any:
    """The value with what JSON has no number for (NaN, infinity) as null."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
