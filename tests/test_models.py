"""Linear, MLP and CNN: shapes, parameters counted by hand, initial weights, errors."""

from __future__ import annotations

import math
import typing
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from dlrun.errors import UserError
from dlrun.models.activations import Activation, make_activation
from dlrun.models.cnn import CNN
from dlrun.models.init import Init, initialize
from dlrun.models.linear import Linear
from dlrun.models.mlp import MLP

CONF = Path(__file__).parents[1] / "conf" / "model"


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def layer_names(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if not list(module.children())]


def test_linear_is_an_affine_map_of_the_flattened_input():
    model = Linear((1, 2, 2), 3)
    images = torch.randn(5, 1, 2, 2)
    expected = images.reshape(5, 4) @ model.output.weight.T + model.output.bias
    torch.testing.assert_close(model(images), expected)
    assert count(Linear((1, 28, 28), 10)) == 7850


def test_mlp_has_the_parameters_of_the_keras_network():
    model = MLP((1, 28, 28), 10, hidden=[512, 128, 64])
    linear = [count(layer) for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert linear == [401_920, 65_664, 8_256, 650]
    assert count(model) == 476_490


def test_mlp_computes_by_hand():
    model = MLP((2,), 1, hidden=[2], activation="tanh")
    with torch.no_grad():
        model.layers.hidden_1.weight.copy_(torch.tensor([[1.0, -1.0], [0.5, 0.5]]))
        model.layers.hidden_1.bias.copy_(torch.tensor([0.0, 1.0]))
        model.layers.output.weight.copy_(torch.tensor([[2.0, -3.0]]))
        model.layers.output.bias.copy_(torch.tensor([0.25]))
    expected = 2 * math.tanh(1 - 2) - 3 * math.tanh(0.5 + 1 + 1) + 0.25
    assert model(torch.tensor([[1.0, 2.0]])).item() == pytest.approx(expected)


def test_mlp_order_of_layers():
    model = MLP((3,), 2, hidden=[4, 5], dropout=0.25, batch_norm=True)
    assert layer_names(model) == [
        "layers.hidden_1",
        "layers.batch_norm_1",
        "layers.activation_1",
        "layers.dropout_1",
        "layers.hidden_2",
        "layers.batch_norm_2",
        "layers.activation_2",
        "layers.dropout_2",
        "layers.output",
    ]
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.25, 0.25]
    # Without biases before the norms: 3*4 + 2*4, 4*5 + 2*5, 5*2 + 2.
    assert count(model) == 20 + 30 + 12


def test_mlp_without_hidden_layers_is_linear():
    model = MLP((3,), 2, hidden=[])
    assert layer_names(model) == ["layers.output"]
    assert count(model) == 8


def test_cnn_shapes_and_parameters():
    model = CNN((1, 28, 28), 10, channels=[32, 64], kernel_size=3, pool=2, dense=[128])
    # 9*1*32 + 32, 9*32*64 + 64, 7*7*64*128 + 128, 128*10 + 10
    assert count(model) == 320 + 18_496 + 401_536 + 1_290
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert model.blocks(torch.zeros(2, 1, 28, 28)).shape == (2, 64, 7, 7)


def test_cnn_order_of_layers():
    model = CNN((3, 8, 9), 2, channels=[4], dense=[5], dropout=0.5, batch_norm=True)
    assert layer_names(model) == [
        "blocks.conv_1",
        "blocks.batch_norm_1",
        "blocks.activation_1",
        "blocks.pool_1",
        "head.dropout",
        "head.hidden_1",
        "head.batch_norm_1",
        "head.activation_1",
        "head.dropout_1",
        "head.output",
    ]
    assert model(torch.zeros(2, 3, 8, 9)).shape == (2, 2)


def test_cnn_without_pooling_or_dense_layers_uses_dropout_all_the_same():
    model = CNN((1, 5, 5), 2, channels=[3], kernel_size=1, pool=1, dense=[], dropout=0.5)
    assert layer_names(model) == [
        "blocks.conv_1",
        "blocks.activation_1",
        "head.dropout",
        "head.output",
    ]
    assert model(torch.zeros(2, 1, 5, 5)).shape == (2, 2)


def test_cnn_is_the_same_function_in_any_memory_format():
    model = CNN((3, 8, 8), 2, channels=[4, 4], dense=[5])
    images = torch.randn(2, 3, 8, 8)
    outputs = model(images)
    torch.testing.assert_close(model(images.contiguous(memory_format=torch.channels_last)), outputs)
    model.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(model(images), outputs)


ACTIVATION_OF_MINUS_ONE = {
    "sigmoid": 1 / (1 + math.e),
    "tanh": math.tanh(-1),
    "relu": 0.0,
    "leaky_relu": -0.01,
    "elu": math.exp(-1) - 1,
    "gelu": -0.5 * (1 + math.erf(-1 / math.sqrt(2))),
    "silu": -1 / (1 + math.e),
    "softplus": math.log(1 + math.exp(-1)),
    "identity": -1.0,
}


def test_all_activations_have_a_row():
    assert set(ACTIVATION_OF_MINUS_ONE) == set(typing.get_args(Activation))


@pytest.mark.parametrize("name", typing.get_args(Activation))
def test_activation_value(name):
    value = make_activation(name)(torch.tensor(-1.0)).item()
    assert value == pytest.approx(ACTIVATION_OF_MINUS_ONE[name], abs=1e-6)


