"""Test functions whose minima are known: what optimizers do on them can be seen from above."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Function = Callable[[Tensor], Tensor]

CONDITION_NUMBER = 20.0  # of bowl and noisy_bowl where no other is asked for
CLIFF_FOOT, CLIFF_EDGE, CLIFF_SLOPE = 2.0, 2.5, 200.0
CLIFF_SHARPNESS = 500.0  # of the bends at foot and edge, one over their width
DEEP_SIZE = 100  # dimensions of quadratic_deep


@dataclass(frozen=True)
class Surface:
    """A function to minimise and what is known of it.

    function: positions (N, D) to values (N,), differentiable.
    start: the position (D,) that training begins at.
    minima: every place (D,) where the function is least.
    view: what a picture shows, (left, right, bottom, top); of the first two dimensions.
    log_levels: the values span so many powers of ten that contours should lie on a log scale.
    source: who has used it.
    """

    name: str
    function: Function
    start: tuple[float, ...]
    minima: tuple[tuple[float, ...], ...]
    view: tuple[float, float, float, float]
    log_levels: bool
    source: str


def surface(name: str, condition_number: float = CONDITION_NUMBER) -> Surface:
    """The surface of that name; bowl and noisy_bowl have the condition number asked for.

    >>> surface("bowl", condition_number=4.0).function(torch.tensor([[1.0, 3.0]]))
    tensor([18.5000])
    """
    if name in ("bowl", "noisy_bowl"):
        return _bowl(name, condition_number)
    return SURFACES[name]


def contour(found: Surface, points: int = 200) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates (W,) and (H,) of a surface's view, `points` along each side, and values (H, W).

    >>> x, y, values = contour(SURFACES["saddle"], points=3)
    >>> x.tolist(), values[1].tolist()  # along y = 0
    ([-2.0, 0.0, 2.0], [4.0, 0.0, 4.0])
    """
    left, right, bottom, top = found.view
    x = torch.linspace(left, right, points, dtype=torch.float64)
    y = torch.linspace(bottom, top, points, dtype=torch.float64)
    positions = torch.cartesian_prod(y, x).flip(1)  # (H*W, 2), x in column 0
    return x, y, found.function(positions).reshape(points, points)


def bowl(positions: Tensor, *, condition_number: float) -> Tensor:
    """(x^2 + κy^2) / 2, (N,): curved κ times as strongly across as along.

    >>> bowl(torch.tensor([[2.0, 1.0]]), condition_number=20.0)
    tensor([12.])
    """
    x, y = positions.unbind(1)
    return (x**2 + condition_number * y**2) / 2


def saddle(positions: Tensor) -> Tensor:
    """x^2 - y^2 + y^4/4, (N,): a saddle at (0, 0) between two minima of value -1.

    >>> saddle(torch.tensor([[3.0, 0.0], [0.0, 2.0], [1.0, 1.0]]))
    tensor([9.0000, 0.0000, 0.2500])
    """
    x, y = positions.unbind(1)
    return x**2 - y**2 + y**4 / 4


def ravine(positions: Tensor) -> Tensor:
    """(u^2 + 100v^2) / 20 with u = (x + y)/√2, v = (x - y)/√2, (N,).

    A valley along x = y, 100 times as steep across as along. It lies at 45° to the axes, so that
    a step size for each coordinate does not help.

    >>> ravine(torch.tensor([[1.0, 1.0], [1.0, -1.0]]))
    tensor([ 0.1000, 10.0000])
    """
    x, y = positions.unbind(1)
    return ((x + y) ** 2 + 100 * (x - y) ** 2) / 40


def cliff(positions: Tensor) -> Tensor:
    """log(1 + x^2) + y^2/2 + a wall that rises by 100 from x = 2 to x = 2.5, (N,).

    Beyond the wall lies a plateau that slopes gently towards it. Whoever steps on the wall finds a
    gradient of 200, and is thrown as many times lr over the minimum to where the ground is flat.

    >>> cliff(torch.tensor([[0.0, 0.0], [0.0, 2.0], [2.25, 0.0]]))
    tensor([ 0.0000,  2.0000, 51.8021])
    """
    x, y = positions.unbind(1)
    above_foot = F.softplus(x - CLIFF_FOOT, beta=CLIFF_SHARPNESS)
    above_edge = F.softplus(x - CLIFF_EDGE, beta=CLIFF_SHARPNESS)
    return (1 + x**2).log() + y**2 / 2 + CLIFF_SLOPE * (above_foot - above_edge)


