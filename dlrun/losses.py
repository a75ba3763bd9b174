"""What training minimises: losses by task, and penalties on the weights.

Every loss takes outputs (N, K) and targets, and gives the mean over the batch, shape ().
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlrun.datasets.splits import Task
from dlrun.errors import UserError, nearest

LossName = Literal["auto", "cross_entropy", "nll", "bce", "hinge", "mse", "mae", "huber"]
LossFunction = Callable[[Tensor, Tensor], Tensor]

# The losses that fit each task; the first is what `auto` stands for.
_FITTING: dict[Task, tuple[str, ...]] = {
    "multiclass": ("cross_entropy", "nll", "hinge"),
    "binary": ("bce", "cross_entropy", "nll", "hinge"),
    "regression": ("mse", "mae", "huber"),
    "reconstruction": ("mse", "mae", "huber"),
    "surface": ("surface",),  # the data set's own
}
_SMOOTHED = ("cross_entropy", "nll", "bce")


def resolve(name: str, task: Task, num_classes: int | None = None) -> str:
    """The loss that `name` stands for on this task; UserError where it does not fit.

    `num_classes` only makes the error more precise.

    >>> resolve("auto", "multiclass"), resolve("auto", "binary"), resolve("hinge", "binary")
    ('cross_entropy', 'bce', 'hinge')
    """
    fitting = _FITTING[task]
    if name == "auto":
        return fitting[0]
    if name in fitting:
        return name
    accepted = " or ".join(", ".join(fitting).rsplit(", ", 1))
    subject = {
        "multiclass": f"{num_classes or 'several'} classes",
        "binary": "two classes",
        "regression": "regression",
        "reconstruction": "reconstruction",
        "surface": "a test function",
    }[task]
    known = {loss for losses in _FITTING.values() for loss in losses}
    guess = "" if name in known else nearest(name, known)
    raise UserError(
        f"loss.name={name}: expected {accepted} for {subject}{guess} "
        f"(for example loss={'auto' if task == 'surface' else fitting[0]})"
    )


def out_features(loss: str, task: Task, num_classes: int, in_shape: Sequence[int] = ()) -> int:
    """How many outputs the network needs: one for bce and regression, else one a class.

    Where outputs are like inputs, reconstructions and positions, as many as a sample has values.

    >>> out_features("bce", "binary", 2), out_features("hinge", "binary", 2)
    (1, 2)
    >>> out_features("mse", "reconstruction", 10, (1, 28, 28))
    784
    """
    if task in ("reconstruction", "surface"):
        return prod(in_shape)
    if task == "regression" or resolve(loss, task, num_classes) == "bce":
        return 1
    return num_classes


def loss_function(
    name: str, *, label_smoothing: float = 0.0, huber_delta: float = 1.0
) -> LossFunction:
    """The function (outputs, targets) -> mean loss, shape (), for a name other than `auto`.

    Outputs are logits (N, K) with targets (N,) int64; for `bce` (N, 1) with targets 0 and 1; for
    mse, mae and huber values (N, 1) with targets of the same shape. Each function has its
    equation. Label smoothing (Szegedy et al. 2016) gives every class a share of the target.
    Errors: UserError for label smoothing where there are no probabilities, numbers out of range.

    >>> loss_function("mae")(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0]]))
    tensor(1.5000)
    """
    if not 0 <= label_smoothing < 1:
        raise UserError(
            f"regularization.label_smoothing={label_smoothing}: expected a fraction, "
            "0 <= value < 1 (for example regularization.label_smoothing=0.1)"
        )
    if label_smoothing > 0 and name not in _SMOOTHED:
        raise UserError(
            f"regularization.label_smoothing={label_smoothing}: expected 0 with loss={name}, "
            f"only {', '.join(_SMOOTHED[:-1])} and {_SMOOTHED[-1]} smooth labels "
            "(for example loss=auto on classes)"
        )
    if name == "huber" and not huber_delta > 0:
        raise UserError(
            f"loss.huber_delta={huber_delta}: expected a number > 0 "
            "(for example loss.huber_delta=1.0)"
        )
    functions: dict[str, Callable[..., Tensor]] = {
        "cross_entropy": cross_entropy,
        "nll": nll,
        "bce": bce,
        "hinge": hinge,
        "mse": mse,
        "mae": mae,
        "huber": partial(huber, delta=huber_delta),
    }
    function = functions[name]
    return partial(function, label_smoothing=label_smoothing) if label_smoothing > 0 else function


def cross_entropy(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean of -sum_k t_k log p_k with p = softmax(outputs); t is 1 for the target's class.

    With label smoothing s: t = 1 - s + s / K for the target's class, s / K for the others.

    >>> cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))  # log 2
    tensor(0.6931)
    """
    return F.cross_entropy(outputs, targets, label_smoothing=label_smoothing)


def nll(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """`cross_entropy` in two steps, LogSoftmax and negative log likelihood: the same number."""
    log_probabilities = F.log_softmax(outputs, 1)  # (N, K)
    likelihood = F.nll_loss(log_probabilities, targets)
    if label_smoothing == 0:
        return likelihood
    return (1 - label_smoothing) * likelihood - label_smoothing * log_probabilities.mean()


def bce(outputs: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean of -t log p - (1 - t) log(1 - p) with p = sigmoid(output), t the target, 0 or 1.

    With label smoothing s: t (1 - s) + s / 2 for t.

    >>> bce(torch.tensor([[0.0]]), torch.tensor([1]))  # log 2
    tensor(0.6931)
    """
    wanted = targets.to(outputs.dtype)  # (N,)
    if label_smoothing > 0:
        wanted = wanted * (1 - label_smoothing) + label_smoothing / 2
    return F.binary_cross_entropy_with_logits(outputs.squeeze(1), wanted)


def hinge(outputs: Tensor, targets: Tensor) -> Tensor:
    """Multi-class margin: mean of (1 / K) sum_(k != y) max(0, 1 - o_y + o_k), y the target.

    Source: Weston & Watkins 1999.

    >>> hinge(torch.tensor([[2.0, 1.5, 0.0]]), torch.tensor([0]))  # (0.5 + 0) / 3
    tensor(0.1667)
    """
    return F.multi_margin_loss(outputs, targets)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of (o - t)^2."""
    return F.mse_loss(outputs, targets)


def mae(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of |o - t|."""
    return F.l1_loss(outputs, targets)


def huber(outputs: Tensor, targets: Tensor, delta: float = 1.0) -> Tensor:
    """Mean of e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), with e = o - t.

    Source: Huber 1964.

    >>> huber(torch.tensor([[0.5], [3.0]]), torch.zeros(2, 1))  # (0.125 + 2.5) / 2
    tensor(1.3125)
    """
    return F.huber_loss(outputs, targets, delta=delta)


def l1_penalty(parameters: Iterable[Tensor], strength: float) -> Tensor:
    """Strength times the sum of absolute weights, shape (), in the unit of the loss.

    Biases and normalisation weights (ndim < 2) are left out.
    Source: Tibshirani 1996.

    >>> l1_penalty([torch.tensor([[1.0, -2.0]])], 0.5)
    tensor(1.5000)
    """
    weights = [parameter for parameter in parameters if parameter.ndim >= 2]
    if not weights:
        return torch.zeros(())
    return strength * torch.stack([weight.abs().sum() for weight in weights]).sum()
