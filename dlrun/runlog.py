"""What a run leaves behind: TensorBoard events, metrics.jsonl, summary.json, checkpoints."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dlrun.checkpoint import link_checkpoint, save_checkpoint
from dlrun.errors import UserError
from dlrun.terminal import Terminal

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger("dlrun")

PACKAGES = ("dlrun", "torch", "torchvision", "hydra-core", "omegaconf", "tensorboard", "numpy")


class RunLog:
    """The record of one run, in its directory from the first moment on.

    As a context manager it closes its files and writes down how the run ended, also when an
    exception ends it.
    """

    def __init__(self, run_dir: Path, *, overrides: Sequence[str], terminal: Terminal) -> None:
        self.run_dir = run_dir
        self.terminal = terminal
        self.summary: dict[str, Any] = {
            "status": "running",
            "stopped_by": None,
            "error": None,
            "seed": None,
            "overrides": list(overrides),
            "hparams": {},
            "epochs": 0,
            "steps": 0,
            "parameters": None,
            "best_epoch": None,
            "metrics": {},
            "train_seconds": None,
            "samples_per_second": None,
            "device": None,
            "versions": installed_versions(),
            "git": _git(),
        }
        self.profiler: Any = None  # a torch.profiler.profile while one records
        self.checkpoint_extra: dict[str, Any] = {}
        self._writer: SummaryWriter | None = None
        self._first_step_seen = False

    def __enter__(self) -> RunLog:
        if (self.run_dir / "summary.json").exists():
            raise UserError(
                f"hydra.run.dir={self.run_dir}: holds a run already; a run never writes over "
                "another (name a new directory)"
            )
        (self.run_dir / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.write_summary()
        self._metrics = (self.run_dir / "metrics.jsonl").open("a", encoding="utf-8")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.terminal.stop()
        if isinstance(error, KeyboardInterrupt):
            self.update(status="interrupted", stopped_by="signal")
        elif error is not None:
            text = str(error) if isinstance(error, UserError) else f"{kind.__name__}: {error}"  # type: ignore[union-attr]
            self.update(status="failed", error=text)
            logger.info("failed", exc_info=error)  # the traceback goes to train.log alone
        if self._writer is not None:
            self._end_hparams()
            self._writer.close()
        self._metrics.close()

    @property
    def writer(self) -> SummaryWriter:
        """TensorBoard's writer; importing it costs too much for runs that fail early."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.run_dir))
        return self._writer

    def update(self, **entries: Any) -> None:
        """Changes entries of the summary and writes it."""
        self.summary.update(entries)
        self.write_summary()

    def write_summary(self) -> None:
        """Replaces summary.json in one go, so that a reader never meets half of it."""
        beside = self.run_dir / ".summary.json.tmp"
        text = json.dumps(_plain(self.summary), indent=2, ensure_ascii=False)
        # A file name that is not UTF-8 has lone surrogates in it; JSON writes them so.
        beside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
        os.replace(beside, self.run_dir / "summary.json")

    def start(self, config_text: str, model_text: str, hparams: Mapping[str, Any]) -> None:
        """Tells TensorBoard what this run is: config, model, hyper-parameters."""
        writer = self.writer
        writer.add_text("config", _preformatted(config_text), 0)
        writer.add_text("model", _preformatted(model_text), 0)
        self._start_hparams(hparams)
        writer.flush()

    def minibatch(self, step: int, loss: float, lr: float) -> None:
        """The loss of one minibatch; called every few steps."""
        self.writer.add_scalar("loss/minibatch", loss, step)
        self.terminal.minibatch(step, loss, lr)

    def step(self) -> None:
        """One optimizer step is done."""
        if not self._first_step_seen:
            self._first_step_seen = True
            logger.info("first optimizer step at %.3f", time.time())
        if self.profiler is not None:
            self.profiler.step()

    def epoch(self, line: Mapping[str, float | None]) -> None:
        """One line of metrics.jsonl, and the same figures to TensorBoard and the terminal."""
        self._metrics.write(json.dumps(_plain(line)) + "\n")
        self._metrics.flush()
        step = int(line["step"] or 0)
        if line["epoch"] == 0:
            self._lay_out_charts(line)
        for name, value in line.items():
            if name not in ("epoch", "step", "time/total") and value is not None:
                self.writer.add_scalar(name, value, step)
        self.writer.flush()
        self.summary.update(epochs=line["epoch"], steps=step)
        self.write_summary()
        self.terminal.epoch(line)
        logger.info("epoch %s: %s", line["epoch"], _figures(line))

    def checkpoint(self, state: dict[str, Any], *, best: bool) -> None:
        """checkpoints/last.pt, and best.pt when this epoch is the best so far."""
        folder = self.run_dir / "checkpoints"
        save_checkpoint(folder / "last.pt", {**state, **self.checkpoint_extra})
        if best:
            link_checkpoint(folder / "last.pt", folder / "best.pt")

    def finals(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Test figures, to TensorBoard; they stand in summary.json through `update`."""
        for name, value in metrics.items():
            if value is not None:
                self.writer.add_scalar(name, value, step)

    def figure(self, name: str, figure: Figure, step: int = 0) -> None:
        """A picture: figures/NAME.png, and the same in TensorBoard."""
        from dlrun.figures import pixels

        folder = self.run_dir / "figures"
        folder.mkdir(exist_ok=True)
        figure.savefig(folder / f"{name}.png")
        self.writer.add_image(f"plots/{name}", pixels(figure), step, dataformats="HWC")

    def _lay_out_charts(self, line: Mapping[str, float | None]) -> None:
        """Training and validation on one chart, in TensorBoard's tab Custom Scalars.

        Only for what this run measures; TensorBoard joins the layouts of all runs.
        """
        names = [name.removesuffix("/train") for name in line if name.endswith("/train")]
        layout = {name: ["Multiline", [f"{name}/train", f"{name}/val"]] for name in names}
        self.writer.add_custom_scalars({"training and validation": layout})

    def _start_hparams(self, hparams: Mapping[str, Any]) -> None:
        """HPARAMS in this same event file; SummaryWriter.add_hparams would start another folder.

        Every run writes the same names, a null where one does not apply. A list of columns is not
        written: TensorBoard would take that of any one run for all. Without it, it collects the
        columns from all runs, with their types, and puts first those in which the runs differ.
        """
        from tensorboard.plugins.hparams import metadata, plugin_data_pb2

        session = plugin_data_pb2.SessionStartInfo(start_time_secs=time.time())
        for name, value in hparams.items():
            if value is None:
                session.hparams[name].null_value = 0
            elif isinstance(value, bool):
                session.hparams[name].bool_value = value
            elif isinstance(value, (int, float)):
                session.hparams[name].number_value = value
            else:
                session.hparams[name].string_value = str(value)
        data = plugin_data_pb2.HParamsPluginData(session_start_info=session)
        self._add_hparams(metadata.SESSION_START_INFO_TAG, data)

    def _end_hparams(self) -> None:
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        good = self.summary["status"] in ("completed", "diverged")
        end = plugin_data_pb2.SessionEndInfo(
            status=api_pb2.STATUS_SUCCESS if good else api_pb2.STATUS_FAILURE,
            end_time_secs=time.time(),
        )
        data = plugin_data_pb2.HParamsPluginData(session_end_info=end)
        self._add_hparams(metadata.SESSION_END_INFO_TAG, data)

    def _add_hparams(self, tag: str, data: Any) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import metadata

        value = Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(data))
        file_writer = self.writer.file_writer
        assert file_writer is not None
        file_writer.add_summary(Summary(value=[value]))


def _figures(line: Mapping[str, float | None]) -> str:
    return ", ".join(
        f"{name} {value:.5g}" for name, value in line.items() if value is not None and "/" in name
    )


def _preformatted(text: str) -> str:
    """Markdown that shows the text as it stands."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _plain(value: Any) -> Any:
    """The value with what JSON has no number for (NaN, infinity) as null."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def installed_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a run's figures hang on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # dlrun run from a checkout, say
            continue
    return versions


def _git() -> dict[str, Any] | None:
    """Commit and dirty state of the repository one runs from; None where there is none."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, timeout=5, check=True
        )
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):  # no git, no repository, no commit yet
        return None
