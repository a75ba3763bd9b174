"""Learning-rate schedules: against torch's own, by hand, and at the edges."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml

from dlrun import schema
from dlrun.scheduler import Schedule, lr_factor

CONF = Path(__file__).parents[1] / "conf" / "scheduler"
LR = 0.5


def optimizer(lr: float = LR) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(settings: schema.Scheduler, num_steps: int, steps_per_epoch: int) -> list[float]:
    """The learning rate of every step."""
    schedule = Schedule(settings, optimizer(), num_steps, steps_per_epoch)
    rates = []
    for step in range(num_steps):
        schedule.before_step(step)
        rates.append(schedule.lr)
    return rates


def torch_rates(optimizer: torch.optim.Optimizer, scheduler: object, num_steps: int) -> list[float]:
    """The learning rate of every step under a scheduler of torch's that is stepped per batch."""
    rates = []
    for _ in range(num_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_every_scheduler_has_its_file():
    files = {file.stem: yaml.safe_load(file.read_text()) for file in CONF.glob("*.yaml")}
    (field,) = (f for f in schema.Scheduler.__dataclass_fields__.values() if f.name == "name")
    assert set(files) == set(field.metadata["choices"])
    assert all(content["name"] == stem for stem, content in files.items())


def test_constant_leaves_the_rate_alone():
    assert rates(schema.Scheduler(), 5, 2) == [LR] * 5


@pytest.mark.parametrize(("step_epochs", "gamma"), [(1, 0.1), (2, 0.5), (3, 0.9)])
def test_step_is_torchs_step_lr(step_epochs, gamma):
    settings = schema.Scheduler("step", step_epochs=step_epochs, gamma=gamma)
    reference = optimizer()
    scheduler = torch.optim.lr_scheduler.StepLR(reference, step_epochs * 4, gamma)
    expected = torch_rates(reference, scheduler, 28)
    assert rates(settings, 28, 4) == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) == math.ceil(7 / step_epochs)


@pytest.mark.parametrize("num_steps", [1, 2, 7, 100])
@pytest.mark.parametrize("end_factor", [0.0, 0.01, 1.0])
def test_cosine_is_torchs_cosine_annealing(num_steps, end_factor):
    settings = schema.Scheduler("cosine", end_factor=end_factor)
    reference = optimizer()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
        reference, T_max=num_steps, eta_min=end_factor * LR
    )
    expected = torch_rates(reference, scheduler, num_steps)
    assert rates(settings, num_steps, 1) == pytest.approx(expected, rel=1e-9)


def test_cosine_by_hand():
    settings = schema.Scheduler("cosine", end_factor=0.2)
    # 0.2 + 0.8 (1 + cos(pi t)) / 2 at t = 0, 1/3, 2/3: cos = 1, 0.5, -0.5
    assert rates(settings, 3, 1) == pytest.approx([LR, 0.8 * LR, 0.4 * LR])


@pytest.mark.parametrize("num_steps", [3, 10, 37])
@pytest.mark.parametrize("peak_fraction", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(("start_factor", "end_factor"), [(0.04, 4e-6), (0.5, 0.1)])
def test_one_cycle_is_torchs(num_steps, peak_fraction, start_factor, end_factor):
    settings = schema.Scheduler(
        "one_cycle",
        peak_fraction=peak_fraction,
        start_factor=start_factor,
        end_factor=end_factor,
    )
    reference = optimizer()
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        reference,
        max_lr=LR,
        total_steps=num_steps,
        pct_start=peak_fraction,
        div_factor=1 / start_factor,
        final_div_factor=start_factor / end_factor,
        cycle_momentum=False,
    )
    expected = [reference.param_groups[0]["lr"]]
    for _ in range(num_steps - 1):
        reference.step()
        scheduler.step()
        expected.append(reference.param_groups[0]["lr"])
    assert rates(settings, num_steps, 1) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("num_steps", "peak_fraction"), [(2, 0.5), (10, 0.1), (4, 0.25)])
