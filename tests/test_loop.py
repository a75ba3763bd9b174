"""The training loop on problems small enough to do by hand.

Most tests fit y = w x to one sample, x = 1 and y = 3, from w = 0 with lr 1/4 and no bias. The
gradient of (w - 3)^2 is 2 (w - 3), so every step halves the distance: w = 0, 1.5, 2.25, 2.625, …
The validation sample says y = 2, so that the second epoch is the best: losses 4, 1/4, 1/16, 25/64.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlrun import evaluation, loop, schema, state
from dlrun.batches import batch_slices, take
from dlrun.datasets import Samples, Scaling, Split, Splits, Streamed, split
from dlrun.device import Compute, open_device
from dlrun.errors import UserError
from dlrun.evaluation import Line, evaluate, predict
from dlrun.loop import fit
from dlrun.losses import loss_function
from dlrun.state import Fitted, Recipe

CPU = Compute(torch.device("cpu"))
HISTORY_KEYS = {
    "epoch",
    "step",
    "evaluations",
    *(
        f"{name}/{part}"
        for name in ("loss", "mse", "mae", "mape", "r2")
        for part in ("train", "val")
    ),
    "lr",
    "grad_norm",
    "time/epoch",
    "time/total",
}


class Recorded:
    """A log that keeps what it is told."""

    def __init__(self) -> None:
        self.minibatches: list[tuple[int, float, float]] = []
        self.lines: list[Line] = []
        self.checkpoints: list[tuple[int, int, bool]] = []
        self.steps = 0

    def minibatch(self, step: int, loss: float, lr: float) -> None:
        self.minibatches.append((step, loss, lr))

    def epoch(self, line: Line) -> None:
        self.lines.append(dict(line))

    def checkpoint(self, state: dict[str, Any]) -> None:
        self.checkpoints.append((state["epoch"], state["position"], state["step"]))

    def step(self) -> None:
        self.steps += 1


class Listed:
    """Inputs that are not a tensor: a length and batches by index."""

    def __init__(self, values: Tensor) -> None:
        self.values = values
        self.asked: list[Tensor] = []

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: Tensor) -> Tensor:
        self.asked.append(index)
        return self.values[index]


class Watched(nn.Module):
    """A model that keeps the inputs of every training step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.batches: list[list[float]] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches.append(x[:, 0].tolist())
        return self.model(x)  # type: ignore[no-any-return]


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None]


def part(inputs: Any, targets: Tensor) -> Split:
    return Split(inputs, targets)


EMPTY = Split(torch.empty(0, 1), torch.empty(0, 1))


def regression(train: Split, val: Split = EMPTY) -> Splits:
    return Splits(train=train, val=val, test=EMPTY, task="regression", in_shape=(1,))


def one_sample() -> Splits:
    return regression(part(column(1), column(3)), part(column(1), column(2)))


def numbered(num_samples: int) -> Splits:
    """Inputs 0, 1, 2, …; targets three times as much."""
    x = torch.arange(num_samples, dtype=torch.float32)[:, None]
    return regression(part(x, 3 * x), part(column(1, 2), column(3, 6)))


def line_through_zero(weight: float = 0.0) -> nn.Linear:
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, weight)
    return model


def recipe(**changes: Any) -> Recipe:
    mse = loss_function("mse")
    default = Recipe(
        criterion=mse,
        evaluation_criterion=mse,
        epochs=3,
        batch_size=1000,
        seed=0,
        monitor="loss/val",
        log_every_steps=1,
    )
    return replace(default, **changes)


def fitted(
    data: Splits,
    model: nn.Module | None = None,
    *,
    lr: float = 0.25,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    compute: Compute = CPU,
    **changes: Any,
) -> tuple[Fitted, nn.Module, Recorded]:
    """The result of fit, the model and the log."""
    model = line_through_zero() if model is None else model
    log = Recorded()
    result = fit(model, optimizer(model.parameters(), lr=lr), data, recipe(**changes), compute, log)
    return result, model, log


def weights(model: nn.Module) -> list[float]:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).tolist()


def column_of(result: Fitted, name: str) -> list[float | None]:
    return [line[name] for line in result.history]