def rosenbrock(positions: Tensor) -> Tensor:
    """(1 - x)^2 + 100(y - x^2)^2, (N,): a narrow bent valley, nearly flat along its floor.

    >>> rosenbrock(torch.tensor([[1.0, 1.0], [0.0, 0.0], [-1.0, 2.0]]))
    tensor([  0.,   1., 104.])
    """
    x, y = positions.unbind(1)
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def beale(positions: Tensor) -> Tensor:
    """(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2, (N,): flat with steep corners.

    >>> beale(torch.tensor([[3.0, 0.5], [0.0, 0.0]]))
    tensor([ 0.0000, 14.2031])
    """
    x, y = positions.unbind(1)
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def himmelblau(positions: Tensor) -> Tensor:
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2, (N,): four minima of value 0.

    >>> himmelblau(torch.tensor([[3.0, 2.0], [0.0, 0.0]]))
    tensor([  0., 170.])
    """
    x, y = positions.unbind(1)
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


def plateau(positions: Tensor) -> Tensor:
    """1 - exp(-(x^2 + y^2)/2), (N,): a hole in a plain where the gradient all but vanishes.

    >>> plateau(torch.tensor([[0.0, 0.0], [9.0, 9.0]]))
    tensor([0., 1.])
    """
    return 1 - (-(positions**2).sum(1) / 2).exp()


def quadratic_deep(positions: Tensor) -> Tensor:
    """θᵀQθ / 2 in 100 dimensions, (N,): 90 eigenvalues of Q in (0, 1), 10 in (30, 60).

    >>> quadratic_deep(torch.zeros(2, 100))
    tensor([0., 0.])
    """
    hessian = deep_hessian().to(positions)
    return ((positions @ hessian) * positions).sum(1) / 2


@functools.cache
def deep_hessian() -> Tensor:
    """Q of quadratic_deep, (100, 100) float64, symmetric: the same in every run."""
    generator = torch.Generator().manual_seed(100)
    few, many = DEEP_SIZE // 10, DEEP_SIZE - DEEP_SIZE // 10
    uniform = torch.rand(DEEP_SIZE, dtype=torch.float64, generator=generator)
    eigenvalues = torch.cat((uniform[:many], 30 + 30 * uniform[many : many + few]))
    gaussian = torch.randn(DEEP_SIZE, DEEP_SIZE, dtype=torch.float64, generator=generator)
    rotation: Tensor = torch.linalg.qr(gaussian).Q
    hessian = rotation @ torch.diag(eigenvalues) @ rotation.T
    return (hessian + hessian.T) / 2


def _bowl(name: str, condition_number: float) -> Surface:
    return Surface(
        name,
        functools.partial(bowl, condition_number=condition_number),
        start=(-4.0, 1.5),
        minima=((0.0, 0.0),),
        view=(-5.0, 5.0, -3.0, 3.0),
        log_levels=False,
        source="a quadratic, as in Goh 2017, Why Momentum Really Works",
    )


SURFACES: dict[str, Surface] = {
    found.name: found
    for found in (
        _bowl("bowl", CONDITION_NUMBER),
        Surface(
            "saddle",
            saddle,
            start=(-1.5, 1e-4),  # so close to the ridge y = 0 that the way down is hardly felt
            minima=((0.0, math.sqrt(2)), (0.0, -math.sqrt(2))),
            view=(-2.0, 2.0, -2.0, 2.0),
            log_levels=False,
            source="after Dauphin et al. 2014",
        ),
        Surface(
            "ravine",
            ravine,
            start=(-4.0, -2.0),
            minima=((0.0, 0.0),),
            view=(-5.0, 5.0, -5.0, 5.0),
            log_levels=True,
            source="after Sutton 1986",
        ),
        Surface(
            "cliff",
            cliff,
            start=(4.0, 1.5),
            minima=((0.0, 0.0),),
            view=(-5.0, 5.0, -3.0, 3.0),
            log_levels=True,
            source="after Pascanu et al. 2013 and Goodfellow et al. 2016, figure 8.3",
        ),
        Surface(
            "rosenbrock",
            rosenbrock,
            start=(-1.2, 1.0),
            minima=((1.0, 1.0),),
            view=(-2.0, 2.0, -1.0, 3.0),
            log_levels=True,
            source="Rosenbrock 1960",
        ),
        Surface(
            "beale",
            beale,
            start=(1.0, 1.5),
            minima=((3.0, 0.5),),
            view=(-4.5, 4.5, -4.5, 4.5),
            log_levels=True,
            source="Beale 1958",
        ),
        Surface(
            "himmelblau",
            himmelblau,
            start=(0.0, 0.0),
            minima=(
                (3.0, 2.0),
                (-2.805118086952745, 3.131312518250573),
                (-3.779310253377747, -3.283185991286170),
                (3.584428340330492, -1.848126526964404),
            ),
            view=(-5.0, 5.0, -5.0, 5.0),
            log_levels=True,
            source="Himmelblau 1972",
        ),
        Surface(
            "plateau",
            plateau,
            start=(-2.5, 1.5),
            minima=((0.0, 0.0),),
            view=(-4.0, 4.0, -3.0, 3.0),
            log_levels=False,
            source="an upturned Gaussian",
        ),
        _bowl("noisy_bowl", CONDITION_NUMBER),
        Surface(
            "quadratic_deep",
            quadratic_deep,
            start=(1.0,) * DEEP_SIZE,
            minima=((0.0,) * DEEP_SIZE,),
            view=(-2.0, 2.0, -2.0, 2.0),
            log_levels=False,
            source="DeepOBS, Schneider et al. 2019, after Chaudhari et al. 2017",
        ),
    )
}