def test_one_cycle_with_its_peak_at_the_first_step(num_steps, peak_fraction):
    settings = schema.Scheduler("one_cycle", peak_fraction=peak_fraction, end_factor=0.1)
    actual = rates(settings, num_steps, 1)
    assert actual[0] == LR
    assert actual[-1] == pytest.approx(0.1 * LR)
    assert actual == sorted(actual, reverse=True)


def test_one_cycle_of_one_step_ends_where_it_should():
    settings = schema.Scheduler("one_cycle", peak_fraction=0.3, end_factor=0.1)
    assert rates(settings, 1, 1) == pytest.approx([0.1 * LR])


@pytest.mark.parametrize(
    ("warmup_fraction", "factors"),
    [
        (0.5, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]),
        (1.0, [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1]),
        (0.0, [1] * 8),
        (0.01, [1] * 8),  # less than one step
        (0.3, [1 / 2.4, 2 / 2.4, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_linear_warmup_by_hand(warmup_fraction, factors):
    settings = schema.Scheduler("linear_warmup", warmup_fraction=warmup_fraction)
    assert rates(settings, 8, 4) == pytest.approx([LR * factor for factor in factors])


@pytest.mark.parametrize("warmup_fraction", [0.0, 0.1, 1.0])
def test_linear_warmup_of_one_step_takes_it_whole(warmup_fraction):
    assert rates(schema.Scheduler("linear_warmup", warmup_fraction=warmup_fraction), 1, 1) == [LR]


@pytest.mark.parametrize("patience", [0, 1, 2])
def test_plateau_is_torchs_reduce_on_plateau(patience):
    losses = [1.0, 0.9, 0.9, 0.95, 0.8, 0.81, math.nan, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.1]
    settings = schema.Scheduler("plateau", gamma=0.5, patience=patience)
    actual, reference = optimizer(), optimizer()
    schedule = Schedule(settings, actual, 100, 10)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        reference, mode="min", factor=0.5, patience=patience, threshold=0
    )
    expected = []
    for step, loss in enumerate(losses):
        schedule.before_step(step)  # between epochs alone, not here
        schedule.after_epoch(loss)
        scheduler.step(loss)
        expected.append(reference.param_groups[0]["lr"])
        assert schedule.lr == pytest.approx(expected[-1], rel=1e-12)
    assert len(set(expected)) > 2


def test_only_plateau_looks_at_the_loss():
    schedule = Schedule(schema.Scheduler("constant", patience=0), optimizer(), 10, 1)
    for _ in range(3):
        schedule.after_epoch(1.0)
    assert schedule.lr == LR


def test_every_parameter_group_keeps_its_share():
    two = torch.optim.SGD(
        [
            {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 1.0},
            {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1},
        ]
    )
    schedule = Schedule(schema.Scheduler("step", step_epochs=1, gamma=0.5), two, 4, 2)
    schedule.before_step(3)
    assert [group["lr"] for group in two.param_groups] == [0.5, 0.05]
    schedule = Schedule(schema.Scheduler("plateau", patience=0, gamma=0.1), two, 4, 2)
    schedule.after_epoch(1.0)
    schedule.after_epoch(1.0)
    assert [group["lr"] for group in two.param_groups] == pytest.approx([0.05, 0.005])


@pytest.mark.parametrize("name", ["constant", "step", "cosine", "one_cycle", "linear_warmup"])
def test_nothing_is_remembered_from_step_to_step(name):
    settings = schema.Scheduler(name, step_epochs=1, end_factor=0.1)
    forwards = [lr_factor(settings, step, 12, 3) for step in range(12)]
    backwards = [lr_factor(settings, step, 12, 3) for step in reversed(range(12))]
    assert forwards == backwards[::-1]
    assert all(0 < factor <= 1 for factor in forwards)