def test_first_step_by_hand():
    # w = 1, (x, y) = (1, 3), (2, 6): errors -2, -4; the gradient is 2 (-2 * 1 - 4 * 2) / 2 = -10
    data = regression(part(column(1, 2), column(3, 6)))
    result, model, _ = fitted(data, line_through_zero(1.0), lr=0.01, epochs=1)
    assert weights(model) == pytest.approx([1.1])
    assert column_of(result, "loss/train") == pytest.approx([10, 10])  # (4 + 16) / 2, before it
    assert result.history[1]["grad_norm"] == pytest.approx(10)
    assert (result.steps, result.samples) == (1, 2)


def test_a_last_smaller_batch_steps_by_its_own_mean():
    # batches of 2 and 1 never occur, 3 samples of batch 2 are one batch; 5 make 2 and 3
    x = column(1, 1, 1, 1, 1)
    result, model, _ = fitted(regression(part(x, 3 * x)), batch_size=2, epochs=1)
    assert weights(model) == pytest.approx([2.25])  # two halvings of the distance to 3
    # batch losses 9 and 9/4, weighted by 2 and 3 samples
    assert result.history[1]["loss/train"] == pytest.approx((2 * 9 + 3 * 9 / 4) / 5)


def test_history_by_hand():
    result, model, log = fitted(one_sample())
    assert weights(model) == pytest.approx([2.625])
    assert column_of(result, "epoch") == column_of(result, "step") == [0, 1, 2, 3]
    assert column_of(result, "loss/train") == pytest.approx([9, 9, 9 / 4, 9 / 16])
    assert column_of(result, "loss/val") == pytest.approx([4, 1 / 4, 1 / 16, 25 / 64])
    assert column_of(result, "mae/val") == pytest.approx([2, 1 / 2, 1 / 4, 5 / 8])
    assert column_of(result, "mape/val") == pytest.approx([100, 25, 12.5, 31.25])
    assert column_of(result, "r2/val") == [None] * 4  # one sample varies from nothing
    assert column_of(result, "lr") == [0.25] * 4
    assert column_of(result, "grad_norm") == [None, *(pytest.approx(g) for g in (6, 3, 1.5))]
    assert result.stopped_by == "epochs"
    assert (result.steps, result.samples, log.steps) == (3, 3, 3)


def test_every_line_has_the_same_keys():
    result, _, log = fitted(one_sample())
    assert all(set(line) == HISTORY_KEYS for line in result.history)
    assert log.lines == result.history


def test_the_log_is_told_of_every_step_and_epoch():
    _, _, log = fitted(one_sample())
    assert log.minibatches == [
        (1, pytest.approx(9), 0.25),
        (2, pytest.approx(9 / 4), 0.25),
        (3, pytest.approx(9 / 16), 0.25),
    ]
    assert log.checkpoints == [(0, 0, 0), (1, 0, 1), (2, 0, 2), (3, 0, 3)]


def test_best_state_is_that_of_the_best_epoch():
    result, model, _ = fitted(one_sample())
    assert result.best_epoch == 2
    assert result.best_value == pytest.approx(1 / 16)
    assert result.best_state["weight"].tolist() == [[pytest.approx(2.25)]]
    assert weights(model) == pytest.approx([2.625])  # the model keeps its last weights


def test_without_a_validation_split_the_last_epoch_is_the_best():
    data = regression(part(column(1), column(3)))
    result, model, _ = fitted(data, lr=1.1, epochs=3)  # lr > 1: the loss grows
    assert column_of(result, "loss/train") == sorted(column_of(result, "loss/train"))
    assert result.best_epoch == 3
    assert torch.equal(result.best_state["weight"], model.weight)
    assert column_of(result, "loss/val") == [None] * 4
    assert all(set(line) == HISTORY_KEYS for line in result.history)


def test_no_epochs_leave_the_untrained_network():
    result, model, log = fitted(one_sample(), epochs=0)
    assert weights(model) == [0]
    assert len(result.history) == 1
    assert result.best_state["weight"].tolist() == [[0]]
    assert (result.best_epoch, result.steps, result.stopped_by) == (0, 0, "epochs")
    assert log.checkpoints == [(0, 0, 0)]


def test_max_steps_stops_in_the_middle_of_an_epoch():
    result, _, log = fitted(
        numbered(8), lr=0.01, batch_size=2, stopping=schema.Stopping(max_steps=6)
    )
    assert result.stopped_by == "steps"
    assert (result.steps, result.samples, log.steps) == (6, 12, 6)
    assert column_of(result, "step") == [0, 4, 6]
    # the cut epoch's figures are those of the two batches that it had
    cut = [loss for step, loss, _ in log.minibatches if step > 4]
    assert result.history[2]["loss/train"] == pytest.approx(sum(cut) / 2)


