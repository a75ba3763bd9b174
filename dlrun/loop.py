"""Training and evaluation: plain functions over a model, its data and an optimizer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dlrun import schema
from dlrun.datasets.splits import Inputs, Split, Splits
from dlrun.device import Compute
from dlrun.losses import l1_penalty
from dlrun.metrics import Meter
from dlrun.randomness import stream
from dlrun.scheduler import Schedule
from dlrun.stopping import (
    EarlyStopping,
    StoppedBy,
    is_better,
    reached_threshold,
    require_metric,
)

Criterion = Callable[[Tensor, Tensor], Tensor]
Augment = Callable[[Tensor, torch.Generator], Tensor]
Line = dict[str, float | None]

EVALUATION_BATCH = 1024  # samples; only memory depends on it


class Log(Protocol):
    """What the loop tells while it runs."""

    def minibatch(self, step: int, loss: float, lr: float) -> None: ...

    def epoch(self, line: Line) -> None: ...

    def checkpoint(self, state: dict[str, Any], *, best: bool) -> None: ...

    def step_profiler(self) -> None: ...


@dataclass(frozen=True)
class Recipe:
    """How to train: all that is decided before the first step.

    criterion: mean loss of (outputs, targets), shape (); evaluation_criterion: the same without
        what only training does (label smoothing).
    monitor: the metric that says which epoch was best; without a validation split the last one is.
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
    augment: Augment | None = None
    log_every_steps: int = 50


@dataclass
class Fitted:
    """Where training stands, and in the end what it leaves.

    history: one line an epoch; epoch 0 is before training. seconds: in training epochs,
    evaluation left out. best_state: the weights of best_epoch.
    """

    history: list[Line] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float | None = None
    best_state: dict[str, Tensor] = field(default_factory=dict)
    stopped_by: StoppedBy = "epochs"
    steps: int = 0
    samples: int = 0
    seconds: float = 0.0


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Splits,
    recipe: Recipe,
    compute: Compute,
    log: Log,
) -> Fitted:
    """History and best weights of training until its epochs are over or a criterion stops it.

    The model is left with its last weights. Each epoch is told to `log` as it ends.
    """
    slices = batch_slices(len(data.train), recipe.batch_size)
    num_steps = recipe.epochs * len(slices)
    if recipe.stopping.max_steps is not None:
        num_steps = min(num_steps, recipe.stopping.max_steps)
    schedule = Schedule(recipe.scheduler, optimizer, num_steps, len(slices))
    early_stopping = EarlyStopping.from_knobs(recipe.regularization, recipe.monitor)
    fitted = Fitted()
    start = time.perf_counter()

    line = untrained_line(model, data, recipe, compute) | {"lr": schedule.lr}
    initial_loss = line["loss/train"]
    record_epoch(fitted, line, model, data, recipe)
    log.epoch(line)
    log.checkpoint(checkpoint_state(model, optimizer, fitted), best=True)

    for epoch in range(1, recipe.epochs + 1):
        epoch_start = time.perf_counter()
        before = flat_parameters(model) if recipe.stopping.min_update is not None else None
        cut_short, figures = train_epoch(
            model, optimizer, data, recipe, compute, log, schedule, slices, epoch, start, fitted
        )
        compute.synchronize()
        fitted.seconds += time.perf_counter() - epoch_start
        line = {"epoch": epoch, "step": fitted.steps, **figures}
        line |= validation(model, data, recipe, compute)
        now = time.perf_counter()
        line |= {"lr": schedule.lr, "time/epoch": now - epoch_start, "time/total": now - start}

        best = record_epoch(fitted, line, model, data, recipe)
        log.epoch(line)
        log.checkpoint(checkpoint_state(model, optimizer, fitted), best=best)
        update = None if before is None else float((flat_parameters(model) - before).norm())
        stopped_by = cut_short or reached_threshold(
            recipe.stopping, line, update_norm=update, initial_loss=initial_loss
        )
        if stopped_by is None and early_stopping is not None:
            value = require_metric("monitor", recipe.monitor, line)
            stopped_by = "early_stopping" if early_stopping.update(value) else None
        if stopped_by is not None:
            fitted.stopped_by = stopped_by
            break
        schedule.after_epoch(line["loss/val"] if len(data.val) else line["loss/train"])
    return fitted


