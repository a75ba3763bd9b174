"""What ends a run from outside: two lines, status failed, and a checkpoint to go on from."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import re
import resource
import shutil
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Started, Starter
from PIL import Image

from dlrun.checkpoint import load_checkpoint
from dlrun.errors import Failure
from dlrun.failures import explain, failures_told
from dlrun.runlog import RunLog
from dlrun.terminal import Terminal

FULL = "No space left on device (make room on the disk)"
TOO_LARGE = "File too large (ulimit -f, or the file system, limits how large a file may be)"
WORDS = ("dataset=digits", "model.hidden=[16]", "quiet=true", "figures=false", "hydra.run.dir=run")
GO_ON = "go on with: dlrun resume run"
NOT_YET = "there is no checkpoint yet: start it anew"
needs_full_disk = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def told(*lines: str) -> str:
    """What the command line prints of an error."""
    return "error: " + "\n       ".join(lines) + "\n"


def summary_of(run: Path = Path("run")) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run / "summary.json").read_text())
    return summary


def lines_without_times(run: Path = Path("run")) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in lines]


def contents() -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in Path("run").rglob("*") if file.is_file()}


# In words


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), FULL),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded", b"run/train.log"),
            "run/train.log: Disk quota exceeded (make room within your quota)",
        ),
        (OSError(errno.EFBIG, "File too large"), TOO_LARGE),
        (OSError(errno.EROFS, "Read-only file system", "run"), "run: Read-only file system"),
        (OSError(errno.EIO, "Input/output error", 5), "Input/output error"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a\x1b.csv"),
            "a\\x1b.csv: No such file or directory (if it has gone, put it back)",
        ),
        (OSError("cannot identify image file"), None),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), None),
        (MemoryError(), "out of memory (try a smaller model or less data)"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
                "memory: you tried to allocate 5368709120 bytes. Error code 12"
            ),
            "out of memory: 5.0 GiB were asked for (try a smaller model or less data)",
        ),
        (
            MemoryError("Unable to allocate 72.8 TiB for an array with shape (10000000000000,)"),
            "out of memory: 72.8 TiB were asked for (try a smaller model or less data)",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has"),
            "out of GPU memory: 2.00 GiB were asked for (try a smaller model or less data)",
        ),
        (
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"),
            "out of GPU memory (try a smaller model or less data)",
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), None),
        (ValueError("out of memory"), None),
    ],
)
def test_an_error_in_words(error: Exception, text: str | None) -> None:
    assert explain(error) == text


@pytest.mark.parametrize(
    ("batch_size", "advice"),
    [
        (64, "batch_size=32 in a new run halves what a batch takes"),
        (3, "batch_size=1 in a new run halves what a batch takes"),
        (1, "try a smaller model or less data"),
    ],
)
def test_the_batch_that_would_fit(batch_size: int, advice: str) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0")
    assert explain(error, batch_size) == (
        f"out of GPU memory at batch_size={batch_size}: 20.00 MiB were asked for ({advice})"
    )


def test_what_has_no_words_goes_through() -> None:
    for error in (RuntimeError("odd"), OSError("odd"), Failure("told"), KeyError("odd")):
        with pytest.raises(type(error)) as caught, failures_told():
            raise error
        assert caught.value is error
    with pytest.raises(Failure) as caught, failures_told():
        raise MemoryError
    assert isinstance(caught.value.__cause__, MemoryError)


# Disks


def on_full_disk(pattern: str, after: int = 0) -> None:
    """From now on files of such a name, so many left out, are opened for writing on a full disk."""
    real, opened = io.open, 0

    def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        nonlocal opened
        writes = mode[0] in "wax" and not isinstance(file, int)
        if writes and fnmatch(os.path.basename(os.fsdecode(file)), pattern):
            opened += 1
            if opened > after:
                file = "/dev/full"
        return real(file, mode, *arguments, **options)

    io.open = builtins.open = open_file  # type: ignore[assignment]


def on_read_only_disk(after: int = 0) -> None:
    """From now on, so many left out, nothing can be opened for writing."""
    real_open, real_os_open, asked = io.open, os.open, 0

    def check(file: Any, writes: bool) -> None:
        nonlocal asked
        if writes and not isinstance(file, int):
            asked += 1
            if asked > after:
                raise OSError(errno.EROFS, "Read-only file system", os.fsdecode(file))

    def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        check(file, mode[0] in "wax")
        return real_open(file, mode, *arguments, **options)

    def os_open(file: Any, flags: int, *arguments: Any, **options: Any) -> int:
        check(file, bool(flags & (os.O_WRONLY | os.O_RDWR)))
        return real_os_open(file, flags, *arguments, **options)

    io.open = builtins.open = open_file  # type: ignore[assignment]
    os.open = os_open


def limit_files_to(num_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same run twice: `run` is two epochs long, `whole` is four."""
    folder = tmp_path_factory.mktemp("runs")
    for name, epochs in (("run", 2), ("whole", 4)):
        done = Started((*WORDS, f"epochs={epochs}", f"hydra.run.dir={name}"), folder, {}).wait()
        assert (done.returncode, done.stderr) == (0, "")
    return folder


