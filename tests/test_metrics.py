"""Metrics: against scikit-learn and by hand, over batches of any size and number."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from sklearn import metrics
from torch import Tensor

from dlrun.datasets.scaling import Scaling, fit_scaling
from dlrun.metrics import METRICS, WAITING, Meter, predicted_classes

REGRESSION = ("mse", "mae", "mape", "r2")


def figures(
    task: str,
    outputs: Tensor,
    targets: Tensor,
    *,
    sizes: list[int] | None = None,
    scaling: Scaling | None = None,
    losses: Tensor | None = None,
) -> dict[str, float | None]:
    """What a meter makes of outputs and targets given in batches of these sizes."""
    meter = Meter(task, scaling)
    sizes = [len(targets)] if sizes is None else sizes
    losses = torch.zeros(len(sizes)) if losses is None else losses
    for batch, target, loss in zip(outputs.split(sizes), targets.split(sizes), losses, strict=True):
        meter.add(batch, target, loss)
    return meter.result()


def sklearn_figures(predictions: Tensor, targets: Tensor) -> dict[str, float]:
    y, p = targets[:, 0].double().numpy(), predictions[:, 0].double().numpy()
    return {
        "mse": metrics.mean_squared_error(y, p),
        "mae": metrics.mean_absolute_error(y, p),
        "mape": 100 * metrics.mean_absolute_percentage_error(y, p),
        "r2": metrics.r2_score(y, p),
    }


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_regression_by_hand():
    # errors 1, -1, 2; targets 1, 2, 4 of mean 7/3 and variation 1 + 4 + 16 - 49/3 = 14/3
    targets = torch.tensor([[1.0], [2.0], [4.0]])
    actual = figures("regression", targets + torch.tensor([[1.0], [-1.0], [2.0]]), targets)
    assert actual == pytest.approx(
        {"loss": 0, "mse": 2, "mae": 4 / 3, "mape": 200 / 3, "r2": 1 - 6 / (14 / 3)}
    )


@pytest.mark.parametrize("sizes", [[100], [33, 33, 33, 1], [1] * 100, [1, 98, 1]])
def test_regression_is_sklearns(sizes):
    targets = numbers(100, 1) * 3 + 5
    outputs = targets + numbers(100, 1, seed=1)
    actual = figures("regression", outputs, targets, sizes=sizes)
    expected = sklearn_figures(outputs, targets)
    assert {name: actual[name] for name in REGRESSION} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("sizes", [[200], [7] * 28 + [4]])
def test_figures_are_in_the_targets_own_unit(sizes):
    targets = numbers(200, 1) * 30 + 500
    scaling = fit_scaling(targets)
    predictions = targets + 10 * numbers(200, 1, seed=1)
    actual = figures(
        "regression",
        scaling.apply(predictions),
        scaling.apply(targets),
        sizes=sizes,
        scaling=scaling,
    )
    expected = sklearn_figures(predictions, targets)
    assert {name: actual[name] for name in REGRESSION} == pytest.approx(expected, rel=1e-4)


def test_loss_is_the_mean_over_samples_not_over_batches():
    # (1 * 10 + 3 * 2 + 2 * 4) / 6
    outputs, targets = numbers(6, 3), torch.zeros(6, dtype=torch.int64)
    losses = torch.tensor([10.0, 2.0, 4.0])
    actual = figures("multiclass", outputs, targets, sizes=[1, 3, 2], losses=losses)
    assert actual["loss"] == pytest.approx(4.0)


@pytest.mark.parametrize("num_batches", [WAITING - 1, WAITING, WAITING + 1, 2 * WAITING + 3])
def test_many_batches(num_batches):
    outputs, targets = numbers(2 * num_batches + 1, 4), torch.arange(2 * num_batches + 1) % 4
    sizes = [2] * (num_batches - 1) + [3]
    losses = torch.arange(1.0, num_batches + 1)
    actual = figures("multiclass", outputs, targets, sizes=sizes, losses=losses)
    expected = metrics.accuracy_score(targets.numpy(), outputs.argmax(1).numpy())
    assert actual["accuracy"] == pytest.approx(expected)
    weighted = sum(size * (k + 1) for k, size in enumerate(sizes)) / len(targets)
    assert actual["loss"] == pytest.approx(weighted)


@pytest.mark.parametrize("num_batches", [1, WAITING - 1, WAITING, WAITING + 1, 2 * WAITING])
def test_flush_gives_the_losses_up_to_the_last_batch(num_batches):
    meter = Meter("multiclass")
    for k in range(num_batches):
        meter.add(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), torch.tensor(float(k)))
    losses = meter.flush()
    assert losses.tolist() == list(range(num_batches))[-len(losses) :]
    assert 1 <= len(losses) <= WAITING  # no more are held
    assert len(meter.flush()) == 0
    assert meter.count == 2 * num_batches


def test_accuracy_by_hand():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 0.0, 5.0], [1.0, 0.0, 0.0]])
    assert figures("multiclass", logits, torch.tensor([0, 1, 2, 1]))["accuracy"] == 0.75


def test_binary_with_one_logit_and_with_two():
    targets = torch.tensor([1, 0, 1, 0])
    one = torch.tensor([[0.5], [0.5], [-0.1], [-2.0]])
    assert figures("binary", one, targets)["accuracy"] == 0.5
    two = torch.cat([torch.zeros(4, 1), one], 1)
    assert predicted_classes(two).tolist() == predicted_classes(one).tolist() == [1, 1, 0, 0]
    assert figures("binary", two, targets)["accuracy"] == 0.5


def test_a_logit_of_zero_is_the_first_class():
    assert predicted_classes(torch.zeros(1, 1)).tolist() == [0]
    assert predicted_classes(torch.zeros(1, 2)).tolist() == [0]


def test_mape_leaves_out_targets_of_zero():
    targets = torch.tensor([[0.0], [2.0], [-4.0]])
    actual = figures("regression", targets + 1, targets)
    assert actual["mape"] == pytest.approx(100 * (1 / 2 + 1 / 4) / 2)
    assert figures("regression", torch.ones(3, 1), torch.zeros(3, 1))["mape"] is None


def test_mape_leaves_out_targets_of_zero_that_scaling_has_blurred():
    targets = torch.tensor([[0.0], [1.0], [7.0], [7.0]])
    scaling = fit_scaling(targets)
    scaled = scaling.apply(targets)
    assert float(scaling.undo(scaled)[0]) != 0  # or this test shows nothing
    predictions = scaling.apply(targets + 0.7)
    actual = figures("regression", predictions, scaled, scaling=scaling)
    assert actual["mape"] == pytest.approx(100 * (0.7 + 0.1 + 0.1) / 3, rel=1e-4)


def test_mape_keeps_small_targets():
    targets = torch.tensor([[1e-3], [1.0], [2.0]])
    scaling = fit_scaling(targets)
    predictions = scaling.apply(targets * 1.5)
    actual = figures("regression", predictions, scaling.apply(targets), scaling=scaling)
    assert actual["mape"] == pytest.approx(50, rel=1e-3)


@pytest.mark.parametrize("sizes", [[1000], [64] * 15 + [40]])
@pytest.mark.parametrize("value", [0.1, 1e6 / 3, -7.0])
def test_constant_targets_have_no_r2(value, sizes):
    targets = torch.full((1000, 1), value)
    actual = figures("regression", targets + 0.5, targets, sizes=sizes)
    assert actual["r2"] is None
    assert actual["mse"] == pytest.approx(0.25, rel=0.1)
    scaling = fit_scaling(targets)
    scaled = scaling.apply(targets)
    assert figures("regression", scaled + 0.5, scaled, sizes=sizes, scaling=scaling)["r2"] is None


def test_r2_far_from_zero():
    """Sums of squares of such targets would lose the digits that r2 is made of."""
    y = numbers(1000, 1)
    scaling = Scaling(torch.tensor([1e8]), torch.tensor([1.0]))
    outputs = y + 0.1 * numbers(1000, 1, seed=1)
    actual = figures("regression", outputs, y, sizes=[500, 500], scaling=scaling)
    assert actual["r2"] == pytest.approx(sklearn_figures(outputs, y)["r2"], abs=1e-5)


def test_one_sample_has_an_error_but_no_r2():
    actual = figures("regression", torch.tensor([[3.0]]), torch.tensor([[2.0]]))
    assert actual == {"loss": 0.0, "mse": 1.0, "mae": 1.0, "mape": 50.0, "r2": None}


@pytest.mark.parametrize("task", METRICS)
def test_an_empty_pass_has_all_names_and_no_figures(task):
    assert Meter(task).result() == dict.fromkeys(METRICS[task])


@pytest.mark.parametrize("task", METRICS)
def test_names_are_those_that_are_announced(task):
    classes = task in ("binary", "multiclass")
    targets = torch.ones(2, dtype=torch.int64) if classes else torch.ones(2, 1)
    assert tuple(figures(task, torch.zeros(2, 1), targets)) == METRICS[task]


def test_reconstruction_by_hand():
    # errors of the first sample 1, -1, 0, 2, of the second 0, 0, 0, 4
    targets = torch.arange(8.0).reshape(2, 1, 2, 2)
    errors = torch.tensor([[1.0, -1.0, 0.0, 2.0], [0.0, 0.0, 0.0, 4.0]]).reshape(2, 1, 2, 2)
    actual = figures("reconstruction", targets + errors, targets)
    assert actual == {"loss": 0.0, "mse": (6 / 4 + 16 / 4) / 2, "mae": (4 / 4 + 4 / 4) / 2}


@pytest.mark.parametrize("shape", [(2, 5, 3), (7,)])
@pytest.mark.parametrize("sizes", [[100], [33, 33, 33, 1], [1] * 100, [1, 98, 1]])
def test_reconstruction_is_torchs_over_the_whole_split(shape, sizes):
    targets = numbers(100, *shape)
    outputs = targets + numbers(100, *shape, seed=1)
    losses = torch.stack(
        [F.mse_loss(*pair) for pair in zip(outputs.split(sizes), targets.split(sizes), strict=True)]
    )
    actual = figures("reconstruction", outputs, targets, sizes=sizes, losses=losses)
    expected = {
        "loss": F.mse_loss(outputs, targets).item(),
        "mse": F.mse_loss(outputs, targets).item(),
        "mae": F.l1_loss(outputs, targets).item(),
    }
    assert actual == pytest.approx(expected, rel=1e-5)


def test_on_a_surface_x_and_y_are_the_mean_position():
    # positions (0, 3) twice and (3, -3) once
    positions = torch.tensor([[0.0, 3.0], [0.0, 3.0], [3.0, -3.0]])
    losses = torch.tensor([6.0, 9.0])
    actual = figures("surface", positions, torch.zeros(3, 2), sizes=[2, 1], losses=losses)
    assert actual == {"loss": 7.0, "x": 1.0, "y": 1.0}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_surface_of_other_than_two_dimensions_has_no_x_and_y(size):
    actual = figures("surface", torch.ones(4, size), torch.zeros(4, size), sizes=[3, 1])
    assert actual == {"loss": 0.0, "x": None, "y": None}


@pytest.mark.parametrize("task", ["reconstruction", "surface"])
def test_what_waits_survives_the_way_through_a_checkpoint(task):
    outputs, targets = numbers(30, 2), numbers(30, 2, seed=1)
    whole, broken_off = Meter(task), Meter(task)
    for meter in (whole, broken_off):
        for k in range(2):
            meter.add(outputs[10 * k : 10 * k + 10], targets[:10], torch.tensor(float(k)))
        if meter is broken_off:
            state, meter = meter.state(), Meter(task)
            meter.restore(state, torch.device("cpu"))
            broken_off = meter
        meter.add(outputs[20:], targets[:10], torch.tensor(5.0))
    assert broken_off.count == 0 < len(broken_off.state()["outputs"]) == 3
    assert broken_off.result() == whole.result()


def test_low_precision_is_summed_in_high_precision():
    outputs = torch.tensor([[1.0], [3.0]], dtype=torch.bfloat16).repeat(5000, 1)
    targets = torch.tensor([[0.0], [1.0]]).repeat(5000, 1)
    losses = torch.full((100,), 2.5, dtype=torch.bfloat16)
    actual = figures("regression", outputs, targets, sizes=[100] * 100, losses=losses)
    assert actual["mse"] == pytest.approx(2.5)
    assert actual["loss"] == pytest.approx(2.5)


def test_graphs_are_let_go():
    weight = torch.ones(1, 1, requires_grad=True)
    meter = Meter("regression")
    outputs = torch.ones(2, 1) @ weight
    meter.add(outputs, torch.zeros(2, 1), outputs.mean())
    assert not meter.flush().requires_grad
    assert meter.result()["mse"] == 1.0


def test_target_scaling_may_lie_on_another_device():
    """The splits move to the device of the run, mean and std stay where they are."""
    scaling = Scaling(torch.tensor([1.0]), torch.tensor([2.0]))
    meter = Meter("regression", scaling)
    with torch.device("meta"):  # stands for a GPU: refuses to mix with the CPU
        for _ in range(2):
            meter.add(torch.zeros(3, 1), torch.zeros(3, 1), torch.zeros(()))
    assert meter.flush().device.type == "meta"
    assert meter.count == 6
