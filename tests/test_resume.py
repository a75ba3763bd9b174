"""A run that was broken off and resumed is the run that was not; what resume refuses, and how."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Command, Started
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from dlrun import figures, runlog
from dlrun.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from dlrun.cli import command_line
from dlrun.diagnostics import Record
from dlrun.endings import endings_told
from dlrun.errors import UserError
from dlrun.hydra_app import without_hydra
from dlrun.hydra_session import hydra_session, packaged_conf
from dlrun.resume import parse, resume_run
from dlrun.run_files import locked
from dlrun.schema import GROUPS, OPEN_GROUPS
from dlrun.signals import Interrupted
from dlrun.stored import FREE, entries
from dlrun.train import Result, train

# What a clock decides.
TIMES = {"time/epoch", "time/total", "seconds", "elapsed", "train_seconds", "samples_per_second"}
TIMES |= {"started"}
Moment = tuple[int, str]  # of a checkpoint: its step, and whether it lies within an epoch

# 38 samples to train on: five batches an epoch, the last of them smaller.
SMALL = ("dataset=digits", "dataset.limit=42", "model.hidden=[4]", "batch_size=8", "epochs=3")
QUIET = ("device=cpu", "quiet=true", "figures=false")
BASE = (*SMALL, *QUIET, "checkpoint.every_steps=4", "log_every_steps=2")
MIDDLE, END = (8, "within"), (10, "between")
CNN = ("model=cnn", "model.channels=[2]", "model.dense=[4]")


@cache
def base() -> DictConfig:
    with hydra_session() as app:
        return without_hydra(app.compose_config("config", [*BASE], RunMode.RUN))


def configured(words: Collection[str]) -> tuple[DictConfig, dict[str, Any]]:
    """Config and choices of a small run with these choices (`optimizer=adam`) and values.

    Quicker than composing with Hydra, which test_choices does for all of them.
    """
    config, choices = base().copy(), dict.fromkeys(GROUPS, "")
    with open_dict(config):
        for word in words:
            group, _, name = word.partition("=")
            if group not in GROUPS:
                config.merge_with(OmegaConf.from_dotlist([word]))
                continue
            choices[group] = name
            file = OmegaConf.load(packaged_conf() / group / f"{name}.yaml")
            node = file if group in file else OmegaConf.create({group: file})  # gd sets batch_size
            if group in OPEN_GROUPS:
                config[group] = {"init_from": None, "freeze": []} if group == "model" else None
            config.merge_with(node)
    return config, choices


def train_in(run_dir: Path, *words: str) -> Result:
    config, choices = configured(words)
    return train(config, run_dir=run_dir, choices=choices)


def train_and_copy(words: Collection[str], moments: Collection[Moment] | None) -> Result:
    """An uninterrupted run in `whole`, and copies of its directory as it stood at the moments.

    Each copy is made just before the next checkpoint is written: the other files are ahead of the
    last one, and end in what a write that was cut off leaves. moments: None for all.
    """
    whole, save = Path("whole"), runlog.save_checkpoint
    last: Moment | None = None

    def copy_and_save(path: Path, state: Mapping[str, Any], **options: Any) -> None:
        nonlocal last
        if path.name == "last.pt":
            if last is not None and (moments is None or last in moments):
                shutil.copytree(whole, copy_at(last))
                for file in (copy_at(last) / "metrics.jsonl", *copy_at(last).glob("events*")):
                    with file.open("ab") as open_file:
                        open_file.write(b'{"epoch": 2, "st')
            last = state["step"], "between" if state["pass"] is None else "within"
        save(path, state, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runlog, "save_checkpoint", copy_and_save)
        return train_in(whole, *words)


def copy_at(moment: Moment) -> Path:
    return Path(f"{moment[0]}-{moment[1]}")


def assert_same_run(resumed: Path, whole: Path, *, apart_from: Collection[str] = ()) -> None:
    """The same run, but for times, the note on having been resumed, and some TensorBoard tags."""
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(run / "checkpoints" / name) for run in (resumed, whole))
        for state in (ours, theirs):
            state.pop("files", None)  # event files are named after the time
        assert_equal(ours, theirs, name)
    assert_equal(lines(resumed), lines(whole), "metrics.jsonl")
    ours, theirs = points(resumed), points(whole)
    for tag in apart_from:
        assert ours.pop(tag) != theirs.pop(tag)
    assert_equal(ours, theirs, "TensorBoard")
    ours, theirs = (json.loads((run / "summary.json").read_text()) for run in (resumed, whole))
    assert len(ours.pop("resumed")) > len(theirs.pop("resumed"))
    assert_equal(ours, theirs, "summary.json")


def assert_equal(ours: Any, theirs: Any, place: str) -> None:
    """The same values in the same places, numbers bit for bit, but for times."""
    if isinstance(ours, Mapping):  # a state dict is an OrderedDict, or has become a dict
        assert ours.keys() == theirs.keys(), place
        for key in ours.keys() - TIMES:
            assert_equal(ours[key], theirs[key], f"{place}: {key}")
    elif isinstance(ours, (list, tuple)):
        assert len(ours) == len(theirs), place
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_equal(mine, other, f"{place}: {index}")
    elif isinstance(ours, torch.Tensor):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape), place
        assert bytes_of(ours) == bytes_of(theirs), place
    else:
        assert (type(ours), repr(ours)) == (type(theirs), repr(theirs)), place


def bytes_of(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


def lines(run_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def summary_of(run_dir: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return summary


def events(run_dir: Path) -> Iterator[Event]:
    for file in run_dir.glob("events*"):
        for record in RawEventFileLoader(str(file)).Load():
            yield Event.FromString(record)


def points(run_dir: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Step and content of whatever the event files hold, by tag; times are left out."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    for event in events(run_dir):
        for value in event.summary.value:
            timed = value.tag in TIMES or value.tag.startswith("_hparams_")
            content = b"" if timed else value.SerializeToString()
            found.setdefault(value.tag, []).append((event.step, content))
    return {tag: sorted(entries) for tag, entries in found.items()}


# ---------------------------------------------------------------- resumed equals uninterrupted

CHOICES = [
    f"{group}={file.stem}"
    for group in ("optimizer", "scheduler", "regularization", "stopping")
    for file in sorted((packaged_conf() / group).glob("*.yaml"))
]
# What makes a choice do its work in so short a run.
ENOUGH = {
    "optimizer=gd": ("epochs=12",),
    "optimizer=lbfgs": ("epochs=12",),
    **{
        f"optimizer={name}": ("epochs=12", "optimizer.evaluations=7", "model.hidden=[2]")
        for name in ("cma_es", "evolution", "nelder_mead", "random_search", "simulated_annealing")
    },
    "scheduler=step": ("scheduler.step_epochs=1",),
    "scheduler=plateau": ("scheduler.patience=0", "optimizer.lr=1.0"),
    "regularization=augment": CNN,
    "regularization=early_stopping": ("regularization.early_stopping_patience=2", "epochs=9"),
    "stopping=steps": ("stopping.max_steps=13",),
    "stopping=target": (
        "epochs=9",
        "stopping.target_metric=loss/val",
        "stopping.target_value=2.445",
    ),
    "stopping=min_update": (
        *("epochs=9", "stopping.min_update=0.025"),
        *("scheduler=step", "scheduler.step_epochs=2", "scheduler.gamma=0.01"),
    ),
    "stopping=min_grad_norm": ("epochs=9", "stopping.min_grad_norm=0.95"),
    "stopping=divergence": (
        *("epochs=9", "stopping.divergence_factor=1.05", "optimizer.lr=1.0"),
        *("scheduler=linear_warmup", "scheduler.warmup_fraction=1"),
    ),
}
COMBINED = {
    "everything at once": (
        *(*CNN, "scheduler=plateau", "scheduler.patience=0", "regularization=dropout"),
        *("regularization=augment", "regularization=batch_norm", "regularization=grad_clip"),
    ),
    "two classes": ("dataset=moons", "dataset.n_samples=53", "regularization=dropout"),
    "regression": ("dataset=boston", "dataset.limit=42"),
    "bf16": ("device.precision=bf16", "regularization=dropout"),
    "fp16": ("device.precision=fp16", "regularization=dropout"),
    "no validation": ("dataset.val_fraction=0", "dataset.limit=38"),
    "frozen": ("model.freeze=[layers.output.bias]",),
}
STOPPED_BY = {
    **{choice: choice.partition("=")[2] for choice in CHOICES if choice.startswith("stopping=")},
    "stopping=time": "epochs",
    "regularization=early_stopping": "early_stopping",
}


@pytest.mark.parametrize("name", [*CHOICES, *COMBINED])
def test_resumed_equals_uninterrupted(name: str) -> None:
    words = COMBINED[name] if name in COMBINED else (name, *ENOUGH.get(name, ()))
    result = train_and_copy(words, (MIDDLE, END))
    assert result.stopped_by == STOPPED_BY.get(name, "epochs")
    assert int(result.lines[-1]["step"] or 0) > END[0]
    for moment in (MIDDLE, END):
        resume_run(copy_at(moment), [], "data")
        assert_same_run(copy_at(moment), Path("whole"))
        assert [note["step"] for note in summary_of(copy_at(moment))["resumed"]] == [moment[0]]


def test_every_choice_is_in_the_table() -> None:
    assert len(CHOICES) == 41
    assert set(ENOUGH) <= set(CHOICES)


# 0, 4, 8 and 9 of ten numbers stand for a batch that overflows; the others teach y = x.
OVERFLOWING = "x,y\n" + "".join(
    f"{'1e30' if number % 10 in (0, 4, 8, 9) and number > 20 else number / 53},{number / 53}\n"
    for number in range(53)
)
EVERY_STEP = {
    "everything at once": (*COMBINED["everything at once"], "epochs=2"),
    "long passes": (  # more batches than the meter holds before it sums
        *("dataset=moons", "dataset.n_samples=100", "batch_size=1", "log_every_steps=1000"),
        *("epochs=1", "checkpoint.every_steps=30"),
    ),
    "diverging": ("optimizer=sgd", "optimizer.lr=1e6", "model.activation=identity", "epochs=2"),
    "skipping": (
        *("dataset=csv", "dataset.path=table.csv", "dataset.normalize=false", "epochs=2"),
        *("dataset.val_fraction=0", "stopping.on_divergence=skip_batch", "batch_size=4"),
        "checkpoint.every_steps=5",
    ),
    "skipping all": (
        *("optimizer=sgd", "optimizer.lr=1e12", "stopping.on_divergence=skip_batch"),
        *("model.activation=identity", "checkpoint.every_steps=3"),
    ),
}


@pytest.mark.parametrize("name", EVERY_STEP)
def test_a_run_may_be_broken_off_at_any_step(name: str) -> None:
    Path("table.csv").write_text(OVERFLOWING)
    every = () if "every_steps" in str(EVERY_STEP[name]) else ("checkpoint.every_steps=1",)
    result = train_and_copy([*EVERY_STEP[name], *every], None)
    copies = [copy for copy in Path().iterdir() if copy.is_dir() and copy != Path("whole")]
    assert result.status == ("diverged" if name in ("diverging", "skipping all") else "completed")
    assert (summary_of(Path("whole"))["skipped_batches"] > 0) == name.startswith("skipping")
    assert len(copies) > 2
    for copy in copies:
        resumed = resume_run(copy, [], "data")
        assert_same_run(copy, Path("whole"))
        assert isinstance(resumed, Result)
        assert str(resumed.advice).replace(str(copy), "whole") == str(result.advice)


# Runs of which more is kept than figures and weights: what was watched, what will move.
MOONS = ("dataset=moons", "dataset.n_samples=53", "diagnostics=gradients", "animations=true")
WATCHED = {
    "a plane": (*MOONS, "diagnostics.every_steps=3"),
    "an autoencoder": (
        *("model=autoencoder", "model.hidden=[4]", "model.latent_dim=2", "animations=true"),
        *("diagnostics=gradients", "diagnostics.every_steps=2", "regularization=dropout"),
    ),
}


@pytest.mark.parametrize("name", ["skipping", "diverging"])
def test_what_was_seen_of_refused_steps_is_resumed_too(name: str) -> None:
    Path("table.csv").write_text(OVERFLOWING)
    every = ("checkpoint.every_steps=1", "diagnostics=gradients", "diagnostics.every_steps=2")
    train_and_copy([*EVERY_STEP[name], *every], None)
    copies = [copy for copy in Path().iterdir() if copy.is_dir() and copy != Path("whole")]
    assert len(copies) > 2
    for copy in copies:
        resume_run(copy, [], "data")
        assert_same_run(copy, Path("whole"))
        assert_same_files(copy, Path("whole"))


@pytest.fixture
def quickly_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Animations hold what they are drawn from, at a hundredth of the price."""

    def region_frames(x: Any, y: Any, seen: list[Any], *given: Any) -> list[Any]:
        return [(255 * regions[:, :, [0, 1, 1]]).astype(np.uint8) for regions in seen]

    def morph_frames(images: Any, *, stops: list[int]) -> list[Any]:
        return [
            (255 * images[stop][[0, 0, 0]].transpose(1, 2, 0)).astype(np.uint8) for stop in stops
        ]

    monkeypatch.setattr(figures, "region_frames", region_frames)
    monkeypatch.setattr(figures, "morph_frames", morph_frames)


