"""torchvision's classifiers: sizes, channels, heads, errors. No network, few real networks."""

from __future__ import annotations

import urllib.error

import pytest
import torch
from torch import nn

from dlrun.errors import UserError
from dlrun.models.summary import total_parameters
from dlrun.models.torchvision_classifier import (
    TorchvisionClassifier,
    classifier_names,
    replace_last_layer,
)

# One of each family that torchvision can build without data (its RegNets cannot be).
FAMILIES = [
    "alexnet",
    "convnext_tiny",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "maxvit_t",
    "mnasnet0_5",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnet18",
    "shufflenet_v2_x0_5",
    "squeezenet1_0",
    "swin_t",
    "swin_v2_t",
    "vgg11",
    "vit_b_16",
]


@pytest.mark.parametrize("name", FAMILIES)
def test_grey_digits_pass_every_family_in_training(name):
    with torch.device("meta"):  # shapes without arithmetic
        model = TorchvisionClassifier((1, 28, 28), 10, name=name).train()
        assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize("name", FAMILIES)
def test_replaced_head_equals_a_network_built_for_the_classes(name):
    from torchvision.models import get_model

    heads = {"aux_logits": False, "init_weights": True}
    options = heads if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        replaced = get_model(name, weights=None, **options)
        replace_last_layer(replaced, 7)
        built = get_model(name, weights=None, num_classes=7, **options)
    shapes = {key: value.shape for key, value in replaced.state_dict().items()}
    assert shapes == {key: value.shape for key, value in built.state_dict().items()}


def test_a_regnet_is_built():
    model = TorchvisionClassifier((1, 8, 8), 3, name="regnet_x_400mf").eval()
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 3)


def test_grey_images_are_repeated_over_the_channels():
    model = TorchvisionClassifier((1, 28, 28), 10, name="mobilenet_v3_small").eval()
    grey = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        torch.testing.assert_close(model(grey), model.network(torch.cat([grey] * 3, dim=1)))


@pytest.mark.parametrize(
    ("name", "in_shape", "image_size", "seen"),
    [
        ("resnet18", (1, 28, 28), None, (28, 28)),  # takes any size: as it is
        ("resnet18", (1, 28, 28), 64, (64, 64)),
        ("vgg11", (3, 28, 40), None, (32, 40)),  # each side at least 32
        ("inception_v3", (3, 32, 32), None, (75, 75)),
        ("vit_b_16", (3, 300, 280), None, (224, 224)),  # one size only, so shrunk
    ],
)
def test_size_that_the_network_sees(name, in_shape, image_size, seen):
    with torch.device("meta"):
        model = TorchvisionClassifier(in_shape, 10, name=name, image_size=image_size)
        entered = []
        model.network.register_forward_pre_hook(lambda _, inputs: entered.append(inputs[0].shape))
        model.eval()(torch.zeros(2, *in_shape))
    assert entered == [(2, 3, *seen)]


def test_enlarging_keeps_a_constant_image_constant():
    model = TorchvisionClassifier((3, 8, 8), 2, name="squeezenet1_1", image_size=20).eval()
    model.network = nn.Identity()
    torch.testing.assert_close(
        model(torch.full((1, 3, 8, 8), 0.7)), torch.full((1, 3, 20, 20), 0.7)
    )


def test_auxiliary_heads_are_off():
    with torch.device("meta"):
        model = TorchvisionClassifier((3, 75, 75), 10, name="googlenet")
    assert not [name for name, _ in model.named_parameters() if "aux" in name]


def test_weights_are_loaded_and_the_last_layer_is_new(monkeypatch):
    from torchvision.models import WeightsEnum, squeezenet1_1

    trained = squeezenet1_1(weights=None)
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: trained.state_dict())
    model = TorchvisionClassifier((1, 28, 28), 10, name="squeezenet1_1", weights="DEFAULT")
    torch.testing.assert_close(
        model.network.get_submodule("features.0").weight, trained.features[0].weight
    )
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    # 1000 classes less 990: a 1 x 1 convolution of 512 channels, with biases.
    assert total_parameters(trained).parameters - total_parameters(model).parameters == 990 * 513


def test_no_network(monkeypatch, tmp_path):
    from torchvision.models import WeightsEnum

    def fail(*_, **__):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(WeightsEnum, "get_state_dict", fail)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: "HUB")
    with pytest.raises(UserError) as caught:
        TorchvisionClassifier((3, 32, 32), 10, name="squeezenet1_1", weights="DEFAULT")
    assert str(caught.value) == (
        "model.weights=IMAGENET1K_V1: squeezenet1_1-b8a52dc0.pth could not be downloaded "
        "(<urlopen error Name or service not known>)\n"
        "expected a network, or the file in HUB/checkpoints (for example model.weights=null)"
    )


@pytest.mark.parametrize(
    ("in_shape", "settings", "text"),
    [
        (
            (13,),
            {"name": "resnet18"},
            "model=torchvision: expected images (C, H, W), the data set gives rows of 13 features "
            "(for example model=mlp)",
        ),
        (
            (4, 28, 28),
            {"name": "resnet18"},
            "model=torchvision: expected images with 1 or 3 channels, the data set gives 4 "
            "(for example model=cnn)",
        ),
        (
            (3, 28, 28),
            {"name": "resnet19"},
            f"model.name=resnet19: expected one of torchvision's {len(classifier_names())} "
            "classifiers; did you mean resnet18? (for example model.name=resnet18)",
        ),
        (
            (3, 28, 28),
            {"name": "resnet50", "weights": "IMAGENET"},
            "model.weights=IMAGENET: expected null or one of DEFAULT, IMAGENET1K_V1, "
            "IMAGENET1K_V2; did you mean IMAGENET1K_V2? (for example model.weights=DEFAULT)",
        ),
        (
            (3, 28, 28),
            {"name": "vgg11", "image_size": 16},
            "model.image_size=16: vgg11 takes at least 32 (for example model.image_size=null)",
        ),
        (
            (3, 28, 28),
            {"name": "resnet18", "image_size": 2**40},
            "model.image_size=1099511627776: expected at most 16384 "
            "(for example model.image_size=null)",
        ),
        (
            (3, 28, 28),
            {"name": "vit_b_16", "image_size": 256},
            "model.image_size=256: vit_b_16 takes exactly 224 (for example model.image_size=null)",
        ),
    ],
)
def test_errors(in_shape, settings, text):
    with torch.device("meta"), pytest.raises(UserError) as caught:
        TorchvisionClassifier(in_shape, 10, **settings)
    assert str(caught.value) == text