def test_schedules_end_with_the_steps_that_there_will_be():
    stopping = schema.Stopping(max_steps=4)
    _, _, log = fitted(
        one_sample(),
        epochs=100,
        stopping=stopping,
        scheduler=schema.Scheduler("linear_warmup", warmup_fraction=1.0),
    )
    assert [lr for *_, lr in log.minibatches] == pytest.approx([1 / 16, 1 / 8, 3 / 16, 1 / 4])


def test_the_schedule_sets_the_rate_of_each_step():
    settings = schema.Scheduler("step", step_epochs=1, gamma=0.5)
    result, model, _ = fitted(one_sample(), scheduler=settings, epochs=2)
    # w = 1.5 after lr 1/4; then lr 1/8 takes a quarter of the distance 1.5
    assert weights(model) == pytest.approx([1.875])
    assert column_of(result, "lr") == [0.25, 0.25, 0.125]


def test_plateau_looks_at_the_validation_loss():
    settings = schema.Scheduler("plateau", gamma=0.5, patience=0)
    result, _, _ = fitted(one_sample(), scheduler=settings, epochs=5)
    # loss/val rises for the first time in epoch 3: lower from epoch 4 on
    assert column_of(result, "lr")[:5] == [0.25, 0.25, 0.25, 0.25, 0.125]


def test_max_seconds_stops_in_the_middle_of_an_epoch(monkeypatch):
    clock = iter(range(1000))  # a second passes whenever somebody looks
    ticking = SimpleNamespace(perf_counter=lambda: float(next(clock)))
    monkeypatch.setattr(loop, "time", ticking)
    monkeypatch.setattr(state, "time", ticking)
    result, _, _ = fitted(
        numbered(8), lr=0.01, batch_size=2, stopping=schema.Stopping(max_seconds=5)
    )
    # start 0, first checkpoint 1 and 2, the epoch's start 3, after two steps 4 and 5
    assert (result.stopped_by, result.steps) == ("time", 2)
    assert len(result.history) == 2


@pytest.mark.parametrize(
    ("settings", "epochs", "reason"),
    [
        ({"target_metric": "loss/val", "target_value": 0.1}, 2, "target"),
        ({"target_metric": "mae/val", "target_value": 0.25}, 2, "target"),
        # updates of 1.5, 0.75, 0.375, …
        ({"min_update": 0.5}, 3, "min_update"),
        # gradients of 6, 3, 1.5, …
        ({"min_grad_norm": 2.0}, 3, "min_grad_norm"),
    ],
)
def test_thresholds(settings, epochs, reason):
    result, _, _ = fitted(one_sample(), epochs=10, stopping=schema.Stopping(**settings))
    assert (result.stopped_by, len(result.history) - 1) == (reason, epochs)


@pytest.mark.parametrize(
    ("patience", "min_delta", "epochs"), [(1, 0.0, 3), (2, 0.0, 4), (1, 0.2, 2)]
)
def test_early_stopping(patience, min_delta, epochs):
    knobs = schema.Regularization(
        early_stopping_patience=patience, early_stopping_min_delta=min_delta
    )
    result, _, _ = fitted(one_sample(), epochs=10, regularization=knobs)
    assert (result.stopped_by, len(result.history) - 1) == ("early_stopping", epochs)
    assert result.best_epoch == 2


def test_a_loss_that_grows_by_a_factor_diverges():
    # lr 3/2 multiplies the distance by -2, the loss by 4: 9, 9, 36, 144
    stopping = schema.Stopping(divergence_factor=10)
    result, _, _ = fitted(one_sample(), lr=1.5, epochs=10, stopping=stopping)
    assert result.stopped_by == "divergence"
    assert column_of(result, "loss/train") == pytest.approx([9, 9, 36, 144])