def assert_same_files(resumed: Path, whole: Path) -> None:
    """Byte for byte the same diagnostics and animations."""
    moving = [f"figures/{file.name}" for file in whole.glob("figures/*")]
    for name in ("diagnostics.jsonl", *moving):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.usefixtures("quickly_drawn")
@pytest.mark.parametrize("name", WATCHED)
def test_what_was_watched_and_what_moves_is_resumed_too(name: str) -> None:
    moments = ((0, "between"), MIDDLE, END)  # at the first of them nothing had been watched
    train_and_copy(WATCHED[name], moments)
    checkpoint = load_checkpoint(Path("whole/checkpoints/last.pt"))
    assert list(checkpoint["snapshots"]) == ([0, 1, 2, 3] if name == "a plane" else [])
    assert any(tag.startswith("gradients/") for tag in points(Path("whole")))
    assert summary_of(Path("whole"))["diagnosis"] is not None
    assert len(list(Path("whole/figures").glob("*.gif"))) == 1
    for moment in moments:
        copy = copy_at(moment)
        with (copy / "diagnostics.jsonl").open("ab") as file:
            file.write(b'{"step": 9, "lay')  # a write that was cut off
        resume_run(copy, [], "data")
        assert_same_run(copy, Path("whole"))
        assert_same_files(copy, Path("whole"))