def assert_goes_on_as_if_nothing_had_been(started: Starter, whole: Path) -> None:
    done = started("resume", "run", "epochs=4", "figures=false").wait()
    assert (done.returncode, done.stderr) == (0, "")
    assert summary_of()["status"] == "completed"
    assert lines_without_times() == lines_without_times(whole)
    ours, theirs = (load_checkpoint(run / "checkpoints/last.pt") for run in (Path("run"), whole))
    for name, tensor in theirs["model"].items():
        assert torch.equal(ours["model"][name], tensor)


@needs_full_disk
@pytest.mark.parametrize(
    "pattern",
    [
        *("metrics.jsonl", ".last.pt.tmp", ".best.pt.tmp", "train.log", "*.png"),
        *(".config.yaml.tmp", "events.out*", "events.out* 4", ".summary.json.tmp 2"),
    ],
)
def test_a_full_disk(pattern: str, started: Starter, runs: Path) -> None:
    shutil.copytree(runs / "run", "run")
    name, _, after = pattern.partition(" ")
    full = partial(on_full_disk, name, int(after or 0))
    figures = f"figures={str(name == '*.png').lower()}"
    done = started("resume", "run", "epochs=4", figures, prepare=full).wait()
    assert (done.returncode, done.stderr) == (1, told(FULL, GO_ON))
    summary = summary_of()
    if name == ".summary.json.tmp":  # then there is no telling
        assert summary["status"] == "running"
    else:
        assert (summary["status"], summary["error"]) == ("failed", FULL)
    hidden = {file.name for file in Path("run").rglob(".*")}
    assert hidden == {".hydra", ".lock"}
    assert_goes_on_as_if_nothing_had_been(started, runs / "whole")


def on_disk_that_breaks_between_renames() -> None:
    real = os.replace

    def replace(source: Path, target: Path) -> None:
        if target.name == "last.pt":
            raise OSError(errno.EIO, "Input/output error", str(source), None, str(target))
        real(source, target)

    os.replace = replace  # type: ignore[assignment]


def test_a_disk_that_breaks_when_only_the_previous_checkpoint_stands(
    started: Starter, runs: Path
) -> None:
    shutil.copytree(runs / "run", "run")
    Path("run/checkpoints/previous.pt").unlink()
    broken = on_disk_that_breaks_between_renames
    done = started("resume", "run", "epochs=4", prepare=broken).wait()
    text = "run/checkpoints/.last.pt.tmp: Input/output error"
    assert (done.returncode, done.stderr) == (1, told(text, GO_ON))
    assert sorted(os.listdir("run/checkpoints")) == ["best.pt", "previous.pt"]
    assert_goes_on_as_if_nothing_had_been(started, runs / "whole")


@needs_full_disk
def test_a_disk_that_was_full_before(started: Starter, runs: Path) -> None:
    shutil.copytree(runs / "run", "run")
    before = contents()
    done = started("resume", "run", "epochs=4", prepare=partial(on_full_disk, ".room")).wait()
    assert (done.returncode, done.stderr) == (1, told(FULL, GO_ON))
    assert contents() == before


