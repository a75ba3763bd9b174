"""Training and evaluation: plain functions over a model, its data and an optimizer."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from dlrun import schema
from dlrun.batches import batch_slices, take
from dlrun.datasets.splits import Splits
from dlrun.device import Compute
from dlrun.evaluation import Criterion, Line, evaluate
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

Augment = Callable[[Tensor, torch.Generator], Tensor]


class Log(Protocol):
    """What the loop tells while it runs."""

    def minibatch(self, step: int, loss: float, lr: float) -> None: ...

    def epoch(self, line: Line) -> None: ...

    def checkpoint(self, state: dict[str, Any], *, best: bool) -> None: ...

    def step(self) -> None: ...


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


@dataclass
class Training:
    """A run under way: what trains, on what, how, and where it stands.

    slices: of one pass over the training split. start: on time.perf_counter's clock.
    """

    model: nn.Module
    parameters: list[nn.Parameter]  # those that get a gradient
    optimizer: torch.optim.Optimizer
    data: Splits
    recipe: Recipe
    compute: Compute
    log: Log
    slices: list[slice]
    schedule: Schedule
    start: float
    fitted: Fitted


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
    num_steps = min(recipe.epochs * len(slices), recipe.stopping.max_steps or sys.maxsize)
    early_stopping = EarlyStopping.from_knobs(recipe.regularization, recipe.monitor)
    fitted = Fitted()
    start = time.perf_counter()
    run = Training(
        model=model,
        parameters=[p for p in model.parameters() if p.requires_grad],
        optimizer=optimizer,
        data=data,
        recipe=recipe,
        compute=compute,
        log=log,
        slices=slices,
        schedule=Schedule(recipe.scheduler, optimizer, num_steps, len(slices)),
        start=start,
        fitted=fitted,
    )
    record_epoch(run, untrained_line(run))
    initial_loss = fitted.history[0]["loss/train"]

    for epoch in range(1, recipe.epochs + 1):
        before = flat_parameters(model) if recipe.stopping.min_update is not None else None
        epoch_start = time.perf_counter()
        cut_short, figures = train_epoch(run, epoch)
        compute.synchronize()
        fitted.seconds += time.perf_counter() - epoch_start
        line: Line = {"epoch": epoch, "step": fitted.steps, **figures, **validation(run)}
        now = time.perf_counter()
        line |= {"lr": run.schedule.lr, "time/epoch": now - epoch_start, "time/total": now - start}
        record_epoch(run, line)

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
        run.schedule.after_epoch(line["loss/val"] if len(data.val) else line["loss/train"])
    return fitted


def train_epoch(run: Training, epoch: int) -> tuple[StoppedBy | None, Line]:
    """One pass over the training split: what cut it short, if anything, and its figures.

    Loss and metrics are means over the pass as it went: with dropout and augmentation on, and
    while the weights still moved.
    """
    data, recipe, fitted, device = run.data, run.recipe, run.fitted, run.compute.device
    order = torch.randperm(len(data.train), generator=stream(recipe.seed, "order", epoch))
    order = order.to(device)
    augment_generator = stream(recipe.seed, "augment", epoch)
    meter = Meter(data.task, data.target_scaling)
    grad_norms: list[Tensor] = []
    stopped_by: StoppedBy | None = None

    run.model.train()
    for indices in run.slices:
        run.schedule.before_step(fitted.steps)
        # The order within the one batch of full-batch descent is immaterial: nothing is gathered.
        index = order[indices] if len(run.slices) > 1 else None
        inputs = take(data.train.inputs, index).to(device, non_blocking=True)
        targets = take(data.train.targets, index).to(device, non_blocking=True)
        if recipe.augment is not None:
            inputs = recipe.augment(inputs, augment_generator)

        logged = (fitted.steps + 1) % recipe.log_every_steps == 0 or indices is run.slices[-1]
        outputs, loss, grad_norm = train_step(run, inputs, targets, measure=logged)
        meter.add(outputs, targets, loss)
        fitted.steps += 1
        fitted.samples += len(targets)
        run.log.step()

        stopped_by = out_of_budget(recipe.stopping, fitted.steps, run.start)
        if logged and grad_norm is not None:
            grad_norms.append(grad_norm)
        if logged or stopped_by is not None:
            losses = meter.flush()
            if not bool(torch.isfinite(losses).all()):
                stopped_by = "divergence"
                break
            run.log.minibatch(fitted.steps, float(losses[-1]), run.schedule.lr)
        if stopped_by is not None:
            break

    figures = {f"{name}/train": value for name, value in meter.result().items()}
    figures["grad_norm"] = float(torch.stack(grad_norms).mean()) if grad_norms else None
    return stopped_by, figures


def train_step(
    run: Training, inputs: Tensor, targets: Tensor, *, measure: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Outputs (B, K) and loss () before one update, and the gradient's norm () if measured.

    The loss is that of the data alone; what the update descends has the L1 penalty added.
    """
    optimizer, parameters = run.optimizer, run.parameters
    recipe, scaler = run.recipe, run.compute.scaler
    seen: tuple[Tensor, Tensor] | None = None

    def forward_backward() -> Tensor:
        nonlocal seen
        with run.compute.autocast():
            outputs = run.model(inputs)
            loss = recipe.criterion(outputs, targets)
        if seen is None:  # L-BFGS comes back for more
            seen = outputs.detach(), loss.detach()
        l1 = recipe.regularization.l1
        objective = loss + l1_penalty(parameters, l1) if l1 > 0 else loss
        optimizer.zero_grad(set_to_none=True)  # as late as this: backward reuses the memory
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
        if recipe.regularization.max_grad_norm is not None:
            grad_norm = nn.utils.clip_grad_norm_(parameters, recipe.regularization.max_grad_norm)
        elif measure:  # before the step: some optimizers add weight decay to the gradient in place
            grad_norm = gradient_norm(parameters)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
    assert seen is not None
    return *seen, grad_norm


