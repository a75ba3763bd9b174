"""What a run leaves behind: TensorBoard events, metrics.jsonl, summary.json, checkpoints."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dlrun import events
from dlrun.checkpoint import save_checkpoint
from dlrun.diagnostics import Record, scalars, to_line
from dlrun.errors import Failure, UserError
from dlrun.evaluation import Line
from dlrun.failures import explain
from dlrun.provenance import Origin
from dlrun.provenance import origin as own_origin
from dlrun.run_files import (
    DIAGNOSTICS,
    METRICS,
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
from dlrun.summary import new_summary, resumed_summary
from dlrun.terminal import Terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger("dlrun")
GOOD_ENDS = ("completed", "diverged", "pruned")


class RunLog:
    """The record of one run, in its directory from the first moment on.

    As a context manager it holds the directory, closes its files and writes down how the run
    ended, also when an exception ends it. With a checkpoint it goes on from there: files are cut
    back to it, and the lines of the epochs until then are its `history`.
    origin: None for a run of this process's own.
    """

    def __init__(
        self,
        run_dir: Path,
        *,
        overrides: Sequence[str],
        terminal: Terminal,
        checkpoint: Mapping[str, Any] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.run_dir = run_dir
        self.terminal = terminal
        self.summary = new_summary(overrides, origin or own_origin())
        self.history: list[Line] = []
        self.profiler: Any = None  # a torch.profiler.profile while one records
        self.about: dict[str, Any] = {}  # what checkpoints say of the run beside its state
        self.notes: list[str] = []  # what to know of a run that goes on
        self.first_step = 0 if checkpoint is None else checkpoint["step"]
        self._resumed = checkpoint
        self._best_saved: int | None = None
        self._writer: SummaryWriter | None = None
        self._first_step_seen = False
        self._open = ExitStack()

    def __enter__(self) -> RunLog:
        with ExitStack() as opened:
            opened.enter_context(locked(self.run_dir))
            opened.enter_context(room_for_last_words(self.run_dir))
            opened.enter_context(writing_threads_quiet())
            if self._resumed is not None:
                self._take_up(self._resumed)
            elif (self.run_dir / "summary.json").exists():
                raise UserError(
                    f"hydra.run.dir={self.run_dir}: holds a run already; a run never writes over "
                    "another (name a new directory)"
                )
            (self.run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
            opened.enter_context(train_log(self.run_dir / "train.log"))
            self.write_summary()
            metrics = (self.run_dir / METRICS).open("a", encoding="utf-8")
            self._metrics = opened.enter_context(metrics)
            opened.callback(self._close_writer)
            opened.callback(self.terminal.stop)
            self._open = opened.pop_all()
        return self

    def _take_up(self, checkpoint: Mapping[str, Any]) -> None:
        cut_back(self.run_dir, checkpoint["files"])
        done = checkpoint["epoch"] - (checkpoint["pass"] is not None)
        self.history = read_history(self.run_dir, done)
        fresh, step = self.summary, checkpoint["step"]
        before = read_summary(self.run_dir) or {}
        self.summary = resumed_summary(before, fresh, step)
        self.notes.append(f"resumed at step {step:,}, in epoch {len(self.history)}")
        if changed := self.summary["resumed"][-1]["versions"]:
            known = before.get("versions", {})
            names = ", ".join(f"{name} {known.get(name)} → {v}" for name, v in changed.items())
            self.notes.append(f"versions have changed: {names}; figures may differ from now on")
        if self.history:
            self.summary.update(epochs=done, steps=self.history[-1]["step"])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            with self._open:
                if error is not None:
                    give_up_room(self.run_dir)
                    self._tell_end(error)
        except OSError as failure:
            if error is not None:  # to be told is what ended the run, and may well cause this one
                return
            self.update(status="failed", error=explain(failure))
            raise

    def _tell_end(self, error: BaseException) -> None:
        """Writes down what ended the run; the traceback goes to train.log alone."""
        if isinstance(error, KeyboardInterrupt):
            self.update(status="interrupted", stopped_by="signal")
            return
        told = str(error) if isinstance(error, (UserError, Failure)) else explain(error)
        self.update(status="failed", error=told or f"{type(error).__name__}: {error}")
        logger.info("failed", exc_info=error)

    def _close_writer(self) -> None:
        file_writer = None if self._writer is None else self._writer.file_writer
        if file_writer is None:
            return
        try:
            self._add(events.session_end(good=self.summary["status"] in GOOD_ENDS))
            file_writer.flush()  # raises what the thread that writes has met
        finally:
            file_writer.close()  # ends that thread

    @property
    def writer(self) -> SummaryWriter:
        """TensorBoard's writer; importing it costs too much for runs that fail early."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            step = None if self._resumed is None else self.first_step + 1
            self._writer = SummaryWriter(str(self.run_dir), purge_step=step)
        return self._writer

    def update(self, **entries: Any) -> None:
        """Changes entries of the summary and writes it."""
        self.summary.update(entries)
        self.write_summary()

    def write_summary(self) -> None:
        write_summary(self.run_dir, self.summary)

    def start(self, config_text: str, model_text: str, hparams: Mapping[str, Any]) -> None:
        """Tells .hydra and TensorBoard what this run is: config, model, hyper-parameters.

        The config is stored as it runs, every reference in it resolved.
        """
        (self.run_dir / ".hydra").mkdir(exist_ok=True)
        replace_text(self.run_dir / ".hydra" / "config.yaml", config_text)
        if self._resumed is not None:  # TensorBoard knows it from before
            return
        writer = self.writer
        writer.add_text("config", _preformatted(config_text), 0)
        writer.add_text("model", _preformatted(model_text), 0)
        self._add(events.session_start(hparams))
        writer.flush()

    def minibatch(self, step: int, loss: float, lr: float | None) -> None:
        """The loss of one minibatch; called every few steps."""
        self.writer.add_scalar("loss/minibatch", loss, step)
        self.terminal.minibatch(step, loss, lr)

    def watched(self, record: Record) -> None:
        """One line of diagnostics.jsonl, and the same figures to TensorBoard."""
        with (self.run_dir / DIAGNOSTICS).open("a", encoding="utf-8") as file:
            file.write(f"{to_line(record)}\n")
        for name, value in scalars(record).items():
            self.writer.add_scalar(name, value, record["step"])

    def step(self) -> None:
        """One optimizer step is done."""
        if not self._first_step_seen:
            self._first_step_seen = True
            logger.info("first optimizer step at %.3f", time.time())
        if self.profiler is not None:
            self.profiler.step()

    def epoch(self, line: Mapping[str, float | None]) -> None:
        """One line of metrics.jsonl, and the same figures to TensorBoard and the terminal."""
        self._metrics.write(json.dumps(plain(line)) + "\n")
        self._metrics.flush()
        step = int(line["step"] or 0)
        if line["epoch"] == 0:
            self.writer.add_custom_scalars(events.charts(line))
        for name, value in line.items():
            if name == "evaluations" and value == step:
                continue  # as in all descent by gradients: nothing new
            if name not in ("epoch", "step", "time/total") and value is not None:
                self.writer.add_scalar(name, value, step)
        self.writer.flush()
        counts = {"epochs": line["epoch"], "steps": step, "evaluations": line["evaluations"]}
        self.summary.update(counts)
        self.write_summary()
        self.terminal.epoch(line)
        logger.info("epoch %s: %s", line["epoch"], _figures(line))

    def checkpoint(self, state: dict[str, Any]) -> None:
        """checkpoints/last.pt with the one before it, and best.pt when there is a better epoch.

        The sizes of the other files go into it; what is written later can be cut off again.
        best.pt comes first: a run that is killed between the two goes on from the last.pt before,
        and so comes to write both once more.
        """
        best = state["best"]
        weights = state["model"] if best["model"] is None else best["model"]
        self.keep_best(best["epoch"], best["value"], weights)
        self._metrics.flush()
        os.fsync(self._metrics.fileno())
        if self._writer is not None:
            self._writer.flush()
        folder = self.run_dir / "checkpoints"
        content = {**state, **self.about, "files": sizes(self.run_dir)}
        save_checkpoint(folder / "last.pt", content, previous=folder / "previous.pt")

    def keep_best(self, epoch: int, value: float | None, weights: Mapping[str, Any]) -> None:
        """checkpoints/best.pt: the best weights so far, without what only training needs."""
        if weights and epoch != self._best_saved:
            content = {"model": dict(weights), "epoch": epoch, "value": value}
            save_checkpoint(self.run_dir / "checkpoints" / "best.pt", {**content, **self.about})
            self._best_saved = epoch

    def finals(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Test figures, to TensorBoard; they stand in summary.json through `update`."""
        for name, value in metrics.items():
            if value is not None:
                self.writer.add_scalar(name, value, step)
        self.writer.flush()  # before the summary says that the run is over

    def figure(self, name: str, figure: Figure, step: int = 0) -> None:
        """A picture: figures/NAME.png, and the same in TensorBoard."""
        from dlrun.figures import pixels

        folder = self.run_dir / "figures"
        folder.mkdir(exist_ok=True)
        figure.savefig(folder / f"{name}.png")
        self.writer.add_image(f"plots/{name}", pixels(figure), step, dataformats="HWC")

    def animation(self, name: str, gif: bytes, width: int, height: int, step: int = 0) -> None:
        """A moving picture: figures/NAME.gif, and the same in TensorBoard, where it moves too."""
        folder = self.run_dir / "figures"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.gif").write_bytes(gif)
        self._add(events.moving_picture(f"animations/{name}", gif, width, height), step)

    def _add(self, value: Any, step: int | None = None) -> None:
        """Writes an entry that SummaryWriter has no method for."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        file_writer = self.writer.file_writer
        assert file_writer is not None
        file_writer.add_summary(Summary(value=[value]), step)


def _figures(line: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{name} {value:.5g}" for name, value in line.items() if value is not None and "/" in name
    )


def _preformatted(text: str) -> str:
    """Markdown that shows the text as it stands."""
    return "\n".join(f"    {line}" for line in text.splitlines())