@pytest.mark.parametrize(
    ("limit", "hidden", "last_line"),
    [
        (2_000, 16, None),  # .hydra/hydra.yaml: before there is a run
        (20_000, 256, NOT_YET),  # the first checkpoint
        (150_000, 256, GO_ON),  # the second one, which has Adam's state in it
        (60_000, 16, GO_ON),  # a figure
    ],
)
def test_files_that_may_not_grow(
    limit: int, hidden: int, last_line: str | None, started: Starter
) -> None:
    limited = partial(limit_files_to, limit)
    words = (*WORDS, f"model.hidden=[{hidden}]", f"figures={str(hidden == 16).lower()}")
    done = started(*words, "epochs=3", prepare=limited).wait()
    lines = [TOO_LARGE] if last_line is None else [TOO_LARGE, last_line]
    assert (done.returncode, done.stderr) == (1, told(*lines))
    if last_line is not None:
        assert (summary_of()["status"], summary_of()["error"]) == ("failed", TOO_LARGE)
    if last_line == GO_ON:
        load_checkpoint(Path("run/checkpoints/last.pt"))
        done = started("resume", "run").wait()
        assert (done.returncode, summary_of()["status"]) == (0, "completed")
        assert [line["epoch"] for line in lines_without_times()] == [0, 1, 2, 3]


def test_a_read_only_directory(started: Starter, runs: Path) -> None:
    shutil.copytree(runs / "run", "run")
    before = contents()
    done = started("resume", "run", "epochs=4", prepare=on_read_only_disk).wait()
    lock = Path("run/.lock").absolute()
    assert (done.returncode, done.stderr) == (1, told(f"{lock}: Read-only file system"))
    assert contents() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="whoever is root may write anywhere")
def test_a_directory_of_which_one_may_only_read(started: Starter, runs: Path) -> None:
    shutil.copytree(runs / "run", "run")
    Path("run").chmod(0o555)
    done = started("resume", "run", "epochs=4").wait()
    Path("run").chmod(0o755)
    assert (done.returncode, done.stderr) == (1, told("run/.room: Permission denied", GO_ON))


def test_a_disk_that_turns_read_only(started: Starter, runs: Path) -> None:
    """As Linux does when a disk fails."""
    shutil.copytree(runs / "run", "run")
    disk = partial(on_read_only_disk, after=60)
    done = started("resume", "run", "epochs=400", prepare=disk).wait()
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("error: ")
    assert first.endswith(": Read-only file system")
    assert second.strip() == GO_ON
    load_checkpoint(Path("run/checkpoints/last.pt"))


@needs_full_disk
def test_a_disk_that_is_full_at_the_very_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which a run with status completed would say nothing."""
    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match="No space left"),
        RunLog(Path("run"), overrides=[], terminal=Terminal(quiet=True)) as log,
    ):
        log.finals({"loss/test": 0.5}, 1)
        log.update(status="completed")
        patch.setattr(io, "open", io.open)  # so that it is put back
        patch.setattr(builtins, "open", builtins.open)
        on_full_disk("events.out*")
    assert (summary_of()["status"], summary_of()["error"]) == ("failed", FULL)


def fill_standard_output() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


@needs_full_disk
def test_output_that_goes_to_a_full_disk(started: Starter) -> None:
    words = [word for word in WORDS if word != "quiet=true"]
    done = started(*words, "epochs=1", prepare=fill_standard_output).wait()
    assert (done.returncode, done.stderr) == (1, told(FULL, NOT_YET))
    done = started("--help", prepare=fill_standard_output).wait()
    assert (done.returncode, done.stderr) == (1, told(FULL))


# Data


def make_images(folder: Path) -> None:
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            Image.new("L", (8, 8), number).save(folder / name / f"{number}.png")


def test_a_table_that_has_gone(started: Starter) -> None:
    rows = "".join(f"{i},{i % 7},{i * 0.37:.2f}\n" for i in range(40))
    Path("table.csv").write_text("a,b,y\n" + rows)
    words = ("dataset=csv", "dataset.path=table.csv", "quiet=true", "figures=false")
    assert started(*words, "epochs=1", "hydra.run.dir=run").wait().returncode == 0
    Path("table.csv").rename("elsewhere.csv")
    done = started("resume", "run", "epochs=2").wait()
    gone = "dataset.path=table.csv: no such file"
    assert (done.returncode, done.stderr) == (1, told(gone, GO_ON))
    assert (summary_of()["status"], summary_of()["error"]) == ("failed", gone)
    done = started("resume", "run", "epochs=2", "dataset.path=elsewhere.csv").wait()
    assert (done.returncode, done.stderr) == (0, "")
    assert summary_of()["status"] == "completed"


def test_a_folder_of_images_that_has_gone(started: Starter) -> None:
    make_images(Path("photos"))
    words = ("dataset=image_folder", "dataset.path=photos", "dataset.size=8", "quiet=true")
    done = started(*words, "figures=false", "epochs=1", "hydra.run.dir=run").wait()
    assert (done.returncode, done.stderr) == (0, "")
    shutil.rmtree("photos")
    done = started("resume", "run", "epochs=2").wait()
    gone = "dataset.path=photos: no such folder"
    assert (done.returncode, done.stderr) == (1, told(gone, GO_ON))
    assert (summary_of()["status"], summary_of()["error"]) == ("failed", gone)


def test_images_that_go_while_they_are_read(started: Starter) -> None:
    make_images(Path("photos"))
    words = ("dataset=image_folder", "dataset.path=photos", "dataset.size=8", "quiet=true")
    run = started(*words, "dataset.max_gigabytes=0", "epochs=5000", "hydra.run.dir=run")
    metrics = Path("run/metrics.jsonl")
    assert run.wait_for(lambda: metrics.exists() and metrics.read_text().count("\n") > 2)
    shutil.rmtree("photos/cats")
    done = run.wait()
    first, second = done.stderr.splitlines()
    assert done.returncode == 1
    assert first.startswith("error: photos/cats/")
    assert first.endswith(".png: No such file or directory (if it has gone, put it back)")
    assert second.strip() == GO_ON
    assert (summary_of()["status"], summary_of()["error"]) == ("failed", first[len("error: ") :])
    load_checkpoint(Path("run/checkpoints/last.pt"))


# Memory

OWN = """import numpy, torch
class Net(torch.nn.Module):
    def __init__(self, in_shape, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_shape[0], out_features)
        self.calls = 0
    def forward(self, x):
        self.calls += self.training
        if self.calls > 30{condition}:
            {break_down}
        return self.layer(x)