@pytest.mark.parametrize(("lr", "trained"), [(1e6, False), (0.5, True)])
def test_divergence_leaves_the_best_weights_from_before(lr, trained):
    result, model, log = fitted(numbered(8), lr=lr, batch_size=2, epochs=50)
    assert result.stopped_by == "divergence"
    assert len(result.history) < 50
    assert (result.best_epoch > 0) == trained  # 1e6 lasts for less than one epoch
    assert result.best_epoch < len(result.history) - 1
    assert all(math.isfinite(loss) for _, loss, _ in log.minibatches)
    assert all(math.isfinite(weight) for weight in weights(model))  # stopped before the update
    assert log.checkpoints[-1][0] < len(result.history) - 1  # none of the epoch that diverged
    model.load_state_dict(result.best_state)
    data = numbered(8)
    loss = evaluate(model, loss_function("mse"), data.val, data, CPU)["loss"]
    assert loss == pytest.approx(result.best_value)
    assert math.isfinite(loss)


def nan_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.sum() * math.nan


@pytest.mark.parametrize("stopping", [{"max_steps": 1}, {"max_seconds": 1e-9}, {}])
def test_a_loss_that_is_not_a_number_diverges_whatever_else_ends_the_run(stopping):
    result, model, log = fitted(
        numbered(8),
        batch_size=2,
        criterion=nan_loss,
        log_every_steps=100,
        stopping=schema.Stopping(**stopping),
    )
    assert result.stopped_by == "divergence"
    assert (result.best_epoch, result.best_state["weight"].tolist()) == (0, [[0]])
    assert (result.steps, weights(model)) == (0, [0])
    assert log.minibatches == []
    assert str(result.divergence) == (
        "diverged at step 1 (epoch 1): the loss is nan, before any gradient: "
        "look at the data and the initial weights"
    )


def test_divergence_names_the_layer_of_the_largest_gradient_one_step_before():
    # y = b a x with a = 1, b = 2, x = 1, y = 0: gradients 8 for a and 4 for b, then 1e6 times
    # that as weights, whose product squared is beyond float32 two steps later
    model = nn.Sequential(line_through_zero(1.0), line_through_zero(2.0))
    data = regression(part(column(1), column(0)))
    result, _, _ = fitted(data, model, lr=1e6, epochs=9)
    assert result.divergence is not None
    assert result.divergence.layer in ("0", "1")
    assert result.divergence.step == result.steps + 1
    assert re.fullmatch(
        r"diverged at step \d \(epoch \d\): the loss is inf; the largest gradient was that of "
        r"[01] \(norm \S+e\+\d\d\)",
        str(result.divergence),
    )


class InfiniteGradient(torch.autograd.Function):
    """The identity, with a gradient that is infinite where the input is 2."""

    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return x.clone()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return torch.where(x == 2, math.inf, gradient)


