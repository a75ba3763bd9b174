"""What a run gives back, and what it says of itself when it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from dlrun import schema
from dlrun.diagnostics import Verdict
from dlrun.endings import cure
from dlrun.evaluation import Line
from dlrun.runlog import RunLog
from dlrun.state import Fitted
from dlrun.terminal import display_path, typed_path

if TYPE_CHECKING:
    import pandas

# Status of runs that were cut short, by what stopped them.
ENDINGS = {"divergence": "diverged", "pruned": "pruned"}


@dataclass(frozen=True)
class Beside:
    """What stands beside the network's own figures.

    baselines: figures by baseline, such as `mse/test`. notes: what to know of them. verdict: on
    the gradients, where they were watched.
    """

    baselines: Mapping[str, Mapping[str, float | None]]
    notes: Sequence[str]
    verdict: Verdict | None


@dataclass
class Result:
    """One finished run.

    model: with its best weights, in evaluation mode. metrics: figures at the best epoch, by the
    names of the TensorBoard tags, and those of the test split. lines: metrics.jsonl.
    advice: two lines on why it diverged and what to try; None for a run that did not.
    """

    run_dir: Path
    status: str
    stopped_by: str
    best_epoch: int
    metrics: Line
    lines: list[Line]
    model: nn.Module
    best_value: float | None
    advice: str | None = None

    @property
    def history(self) -> pandas.DataFrame:
        """One row an epoch, epoch 0 (before training) included; columns as in metrics.jsonl."""
        import pandas

        return pandas.DataFrame(self.lines)

    @property
    def exit_code(self) -> int:
        """What the command line ends with: 0, or 3 for a run that diverged."""
        return 3 if self.status == "diverged" else 0


def conclude(
    log: RunLog,
    fitted: Fitted,
    metrics: Line,
    beside: Beside,
    model: nn.Module,
    settings: schema.Config,
) -> Result:
    """The result, written to summary.json and shown in the final table."""
    assert fitted.stopped_by is not None
    diverged = fitted.stopped_by == "divergence"
    status = ENDINGS.get(fitted.stopped_by, "completed")
    counts = ("epoch", "step", "evaluations")
    named = {name: value for name, value in metrics.items() if name not in counts}
    last = fitted.history[-1]
    log.finals({k: v for k, v in named.items() if k.endswith("/test")}, int(last["step"] or 0))
    log.update(
        status=status,
        stopped_by=fitted.stopped_by,
        error=str(fitted.divergence) if diverged else None,
        skipped_batches=fitted.skipped,
        steps=fitted.steps,
        evaluations=fitted.evaluations,
        baselines=beside.baselines,
        diagnosis=None if beside.verdict is None else beside.verdict._asdict(),
        best_epoch=fitted.best_epoch,
        metrics=named,
        train_seconds=fitted.seconds,
        samples_per_second=fitted.samples / fitted.seconds if fitted.steps else None,
    )
    folder = display_path(log.run_dir)
    log.terminal.stop()
    log.terminal.result(
        headline(fitted, status),
        named,
        {"run": folder, "TensorBoard": f"tensorboard --logdir {typed_path(log.run_dir)}"},
        good=not diverged,
        baselines=beside.baselines,
        remarks=[
            *beside.notes,
            *(() if beside.verdict is None else beside.verdict.text.split("\n")),
        ],
    )
    return Result(
        run_dir=log.run_dir,
        status=status,
        stopped_by=fitted.stopped_by,
        best_epoch=fitted.best_epoch,
        metrics=named,
        lines=fitted.history,
        model=model.eval(),
        best_value=fitted.best_value,
        advice=f"{fitted.divergence}\n{cure(settings, log.run_dir)}" if diverged else None,
    )


def headline(fitted: Fitted, status: str) -> str:
    """How the run ended, in one line."""
    epochs = int(fitted.history[-1]["epoch"] or 0)
    text = f"{status}: {epochs} epochs, {fitted.steps:,} steps, {fitted.seconds:.1f} s"
    text += f" of training; best epoch {fitted.best_epoch}"
    if fitted.stopped_by != "epochs":
        text += f"; stopped by {fitted.stopped_by}"
    if fitted.evaluations != fitted.steps:
        text += f"; {fitted.evaluations:,} losses computed"
    if fitted.skipped:
        text += f"; {fitted.skipped:,} batches skipped"
    return text
