"""Training: plain functions over a model, its data and an optimizer."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from dlrun import schema
from dlrun.batches import batch_slices, take
from dlrun.datasets.splits import Splits
from dlrun.device import Compute
from dlrun.diagnostics import Watch
from dlrun.divergence import Divergence, NotFinite, diverged
from dlrun.evaluation import Line, evaluate
from dlrun.failures import failures_told
from dlrun.scheduler import Schedule
from dlrun.signals import Interrupted, Requests
from dlrun.state import (
    Fitted,
    Log,
    Pass,
    Recipe,
    Training,
    begin_pass,
    capture,
    copy_state,
    flat_parameters,
    order_of,
    restore,
)
from dlrun.step import train_step
from dlrun.stopping import (
    EarlyStopping,
    StoppedBy,
    is_better,
    reached_threshold,
    require_metric,
)
from dlrun.transfer import training_mode


def fit(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Splits,
    recipe: Recipe,
    compute: Compute,
    log: Log,
    *,
    requests: Requests | None = None,
    resumed: tuple[Mapping[str, Any], list[Line]] | None = None,
    prune: Callable[[Line], bool] | None = None,
) -> Fitted:
    """History and best weights of training until its epochs are over or a criterion stops it.

    The model is left with its last weights. Each epoch is told to `log` as it ends.
    requests: what signals ask for; a stop is obeyed between two steps, after a checkpoint, by
    raising Interrupted. resumed: a captured state to go on from, with the lines up to it.
    prune: whether a search gives this run up, asked after each epoch with its line.
    """
    slices = batch_slices(len(data.train), recipe.batch_size)
    num_steps = min(recipe.epochs * len(slices), recipe.stopping.max_steps or sys.maxsize)
    now = time.perf_counter()
    run = Training(
        model=model,
        parameters=[p for p in model.parameters() if p.requires_grad],
        optimizer=optimizer,
        data=data,
        recipe=recipe,
        compute=compute,
        log=log,
        requests=requests or Requests(),
        slices=slices,
        schedule=Schedule(recipe.scheduler, optimizer, num_steps, len(slices)),
        early_stopping=EarlyStopping.from_knobs(recipe.regularization, recipe.monitor),
        start=now,
        saved_at=now,
        fitted=Fitted(),
        prune=prune,
        watch=None if recipe.watch_every_steps is None else Watch(model, recipe.watch_every_steps),
    )
    if resumed is not None:
        restore(run, *resumed)
    try:
        train_epochs(run)
    except Interrupted:
        save(run)
        raise
    return run.fitted


def train_epochs(run: Training) -> None:
    """Trains from where the run stands to its end."""
    fitted, requests = run.fitted, run.requests
    if not fitted.history:
        line = untrained_line(run)
        with requests.deferred():
            record_epoch(run, line)
            save(run)
    while fitted.stopped_by is None and len(fitted.history) <= run.recipe.epochs:
        with requests.deferred():
            run.current = run.current or begin_pass(run)
            with failures_told(run.recipe.batch_size):
                train_pass(run, run.current)
            obey(run)
        validated = validation(run)  # the one long part that may be broken off
        with requests.deferred():
            conclude_epoch(run, validated)
            obey(run)
    fitted.stopped_by = fitted.stopped_by or "epochs"


def train_pass(run: Training, current: Pass) -> None:
    """Trains to the end of the pass under way, unless something cuts it short.

    Loss and metrics are means over the pass as it went: with dropout and augmentation on, and
    while the weights still moved.
    """
    data, recipe, fitted, device = run.data, run.recipe, run.fitted, run.compute.device
    order = order_of(run, current.epoch).to(device)

    training_mode(run.model)
    for indices in run.slices[current.position :]:
        if current.cut_short is not None:
            break
        run.schedule.before_step(fitted.steps)
        # The order within the one batch of full-batch descent is immaterial: nothing is gathered.
        index = order[indices] if len(run.slices) > 1 else None
        inputs = take(data.train.inputs, index).to(device, non_blocking=True)
        targets = take(data.train.targets, index).to(device, non_blocking=True)
        if recipe.augment is not None:
            inputs = recipe.augment(inputs, current.augment)

        skipping = recipe.stopping.on_divergence == "skip_batch"
        kept = [buffer.clone() for buffer in run.model.buffers()] if skipping else []
        logged = (fitted.steps + 1) % recipe.log_every_steps == 0 or indices is run.slices[-1]
        if run.watch is not None:
            run.watch.before_step(fitted.steps + 1)
        try:
            outputs, loss, grad_norm = train_step(run, inputs, targets, measure=logged)
        except NotFinite as error:
            if run.watch is not None:  # what it was that broke off the step
                run.log.watched(run.watch.end(fitted.steps + 1))
            if not skipping:
                fitted.divergence = divergence_at(run, fitted.steps + 1, str(error))
                current.cut_short = "divergence"
                break
            fitted.skipped += 1
            for buffer, before in zip(run.model.buffers(), kept, strict=True):
                buffer.copy_(before)  # batch normalisation has seen the batch already
        else:
            current.meter.add(outputs, targets, loss)
            if logged and grad_norm is not None:
                current.grad_norms.append(grad_norm)
            if run.watch is not None and (record := run.watch.after_step(fitted.steps + 1)):
                run.log.watched(record)
        current.position += 1
        fitted.steps += 1
        fitted.samples += len(targets)
        run.log.step()

        current.cut_short = out_of_budget(recipe.stopping, fitted.steps, run.start)
        if logged or current.cut_short is not None:
            losses = current.meter.flush()
            if len(losses):
                run.log.minibatch(fitted.steps, float(losses[-1]), run.schedule.lr)
        if due_after_step(run):
            save(run)
        obey(run)

    run.compute.synchronize()
    current.seconds = time.perf_counter() - current.start


def untrained_line(run: Training) -> Line:
    """The line of epoch 0: what the untrained network makes of training and validation split.

    Raises UserError when the recipe goes by a metric that this run does not have.
    """
    recipe, data = run.recipe, run.data
    train = evaluate(run.model, recipe.evaluation_criterion, data.train, data, run.compute)
    line: Line = {"epoch": 0, "step": 0, "evaluations": 0}
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


def conclude_epoch(run: Training, validated: Line) -> None:
    """Ends the pass under way: records its epoch, decides whether it was the last one, saves."""
    recipe, fitted, current = run.recipe, run.fitted, run.current
    assert current is not None
    now = time.perf_counter()
    line: Line = {"epoch": current.epoch, "step": fitted.steps}
    line["evaluations"] = fitted.evaluations
    line |= {f"{name}/train": value for name, value in current.meter.result().items()}
    norms = current.grad_norms
    line["grad_norm"] = float(torch.stack(norms).mean()) if norms else None
    line |= validated
    times = {"time/epoch": now - current.start, "time/total": now - run.start}
    line |= {"lr": run.schedule.lr, **times}
    fitted.seconds += current.seconds
    record_epoch(run, line)

    update = None
    if current.before is not None:
        update = float((flat_parameters(run.model) - current.before).norm())
    fitted.stopped_by = current.cut_short or stopped_by(run, line, update)
    if fitted.stopped_by is None:
        run.schedule.after_epoch(line["loss/val"] if len(run.data.val) else line["loss/train"])
        if current.epoch == recipe.epochs:
            fitted.stopped_by = "epochs"
        elif run.prune is not None and run.prune(line):
            fitted.stopped_by = "pruned"
    if fitted.stopped_by == "divergence" and fitted.divergence is None:
        grown, skipped = "the loss has grown past divergence_factor", "every batch was skipped"
        reason = skipped if line["loss/train"] is None else grown
        fitted.divergence = divergence_at(run, fitted.steps, reason)
    run.current = None
    if fitted.stopped_by != "divergence" and due_after_epoch(run):  # else the last good one stays
        save(run)


def divergence_at(run: Training, step: int, reason: str) -> Divergence:
    """The divergence of the run in the pass under way."""
    assert run.current is not None
    return diverged(run.model, step, run.current.epoch, reason, run.gradient_before)


def stopped_by(run: Training, line: Line, update_norm: float | None) -> StoppedBy | None:
    """The criterion that an epoch's figures meet, or None."""
    initial_loss = run.fitted.history[0]["loss/train"]
    reached = reached_threshold(
        run.recipe.stopping, line, update_norm=update_norm, initial_loss=initial_loss
    )
    if reached is None and run.early_stopping is not None:
        value = require_metric("monitor", run.recipe.monitor, line)
        return "early_stopping" if run.early_stopping.update(value) else None
    return reached


