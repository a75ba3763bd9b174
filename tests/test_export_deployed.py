"""The network that is exported: what it makes of inputs in their own unit, by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dlrun.datasets import Scaling
from dlrun.describe import StoredData
from dlrun.errors import UserError
from dlrun.export.compare import drawn_samples, largest_difference, units
from dlrun.export.deployed import deploy

TABLE = StoredData(
    task="regression",
    in_shape=(2,),
    classes=(),
    features=("a", "b"),
    target_name="price",
    input_scaling=Scaling(torch.tensor([1.0, 10.0]), torch.tensor([2.0, 5.0])),
    target_scaling=None,
    fingerprint=(),
)


class Sums(nn.Module):
    """Outputs (N, K): the sum of what it sees, times 0, 1, … or times 1 where K is 1."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.factors = nn.Parameter(torch.arange(outputs).float() if outputs > 1 else torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.flatten(1).sum(1, keepdim=True) * self.factors


def test_a_regression_gives_values_in_the_targets_unit() -> None:
    data = replace(TABLE, target_scaling=Scaling(torch.tensor([20.0]), torch.tensor([4.0])))
    deployed = deploy(Sums(1), data, "mse")
    assert deployed.gives == "values"
    # (3 - 1) / 2 + (20 - 10) / 5 = 3, and 3 * 4 + 20 = 32
    assert deployed(torch.tensor([[3.0, 20.0]])).tolist() == [[32.0]]


@pytest.mark.parametrize(
    ("transform", "rows"),
    [("tenth", [[30.0, 200.0]]), ("log", [[math.exp(3.0), math.exp(20.0)]])],
)
def test_the_stored_transform_comes_before_scaling(transform: Any, rows: list[list[float]]) -> None:
    deployed = deploy(Sums(1), replace(TABLE, transform=transform), "mse")
    assert deployed(torch.tensor(rows)).item() == pytest.approx(3.0, rel=1e-5)


def test_a_missing_value_is_filled_where_the_run_fills_it() -> None:
    rows = torch.tensor([[math.nan, 20.0]])
    assert deploy(Sums(1), TABLE, "mse")(rows).isnan().all()
    filled = deploy(Sums(1), replace(TABLE, fill=torch.tensor([3.0, 0.0])), "mse")
    assert filled(rows).tolist() == [[3.0]]


def test_classes_get_probabilities_or_scores() -> None:
    data = replace(TABLE, task="multiclass", classes=("x", "y", "z"))
    rows = torch.tensor([[1.0, 10.0 + 5 * math.log(2)]])  # sees (0, log 2): logits 0, log 2, log 4
    likely = deploy(Sums(3), data, "cross_entropy")(rows)
    assert likely[0].tolist() == pytest.approx([1 / 7, 2 / 7, 4 / 7], rel=1e-5)
    scores = deploy(Sums(3), data, "hinge")
    assert scores.gives == "scores"
    assert scores(rows)[0].tolist() == pytest.approx([0, math.log(2), math.log(4)], rel=1e-5)


def test_one_logit_gives_two_columns() -> None:
    data = replace(TABLE, task="binary", classes=("no", "yes"))
    deployed = deploy(Sums(1), data, "bce")
    likely = deployed(torch.tensor([[1.0, 10.0 + 5 * math.log(3)], [-999.0, 10.0]]))
    assert likely[0].tolist() == pytest.approx([0.25, 0.75], rel=1e-5)
    assert likely[1].tolist() == pytest.approx([1.0, 0.0])


def test_reconstructions_come_back_in_the_unit_of_the_inputs() -> None:
    data = replace(TABLE, task="reconstruction", transform="tenth")
    rows = torch.tensor([[30.0, 200.0]])
    torch.testing.assert_close(deploy(nn.Identity(), data, "mse")(rows), rows)
    scaling = Scaling(torch.full((1, 1, 1), 0.5), torch.full((1, 1, 1), 0.25))
    images = replace(TABLE, task="reconstruction", in_shape=(1, 2, 2), input_scaling=scaling)
    # The network sees (0.75 - 0.5) / 0.25 = 1; what it gives are pixels already.
    seen = deploy(nn.Identity(), images, "mse")(torch.full((1, 1, 2, 2), 0.75))
    assert seen.flatten().tolist() == [1.0] * 4


def test_the_network_itself_is_left_alone() -> None:
    network = Sums(1).double().train()
    deployed = deploy(network, TABLE, "mse")
    assert network.training and network.factors.dtype == torch.float64
    assert network.factors.requires_grad
    assert not deployed.training and deployed.network.factors.dtype == torch.float32
    assert sorted(deployed.state_dict()) == [
        *("input_scaling.mean", "input_scaling.std", "network.factors")
    ]


def test_a_test_function_is_no_network() -> None:
    with pytest.raises(UserError, match="there is no network that takes inputs"):
        deploy(Sums(2), replace(TABLE, task="surface"), "surface")


def test_drawn_samples_lie_where_the_data_does() -> None:
    rows, words = drawn_samples(replace(TABLE, transform="log"))
    assert rows.shape == (64, 2) and words == "64 random rows"
    assert bool((rows > 0).all())  # the logarithm of each is taken
    means, stds = rows.log().mean(0), rows.log().std(0)
    assert means.tolist() == pytest.approx([1, 10], abs=1.5)
    assert stds.tolist() == pytest.approx([2, 5], rel=0.3)
    images, _ = drawn_samples(replace(TABLE, in_shape=(3, 4, 4)))
    assert 0 <= float(images.min()) < 0.1 and 0.9 < float(images.max()) <= 1


def test_differences_and_their_units() -> None:
    one = torch.tensor(1.0)
    a, b = torch.tensor([[1.0, 20.0]]), torch.tensor([[1.5, 22.0]])
    assert largest_difference(a, b, one) == 2.0
    assert largest_difference(a, b, torch.tensor([1.0, 20.0])) == 0.5
    assert largest_difference(a, torch.tensor([[1.0, math.nan]]), one) == math.inf
    assert largest_difference(a, b[:, :1], one) == math.inf
    rows = torch.tensor([[0.0, -30.0]])
    table = deploy(nn.Identity(), replace(TABLE, task="reconstruction"), "mse")
    unit, words = units(table, torch.tensor([[0.0, 20.0]]), rows)
    assert (unit.tolist(), words) == ([1.0, 30.0], "of each column's largest value")
    values = deploy(Sums(1), TABLE, "mse")
    assert units(values, torch.tensor([[-40.0], [3.0]]), rows)[0].item() == 40.0
    classes = deploy(Sums(2), replace(TABLE, task="binary", classes=("a", "b")), "nll")
    assert units(classes, torch.tensor([[0.1, 0.9]]), rows)[0].item() == 1.0