def untrained_line(run: Training) -> Line:
    """The line of epoch 0: what the untrained network makes of training and validation split.

    Raises UserError when the recipe goes by a metric that this run does not have.
    """
    recipe, data = run.recipe, run.data
    train = evaluate(run.model, recipe.evaluation_criterion, data.train, data, run.compute)
    line: Line = {"epoch": 0, "step": 0}
    line |= {f"{name}/train": value for name, value in train.items()}
    line |= validation(run)
    if len(data.val) or recipe.regularization.early_stopping_patience is not None:
        require_metric("monitor", recipe.monitor, line)
    if recipe.stopping.target_metric is not None:
        require_metric("stopping.target_metric", recipe.stopping.target_metric, line)
    return line | {
        "lr": run.schedule.lr,
        "grad_norm": None,
        "time/epoch": None,
        "time/total": 0.0,
    }


def validation(run: Training) -> Line:
    """Loss and metrics over the validation split, as `loss/val` and so on."""
    criterion = run.recipe.evaluation_criterion
    figures = evaluate(run.model, criterion, run.data.val, run.data, run.compute)
    return {f"{name}/val": value for name, value in figures.items()}


def record_epoch(run: Training, line: Line) -> None:
    """Adds an epoch to history, log and checkpoint; keeps its weights if it is the best so far.

    Any sound epoch beats epoch 0, the untrained network. Without a validation split the latest
    sound epoch counts as the best.
    """
    fitted, validated = run.fitted, len(run.data.val) > 0
    monitor = run.recipe.monitor if validated else "loss/train"
    value, than = line.get(monitor), fitted.best_value if fitted.best_epoch > 0 else None
    sound = value is not None and math.isfinite(value)
    first = not fitted.history
    best = first or (sound and (not validated or is_better(monitor, value or 0.0, than)))
    fitted.history.append(line)
    if best:
        fitted.best_epoch, fitted.best_value = int(line["epoch"] or 0), value
        fitted.best_state = copy_state(run.model)
    run.log.epoch(line)
    run.log.checkpoint(checkpoint_state(run), best=best)


def out_of_budget(stopping: schema.Stopping, steps: int, start: float) -> StoppedBy | None:
    """`steps` or `time` when the run has had as much of it as it may."""
    if stopping.max_steps is not None and steps >= stopping.max_steps:
        return "steps"
    if stopping.max_seconds is not None and time.perf_counter() - start >= stopping.max_seconds:
        return "time"
    return None


def checkpoint_state(run: Training) -> dict[str, Any]:
    """What a checkpoint holds of a run under way, for torch.save."""
    return {
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "epoch": len(run.fitted.history) - 1,
        "step": run.fitted.steps,
    }


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """L2 norm of the gradient over all parameters, shape ()."""
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def flat_parameters(model: nn.Module) -> Tensor:
    """All parameters as one vector (P,), copied."""
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's parameters and buffers, copied."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
