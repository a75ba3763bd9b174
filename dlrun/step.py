"""One optimizer step: forward, backward, and the update if all is finite."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dlrun.divergence import NotFinite, require_finite_gradient
from dlrun.losses import l1_penalty
from dlrun.optimizers.direct import DirectSearch
from dlrun.state import Training


def train_step(
    run: Training, inputs: Tensor, targets: Tensor, *, measure: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Outputs (B, K) and loss () before one update, and the gradient's norm () if measured.

    The loss is that of the data alone; what the update descends has the L1 penalty added.
    There is no gradient's norm in a search without gradients.
    Raises NotFinite before the update when loss or gradient is not finite. (fp16 is an exception:
    its scaler leaves such updates out by itself and tries a smaller scale.)
    """
    optimizer, parameters = run.optimizer, run.parameters
    recipe, scaler = run.recipe, run.compute.scaler
    l1, max_grad_norm = recipe.regularization.l1, recipe.regularization.max_grad_norm
    if isinstance(optimizer, DirectSearch):
        return *direct_step(run, optimizer, inputs, targets), None
    seen: tuple[Tensor, Tensor] | None = None

    def forward_backward() -> Tensor:
        nonlocal seen
        run.fitted.evaluations += 1
        with run.compute.autocast():
            outputs = run.model(inputs)
            loss = recipe.criterion(outputs, targets)
        if seen is None:  # L-BFGS comes back for more, and its line search may step too far
            if not math.isfinite(loss.item()):  # the gradients of the step before still stand
                raise NotFinite("loss", loss.item())
            seen = held(outputs), loss.detach()
        objective = loss + l1_penalty(parameters, l1) if l1 > 0 else loss
        optimizer.zero_grad(set_to_none=True)  # as late as this: backward reuses the memory
        (objective if scaler is None else scaler.scale(objective)).backward()  # type: ignore[no-untyped-call]
        return objective

    grad_norm = None
    if isinstance(optimizer, torch.optim.LBFGS):
        optimizer.step(forward_backward)  # type: ignore[no-untyped-call]
        if measure:
            grad_norm = gradient_norm(parameters)
    else:
        forward_backward()
        if scaler is not None:
            scaler.unscale_(optimizer)
        if measure or max_grad_norm is not None:
            grad_norm = gradient_norm(parameters)
        if scaler is None:
            require_finite_gradient(parameters, grad_norm)
        if grad_norm is not None and max_grad_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, max_grad_norm, grad_norm)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
    assert seen is not None
    return *seen, grad_norm


@torch.no_grad()
def direct_step(
    run: Training, optimizer: DirectSearch, inputs: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Outputs (B, K) and loss () at the point where one step of a search begins.

    No loss is refused: the search leaves points without a finite one by itself.
    """
    l1 = run.recipe.regularization.l1

    def forward() -> tuple[Tensor, Tensor]:
        with run.compute.autocast():
            outputs = run.model(inputs)
            return outputs, run.recipe.criterion(outputs, targets)

    def objective() -> Tensor:
        run.fitted.evaluations += 1
        loss = forward()[1]
        return loss + l1_penalty(run.parameters, l1) if l1 > 0 else loss

    outputs, loss = forward()
    seen = held(outputs), loss
    kept = [buffer.clone() for buffer in run.model.buffers()]
    optimizer.step(objective)
    for buffer, before in zip(run.model.buffers(), kept, strict=True):
        buffer.copy_(before)  # batch normalisation has seen every point that was tried
    return seen


def held(outputs: Tensor) -> Tensor:
    """The outputs as they are now, whatever becomes of the parameters.

    They may be parameters themselves, as in model=point; those that were computed are not copied.
    """
    may_alias = outputs.is_leaf or outputs._is_view()
    return outputs.detach().clone() if may_alias else outputs.detach()


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """L2 norm of the gradient over all parameters, shape ()."""
    return nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
