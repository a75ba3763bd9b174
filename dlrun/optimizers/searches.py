"""Searches for a minimum that look at losses alone, as generators.

A search is called with its start (P,) and a generator of random numbers. It gives out points (P,)
and is sent the loss at each, a finite number. The first point is the start. It has no end: a
minimiser of a package that is done is begun again at its best point. All it does follows from its
arguments and the losses, so that it can be repeated.

`step_size` is the standard deviation of the first changes of each weight, in the unit of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dlrun.optimizers.blocking import Point, Search, asked


def random_search(
    start: Point, random: np.random.Generator, *, step_size: float, growth: float
) -> Search:
    """One normal step at a time from the best point: w <- w + s n with n ~ N(0, I) if no worse.

    s grows by `growth` when the loss falls and shrinks by growth^(1/4) when it rises, so that it
    settles where every fifth step succeeds (Rechenberg 1973); equal losses leave it as it is.
    Source: Rastrigin 1963 (fixed s); Schumer & Steiglitz 1968 (s that adapts).
    """
    best, size = start, step_size
    best_loss = yield start
    while True:
        point = best + size * random.standard_normal(len(start))
        loss = yield point
        if loss < best_loss:
            size *= growth
        elif loss > best_loss:
            size /= growth**0.25
        if loss <= best_loss:
            best, best_loss = point, loss


def evolution(
    start: Point, random: np.random.Generator, *, step_size: float, parents: int, children: int
) -> Search:
    """A (mu/mu, lambda) evolution strategy with step sizes that are inherited.

    Each of lambda children has a step size s_k = s exp(N(0, 1) / sqrt(2 P)) and lies at
    w_k = w + s_k n_k with n_k ~ N(0, I). The mean of the mu best is the next w, the geometric mean
    of their step sizes the next s. Parents die: w may become worse.
    Source: Beyer & Schwefel 2002.
    """
    yield start
    mean, size = start, step_size
    while True:
        sizes = size * np.exp(random.standard_normal(children) / math.sqrt(2 * len(start)))
        steps = random.standard_normal((children, len(start)))
        points = mean + sizes[:, None] * steps  # (lambda, P)
        losses = []
        for point in points:
            losses.append((yield point))
        chosen = np.argsort(losses, kind="stable")[:parents]
        mean = points[chosen].mean(axis=0)
        size = math.exp(np.log(sizes[chosen]).mean())


def cma_es(
    start: Point, random: np.random.Generator, *, step_size: float, population: int | None
) -> Search:
    """CMA-ES: children drawn from N(w, s^2 C), where C (P, P) learns which steps succeeded.

    population: children in a generation, None for 4 + 3 ln P. Where it has converged it begins
    again at the best point, with the first step size and twice the children.
    Source: Hansen 2016; restarts: Auger & Hansen 2005.
    """
    import cma  # takes a second

    # `seed` nan: it would otherwise seed numpy's global generator.
    quiet = {"verbose": -9, "verb_disp": 0, "verb_log": 0, "signals_filename": ""}
    fixed = {"randn": lambda *shape: random.standard_normal(shape), "seed": math.nan}
    best, best_loss = start, (yield start)
    while True:
        size = {} if population is None else {"popsize": population}
        strategy = cma.CMAEvolutionStrategy(best, step_size, {**quiet, **fixed, **size})
        while not strategy.stop():
            points = strategy.ask()
            losses = []
            for point in points:
                loss = yield point
                losses.append(loss)
                if loss < best_loss:
                    best, best_loss = point, loss
            strategy.tell(points, losses)
        population = 2 * strategy.popsize


def nelder_mead(start: Point, random: np.random.Generator, *, step_size: float) -> Search:
    """The simplex of P + 1 points that walks down, its worst point reflected at the others.

    Coefficients depend on P (Gao & Han 2012). Its edges are at first `step_size` long, one along
    each axis, forwards or backwards at random. Once the simplex has shrunk to 1e-4, in weights and
    losses, another of the first size is put around the best point.
    Source: Nelder & Mead 1965, through scipy.
    """
    from scipy.optimize import minimize

    def simplexes(loss: Callable[[Point], float]) -> None:
        best = start
        while True:
            edges = step_size * np.diag(random.choice([-1.0, 1.0], len(start)))
            options = {"adaptive": True, "initial_simplex": np.vstack([best, best + edges])}
            options |= {"maxiter": math.inf, "maxfev": math.inf}
            best = minimize(loss, best, method="Nelder-Mead", options=options).x

    return asked(simplexes)


def simulated_annealing(
    start: Point,
    random: np.random.Generator,
    *,
    bound: float,
    temperature: float,
    iterations: int,
) -> Search:
    """Jumps that are taken if the loss falls, and sometimes if it rises, the hotter the oftener.

    An iteration t makes P jumps in all weights and P in one each. With the temperature
    T_t = T (2^1.62 - 1) / ((t + 2)^1.62 - 1) jumps become shorter and rises rarer. After so many
    `iterations` it is heated again, at the best point. Weights stay within +-bound, the start's may
    lie outside.
    Source: Kirkpatrick et al. 1983; generalized: Tsallis & Stariolo 1996, through scipy.
    """
    from scipy.optimize import dual_annealing

    def annealings(loss: Callable[[Point], float]) -> None:
        best = start
        while True:
            best = dual_annealing(
                loss,
                [(-bound, bound)] * len(start),
                x0=best,
                seed=random,
                no_local_search=True,
                initial_temp=temperature,
                restart_temp_ratio=1e-12,  # `iterations` says when
                maxiter=iterations,
                maxfun=math.inf,
            ).x

    return asked(annealings)