@pytest.mark.usefixtures("quickly_drawn")
def test_a_watched_run_that_a_signal_has_stopped_goes_on() -> None:
    watched = runlog.RunLog.watched

    def watch_and_stop(log: runlog.RunLog, record: Record) -> None:
        watched(log, record)
        if record["step"] == 6:
            os.kill(os.getpid(), signal.SIGTERM)

    train_in(Path("whole"), *WATCHED["a plane"])
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(runlog.RunLog, "watched", watch_and_stop)
        train_in(Path("run"), *WATCHED["a plane"])
    assert summary_of(Path("run"))["status"] == "interrupted"
    assert len((Path("run") / "diagnostics.jsonl").read_text().splitlines()) == 3  # 1, 3, 6
    resume_run(Path("run"), [], "data")
    assert_same_run(Path("run"), Path("whole"))
    assert_same_files(Path("run"), Path("whole"))


class Killed(BaseException):
    """Nothing catches it but what ends a run whatever happens."""


@pytest.mark.parametrize("number", [4, 5])
def test_an_exception_is_resumed_from_as_well(number: int) -> None:
    saved, save = 0, runlog.save_checkpoint

    def save_and_break_off(path: Path, state: Mapping[str, Any], **options: Any) -> None:
        nonlocal saved
        save(path, state, **options)
        saved += path.name == "last.pt"
        if saved == number and path.name == "last.pt":
            raise Killed

    train_in(Path("whole"), "regularization=dropout")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runlog, "save_checkpoint", save_and_break_off)
        train_in(Path("run"), "regularization=dropout")
    assert summary_of(Path("run"))["status"] == "failed"
    resume_run(Path("run"), [], "data")
    assert_same_run(Path("run"), Path("whole"))


# ------------------------------------------------------------------------------ how it is typed


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in `whole` and, in `8-within`, the same run broken off in its middle."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train_and_copy((), (MIDDLE,))
    return folder


@pytest.fixture
def finished(runs: Path) -> Path:
    return Path(shutil.copytree(runs / "whole", "run"))


@pytest.fixture
def broken_off(runs: Path) -> Path:
    return Path(shutil.copytree(runs / copy_at(MIDDLE), "run"))


Refusal = Callable[..., str]


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Refusal:
    """What `dlrun resume WORDS` says when it refuses, changing nothing where it stands."""

    def refused(*words: str) -> str:
        before = content(Path())
        assert command_line(["resume", *words]) == 2
        assert content(Path()) == before
        output, errors = capsys.readouterr()
        assert output == ""
        assert errors.startswith("error: ")
        assert len(errors.splitlines()) <= 3
        assert all(char.isprintable() or char == "\n" for char in errors)
        return errors.removeprefix("error: ").rstrip("\n").replace("\n       ", "\n")

    return refused