"""
CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 15.7 GiB"
HALF = "(batch_size=16 in a new run halves what a batch takes)"


def use_own_model(break_down: str, condition: str = "") -> tuple[str, ...]:
    """Words for a run with a model of which the thirty-first step breaks down."""
    Path("own.py").write_text(OWN.format(break_down=break_down, condition=condition))
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/own.yaml").write_text("_target_: own.Net\n_partial_: true\n")
    return ("dataset=moons", "model=own", "quiet=true", "figures=false", "hydra.run.dir=run")


@pytest.mark.parametrize(
    ("break_down", "condition", "text"),
    [
        (
            "torch.empty(10**13)",
            "",
            f"out of memory at batch_size=32: 37,252.9 GiB were asked for {HALF}",
        ),
        (
            "numpy.empty(10**13)",
            "",
            f"out of memory at batch_size=32: 72.8 TiB were asked for {HALF}",
        ),
        (
            f"raise torch.OutOfMemoryError({CUDA!r})",
            "",
            f"out of GPU memory at batch_size=32: 2.00 GiB were asked for {HALF}",
        ),
        (
            f"raise torch.OutOfMemoryError({CUDA!r})",
            " and not self.training",  # where batches are of another size
            "out of GPU memory: 2.00 GiB were asked for (try a smaller model or less data)",
        ),
    ],
    ids=["torch", "numpy", "GPU", "GPU in evaluation"],
)
def test_memory_runs_out(break_down: str, condition: str, text: str, started: Starter) -> None:
    words = use_own_model(break_down, condition)
    done = started(*words, "batch_size=32", "epochs=5").wait()
    assert (done.returncode, done.stderr) == (1, told(text, "go on with: dlrun resume --trust run"))
    assert (summary_of()["status"], summary_of()["error"]) == ("failed", text)
    assert load_checkpoint(Path("run/checkpoints/last.pt"))["epoch"] >= 1


def test_half_of_a_batch_that_is_all_data(started: Starter) -> None:
    done = started(*use_own_model("torch.empty(10**13)"), "batch_size=full", "epochs=99").wait()
    assert done.returncode == 1
    whole, half = re.findall(r"batch_size=(\d+)", done.stderr)
    assert 100 < int(whole) < 1000  # dataset=moons
    assert int(half) == int(whole) // 2