class Brittle(nn.Module):
    """w x + b; a batch with x = 2 in it has a finite loss and an infinite gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.BatchNorm1d(1)
        self.outer = line_through_zero()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.inner(x)
        return (
            self.outer(x)
            + InfiniteGradient.apply(x) * 0 * self.outer.weight[0, 0]
            + (InfiniteGradient.apply(self.outer.weight[0, 0] * 0 + x) - x if self.training else 0)
        )


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    data = regression(part(column(0, 1, 2, 3), column(0, 3, 6, 9)), part(column(1), column(3)))
    result, model, _ = fitted(data, Brittle(), lr=1e-3, batch_size=4, epochs=3)
    assert result.stopped_by == "divergence"
    assert weights(model.outer) == [0]
    assert result.divergence is not None
    assert (result.divergence.layer, result.divergence.step) == ("outer", 1)
    assert "the gradient is" in str(result.divergence)


def test_skip_batch_leaves_out_the_update_and_counts():
    data = regression(
        part(column(0, 1, 2, 3, 1, 1), column(0, 3, 6, 9, 3, 3)), part(column(1), column(3))
    )
    stopping = schema.Stopping(on_divergence="skip_batch")
    result, model, log = fitted(
        data, Brittle(), lr=1e-2, batch_size=2, epochs=3, stopping=stopping, log_every_steps=1
    )
    assert result.stopped_by == "epochs"
    assert result.skipped == 3  # one batch an epoch holds x = 2
    assert (result.steps, log.steps) == (9, 9)  # a skipped batch is a step: schedules go on
    assert 0 < weights(model.outer)[0] < 3
    assert all(math.isfinite(loss) for loss in column_of(result, "loss/train"))


def test_skip_batch_keeps_batch_norm_from_what_it_skips():
    data = regression(
        part(column(math.nan, 1, 2, 3), column(0, 1, 2, 3)), part(column(1), column(3))
    )
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    stopping = schema.Stopping(on_divergence="skip_batch")
    result, model, _ = fitted(data, model, batch_size=2, lr=0.01, epochs=2, stopping=stopping)
    assert result.skipped == 2
    assert math.isfinite(float(model[0].running_mean))


def test_a_run_that_skips_a_whole_epoch_has_diverged():
    stopping = schema.Stopping(on_divergence="skip_batch")
    result, _, _ = fitted(numbered(8), batch_size=2, criterion=nan_loss, stopping=stopping)
    assert (result.stopped_by, result.skipped, len(result.history)) == ("divergence", 4, 2)
    assert result.divergence is not None


def test_the_first_sound_epoch_beats_an_untrained_network_without_a_figure():
    def late(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().mean() / (outputs != 0).all()  # inf at w = 0

    result, _, _ = fitted(one_sample(), evaluation_criterion=late)
    assert result.history[0]["loss/val"] == math.inf
    assert result.best_epoch == 2


def test_l1_is_descended_but_not_reported():
    # at w = 1: gradient 2 (1 - 3) + 0.4 = -3.6
    knobs = schema.Regularization(l1=0.4)
    result, model, _ = fitted(one_sample(), line_through_zero(1.0), regularization=knobs, epochs=1)
    assert weights(model) == pytest.approx([1 + 3.6 / 4])
    assert result.history[1]["loss/train"] == pytest.approx(4)
    assert result.history[1]["grad_norm"] == pytest.approx(3.6)


def test_label_smoothing_and_the_like_are_not_evaluated():
    def doubled(outputs: Tensor, targets: Tensor) -> Tensor:
        return 2 * loss_function("mse")(outputs, targets)

    result, _, _ = fitted(one_sample(), criterion=doubled, epochs=1, lr=0.0)
    assert column_of(result, "loss/train") == pytest.approx([9, 18])
    assert column_of(result, "loss/val") == pytest.approx([4, 4])
    assert column_of(result, "mse/train") == pytest.approx([9, 9])


def test_clipping_bounds_the_update():
    knobs = schema.Regularization(max_grad_norm=0.5)
    result, model, _ = fitted(one_sample(), regularization=knobs, epochs=1)
    assert weights(model) == pytest.approx([0.25 * 0.5], rel=1e-4)
    assert result.history[1]["grad_norm"] == pytest.approx(6)  # as it was before


def test_clipping_leaves_small_gradients_alone():
    knobs = schema.Regularization(max_grad_norm=100.0)
    _, model, _ = fitted(one_sample(), regularization=knobs, epochs=1)
    assert weights(model) == pytest.approx([1.5])


def test_grad_norm_is_measured_before_the_optimizer_touches_the_gradient():
    class Decaying(torch.optim.SGD):
        """Adds weight decay to the gradient in place, as some optimizers do."""

        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad.add_(100.0)
            super().step()

    result, _, _ = fitted(one_sample(), optimizer=Decaying, epochs=1)
    assert result.history[1]["grad_norm"] == pytest.approx(6)


def test_full_batch_takes_one_step_an_epoch():
    result, _, log = fitted(numbered(50), lr=1e-4, batch_size=50)
    assert column_of(result, "step") == [0, 1, 2, 3]
    assert [step for step, *_ in log.minibatches] == [1, 2, 3]


@pytest.mark.parametrize(
    ("num_samples", "batch_size", "sizes"),
    [
        (8, 4, [4, 4]),
        (9, 4, [4, 5]),  # no batch of one sample
        (10, 4, [4, 4, 2]),
        (3, 2, [3]),
        (4, 4, [4]),
        (5, 4, [5]),
        (1, 4, [1]),  # there is no other
        (3, 1, [1, 1, 1]),  # batches of one were asked for
        (2, 1, [1, 1]),
    ],
)
def test_batches_cover_all_samples_once(num_samples, batch_size, sizes):
    slices = batch_slices(num_samples, batch_size)
    samples = [list(range(num_samples))[indices] for indices in slices]
    assert [len(batch) for batch in samples] == sizes
    assert [k for batch in samples for k in batch] == list(range(num_samples))


def test_a_last_sample_alone_reaches_batch_norm_in_company():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    result, _, _ = fitted(numbered(9), model, batch_size=4, lr=0.01, epochs=1)
    assert result.steps == 2


@pytest.mark.parametrize("log_every_steps", [1, 3, 63, 64, 65, 1000])
def test_however_seldom_minibatches_are_logged_the_figures_are_the_same(log_every_steps):
    steps = 64  # as many as the meter holds
    model = Watched(line_through_zero())
    result, _, log = fitted(
        numbered(2 * steps), model, lr=1e-5, batch_size=2, log_every_steps=log_every_steps, epochs=2
    )
    expected, _, every = fitted(numbered(2 * steps), lr=1e-5, batch_size=2, epochs=2)
    logged = [k for k in range(1, 2 * steps + 1) if k % log_every_steps == 0 or k % steps == 0]
    assert [step for step, *_ in log.minibatches] == logged
    assert log.minibatches == [line for line in every.minibatches if line[0] in logged]
    assert column_of(result, "loss/train") == pytest.approx(column_of(expected, "loss/train"))


def test_an_epoch_sees_every_sample_once_in_an_order_of_its_own():
    def orders(seed: int) -> list[list[float]]:
        model = Watched(line_through_zero())
        fitted(numbered(20), model, lr=1e-5, batch_size=6, seed=seed)
        assert [len(batch) for batch in model.batches] == [6, 6, 6, 2] * 3
        flat = [x for batch in model.batches for x in batch]
        return [flat[start : start + 20] for start in (0, 20, 40)]

    first = orders(seed=0)
    assert all(sorted(order) == list(range(20)) for order in first)
    assert len({tuple(order) for order in first}) == 3
    assert orders(seed=0) == first
    assert orders(seed=1) != first


def test_targets_follow_their_inputs():
    seen = []

    def paired(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(float((targets - 3 * model.last).abs().max()))
        return outputs.mean()

    class Last(nn.Linear):
        last: Tensor

        def forward(self, x: Tensor) -> Tensor:
            self.last = x
            return super().forward(x)

    model = Last(1, 1)
    fitted(numbered(20), model, batch_size=3, lr=1e-5, criterion=paired, epochs=2)
    assert len(seen) == 14
    assert set(seen) == {0.0}


def test_training_and_evaluation_modes():
    modes = []

    class Mode(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            modes.append((self.training, torch.is_grad_enabled()))
            return super().forward(x)

    fitted(one_sample(), Mode(1, 1), epochs=2)
    before, epoch = [(False, False)] * 2, [(True, True), (False, False)]
    assert modes == before + epoch + epoch


def test_augmentation_meets_training_batches_alone_and_repeats_with_the_seed():
    def noise(x: Tensor, generator: torch.Generator) -> Tensor:
        return x + torch.rand(x.shape, generator=generator)

    def batches(seed: int) -> list[list[float]]:
        model = Watched(line_through_zero())
        result, _, _ = fitted(one_sample(), model, augment=noise, seed=seed, lr=0.0)
        assert column_of(result, "loss/val") == pytest.approx([4] * 4)
        return model.batches

    first = batches(seed=0)
    assert len({batch[0] for batch in first}) == 3  # anew in every epoch
    assert all(1 <= batch[0] < 2 for batch in first)
    assert batches(seed=0) == first
    assert batches(seed=1) != first


def test_global_random_numbers_neither_matter_nor_move():
    def noise(x: Tensor, generator: torch.Generator) -> Tensor:
        return x + 0.1 * torch.rand(x.shape, generator=generator)

    def run(seed: int) -> list[float]:
        model = line_through_zero()
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        fitted(numbered(20), model, lr=1e-3, batch_size=3, augment=noise)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (np.random.get_state()[1] == states[1]).all()
        assert random.getstate() == states[2]
        return weights(model)

    assert run(seed=1) == run(seed=2)


def test_lbfgs_solves_least_squares_in_a_few_steps():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 3, generator=generator)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 4 + 0.1 * torch.randn(30, 1, generator=generator)
    expected = torch.linalg.lstsq(torch.cat([x, torch.ones(30, 1)], 1), y).solution[:, 0]
    data = replace(regression(part(x, y), part(x, y)), in_shape=(3,))

    def lbfgs(parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(parameters, lr=lr, line_search_fn="strong_wolfe")

    model = nn.Linear(3, 1)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    result, _, _ = fitted(data, model, optimizer=lbfgs, lr=1.0, epochs=3)
    assert result.steps == 3
    assert weights(model) == pytest.approx(expected.tolist(), abs=1e-3)
    # the first line search starts at zero: loss/train is that of the untrained network
    assert result.history[1]["loss/train"] == pytest.approx(result.history[0]["loss/train"])
    assert result.history[3]["grad_norm"] < 1e-2


@pytest.mark.parametrize("batch_size", [4, 1000])
def test_lazy_inputs_train_as_tensors_do(batch_size):
    data = numbered(18)
    lazy = regression(
        part(Listed(data.train.inputs), data.train.targets),
        part(Listed(data.val.inputs), data.val.targets),
    )
    expected, _, _ = fitted(data, lr=1e-3, batch_size=batch_size)
    result, _, _ = fitted(lazy, lr=1e-3, batch_size=batch_size)
    assert column_of(result, "loss/train") == column_of(expected, "loss/train")
    assert column_of(result, "loss/val") == column_of(expected, "loss/val")
    largest = max(len(index) for index in lazy.train.inputs.asked[1:])
    assert largest == min(batch_size, 18)


def test_streamed_inputs_train_as_tensors_do():
    x = torch.arange(60, dtype=torch.float32)[:, None]
    options = {
        "seed": 3,
        "val_fraction": 0.2,
        "test_fraction": 0.1,
        "normalize": True,
        "limit": None,
    }
    tensors = split(Samples(x, 2 * x + 1, "regression"), **options)
    streamed = split(Samples(Listed(x), 2 * x + 1, "regression"), **options)
    assert isinstance(streamed.train.inputs, Streamed)
    expected, _, _ = fitted(tensors, lr=0.1, batch_size=10)
    result, model, _ = fitted(streamed, lr=0.1, batch_size=10)
    for name in ("loss/train", "loss/val", "mae/val", "r2/val"):
        assert column_of(result, name) == pytest.approx(column_of(expected, name), rel=1e-4)
    assert weights(model)[0] > 0.9  # standardised, the line is y = x


def test_bare_streamed_split():
    inputs = Streamed(
        Listed(column(9, 1, 5)), torch.tensor([1]), Scaling(torch.tensor(0.0), torch.tensor(0.5))
    )
    result, model, _ = fitted(regression(part(inputs, column(3))), lr=0.0, epochs=1)
    assert result.history[1]["loss/train"] == pytest.approx(9)
    _, model, _ = fitted(regression(part(inputs, column(3))), lr=1 / 16, epochs=1)
    assert weights(model) == pytest.approx([2 * 2 * 3 / 16])  # x = 1 / 0.5, gradient 2 x (w x - y)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precision_takes_the_step_of_full_precision(precision):
    deterministic = torch.are_deterministic_algorithms_enabled()
    compute = open_device("cpu", precision=precision, deterministic=deterministic)
    if compute.scaler is not None:  # its first scales overflow, on purpose, and skip their steps
        compute = replace(compute, scaler=torch.amp.GradScaler("cpu", init_scale=64.0))
    result, model, _ = fitted(one_sample(), compute=compute)
    assert weights(model) == pytest.approx([2.625], rel=1e-2)
    assert model.weight.dtype == torch.float32
    assert column_of(result, "grad_norm")[1:] == pytest.approx([6, 3, 1.5], rel=1e-2)
    assert column_of(result, "loss/train")[1:] == pytest.approx([9, 9 / 4, 9 / 16], rel=1e-2)


def test_fp16_skips_steps_that_overflow_and_goes_on():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15)
    compute = Compute(torch.device("cpu"), torch.float16, scaler)
    result, model, _ = fitted(one_sample(), compute=compute, epochs=12)
    assert result.stopped_by == "epochs"
    assert scaler.get_scale() < 2.0**15
    assert weights(model) == pytest.approx([3], rel=1e-2)


def test_clipping_sees_unscaled_gradients():
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    compute = Compute(torch.device("cpu"), torch.float16, scaler)
    knobs = schema.Regularization(max_grad_norm=0.5)
    _, model, _ = fitted(one_sample(), compute=compute, regularization=knobs, epochs=1)
    assert weights(model) == pytest.approx([0.25 * 0.5], rel=1e-2)


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"monitor": "accuracy/val"}, "monitor=accuracy/val: this run has no such metric"),
        ({"monitor": "epoch"}, "monitor=epoch: this run has no such metric"),
        (
            {"stopping": schema.Stopping(target_metric="loss/test", target_value=0.1)},
            "stopping.target_metric=loss/test: this run has no such metric",
        ),
    ],
)
def test_unknown_metrics_are_refused_before_the_first_step(changes, start):
    model, log = line_through_zero(), Recorded()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(UserError) as error:
        fit(model, optimizer, one_sample(), recipe(**changes), CPU, log)
    assert str(error.value).startswith(start)
    assert "there are loss/train, mse/train" in str(error.value)
    assert log.steps == 0


def test_early_stopping_without_a_validation_split_is_refused_before_the_first_step():
    log, model = Recorded(), line_through_zero()
    knobs = schema.Regularization(early_stopping_patience=2)
    data = regression(part(column(1), column(3)))
    with pytest.raises(UserError, match="^monitor=loss/val: this run has no such metric"):
        fit(
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            data,
            recipe(regularization=knobs),
            CPU,
            log,
        )
    assert log.steps == 0


def test_frozen_parameters_stay():
    model = nn.Sequential(line_through_zero(1.0), line_through_zero(1.0))
    model[0].weight.requires_grad_(False)

    def sgd(parameters: Iterator[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD([p for p in parameters if p.requires_grad], lr=lr)

    result, _, _ = fitted(one_sample(), model, optimizer=sgd, epochs=1)
    assert weights(model) == pytest.approx([1, 2])  # 1 + 4 / 4
    assert result.history[1]["grad_norm"] == pytest.approx(4)


def test_buffers_belong_to_the_best_state():
    model = nn.Sequential(nn.BatchNorm1d(1), nn.Linear(1, 1))
    result, _, _ = fitted(numbered(6), model, lr=0.1, epochs=2)
    assert set(result.best_state) == set(model.state_dict())
    # running_mean moves from 0 by a tenth towards the mean 2.5 of the inputs in every epoch
    assert float(result.best_state["0.running_mean"]) == pytest.approx(
        2.5 * (1 - 0.9**result.best_epoch)
    )


@pytest.mark.parametrize("lazy", [False, True])
def test_evaluation_goes_through_a_split_in_order_and_in_parts(lazy, monkeypatch):
    monkeypatch.setattr(evaluation, "EVALUATION_BATCH", 4)
    x = torch.arange(10, dtype=torch.float32)[:, None]
    inputs = Listed(x) if lazy else x
    parts = list(predict(line_through_zero(2.0), part(inputs, 3 * x), CPU))
    assert [len(outputs) for outputs, _ in parts] == [4, 4, 2]
    assert torch.equal(torch.cat([outputs for outputs, _ in parts]), 2 * x)
    assert torch.equal(torch.cat([targets for _, targets in parts]), 3 * x)
    assert not parts[0][0].requires_grad
    figures = evaluate(
        line_through_zero(2.0), loss_function("mse"), part(inputs, 3 * x), regression(EMPTY), CPU
    )
    assert figures["loss"] == figures["mse"] == pytest.approx(28.5)  # mean of k^2, k = 0 to 9


def test_evaluation_of_an_empty_split():
    figures = evaluate(line_through_zero(), loss_function("mse"), EMPTY, regression(EMPTY), CPU)
    assert figures == dict.fromkeys(("loss", "mse", "mae", "mape", "r2"))
    assert list(predict(line_through_zero(), EMPTY, CPU)) == []


def test_take():
    values = column(10, 20, 30)
    assert take(values, None) is values
    assert take(values, torch.tensor([2, 0])).tolist() == [[30], [10]]
    lazy = Listed(values)
    assert take(lazy, torch.tensor([2, 0])).tolist() == [[30], [10]]
    assert take(lazy, None).tolist() == values.tolist()


def test_classification_figures():
    # one logit w x: x = -1, 1, 2 with classes 0, 1, 0; any w > 0 is right about two of three
    train = Split(column(-1, 1, 2), torch.tensor([0, 1, 0]))
    data = Splits(train=train, val=train, test=EMPTY, task="binary", in_shape=(1,))
    bce = loss_function("bce")
    result, _, _ = fitted(
        data,
        line_through_zero(1.0),
        lr=0.0,
        epochs=1,
        criterion=bce,
        evaluation_criterion=bce,
        monitor="accuracy/val",
    )
    losses = [math.log(1 + math.exp(z)) for z in (-1, -1, 2)]
    for name in ("train", "val"):
        assert column_of(result, f"loss/{name}") == pytest.approx([sum(losses) / 3] * 2)
        assert column_of(result, f"accuracy/{name}") == pytest.approx([2 / 3] * 2)
