"""Where a run stands: all that its next step depends on, and how a checkpoint keeps it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dlrun import schema
from dlrun.datasets.splits import Splits
from dlrun.device import Compute, rng_states, set_rng_states
from dlrun.diagnostics import Record, Watch
from dlrun.divergence import Divergence, largest_gradient
from dlrun.evaluation import Criterion, Line
from dlrun.metrics import Meter
from dlrun.randomness import stream
from dlrun.scheduler import Schedule
from dlrun.signals import Requests
from dlrun.stopping import EarlyStopping, StoppedBy

FORMAT = 2  # of checkpoints; another number is another set of keys
Augment = Callable[[Tensor, torch.Generator], Tensor]


class Log(Protocol):
    """What the loop tells while it runs."""

    def minibatch(self, step: int, loss: float, lr: float | None) -> None: ...

    def epoch(self, line: Line) -> None: ...

    def checkpoint(self, state: dict[str, Any]) -> None: ...

    def step(self) -> None: ...

    def watched(self, record: Record) -> None: ...


@dataclass(frozen=True)
class Recipe:
    """How to train: all that is decided before the first step.

    criterion: mean loss of (outputs, targets), shape (); evaluation_criterion: the same without
        what only training does (label smoothing).
    monitor: the metric that says which epoch was best; without a validation split the last one is.
    watch_every_steps: steps between two looks at gradients, None for none. snapshot_epochs: those
        whose weights are kept.
    """

    criterion: Criterion
    evaluation_criterion: Criterion
    epochs: int
    batch_size: int
    seed: int
    monitor: str
    regularization: schema.Regularization = field(default_factory=schema.Regularization)
    scheduler: schema.Scheduler = field(default_factory=schema.Scheduler)
    stopping: schema.Stopping = field(default_factory=schema.Stopping)
    checkpoint: schema.Checkpoint = field(default_factory=schema.Checkpoint)
    augment: Augment | None = None
    log_every_steps: int = 50
    watch_every_steps: int | None = None
    snapshot_epochs: frozenset[int] = frozenset()


@dataclass
class Fitted:
    """Where training stands, and in the end what it leaves.

    history: one line an epoch; epoch 0 is before training. seconds: in training epochs,
    evaluation left out. best_state: the weights of best_epoch. skipped: batches whose update was
    left out because it was not finite. evaluations: how often the loss of a batch was computed in
    training; a step of gradient descent needs one. snapshots: weights by epoch.
    """

    history: list[Line] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    stopped_by: StoppedBy | None = None
    divergence: Divergence | None = None
    steps: int = 0
    samples: int = 0
    skipped: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)


@dataclass
class Pass:
    """One pass over the training split under way.

    position: batches of it that are done. start: on time.perf_counter's clock; seconds: how long
    it took. before: all parameters at its start (P,), where a criterion compares with them.
    """

    epoch: int
    meter: Meter
    augment: torch.Generator
    start: float
    before: Tensor | None = None
    position: int = 0
    cut_short: StoppedBy | None = None
    seconds: float = 0.0
    grad_norms: list[Tensor] = field(default_factory=list)


@dataclass
class Training:
    """A run under way: what trains, on what, how, and where it stands.

    slices: of one pass over the training split. start, saved_at: on time.perf_counter's clock.
    current: None between two passes. gradient_before: the largest one of the last step before a
    checkpoint that the run goes on from, by layer; the model itself has none then. prune: whether
    a search gives this run up after an epoch with such a line. watch: looks at gradients.
    """

    model: nn.Module
    parameters: list[nn.Parameter]  # those that get a gradient
    optimizer: torch.optim.Optimizer
    data: Splits
    recipe: Recipe
    compute: Compute
    log: Log
    requests: Requests
    slices: list[slice]
    schedule: Schedule
    early_stopping: EarlyStopping | None
    start: float
    saved_at: float
    fitted: Fitted
    current: Pass | None = None
    gradient_before: tuple[str, float] | None = None
    prune: Callable[[Line], bool] | None = None
    watch: Watch | None = None


def begin_pass(run: Training) -> Pass:
    """The next pass, at its start."""
    epoch = len(run.fitted.history)
    return Pass(
        epoch=epoch,
        meter=Meter(run.data.task, run.data.target_scaling),
        augment=stream(run.recipe.seed, "augment", epoch),
        start=time.perf_counter(),
        before=None if run.recipe.stopping.min_update is None else flat_parameters(run.model),
    )


def order_of(run: Training, epoch: int) -> Tensor:
    """The order (N,) in which an epoch takes the samples; it hangs on seed and epoch alone."""
    generator = stream(run.recipe.seed, "order", epoch)
    return torch.randperm(len(run.data.train), generator=generator)


def capture(run: Training) -> dict[str, Any]:
    """All that the next step depends on, for save_checkpoint; tensors are not copied.

    The history is left out: it is metrics.jsonl, which the log cuts back to this state.
    """
    fitted, current = run.fitted, run.current
    best_is_now = current is None and fitted.best_epoch == len(fitted.history) - 1
    epoch = len(fitted.history) - 1 if current is None else current.epoch
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "schedule": run.schedule.state(),
        "scaler": None if run.compute.scaler is None else run.compute.scaler.state_dict(),
        "early_stopping": None if run.early_stopping is None else run.early_stopping.state(),
        "epoch": epoch,
        "step": fitted.steps,
        "position": 0 if current is None else current.position,
        "stopped_by": fitted.stopped_by,
        "divergence": None if fitted.divergence is None else vars(fitted.divergence),
        "gradient": largest_gradient(run.model) or run.gradient_before,
        "watched": {} if run.watch is None else run.watch.gradients(),
        "best": {
            "epoch": fitted.best_epoch,
            "value": fitted.best_value,
            "model": None if best_is_now else fitted.best_state,  # None: the model above
        },
        "samples": fitted.samples,
        "skipped": fitted.skipped,
        "evaluations": fitted.evaluations,
        "snapshots": fitted.snapshots,
        "seconds": fitted.seconds,
        "elapsed": time.perf_counter() - run.start,
        "pass": None if current is None else _captured_pass(current),
        "generators": rng_states(run.compute.device),
        "order": [run.recipe.seed, "order", epoch],
    }


def _captured_pass(current: Pass) -> dict[str, Any]:
    return {
        "meter": current.meter.state(),
        "augment": current.augment.get_state(),
        "elapsed": time.perf_counter() - current.start,
        "before": current.before,
        "cut_short": current.cut_short,
        "grad_norms": current.grad_norms,
    }


def restore(run: Training, state: Mapping[str, Any], history: list[Line]) -> None:
    """Puts a run that has just been set up where `state`, captured from its like, stood.

    history: the lines of the epochs that were over then.
    """
    device, fitted = run.compute.device, run.fitted
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.schedule.restore(state["schedule"])
    if run.compute.scaler is not None and state["scaler"] is not None:
        run.compute.scaler.load_state_dict(state["scaler"])
    if run.early_stopping is not None:
        run.early_stopping.restore(state["early_stopping"])
    fitted.history = history
    fitted.steps, fitted.samples = state["step"], state["samples"]
    fitted.skipped, fitted.seconds = state["skipped"], state["seconds"]
    fitted.evaluations = state["evaluations"]
    fitted.snapshots = {
        epoch: {name: tensor.to(device) for name, tensor in weights.items()}
        for epoch, weights in state["snapshots"].items()
    }
    fitted.stopped_by = state["stopped_by"]
    fitted.divergence = None if state["divergence"] is None else Divergence(**state["divergence"])
    run.gradient_before = state["gradient"]
    if run.watch is not None:
        run.watch.gradients_before = state["watched"]
    best = state["best"]
    fitted.best_epoch, fitted.best_value = best["epoch"], best["value"]
    weights = copy_state(run.model) if best["model"] is None else best["model"]
    fitted.best_state = {name: tensor.to(device) for name, tensor in weights.items()}
    run.start = time.perf_counter() - state["elapsed"]
    if state["pass"] is not None:
        run.current = _restored_pass(run, state["epoch"], state["position"], state["pass"])
    set_rng_states(device, state["generators"])


def _restored_pass(run: Training, epoch: int, position: int, state: Mapping[str, Any]) -> Pass:
    device = run.compute.device
    current = begin_pass(run)
    assert current.epoch == epoch
    current.position = position
    current.meter.restore(state["meter"], device)
    current.augment.set_state(state["augment"])
    current.start = time.perf_counter() - state["elapsed"]
    current.before = None if state["before"] is None else state["before"].to(device)
    current.cut_short = state["cut_short"]
    current.grad_norms = [norm.to(device) for norm in state["grad_norms"]]
    return current


def flat_parameters(model: nn.Module) -> Tensor:
    """All parameters as one vector (P,), copied."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers, copied."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