def train_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Splits,
    recipe: Recipe,
    compute: Compute,
    log: Log,
    schedule: Schedule,
    slices: Sequence[slice],
    epoch: int,
    start: float,
    fitted: Fitted,
) -> tuple[StoppedBy | None, Line]:
    """One pass over the training split: what cut it short, if anything, and its figures.

    Loss and metrics are means over the pass as it went: with dropout and augmentation on, and
    while the weights still moved. start: when training began, on time.perf_counter's clock.
    """
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    order = torch.randperm(len(data.train), generator=stream(recipe.seed, "order", epoch))
    order = order.to(compute.device)
    augment_generator = stream(recipe.seed, "augment", epoch)
    meter = Meter(data.task, data.target_scaling)
    grad_norms: list[Tensor] = []
    stopped_by: StoppedBy | None = None

    for indices in slices:
        schedule.before_step(fitted.steps)
        # The order within the one batch of full-batch descent is immaterial: nothing is gathered.
        index = order[indices] if len(slices) > 1 else None
        inputs = take(data.train.inputs, index).to(compute.device, non_blocking=True)
        targets = take(data.train.targets, index).to(compute.device, non_blocking=True)
        if recipe.augment is not None:
            inputs = recipe.augment(inputs, augment_generator)

        logged = (fitted.steps + 1) % recipe.log_every_steps == 0 or indices is slices[-1]
        outputs, loss, grad_norm = train_step(
            model, optimizer, parameters, inputs, targets, recipe, compute, measure=logged
        )
        meter.add(outputs, targets, loss)
        fitted.steps += 1
        fitted.samples += len(targets)
        log.step_profiler()

        stopped_by = out_of_budget(recipe.stopping, fitted.steps, start)
        if logged and grad_norm is not None:
            grad_norms.append(grad_norm)
        if logged or stopped_by is not None:
            losses = meter.flush()
            if not bool(torch.isfinite(losses).all()):
                stopped_by = "divergence"
                break
            log.minibatch(fitted.steps, float(losses[-1]), schedule.lr)
        if stopped_by is not None:
            break

    figures = {f"{name}/train": value for name, value in meter.result().items()}
    figures["grad_norm"] = float(torch.stack(grad_norms).mean()) if grad_norms else None
    return stopped_by, figures


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: list[nn.Parameter],
    inputs: Tensor,
    targets: Tensor,
    recipe: Recipe,
    compute: Compute,
    *,
    measure: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Outputs (B, K) and loss () before one update, and the gradient's norm () if measured.

    The loss is that of the data alone; what the update descends has the L1 penalty added.
    """
    seen: tuple[Tensor, Tensor] | None = None
    l1, max_grad_norm = recipe.regularization.l1, recipe.regularization.max_grad_norm
    scaler = compute.scaler

    def forward_backward() -> Tensor:
        nonlocal seen
        optimizer.zero_grad(set_to_none=True)
        with compute.autocast():
            outputs = model(inputs)
            loss = recipe.criterion(outputs, targets)
        if seen is None:  # L-BFGS comes back for more
            seen = outputs.detach(), loss.detach()
        objective = loss + l1_penalty(parameters, l1) if l1 > 0 else loss
        (objective if scaler is None else scaler.scale(objective)).backward()  # type: ignore[no-untyped-call]
        return objective

    grad_norm = None
    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(forward_backward)  # type: ignore[no-untyped-call]
        if measure:
            grad_norm = gradient_norm(parameters)
    else:
        forward_backward()
        if scaler is not None:
            scaler.unscale_(optimizer)
        if max_grad_norm is not None:
            grad_norm = nn.utils.clip_grad_norm_(parameters, max_grad_norm)
        elif measure:  # before the step: some optimizers add weight decay to the gradient in place
            grad_norm = gradient_norm(parameters)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
    assert seen is not None
    return *seen, grad_norm


def untrained_line(model: nn.Module, data: Splits, recipe: Recipe, compute: Compute) -> Line:
    """The line of epoch 0: what the untrained network makes of training and validation split."""
    train = evaluate(model, recipe.evaluation_criterion, data.train, data, compute)
    line: Line = {"epoch": 0, "step": 0}
    line |= {f"{name}/train": value for name, value in train.items()}
    line |= validation(model, data, recipe, compute)
    if len(data.val) or recipe.regularization.early_stopping_patience is not None:
        require_metric("monitor", recipe.monitor, line)
    if recipe.stopping.target_metric is not None:
        require_metric("stopping.target_metric", recipe.stopping.target_metric, line)
    return line | {"lr": None, "grad_norm": None, "time/epoch": None, "time/total": 0.0}


def validation(model: nn.Module, data: Splits, recipe: Recipe, compute: Compute) -> Line:
    """Loss and metrics over the validation split, as `loss/val` and so on."""
    figures = evaluate(model, recipe.evaluation_criterion, data.val, data, compute)
    return {f"{name}/val": value for name, value in figures.items()}


def record_epoch(
    fitted: Fitted, line: Line, model: nn.Module, data: Splits, recipe: Recipe
) -> bool:
    """Adds an epoch to the history; whether it is the best so far, and its weights are kept.

    Any sound epoch beats epoch 0, the untrained network. Without a validation split the latest
    sound epoch counts as the best.
    """
    fitted.history.append(line)
    monitor = recipe.monitor if len(data.val) else "loss/train"
    value = line.get(monitor)
    than = fitted.best_value if fitted.best_epoch > 0 else None
    sound = value is not None and math.isfinite(value)
    better = sound and (len(data.val) == 0 or is_better(monitor, value, than))  # type: ignore[arg-type]
    if better or not fitted.best_state:
        fitted.best_epoch, fitted.best_value = int(line["epoch"] or 0), value
        fitted.best_state = copy_state(model)
    return better


def out_of_budget(stopping: schema.Stopping, steps: int, start: float) -> StoppedBy | None:
    """`steps` or `time` when the run has had as much of it as it may."""
    if stopping.max_steps is not None and steps >= stopping.max_steps:
        return "steps"
    if stopping.max_seconds is not None and time.perf_counter() - start >= stopping.max_seconds:
        return "time"
    return None


def checkpoint_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, fitted: Fitted
) -> dict[str, Any]:
    """What a checkpoint holds of a training run, for torch.save."""
    return {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": len(fitted.history) - 1,
        "step": fitted.steps,
    }


@torch.no_grad()
def evaluate(
    model: nn.Module, criterion: Criterion, split: Split, data: Splits, compute: Compute
) -> Line:
    """Loss and metrics over one split by name, without the split's name; None for an empty one."""
    meter = Meter(data.task, data.target_scaling)
    for outputs, targets in predict(model, split, compute):
        meter.add(outputs, targets, criterion(outputs, targets))
    return meter.result()


