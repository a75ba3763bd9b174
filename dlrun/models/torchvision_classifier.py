"""Any image classifier of torchvision, fitted to the data's channels, size and classes."""

from __future__ import annotations

from collections.abc import Sequence
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlrun.errors import UserError, nearest, shown

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum

# Their first layers are cut for one size; torchvision's other classifiers take any from a minimum.
_ONE_SIZE = ("vit_", "maxvit_")
LARGEST_IMAGE = 2**14  # height and width
_HAS_AUXILIARY_HEADS = ("googlenet", "inception_v3")


class TorchvisionClassifier(nn.Module):
    """A torchvision classifier whose last layer has `out_features` outputs.

    Grey images are repeated over three channels. `image_size` is the height and width that the
    network sees; None: the data's own, enlarged to the least that torchvision documents for this
    architecture (`min_size` of its weights), and exactly 224 for vision transformers and MaxViT.
    `weights` are None (random), DEFAULT or one of the architecture's, and are downloaded; the
    last layer is then new. They were trained on inputs of mean 0 and std 1 per channel.
    Auxiliary heads (GoogLeNet, Inception) are off.
    Errors: UserError for unknown names, tables, channels other than 1 and 3, no network.

    >>> model = TorchvisionClassifier((1, 28, 28), 10, name="squeezenet1_1")
    >>> model(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        name: str,
        weights: str | None = None,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        _check_images(in_shape)
        _check_name(name)
        chosen = None if weights is None else _find_weights(name, weights)
        self.network = _build(name, chosen, out_features)
        self.size = _size_seen(name, chosen, self.network, in_shape, image_size)

    def forward(self, images: Tensor) -> Tensor:  # (N, 1 or 3, H, W)
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)  # (N, 3, H, W)
        height, width = images.shape[2:]
        if (height, width) != self.size:
            shrinks = height > self.size[0] or width > self.size[1]
            images = F.interpolate(images, self.size, mode="bilinear", antialias=shrinks)
        outputs: Tensor = self.network(images)  # (N, out_features)
        return outputs


def classifier_names() -> list[str]:
    """The names that `model.name` may have, sorted."""
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def _check_images(in_shape: Sequence[int]) -> None:
    if len(in_shape) != 3:
        given = (
            f"rows of {in_shape[0]} features"
            if len(in_shape) == 1
            else f"samples of shape {tuple(in_shape)}"
        )
        raise UserError(
            f"model=torchvision: expected images (C, H, W), the data set gives {given} "
            "(for example model=mlp)"
        )
    if in_shape[0] not in (1, 3):
        raise UserError(
            "model=torchvision: expected images with 1 or 3 channels, the data set gives "
            f"{in_shape[0]} (for example model=cnn)"
        )


def _check_name(name: str) -> None:
    names = classifier_names()
    if name not in names:
        raise UserError(
            f"model.name={shown(name)}: expected one of torchvision's {len(names)} classifiers"
            f"{nearest(name, names)} (for example model.name=resnet18)"
        )


def _find_weights(name: str, weights: str) -> WeightsEnum:
    from torchvision.models import get_model_weights

    offered = get_model_weights(name)
    accepted = ["DEFAULT", *(entry.name for entry in offered)]
    if weights not in accepted:
        raise UserError(
            f"model.weights={shown(weights)}: expected null or one of {', '.join(accepted)}"
            f"{nearest(weights, accepted)} (for example model.weights=DEFAULT)"
        )
    return offered[weights]


def _build(name: str, weights: WeightsEnum | None, out_features: int) -> nn.Module:
    from torchvision.models import get_model

    network: nn.Module
    options: dict[str, Any] = {}
    if name in _HAS_AUXILIARY_HEADS:
        options["aux_logits"] = False
    if weights is None:
        if name in _HAS_AUXILIARY_HEADS:
            options["init_weights"] = True  # said aloud, since torchvision warns otherwise
        network = get_model(name, weights=None, num_classes=out_features, **options)
        return network
    try:
        network = get_model(name, weights=weights, progress=False, **options)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: a damaged download
        file = weights.url.rsplit("/", 1)[-1]
        raise UserError(
            f"model.weights={weights.name}: {file} could not be downloaded ({error})\n"
            f"expected a network, or the file in {torch.hub.get_dir()}/checkpoints "
            "(for example model.weights=null)"
        ) from error
    replace_last_layer(network, out_features)
    return network


def replace_last_layer(network: nn.Module, out_features: int) -> None:
    """Put a new layer in place of the last Linear or 1 x 1 Conv2d, with `out_features` outputs."""
    name, last = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, (nn.Linear, nn.Conv2d))
    ][-1]
    bias = last.bias is not None
    new: nn.Module
    if isinstance(last, nn.Linear):
        new = nn.Linear(last.in_features, out_features, bias)
    else:
        new = nn.Conv2d(last.in_channels, out_features, kernel_size=1, bias=bias)
    parent_name, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent_name), attribute, new)


def _size_seen(
    name: str,
    weights: WeightsEnum | None,
    network: nn.Module,
    in_shape: Sequence[int],
    image_size: int | None,
) -> tuple[int, int]:
    """Height and width of the images that enter the network."""
    from torchvision.models import get_model_weights

    documented = get_model_weights(name)["DEFAULT"] if weights is None else weights
    # A vision transformer knows its own size, which depends on the weights.
    least = int(getattr(network, "image_size", documented.meta["min_size"][0]))
    one_size = name.startswith(_ONE_SIZE)
    if image_size is not None:
        if image_size > LARGEST_IMAGE:
            raise UserError(
                f"model.image_size={image_size}: expected at most {LARGEST_IMAGE} "
                "(for example model.image_size=null)"
            )
        if image_size < least or (one_size and image_size != least):
            rule = "exactly" if one_size else "at least"
            raise UserError(
                f"model.image_size={image_size}: {name} takes {rule} {least} "
                "(for example model.image_size=null)"
            )
        return image_size, image_size
    if one_size:
        return least, least
    return max(in_shape[1], least), max(in_shape[2], least)
