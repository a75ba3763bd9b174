"""Optimizers without gradients: torch.optim's interface around searches that see losses alone."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import ParamsT

from dlrun.errors import Failure, UserError, shown
from dlrun.optimizers import searches
from dlrun.optimizers.blocking import Point, Search

NOT_FINITE = 1e100  # what a search is sent for a loss that is infinite or not a number


class DirectSearch(Optimizer):
    """Parameters that go from one best point of a search to the next.

    search: from the start (P,) and a generator of random numbers. evaluations: losses computed in
    one step. The loss must be a function of the parameters alone (the same batch each step): with
    dropout, or augmentation, the best point is the one that was lucky.

    The start is taken at the first step, and so is the seed, from torch's global generator.
    The state is the start, the seed and all losses so far: what is loaded is searched once more,
    without computing a loss.
    """

    def __init__(
        self,
        parameters: ParamsT,
        search: Callable[[Point, np.random.Generator], Search],
        *,
        evaluations: int,
    ) -> None:
        super().__init__(parameters, {})
        self.evaluations = evaluations
        self._parameters = [p for group in self.param_groups for p in group["params"]]
        self._begin_search = search
        self._search: Search | None = None  # until the first step
        self._start, self._seed = np.empty(0), 0
        self._losses: list[float] = []
        self._question = self._best = np.empty(0)
        self.best_loss = math.inf

    @property
    def num_parameters(self) -> int:
        """The dimension P of the search."""
        return sum(parameter.numel() for parameter in self._parameters)

    @property
    def evaluations_done(self) -> int:
        """Losses computed since the start."""
        return len(self._losses)

    @torch.no_grad()
    def step(self, closure: Callable[[], float | Tensor]) -> float:  # type: ignore[override]
        """The lowest loss so far, after `evaluations` more; the parameters are left where it was.

        closure: computes the loss of the parameters as they stand. Losses that are not finite
        count as infinite.
        """
        if self._search is None:
            start = torch.cat([p.cpu().double().flatten() for p in self._parameters])
            self._begin(start.numpy(), int(torch.randint(2**62, ())))
        try:
            for _ in range(self.evaluations):
                self._set_parameters(self._question)
                loss = float(closure())
                self._answer(loss if math.isfinite(loss) else math.inf)
        finally:
            self._set_parameters(self._best)
        return self.best_loss

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` goes on from: tensors and numbers; seed None before any step."""
        return {
            "seed": None if self._search is None else self._seed,
            "start": torch.from_numpy(self._start.copy()),  # (P,)
            "losses": torch.tensor(self._losses, dtype=torch.float64),  # (evaluations_done,)
            "best": torch.from_numpy(self._best.copy()),  # (P,)
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Brings the search to where it was; the parameters themselves are the model's to load.

        Raises Failure where the search, sent the same losses, now takes another way.
        """
        if self._search is not None:
            self._search.close()
            self._search = None
        if state_dict["seed"] is None:
            return
        self._begin(state_dict["start"].numpy().copy(), state_dict["seed"])
        for loss in state_dict["losses"].tolist():
            self._answer(loss)
        best = state_dict["best"].numpy().copy()
        if not np.allclose(self._best, best, rtol=1e-6, atol=1e-9):  # processors round differently
            raise Failure(
                "the optimizer's search cannot be repeated up to its checkpoint: it takes another "
                "way with this release of numpy, scipy or cma (install the one that the run began "
                "with, or start a new run)"
            )
        self._best = best

    def _begin(self, start: Point, seed: int) -> None:
        self._start, self._seed = start, seed
        self._losses, self._best, self.best_loss = [], start, math.inf
        self._search = self._begin_search(start, np.random.default_rng(seed))
        self._question = next(self._search)

    def _answer(self, loss: float) -> None:
        """Tells the search the loss at the point that it asks for."""
        assert self._search is not None
        self._losses.append(loss)
        if loss < self.best_loss:
            self._best, self.best_loss = self._question, loss
        self._question = self._search.send(min(loss, NOT_FINITE))

    def _set_parameters(self, point: Point) -> None:
        start = 0
        flat = torch.from_numpy(point)  # (P,)
        for parameter in self._parameters:
            part = flat[start : start + parameter.numel()]
            parameter.copy_(part.to(parameter.dtype).view_as(parameter))
            start += parameter.numel()


def random_search(
    params: ParamsT, *, evaluations: int = 100, step_size: float = 0.5, growth: float = 1.5
) -> DirectSearch:
    """Random steps from the best point, their size adapted; see searches.random_search."""
    _require_above("step_size", step_size, 0, example=0.5)
    _require_above("growth", growth, 1, example=1.5)
    search = partial(searches.random_search, step_size=step_size, growth=growth)
    return _direct("random_search", params, search, evaluations, 10_000, "its steps are blind")


def evolution(
    params: ParamsT,
    *,
    evaluations: int = 100,
    step_size: float = 0.5,
    parents: int = 3,
    children: int = 12,
) -> DirectSearch:
    """An evolution strategy with step sizes that are inherited; see searches.evolution."""
    _require_above("step_size", step_size, 0, example=0.5)
    _require_above("parents", parents, 0, example=3)
    _require_above("children", children, parents, example=4 * parents)
    search = partial(searches.evolution, step_size=step_size, parents=parents, children=children)
    return _direct("evolution", params, search, evaluations, 10_000, "its steps are blind")


def cma_es(
    params: ParamsT,
    *,
    evaluations: int = 100,
    step_size: float = 0.5,
    population: int | None = None,
) -> DirectSearch:
    """CMA-ES, which learns the shape of the valley; see searches.cma_es."""
    _require_above("step_size", step_size, 0, example=0.5)
    if population is not None:
        _require_above("population", population, 3, example=20)
    search = partial(searches.cma_es, step_size=step_size, population=population)
    reason = "its covariance matrix has P x P entries"
    return _direct("cma_es", params, search, evaluations, 1_000, reason)


def nelder_mead(params: ParamsT, *, evaluations: int = 100, step_size: float = 1.0) -> DirectSearch:
    """The simplex of Nelder and Mead; see searches.nelder_mead."""
    _require_above("step_size", step_size, 0, example=0.5)
    search = partial(searches.nelder_mead, step_size=step_size)
    return _direct("nelder_mead", params, search, evaluations, 200, "its simplex has P + 1 points")


def simulated_annealing(
    params: ParamsT,
    *,
    evaluations: int = 100,
    bound: float = 5.0,
    temperature: float = 1.0,
    iterations: int = 50,
) -> DirectSearch:
    """Generalized simulated annealing; see searches.simulated_annealing."""
    _require_above("bound", bound, 0, example=5.0)
    _require_above("temperature", temperature, 0, example=1.0)
    _require_above("iterations", iterations, 0, example=50)
    search = partial(
        searches.simulated_annealing, bound=bound, temperature=temperature, iterations=iterations
    )
    reason = "each of its iterations takes 2 P losses"
    return _direct("simulated_annealing", params, search, evaluations, 1_000, reason)


def _direct(
    name: str,
    parameters: ParamsT,
    search: Callable[[Point, np.random.Generator], Search],
    evaluations: int,
    most: int,
    reason: str,
) -> DirectSearch:
    """The optimizer; raises UserError for a model of more parameters than it makes sense for."""
    _require_above("evaluations", evaluations, 0, example=100)
    optimizer = DirectSearch(parameters, search, evaluations=evaluations)
    count = optimizer.num_parameters
    if count > most:
        raise UserError(
            f"optimizer={name}: searches without gradients in at most {most:,} dimensions, this "
            f"model has {count:,} parameters ({reason})\n"
            "(for example dataset=moons model.hidden=[5], or optimizer=adam)"
        )
    return optimizer


def _require_above(key: str, value: float, low: float, *, example: float) -> None:
    """Raises UserError unless the setting is a finite number above `low`."""
    if not (math.isfinite(value) and value > low):
        whole = "whole " * isinstance(low, int) * isinstance(example, int)
        raise UserError(
            f"optimizer.{key}={shown(value)}: expected a {whole}number > {low:g} "
            f"(for example optimizer.{key}={example:g})"
        )