@torch.no_grad()
def predict(model: nn.Module, split: Split, compute: Compute) -> Iterator[tuple[Tensor, Tensor]]:
    """Outputs (B, K) in float32 and targets of one split, batch by batch, in evaluation mode."""
    model.eval()
    for start in range(0, len(split), EVALUATION_BATCH):
        end = min(start + EVALUATION_BATCH, len(split))
        if isinstance(split.inputs, Tensor):
            inputs = split.inputs[start:end]
        else:
            inputs = split.inputs[torch.arange(start, end)]
        with compute.autocast():
            outputs = model(inputs.to(compute.device))
        yield outputs.float(), split.targets[start:end].to(compute.device)


def batch_slices(num_samples: int, batch_size: int) -> list[slice]:
    """Slices of one pass. A last batch of a single sample joins the one before it, since batch
    normalisation has nothing to normalise over in a batch of one.

    >>> batch_slices(9, 4), batch_slices(10, 4)[-1]
    ([slice(0, 4, None), slice(4, 9, None)], slice(8, 10, None))
    """
    starts = list(range(0, num_samples, batch_size))
    if batch_size > 1 and len(starts) > 1 and num_samples - starts[-1] == 1:
        starts.pop()
    ends = [*starts[1:], num_samples]
    return [slice(start, end) for start, end in zip(starts, ends, strict=True)]


def resolve_batch_size(batch_size: int | str, num_samples: int) -> int:
    """Samples a step: `full` is all of them, and no batch is larger than the training split.

    >>> resolve_batch_size("full", 500), resolve_batch_size(64, 500), resolve_batch_size(64, 10)
    (500, 64, 10)
    """
    return num_samples if isinstance(batch_size, str) else min(batch_size, num_samples)


def take(values: Inputs, index: Tensor | None) -> Tensor:
    """The rows of `values` at `index`, or all of them."""
    if isinstance(values, Tensor):
        return values if index is None else values.index_select(0, index.to(values.device))
    return values[torch.arange(len(values)) if index is None else index.cpu()]


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """L2 norm of the gradient over all parameters, shape ()."""
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def flat_parameters(model: nn.Module) -> Tensor:
    """All parameters as one vector (P,), copied."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers, copied."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
