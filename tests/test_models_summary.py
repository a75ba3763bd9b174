"""The model summary: rows by hand, totals, and that it leaves the model as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlrun.models.cnn import CNN
from dlrun.models.mlp import MLP
from dlrun.models.summary import LayerRow, Totals, summarize, total_parameters


def test_rows_of_the_keras_network():
    rows = summarize(MLP((1, 28, 28), 10, hidden=[512, 128, 64]), (1, 28, 28))
    assert rows == [
        LayerRow("layers.hidden_1", "Linear", (512,), 401_920, 401_920),
        LayerRow("layers.activation_1", "ReLU", (512,), 0, 0),
        LayerRow("layers.hidden_2", "Linear", (128,), 65_664, 65_664),
        LayerRow("layers.activation_2", "ReLU", (128,), 0, 0),
        LayerRow("layers.hidden_3", "Linear", (64,), 8_256, 8_256),
        LayerRow("layers.activation_3", "ReLU", (64,), 0, 0),
        LayerRow("layers.output", "Linear", (10,), 650, 650),
    ]
    assert sum(row.parameters for row in rows) == 476_490


def test_output_shapes_of_images():
    rows = summarize(CNN((1, 28, 28), 10, channels=[4], kernel_size=3, dense=[]), (1, 28, 28))
    assert [(row.type, row.output_shape) for row in rows] == [
        ("Conv2d", (4, 28, 28)),
        ("ReLU", (4, 28, 28)),
        ("MaxPool2d", (4, 14, 14)),
        ("Linear", (10,)),
    ]


class Odd(nn.Module):
    """What real networks do: own parameters, a layer used twice, attention, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.shared = nn.Linear(4, 4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.tied = nn.Linear(4, 4)
        self.tied.weight = self.shared.weight
        self.unused = nn.Linear(4, 2)

    def forward(self, inputs):
        hidden = self.shared(self.shared(inputs)).unsqueeze(1)
        return self.tied(self.attention(hidden, hidden, hidden)[0].squeeze(1)) * self.scale


def test_every_parameter_is_counted_once_where_it_is_used():
    model = Odd()
    rows = {row.name: row for row in summarize(model, (4,))}
    assert rows["shared"].parameters == 20
    assert rows["attention"].parameters == (3 * 16 + 12) + (16 + 4)  # inputs, out_proj
    assert rows["tied"].parameters == 4  # its weight is counted with `shared`
    assert rows[""].parameters == 4 + 10  # scale, and the layer that is never called
    total = total_parameters(model).parameters
    assert sum(row.parameters for row in rows.values()) == total == 118


def test_frozen_parameters():
    model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    model[0].requires_grad_(False)
    assert total_parameters(model) == Totals(parameters=23, trainable=8, frozen=15)
    assert [row.trainable for row in summarize(model, (4,))] == [0, 8]


def test_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model.train()
    model[1].eval()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    summarize(model, (4,))
    assert [module.training for module in model.modules()] == [True, True, False, True]
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert all(not module._forward_hooks for module in model.modules())


def test_model_is_left_as_it_was_after_an_error():
    model = nn.Sequential(nn.Linear(4, 3))
    with pytest.raises(RuntimeError):
        summarize(model, (5,))
    assert model.training
    assert not model[0]._forward_hooks