# Standard deviation of a weight of Linear(300, 100).
STANDARD_DEVIATION = {
    "torch": math.sqrt(1 / (3 * 300)),  # uniform in ±1/sqrt(300)
    "xavier_uniform": math.sqrt(2 / 400),
    "xavier_normal": math.sqrt(2 / 400),
    "kaiming_uniform": math.sqrt(2 / 300),
    "kaiming_normal": math.sqrt(2 / 300),
    "orthogonal": math.sqrt(1 / 300),  # 100 rows of length 1
    "normal": 0.01,
    "zeros": 0.0,
}


def test_all_inits_have_a_row():
    assert set(STANDARD_DEVIATION) == set(typing.get_args(Init))


@pytest.mark.parametrize("init", typing.get_args(Init))
def test_init_statistics(init):
    layer = nn.Linear(300, 100)
    initialize(layer, init)
    assert layer.weight.std().item() == pytest.approx(STANDARD_DEVIATION[init], rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=1e-3)
    assert bool((layer.bias == 0).all()) == (init != "torch")


def test_orthogonal_rows_are_orthonormal():
    layer = nn.Linear(30, 10)
    initialize(layer, "orthogonal")
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(10), atol=1e-5, rtol=0)


@pytest.mark.parametrize("init", typing.get_args(Init))
def test_init_reaches_every_layer_of_the_models(init):
    models = [
        MLP((6,), 3, hidden=[50], init=init),
        CNN((1, 8, 8), 3, channels=[8], dense=[20], init=init),
    ]
    for model in models:
        for layer in model.modules():
            if isinstance(layer, (nn.Linear, nn.Conv2d)):
                assert bool((layer.bias == 0).all()) == (init != "torch")
                assert bool((layer.weight == 0).all()) == (init == "zeros")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: CNN((13,), 1, channels=[8], dense=[8]),
            "model=cnn: expected images (C, H, W), the data set gives rows of 13 features "
            "(for example model=mlp)",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[4, 4, 4, 4], dense=[8]),
            "model.channels=[4,4,4,4]: 4 poolings by 2 need images of at least 16 x 16, the data "
            "set gives 8 x 8\nexpected fewer blocks or a smaller pool (for example "
            "model.channels=[16] model.pool=2)",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[], dense=[8]),
            "model.channels=[]: expected at least one block (for example model.channels=[16,32])",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[8, 0], dense=[8]),
            "model.channels=[8,0]: expected whole numbers >= 1 "
            "(for example model.channels=[16,32])",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[8], dense=[-1]),
            "model.dense=[-1]: expected whole numbers >= 1 (for example model.dense=[128])",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[8], kernel_size=4, dense=[8]),
            "model.kernel_size=4: expected an odd number, 1 <= value <= 1023 "
            "(for example model.kernel_size=3)",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[8], kernel_size=2**40 + 1, dense=[8]),
            "model.kernel_size=1099511627777: expected an odd number, 1 <= value <= 1023 "
            "(for example model.kernel_size=3)",
        ),
        (
            lambda: MLP((13,), 1, hidden=[2**62]),
            "model.hidden=[4611686018427387904]: expected whole numbers up to 1048576 "
            "(for example model.hidden=[256])",
        ),
        (
            lambda: CNN((1, 8, 8), 10, channels=[8], pool=0, dense=[8]),
            "model.pool=0: expected a whole number >= 1 (for example model.pool=2)",
        ),
        (
            lambda: MLP((13,), 1, hidden=[256, 0]),
            "model.hidden=[256,0]: expected whole numbers >= 1 (for example model.hidden=[256])",
        ),
        (
            lambda: MLP((13,), 1, hidden=[8], dropout=1.0),
            "regularization.dropout=1.0: expected a fraction, 0 <= value < 1 "
            "(for example regularization.dropout=0.5)",
        ),
        (
            lambda: MLP((13,), 1, hidden=[], dropout=0.5),
            "regularization.dropout=0.5: expected a network with a hidden layer, model.hidden=[] "
            "has none (for example model.hidden=[256])",
        ),
        (
            lambda: MLP((13,), 1, hidden=[], batch_norm=True),
            "regularization.batch_norm=true: expected a network with a hidden layer, "
            "model.hidden=[] has none (for example model.hidden=[256])",
        ),
        (
            lambda: MLP((13,), 1, hidden=[8], activation="rleu"),
            "model.activation=rleu: expected one of sigmoid, tanh, relu, leaky_relu, elu, gelu, "
            "silu, softplus, identity; did you mean relu?",
        ),
        (
            lambda: MLP((13,), 1, hidden=[8], init="he"),
            "model.init=he: expected one of torch, xavier_uniform, xavier_normal, "
            "kaiming_uniform, kaiming_normal, orthogonal, normal, zeros",
        ),
    ],
)
def test_errors(make, text):
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value) == text


def test_yaml_files_name_every_choice():
    """The comments that list activations and initial weights are complete."""
    for file in ("mlp.yaml", "cnn.yaml"):
        text = (CONF / file).read_text()
        for choices in (Activation, Init):
            assert f"# {', '.join(typing.get_args(choices))}\n" in text


def test_packaged_models_train_with_their_yaml_values():
    classes = {"linear": Linear, "mlp": MLP, "cnn": CNN}
    for name, model_class in classes.items():
        values = yaml.safe_load((CONF / f"{name}.yaml").read_text())
        assert values.pop("_target_") == f"dlrun.models.{name}.{model_class.__name__}"
        assert values.pop("_partial_") is True
        if name != "linear":
            assert values.pop("dropout") == "${regularization.dropout}"
            assert values.pop("batch_norm") == "${regularization.batch_norm}"
        model = model_class((1, 8, 8), 10, **values)
        images, targets = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        before = nn.functional.cross_entropy(model(images), targets)
        before.backward()
        optimizer.step()
        assert nn.functional.cross_entropy(model(images), targets) < before
