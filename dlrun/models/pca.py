"""Principal component analysis: the best linear autoencoder, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from dlrun.errors import UserError
from dlrun.models.autoencoder import check_latent_dim

MOST_VALUES = 20_000  # of a sample: the covariance of more takes gigabytes


class PCA(nn.Module):
    """Codes are coordinates along the `latent_dim` directions of largest variance.

    With mean m of the inputs and orthonormal rows V (latent_dim, D):
    code = V (x - m), output = mean of the targets + U code, where U (D, latent_dim) is the least
    squares map back to the targets; where targets are the inputs, U is V transposed. Nothing of
    it is found by gradients: `start_from` computes it.
    Errors: UserError for more components than values, and for samples of more than MOST_VALUES.
    Source: Pearson 1901; that the best linear autoencoder spans the same subspace: Baldi and
    Hornik 1989.
    """

    def __init__(self, in_shape: Sequence[int], out_features: int, *, latent_dim: int) -> None:
        super().__init__()
        check_latent_dim(latent_dim)
        D = prod(in_shape)
        if latent_dim > D:
            raise UserError(
                f"model.latent_dim={latent_dim}: expected at most {D}, the values of a sample "
                "(for example model.latent_dim=2)"
            )
        if D > MOST_VALUES:
            raise UserError(
                f"model=pca: expected samples of at most {MOST_VALUES} values, the data set gives "
                f"{D} (for example model=autoencoder)"
            )
        self.in_shape = tuple(in_shape)
        self.mean = nn.Parameter(torch.zeros(D))
        self.components = nn.Parameter(torch.eye(latent_dim, D))
        self.back = nn.Parameter(torch.eye(out_features, latent_dim))
        self.offset = nn.Parameter(torch.zeros(out_features))

    @torch.no_grad()
    def start_from(self, inputs: Tensor, targets: Tensor) -> None:
        """Takes mean and directions from inputs (N, *in_shape), the way back from the targets."""
        if inputs.device.type == "mps":  # has no float64
            inputs, targets = inputs.cpu(), targets.cpu()
        X, T = inputs.flatten(1).double(), targets.flatten(1).double()  # (N, D), (N, D)
        mean, offset = X.mean(0), T.mean(0)
        X, T = X - mean, T - offset
        _, vectors = torch.linalg.eigh(X.T @ X)  # ascending
        V = vectors.T.flip(0)[: len(self.components)]  # (latent_dim, D)
        codes = X @ V.T  # (N, latent_dim), uncorrelated
        variances = codes.square().sum(0).clamp(min=torch.finfo(torch.float64).tiny)
        self.mean.copy_(mean)
        self.components.copy_(V)
        self.back.copy_(T.T @ codes / variances)
        self.offset.copy_(offset)

    def encode(self, inputs: Tensor) -> Tensor:  # (N, *in_shape)
        return (inputs.flatten(1) - self.mean) @ self.components.T  # (N, latent_dim)

    def decode(self, codes: Tensor) -> Tensor:  # (N, latent_dim)
        outputs = codes @ self.back.T + self.offset  # (N, D)
        return outputs.reshape(-1, *self.in_shape)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.decode(self.encode(inputs))