def record_epoch(run: Training, line: Line) -> None:
    """Adds an epoch to history and log; keeps its weights if it is the best so far.

    Any sound epoch beats epoch 0, the untrained network; one in which the run diverged is not
    sound. Without a validation split the latest sound epoch counts as the best.
    """
    fitted, validated = run.fitted, len(run.data.val) > 0
    broken = run.current is not None and run.current.cut_short == "divergence"
    monitor = run.recipe.monitor if validated else "loss/train"
    value, than = line.get(monitor), fitted.best_value if fitted.best_epoch > 0 else None
    sound = value is not None and math.isfinite(value) and not broken
    first = not fitted.history
    best = first or (sound and (not validated or is_better(monitor, value or 0.0, than)))
    fitted.history.append(line)
    epoch = int(line["epoch"] or 0)
    if epoch in run.recipe.snapshot_epochs:
        fitted.snapshots[epoch] = copy_state(run.model)
    if best:
        fitted.best_epoch, fitted.best_value = epoch, value
        fitted.best_state = copy_state(run.model)
    run.log.epoch(line)


def save(run: Training) -> None:
    """Hands the log a checkpoint of the run as it stands."""
    run.log.checkpoint(capture(run))
    run.saved_at = time.perf_counter()


def obey(run: Training) -> None:
    """Does what signals have asked for: a checkpoint, or a stop by raising Interrupted."""
    if run.requests.save:
        run.requests.save = False
        save(run)
    run.requests.obey()


def due_after_step(run: Training) -> bool:
    """Whether a checkpoint is due in the middle of an epoch."""
    wanted = run.recipe.checkpoint
    if wanted.every_steps is not None and run.fitted.steps % wanted.every_steps == 0:
        return True
    if wanted.every_minutes is None:
        return False
    return time.perf_counter() - run.saved_at >= 60 * wanted.every_minutes


def due_after_epoch(run: Training) -> bool:
    """Whether a checkpoint is due between two epochs; at the end of a run one always is."""
    every, epoch = run.recipe.checkpoint.every_epochs, len(run.fitted.history) - 1
    return run.fitted.stopped_by is not None or (every is not None and epoch % every == 0)


def out_of_budget(stopping: schema.Stopping, steps: int, start: float) -> StoppedBy | None:
    """`steps` or `time` when the run has had as much of it as it may."""
    if stopping.max_steps is not None and steps >= stopping.max_steps:
        return "steps"
    if stopping.max_seconds is not None and time.perf_counter() - start >= stopping.max_seconds:
        return "time"
    return None
