"""A minimiser that calls its objective itself, turned into one that asks for its losses."""

from __future__ import annotations

from collections.abc import Callable, Generator
from queue import SimpleQueue
from threading import Thread

import numpy as np
from numpy.typing import NDArray

Point = NDArray[np.float64]
# Gives out a point (P,), is sent the loss there, and so on.
Search = Generator[Point, float, None]


class _Closed(BaseException):
    """Raised in an objective that nobody will answer any more, past every `except Exception`."""


def asked(minimise: Callable[[Callable[[Point], float]], object]) -> Search:
    """The points (P,) for which `minimise` calls its objective, one by one as a generator.

    What is sent to the generator is what the objective returns; it ends when `minimise` does.
    `minimise` runs in a thread of its own, always while the generator waits, never beside it; the
    thread ends with the generator. What `minimise` raises comes out of the generator.

    >>> search = asked(lambda loss: loss(np.array([loss(np.zeros(1)) + 1])))
    >>> next(search), search.send(2.0)
    (array([0.]), array([3.]))
    >>> search.close()
    """
    points: SimpleQueue[Point | BaseException | None] = SimpleQueue()
    losses: SimpleQueue[float | None] = SimpleQueue()

    def objective(point: Point) -> float:
        points.put(np.array(point, dtype=np.float64))  # copied: minimisers work in place
        loss = losses.get()
        if loss is None:
            raise _Closed
        return loss

    def work() -> None:
        try:
            minimise(objective)
        except _Closed:
            return
        except BaseException as error:
            points.put(error)
        else:
            points.put(None)

    thread = Thread(target=work, name="minimiser", daemon=True)
    thread.start()
    try:
        while (point := points.get()) is not None:
            if isinstance(point, BaseException):
                raise point
            losses.put((yield point))
    finally:
        losses.put(None)
        thread.join()