def content(folder: Path) -> dict[Path, bytes | None]:
    """All files and folders but the lock, which stays behind empty, and what keeps room."""
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.name not in (".lock", ".room")
    }


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(["resume", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: dlrun resume [-q] [--trust] RUN [key=value ...]\n")
    for word in ("--trust", "--quiet", *FREE):
        assert word in text


TYPED = "(type dlrun resume RUN, a directory below outputs/runs, or last)"


def test_what_is_no_run_is_refused(finished: Path, refusal: Refusal) -> None:
    assert refusal() == f"dlrun resume: expected one run, got 0 {TYPED}"
    assert refusal("run", "other") == f"dlrun resume: expected one run, got 2 {TYPED}"
    assert refusal("run", "--rust") == f"dlrun resume: unrecognized arguments: --rust {TYPED}"
    assert refusal("run", "--tru") == f"dlrun resume: unrecognized arguments: --tru {TYPED}"
    assert refusal("missing") == "missing: no such directory, and there are no runs below outputs"
    assert refusal("run/train.log") == (
        "run/train.log: is not a tar, tar.gz or zip archive; nothing was unpacked"
    )
    Path("empty").mkdir()
    assert refusal("empty") == "empty: is no run, there is no summary.json in it"


def test_a_sweep_is_no_run(finished: Path, refusal: Refusal) -> None:
    for job in ("0001-optimizer.lr=0.1", "0000-seed=1,x=it's"):
        shutil.copytree(finished, Path("sweep", job))
    assert refusal("sweep") == (
        "sweep: holds 2 runs, name one of them\n"
        "(for example dlrun resume 'sweep/0000-seed=1,x=it'\"'\"'s')"
    )


def test_a_run_in_a_directory_with_an_equals_sign(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished.rename("0000-optimizer.lr=0.1")
    assert command_line(["resume", "0000-optimizer.lr=0.1"]) == 0
    assert capsys.readouterr().out.startswith("0000-optimizer.lr=0.1: finished (completed, 3 epoch")


def test_a_finished_run_says_so(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(finished)
    assert command_line(["resume", "run", "-q"]) == 0
    assert capsys.readouterr().out == (
        "run: finished (completed, 3 epochs, stopped by epochs)\n"
        "to train on, type dlrun resume run epochs=6\n"
    )
    assert content(finished) == before


def test_a_finished_run_that_cannot_be_lengthened_is_not_said_to_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train_in(Path("run"), "scheduler=cosine", "epochs=1")
    assert command_line(["resume", "run"]) == 0
    assert capsys.readouterr().out == "run: finished (completed, 1 epochs, stopped by epochs)\n"


def test_a_diverged_run_is_finished_with_its_exit_code(
    capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    train_in(Path("run"), *EVERY_STEP["diverging"])
    assert command_line(["resume", "run"]) == 3
    assert capsys.readouterr().out == "run: finished (diverged, 1 epochs, stopped by divergence)\n"
    assert refusal("run", "epochs=9") == (
        "epochs=9: run was stopped by divergence, which more epochs do not change "
        "(for other settings start a new run)"
    )


LENGTHENED = {
    "constant": (),
    "step": ("scheduler=step", "scheduler.step_epochs=1"),
    "plateau": ("scheduler=plateau", "scheduler.patience=0", "optimizer.lr=1.0"),
    "early stopping": ("regularization.early_stopping_patience=50", "regularization=augment", *CNN),
}


@pytest.mark.parametrize("name", LENGTHENED)
def test_a_lengthened_run_equals_a_long_one(name: str) -> None:
    train_in(Path("long"), *LENGTHENED[name], "epochs=4")
    train_in(Path("run"), *LENGTHENED[name], "epochs=2")
    resume_run(Path("run"), ["epochs=4"], "data")
    # TensorBoard keeps the config that a run began with.
    assert_same_run(Path("run"), Path("long"), apart_from=["config/text_summary"])
    stored = yaml.safe_load(Path("run/.hydra/config.yaml").read_text())
    assert stored["epochs"] == 4


@pytest.mark.parametrize("epochs", [2, 4])
def test_a_run_under_way_may_become_longer_or_shorter(broken_off: Path, epochs: int) -> None:
    train_in(Path("other"), f"epochs={epochs}")
    resume_run(broken_off, [f"epochs={epochs}"], "data")
    assert_same_run(broken_off, Path("other"), apart_from=["config/text_summary"])
    assert resume_run(broken_off, [], "data") == 0


def test_a_lengthening_that_is_broken_off_goes_on_as_such(finished: Path) -> None:
    def break_off(path: Path, state: Mapping[str, Any], **options: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(runlog, "save_checkpoint", break_off)
        resume_run(finished, ["epochs=4"], "data")
    resume_run(finished, [], "data")
    train_in(Path("long"), "epochs=4")
    assert_same_run(finished, Path("long"), apart_from=["config/text_summary"])


@pytest.mark.parametrize("scheduler", ["cosine", "one_cycle", "linear_warmup"])
def test_a_schedule_made_for_its_epochs_is_not_stretched(scheduler: str, refusal: Refusal) -> None:
    train_in(Path("run"), f"scheduler={scheduler}", "epochs=1")
    assert refusal("run", "epochs=2") == (
        f"epochs=2: scheduler={scheduler} is laid out for the number of epochs that the run began "
        f"with\n(for another number start a new run: dlrun scheduler={scheduler} epochs=N ...)"
    )


def test_more_epochs_do_not_change_how_a_run_was_stopped(refusal: Refusal) -> None:
    train_in(Path("run"), "stopping.max_steps=3")
    assert refusal("run", "epochs=9") == (
        "epochs=9: run was stopped by steps, which more epochs do not change "
        "(for other settings start a new run)"
    )
    train_in(Path("short"), "debug.max_epochs=1")
    assert refusal("short", "epochs=9") == "epochs=9: debug.max_epochs=1 ends this run before"
    assert resume_run(Path("short"), [], "data") == 0


def test_epochs_that_are_behind_cannot_be_left_out(
    finished: Path, runs: Path, refusal: Refusal
) -> None:
    assert refusal("run", "epochs=2") == (
        "epochs=2: run is in epoch 3 already (type epochs=3 or more)"
    )
    shutil.copytree(runs / copy_at(MIDDLE), "broken")
    for epochs in (1, 0):
        assert refusal("broken", f"epochs={epochs}") == (
            f"epochs={epochs}: broken is in epoch 2 already (type epochs=2 or more)"
        )


def test_only_what_makes_no_other_experiment_may_change() -> None:
    """All keys of a config, so that a new one is decided on."""
    config, _ = configured(())
    keys = {key for key, _ in entries(OmegaConf.to_container(config, resolve=True))}
    assert len(keys) > 50
    assert set(FREE) - keys == {"dataset.path"}
    for key in sorted(keys - set(FREE)):
        with pytest.raises(UserError) as caught:
            parse([f"{key}=1"])
        assert str(caught.value).startswith(f"{key}=1: would make another experiment of it; ")


@pytest.mark.parametrize(
    "word",
    [
        *("optimizer=sgd", "scheduler=cosine", "regularization=[dropout]", "debug=limit"),
        *("optimizer.momentum=0.5", "hydra.run.dir=other", "+new=1", "~seed", "epoch=5"),
    ],
)
def test_another_experiment_is_refused_by_name(word: str, finished: Path, refusal: Refusal) -> None:
    expected = (
        f"{word}: would make another experiment of it; what may change is {', '.join(FREE)}\n"
        "(for another experiment start a new run: dlrun key=value ...)"
    )
    if "=" not in word:
        word += "="
        expected = expected.replace("~seed:", "~seed=:")
    assert refusal("run", word) == expected
    if word.startswith("optimizer"):
        assert refusal("run", word.replace("optimizer", "optim", 1)) == expected


WHOLE_NUMBER = "a whole number (epochs=50)"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("epochs=abc", f"epochs=abc: expected {WHOLE_NUMBER}"),
        ("epochs=null", f"epochs=None: expected {WHOLE_NUMBER}"),
        ("epochs=2.5", f"epochs=2.5: expected {WHOLE_NUMBER}"),
        ("epochs=true", f"epochs=True: expected {WHOLE_NUMBER}"),
        ("epochs=[5]", f"epochs=[5]: expected {WHOLE_NUMBER}"),
        ("epochs={a: 5}", f"epochs={{'a': 5}}: expected {WHOLE_NUMBER}"),
        ("epochs=", f"epochs=: expected {WHOLE_NUMBER}"),
        ("epochs='\x1b[2J'", f"epochs=\\x1b[2J: expected {WHOLE_NUMBER}"),
        ("epochs=${seed}", f"epochs=${{seed}}: expected {WHOLE_NUMBER}"),
        ("epochs=5,6", f"epochs=5,6: expected epochs= and one value: {WHOLE_NUMBER}"),
        ("epochs=range(5,9)", f"epochs=range(5,9): expected epochs= and one value: {WHOLE_NUMBER}"),
        ("+epochs=5", f"+epochs=5: expected epochs= and one value: {WHOLE_NUMBER}"),
        ("epochs@x=5", f"epochs@x=5: expected epochs= and one value: {WHOLE_NUMBER}"),
        ("epochs=[5", "epochs=[5: expected key=value (for example epochs=50)"),
        ("epochs=-1", "epochs=-1: expected a whole number >= 0 (for example epochs=10)"),
        ("quiet=maybe", "quiet=maybe: expected true or false"),
        (
            "dataset.path=x.csv",
            "dataset.path=x.csv: expected a file or folder, and a data set that has a path",
        ),
        (
            "checkpoint.every_steps=0",
            "checkpoint.every_steps=0: expected a whole number >= 1 "
            "(for example checkpoint.every_steps=500)",
        ),
        ("device.threads=0", "device.threads=0: expected a whole number >= 1 and <= 512"),
        ("device.name=tpu", "device.name=tpu: not on this machine, which has cpu"),
    ],
)
def test_a_wrong_value_is_refused(word: str, text: str, finished: Path, refusal: Refusal) -> None:
    assert refusal("run", word).startswith(text)


def test_what_is_free_to_change_changes_nothing(broken_off: Path, runs: Path) -> None:
    changes = [
        *("checkpoint.every_steps=3", "checkpoint.every_epochs=null", "checkpoint.every_minutes=1"),
        *("device.threads=1", "device.name=cpu", "debug.traceback=true", "data_dir=elsewhere"),
    ]
    resume_run(broken_off, changes, "data")
    assert lines_alike(broken_off, runs / "whole")
    ours, theirs = (
        load_checkpoint(run / "checkpoints" / "last.pt") for run in (broken_off, runs / "whole")
    )
    for key in ("model", "optimizer", "generators", "best"):
        assert_equal(ours[key], theirs[key], key)
    assert ours["config"]["checkpoint"]["every_steps"] == 3
    (note,) = summary_of(broken_off)["resumed"]
    assert {key: note[key] for key in ("step", "overrides", "versions", "host")} == {
        **{"step": 8, "overrides": changes, "versions": {}},
        "host": None,  # the same one
    }
    assert set(note) - {"step", "overrides", "versions", "host"} == {"started", "command", "git"}


def lines_alike(run: Path, other: Path) -> bool:
    assert_equal(lines(run), lines(other), "metrics.jsonl")
    return True


# ----------------------------------------------------------------------------------- damage


def halved(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def emptied(content: bytes) -> bytes:
    return b""


CUT_SHORT = "cut short, or no checkpoint of dlrun: it does not end with a checksum"
DAMAGED = "damaged: its checksum is not that of its content"


@pytest.mark.parametrize(
    ("damage", "text"), [(halved, CUT_SHORT), (emptied, CUT_SHORT), (flipped, DAMAGED)]
)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(
    damage: Callable[[bytes], bytes],
    text: str,
    broken_off: Path,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = broken_off / "checkpoints" / "last.pt"
    last.write_bytes(damage(last.read_bytes()))
    assert command_line(["resume", "run"]) == 0
    assert capsys.readouterr().err == (
        f"run/checkpoints/last.pt: {text}; going on from previous.pt\n"
    )
    assert_same_run(broken_off, runs / "whole")
    assert summary_of(broken_off)["resumed"][0]["step"] == 5


def test_a_save_that_was_broken_off_between_its_renames(
    broken_off: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.replace(broken_off / "checkpoints" / "last.pt", broken_off / "checkpoints" / "previous.pt")
    assert command_line(["resume", "run"]) == 0
    assert capsys.readouterr().err == ""
    assert_same_run(broken_off, runs / "whole")


def test_without_a_whole_checkpoint_nothing_is_begun(broken_off: Path, refusal: Refusal) -> None:
    folder = broken_off / "checkpoints"
    for name in ("last.pt", "previous.pt"):
        (folder / name).write_bytes(halved((folder / name).read_bytes()))
    assert refusal("run") == (
        f"run/checkpoints/last.pt: {CUT_SHORT}\nrun/checkpoints/previous.pt: {CUT_SHORT}"
    )
    shutil.rmtree(folder)
    assert refusal("run") == "run/checkpoints: no checkpoint in it"


def test_metrics_that_are_not_those_of_the_checkpoint_are_refused(
    broken_off: Path, refusal: Refusal
) -> None:
    file = broken_off / "metrics.jsonl"
    size = load_checkpoint(broken_off / "checkpoints" / "last.pt")["files"]["metrics.jsonl"]
    whole, put_back = file.read_bytes(), "(put it back as it was, or start a new run)"
    shorter = "run/metrics.jsonl: shorter than it was at the checkpoint"
    file.write_bytes(whole[: size - 1])
    assert refusal("run") == f"{shorter} ({size - 1:,} of {size:,} bytes) {put_back}"
    file.unlink()
    assert refusal("run") == f"{shorter} (0 of {size:,} bytes) {put_back}"
    other = "run/metrics.jsonl: damaged, expected the lines of 1 epochs"
    epochs = [json.dumps({"epoch": epoch, "loss/val": "0.5"}) for epoch in (0, 1)]
    for text in ("x" * size, whole[:size].decode().replace("\n", " "), "\n".join(epochs)):
        file.write_text(text.ljust(size))
        before = content(broken_off)
        with pytest.raises(UserError) as caught:
            resume_run(broken_off, [], "data")
        assert str(caught.value) == f"{other} {put_back}"
        assert content(broken_off).keys() == before.keys()
    file.write_bytes(whole)
    resume_run(broken_off, [], "data")


def test_tensorboard_reads_a_resumed_run_as_one(broken_off: Path) -> None:
    resume_run(broken_off, [], "data")
    starts = [e.session_log for e in events(broken_off) if e.HasField("session_log")]
    assert [log.status for log in starts] == [SessionLog.START]
    assert [e.step for e in events(broken_off) if e.HasField("session_log")] == [9]
    read = EventAccumulator(str(broken_off)).Reload()
    assert [point.step for point in read.Scalars("loss/val")] == [0, 5, 10, 15]
    assert [point.step for point in read.Scalars("loss/test")] == [15]


@pytest.mark.parametrize("lost", [1.0, 0.5])
def test_event_files_that_are_lost_do_not_matter(lost: float, broken_off: Path, runs: Path) -> None:
    (file,) = broken_off.glob("events*")
    size = file.stat().st_size
    os.truncate(file, int(size * (1 - lost)))
    if lost == 1.0:
        file.unlink()
    resume_run(broken_off, [], "data")
    assert lines_alike(broken_off, runs / "whole")
    read = EventAccumulator(str(broken_off)).Reload()
    assert [point.step for point in read.Scalars("loss/val")][-2:] == [10, 15]


@pytest.mark.parametrize(
    "text", [None, "", "garbage", "[]", '{"versions": 5}', '{"resumed": {}}', "[" * 10_000]
)
def test_a_lost_summary_is_written_anew(
    text: str | None, broken_off: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken_off / "summary.json").unlink()
    if text is not None:
        (broken_off / "summary.json").write_text(text)
    assert command_line(["resume", "run"]) == 0
    damaged = "run/summary.json: damaged, expected the JSON that dlrun writes; it is written anew\n"
    assert capsys.readouterr().err == ("" if text is None else damaged)
    assert_same_run(broken_off, runs / "whole")
    if text is not None:
        assert (broken_off / "damaged-summary.json").read_text() == text


def test_a_finished_run_that_has_lost_its_summary_gets_it_back(finished: Path, runs: Path) -> None:
    (finished / "summary.json").write_text("{")
    resume_run(finished, [], "data")
    assert_same_run(finished, runs / "whole")


def test_data_that_has_changed_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{number % 7},{number / 9:.2f}\n" for number in range(40)]
    Path("table.csv").write_text("a,b\n" + "".join(rows))
    train_in(Path("whole"), "dataset=csv", "dataset.path=table.csv", "epochs=4")
    train_in(Path("run"), "dataset=csv", "dataset.path=table.csv", "epochs=2")
    Path("table.csv").write_text("a,b\n" + "".join(["3,99.00\n", *rows[1:]]))
    before = content(Path("run/checkpoints"))
    assert command_line(["resume", "run", "epochs=4"]) == 1
    assert capsys.readouterr().err.startswith(
        "error: the data is not what the run was trained on until its checkpoint: to go on with it "
        "would make another experiment (put the old data back, or start a new run)\n"
    )
    assert content(Path("run/checkpoints")) == before
    Path("moved.csv").write_text("a,b\n" + "".join(rows))
    resume_run(Path("run"), ["epochs=4", "dataset.path=moved.csv"], "data")
    assert lines_alike(Path("run"), Path("whole"))


# ------------------------------------------------------------------- what comes from strangers


def write_config(run: Path, text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    (run / ".hydra" / "config.yaml").write_bytes(raw)


BILLION = "a: &a [x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(['*' + chr(97 + k)] * 10)}]\n" for k in range(20)
)
NO_CONFIG = "is no config, expected keys with plain values"
CONFIG = "run/.hydra/config.yaml"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", NO_CONFIG),
        ("- 1", NO_CONFIG),
        ("seed: 2024-01-01", NO_CONFIG),
        ("seed: !!binary aGk=", NO_CONFIG),
        ("a:" + " {a:" * 60 + " 1" + "}" * 60, NO_CONFIG),
        ("seed: [", "damaged, expected YAML"),
        (b"\xff\xfe\x00", "damaged, expected YAML"),
        ("a: " + "[" * 50_000, NO_CONFIG),
        ("- " * 30_000, NO_CONFIG),
        ("seed: !!python/object/apply:os.system ['touch boom']", NO_CONFIG),
        ("seed: !!int ''", NO_CONFIG),
        ("seed: 2024-13-45", "damaged, expected YAML"),
        (BILLION, NO_CONFIG),
        (
            "a: " + "x" * 70_000,
            "larger than 65,536 bytes (if you trust where it comes from, type --trust)",
        ),
        (
            "seed: ${oc.env:HOME}",
            "seed=${oc.env:HOME}: a stored config holds values, not interpolations "
            "(if you trust where it comes from, type --trust)",
        ),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_stored_config_is_plain_values(
    text: str | bytes, says: str, broken_off: Path, refusal: Refusal
) -> None:
    write_config(broken_off, text)
    assert refusal("run") == f"{CONFIG}: {says}"
    assert not Path("boom").exists()


def test_a_stored_config_that_was_edited_is_refused_by_name(
    broken_off: Path, refusal: Refusal
) -> None:
    text = (broken_off / ".hydra" / "config.yaml").read_text()
    undo = "than the checkpoint was made with: it would be another experiment (undo the change)"
    write_config(broken_off, text.replace("lr: 0.001", "lr: 0.1"))
    assert refusal("run") == f"run: .hydra/config.yaml has another optimizer.lr {undo}"
    write_config(broken_off, text.replace("lr: 0.001", "lr: 0.1").replace("seed: 0", "seed: 1"))
    assert refusal("run") == f"run: .hydra/config.yaml has another optimizer.lr, seed {undo}"
    write_config(broken_off, text.replace("dlrun.models.mlp.MLP", "os.system"))
    assert refusal("run") == f"run: .hydra/config.yaml has another model._target_ {undo}"
    write_config(broken_off, "epochs: 3")
    assert refusal("run").startswith("run: .hydra/config.yaml has another ")


def test_without_the_stored_config_the_checkpoints_own_serves(broken_off: Path, runs: Path) -> None:
    shutil.rmtree(broken_off / ".hydra")
    resume_run(broken_off, [], "data")
    assert_same_run(broken_off, runs / "whole")


Change = Callable[[dict[str, Any]], Any]


def forge(run: Path, change: Change) -> None:
    """Another checkpoint in the place of the run's, whole and with its checksum."""
    last = run / "checkpoints" / "last.pt"
    state = load_checkpoint(last)
    save_checkpoint(last, change(state) or state)
    (last.parent / "previous.pt").unlink()
    shutil.rmtree(run / ".hydra")


def within_itself(state: dict[str, Any]) -> None:
    state["config"]["model"]["hidden"] = state["config"]


def many_times_over(state: dict[str, Any]) -> None:
    part: list[Any] = ["x"]
    for _ in range(30):
        part = [part] * 10
    state["config"]["model"]["hidden"] = part


STORED = "a stored config may only name"
TRUST = "(if you trust where it comes from, type --trust)"
FORGERIES: dict[str, tuple[Change, str]] = {
    "os.system": (
        lambda state: state["config"]["model"].update(_target_="os.system"),
        f"model._target_=os.system: {STORED} models of dlrun, torch.nn, torchvision.models {TRUST}",
    ),
    "torch.hub.load": (
        lambda state: state["config"]["optimizer"].update(_target_="torch.hub.load"),
        f"optimizer._target_=torch.hub.load: {STORED} optimizers of dlrun, torch.optim, "
        f"pytorch_optimizer {TRUST}",
    ),
    "interpolation": (
        lambda state: state["config"].update(dataset="${oc.env:HOME}"),
        "run: in its checkpoint dataset=${oc.env:HOME}: a stored config holds values, "
        f"not interpolations {TRUST}",
    ),
    "cycle": (within_itself, "run/checkpoints/last.pt: no checkpoint as dlrun writes it"),
    "billion laughs": (
        many_times_over,
        "run/checkpoints/last.pt: no checkpoint as dlrun writes it",
    ),
    "no config": (
        lambda state: state.update(config=[1]),
        f"run: config in its checkpoint {NO_CONFIG}",
    ),
    "no choices": (
        lambda state: state.update(choices=None),
        f"run: choices in its checkpoint {NO_CONFIG}",
    ),
    "tensor": (
        lambda state: state["config"].update(seed=torch.ones(1)),
        f"run: config in its checkpoint {NO_CONFIG}",
    ),
    "unknown key": (
        lambda state: state["config"].update(sed=1),
        "run: in its checkpoint sed: Key 'sed' not in 'Config'",
    ),
    "wrong type": (
        lambda state: state["config"].update(seed="\x1b[2J"),
        "run: in its checkpoint seed: Value '\\x1b[2J' of type 'str' could not be converted to "
        "Integer",
    ),
    "format": (
        lambda state: state.update(format=99),
        "run: its checkpoint has format 99, this dlrun reads format 2 "
        "(use the dlrun that wrote it, or start a new run)",
    ),
    "best.pt": (
        lambda state: [state.pop(key) for key in ("optimizer", "pass")] and state,
        "run: checkpoints/last.pt has weights, but not where the run stood",
    ),
    "something else": (
        lambda state: {"weights": state["model"]},
        "run: checkpoints/last.pt is no checkpoint of a run",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_checkpoint_is_refused(name: str, broken_off: Path, refusal: Refusal) -> None:
    change, says = FORGERIES[name]
    forge(broken_off, change)
    assert refusal("run") == says


def test_choices_of_a_stranger_do_nothing_to_the_terminal(
    broken_off: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forge(broken_off, lambda state: state["choices"].update(model="\x1b[2J", dataset="[red]"))
    summary = summary_of(broken_off)
    summary["versions"]["torch"] = "\x1b]0;title\x07"
    (broken_off / "summary.json").write_text(json.dumps(summary))
    assert command_line(["resume", "run", "quiet=false"]) == 0
    output = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in output)
    assert "\\x1b[2J" in output
    assert "[red]" in output
    assert "resumed at step 8, in epoch 2" in output
    assert "versions have changed: torch \\x1b]0;title\\x07 → " in output


@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "train.log", "checkpoints", ".hydra", ".lock", "figures"]
)
def test_links_are_not_followed(name: str, broken_off: Path, refusal: Refusal) -> None:
    place, outside = broken_off / name, Path("outside")
    if place.exists():
        place.rename(outside)
    place.symlink_to(Path("..") / outside)
    assert refusal("run") == f"run/{name}: is a link; none are followed {TRUST}"


def test_a_pipe_in_the_place_of_a_file_is_refused(broken_off: Path, refusal: Refusal) -> None:
    (broken_off / "train.log").unlink()
    os.mkfifo(broken_off / "train.log")
    says = f"run/train.log: is no file or folder; none are followed {TRUST}"
    with pytest.raises(UserError) as caught:
        resume_run(broken_off, [], "data")
    assert str(caught.value) == says


def test_nothing_of_the_current_directory_is_imported(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who steps into a stranger's run directory would import what is called matplotlib.py there."""
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())])
    assert command_line(["resume", "run"]) == 0
    assert os.getcwd() not in sys.path
    assert command_line(["resume", "run", "--trust"]) == 0
    assert os.getcwd() in sys.path


MYNET = """
from pathlib import Path
from torch import nn

with Path("imported").open("a") as file:
    file.write("x")

class Net(nn.Sequential):
    def __init__(self, in_shape, out_features):
        super().__init__(nn.Flatten(), nn.Linear(in_shape[0], out_features))
"""


def test_a_model_of_ones_own_takes_trust(dlrun: Command) -> None:
    Path("mynet.py").write_text(MYNET)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/mynet.yaml").write_text("_target_: mynet.Net\n_partial_: true\n")
    words = ("dataset=moons", "dataset.n_samples=60", "model=mynet", *QUIET)
    for name, epochs in (("whole", 4), ("run", 2)):
        done = dlrun(*words, f"epochs={epochs}", f"hydra.run.dir={name}")
        assert done.returncode == 0, done.stderr
    imported = Path("imported").read_text()
    refused = dlrun("resume", "run", "epochs=4")
    assert (refused.returncode, refused.stdout) == (2, "")
    says = f"model._target_=mynet.Net: {STORED} models of dlrun, torch.nn, torchvision.models"
    assert refused.stderr == f"error: {says} {TRUST}\n"
    assert Path("imported").read_text() == imported
    done = dlrun("resume", "--trust", "run", "epochs=4")
    assert done.returncode == 0, done.stderr
    assert lines_alike(Path("run"), Path("whole"))


# ------------------------------------------------------------------------------- one at a time

IN_USE = (
    "run: in use by another process "
    "(wait until it is over, or stop it with Ctrl-C; then type dlrun resume again)"
)


def test_a_run_under_way_is_left_alone(started: Callable[..., Started], refusal: Refusal) -> None:
    words = (*SMALL, *QUIET, "epochs=1000000", "hydra.run.dir=run")
    running = started(*words)
    last = Path("run/checkpoints/previous.pt")
    assert running.wait_for(last.exists)
    for overrides in ([], ["epochs=5"]):
        with pytest.raises(UserError) as caught:
            resume_run(Path("run"), overrides, "data")
        assert str(caught.value) == IN_USE
    epoch = load_checkpoint(last)["epoch"]
    assert running.wait_for(lambda: load_checkpoint(last)["epoch"] > epoch)
    running.send(signal.SIGKILL)
    assert running.wait().returncode == -9
    assert Path("run/.lock").exists()  # a dead process holds nothing
    newest = newest_checkpoint(Path("run/checkpoints"))[0]["epoch"]
    resumed = resume_run(Path("run"), [f"epochs={newest + 1}"], "data")
    assert isinstance(resumed, Result)
    assert resumed.status == "completed"


def test_a_process_may_hold_its_run_twice(finished: Path, dlrun: Command) -> None:
    with locked(finished):
        with locked(finished):
            pass
        refused = dlrun("resume", "run")
        assert (refused.returncode, refused.stderr) == (2, f"error: {IN_USE}\n")
        assert resume_run(finished, [], "data") == 0
    assert dlrun("resume", "run").returncode == 0


# ----------------------------------------------------------------------------- names of runs

NAMES = [
    *("<script>alert(1)", "a b", "it's", 'say "hi"', "red\x1b[31m", "two\nlines", "key=value"),
    *("-dash", "ünï", "back\\slash", "$HOME", "[red]", os.fsdecode(b"\xff")),
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_shown_and_can_be_typed(
    name: str, finished: Path, capsys: pytest.CaptureFixture[str], refusal: Refusal
) -> None:
    try:
        run = finished.rename(name)
    except OSError:
        pytest.skip("this file system has no such names")
    assert command_line(["resume", f"./{name}"]) == 0
    output = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in output)
    first, second = output.splitlines()
    assert first.endswith(": finished (completed, 3 epochs, stopped by epochs)")
    command = second.removeprefix("to train on, type ")
    typed = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True
    ).stdout.split(b"\0")
    assert typed[:2] == [b"dlrun", b"resume"]
    assert typed[3:] == [b"epochs=6", b""]
    assert os.path.samefile(typed[2], run)
    with pytest.raises(Interrupted) as ended, endings_told(run, base()):
        raise Interrupted(signal.SIGTERM)
    how = command.removesuffix(" epochs=6")
    assert ended.value.text == f"interrupted by SIGTERM; go on with: {how}"
    assert refusal(f"./{name}", "seed=1").startswith("seed=1: would make another experiment")
    assert refusal(f"./{name}", "epochs=1").startswith("epochs=1: ")
    run.rename("elsewhere")
    assert "no such directory" in refusal(f"./{name}".replace("=", "-"))
