"""The convolutional autoencoder: poolings down, transposed convolutions up."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dlrun.errors import UserError
from dlrun.models.activations import Activation, make_activation
from dlrun.models.autoencoder import check_latent_dim
from dlrun.models.dense import check_widths
from dlrun.models.init import Init, initialize


class ConvAutoencoder(nn.Module):
    """Blocks of Conv2d, activation, MaxPool2d; a linear code; ConvTranspose2d back; a sigmoid.

    Each block halves height and width, each transposed convolution doubles them again (stride 2,
    kernel 2, or 3 where the half was rounded down).
    Errors: UserError for a table, for images too small for the poolings, for widths below 1.
    Source: Masci et al. 2011.

    >>> import torch
    >>> model = ConvAutoencoder((1, 28, 28), 784, channels=[8, 16], latent_dim=2)
    >>> images = torch.zeros(5, 1, 28, 28)
    >>> model.encode(images).shape, model(images).shape
    (torch.Size([5, 2]), torch.Size([5, 1, 28, 28]))
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int],
        latent_dim: int,
        dense: Sequence[int] = (),
        activation: Activation = "relu",
        init: Init = "torch",
    ) -> None:
        super().__init__()
        _check(in_shape, channels)
        check_widths("model.dense", dense, "[128]")
        check_latent_dim(latent_dim)

        in_channels, height, width = in_shape
        down: list[nn.Module] = []
        up: list[nn.Module] = []  # from the image inwards; reversed below
        for number, out_channels in enumerate(channels):
            down += [
                nn.Conv2d(in_channels, out_channels, kernel_size=3, padding="same"),
                make_activation(activation),
                nn.MaxPool2d(2),
            ]
            # A kernel of 3 gives back the row or column that the pooling of an odd size leaves out
            kernel_size = (2 + height % 2, 2 + width % 2)
            back = nn.ConvTranspose2d(out_channels, in_channels, kernel_size, stride=2)
            up += [nn.Sigmoid() if number == 0 else make_activation(activation), back]
            in_channels, height, width = out_channels, height // 2, width // 2

        self.inner_shape = (in_channels, height, width)
        widths = [in_channels * height * width, *dense, latent_dim]
        self.encoder = nn.Sequential(*down, nn.Flatten(), *_dense(widths, activation))
        self.decoder = nn.Sequential(
            *_dense(widths[::-1], activation),
            make_activation(activation),
            nn.Unflatten(1, self.inner_shape),
            *reversed(up),
        )
        initialize(self, init)

    def encode(self, images: Tensor) -> Tensor:  # (N, C, H, W)
        codes: Tensor = self.encoder(images)  # (N, latent_dim)
        return codes

    def decode(self, codes: Tensor) -> Tensor:  # (N, latent_dim)
        images: Tensor = self.decoder(codes)  # (N, C, H, W)
        return images

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


def _dense(widths: Sequence[int], activation: Activation) -> list[nn.Module]:
    """Linear layers from each width to the next, an activation between two."""
    layers: list[nn.Module] = []
    for in_features, out_features in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(in_features, out_features), make_activation(activation)]
    return layers[:-1]


def _check(in_shape: Sequence[int], channels: Sequence[int]) -> None:
    if len(in_shape) != 3:
        raise UserError(
            "model=conv_autoencoder: expected images (C, H, W), the data set gives samples of "
            f"shape {tuple(in_shape)} (for example model=autoencoder)"
        )
    given = ",".join(map(str, channels))
    check_widths("model.channels", channels, "[16,32]")
    if not channels:
        raise UserError(
            "model.channels=[]: expected at least one block (for example model.channels=[16,32])"
        )
    height, width = in_shape[1:]
    if min(height, width) < 2 ** len(channels):
        raise UserError(
            f"model.channels=[{given}]: {len(channels)} poolings by 2 need images of at least "
            f"{2 ** len(channels)} x {2 ** len(channels)}, the data set gives {height} x {width} "
            "(for example model.channels=[16])"
        )
