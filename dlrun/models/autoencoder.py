"""The dense autoencoder: through a narrow layer and back."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from math import prod
from typing import Literal

from torch import Tensor, nn

from dlrun.errors import UserError
from dlrun.models.activations import Activation
from dlrun.models.dense import WIDEST, check_dropout, check_widths, hidden_layers
from dlrun.models.init import Init, initialize

OutputActivation = Literal["sigmoid", "identity"]


class Autoencoder(nn.Module):
    """Hidden layers down to `latent_dim` numbers, and the same layers mirrored back up.

    The code has no activation; the output has a sigmoid, since pixels lie in [0, 1], or none.
    Without hidden layers and with output `identity` it is linear, and at best as good as PCA.
    Errors: UserError for widths below 1, a dropout outside [0, 1).
    Source: Hinton and Salakhutdinov 2006.

    >>> import torch
    >>> model = Autoencoder((1, 28, 28), 784, hidden=[128], latent_dim=2)
    >>> images = torch.zeros(5, 1, 28, 28)
    >>> model.encode(images).shape, model.decode(torch.zeros(5, 2)).shape, model(images).shape
    (torch.Size([5, 2]), torch.Size([5, 1, 28, 28]), torch.Size([5, 1, 28, 28]))
    """

    def __init__(
        self,
        in_shape: Sequence[int],
        out_features: int,
        *,
        hidden: Sequence[int],
        latent_dim: int,
        activation: Activation = "relu",
        output: OutputActivation = "sigmoid",
        init: Init = "torch",
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        check_widths("model.hidden", hidden, "[256,128]")
        check_latent_dim(latent_dim)
        check_dropout(dropout)
        self.in_shape = tuple(in_shape)

        knobs = {"activation": activation, "dropout": dropout, "batch_norm": batch_norm}
        widths = list(hidden)
        down = hidden_layers(prod(in_shape), widths, **knobs)  # type: ignore[arg-type]
        up = hidden_layers(latent_dim, widths[::-1], **knobs)  # type: ignore[arg-type]
        code = nn.Linear(widths[-1] if widths else prod(in_shape), latent_dim)
        last = nn.Linear(widths[0] if widths else latent_dim, out_features)
        self.encoder = nn.Sequential(OrderedDict(**down, code=code))
        self.decoder = nn.Sequential(OrderedDict(**up, output=last))
        if output == "sigmoid":
            self.decoder.append(nn.Sigmoid())
        initialize(self, init)

    def encode(self, inputs: Tensor) -> Tensor:  # (N, *in_shape)
        codes: Tensor = self.encoder(inputs.flatten(1))  # (N, latent_dim)
        return codes

    def decode(self, codes: Tensor) -> Tensor:  # (N, latent_dim)
        outputs: Tensor = self.decoder(codes)  # (N, out_features)
        return outputs.reshape(-1, *self.in_shape)  # (N, *in_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))


def check_latent_dim(latent_dim: int) -> None:
    """Raise UserError unless the code has 1 to WIDEST numbers."""
    if not 1 <= latent_dim <= WIDEST:
        raise UserError(
            f"model.latent_dim={latent_dim}: expected a whole number, 1 <= value <= {WIDEST} "
            "(for example model.latent_dim=2)"
        )
