"""Signals that ask a run to stop or to save: noted at once, obeyed between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOP = (signal.SIGINT, signal.SIGTERM)
SAVE: signal.Signals | None = getattr(signal, "SIGUSR1", None)  # Windows has none


class Interrupted(KeyboardInterrupt):
    """A signal has ended the run. `text` says where it stands and how to go on."""

    def __init__(self, number: int, text: str = "") -> None:
        super().__init__(text)
        self.number = number
        self.text = text

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 for SIGINT, 143 for SIGTERM."""
        return 128 + self.number


class Requests:
    """What signals have asked for.

    stop: the number of the SIGINT or SIGTERM that came; a second one ends the process at once.
    save: SIGUSR1 came. Whoever obeys `save` sets it back.
    """

    def __init__(self) -> None:
        self.stop: int | None = None
        self.save = False
        self._deferred = False

    @property
    def pending(self) -> bool:
        return self.save or self.stop is not None

    def obey(self) -> None:
        """Raises Interrupted when a stop was asked for while it was only noted."""
        if self.stop is not None:
            raise Interrupted(self.stop)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within it a stop is only noted; outside it raises Interrupted where the code stands."""
        before, self._deferred = self._deferred, True
        try:
            yield
        finally:
            self._deferred = before

    def on_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop = number
        for one in STOP:  # the second one does what it does to any process
            if signal.getsignal(one) == self.on_stop:  # else it is ignored, or somebody else's
                signal.signal(one, signal.SIG_DFL)
        if not self._deferred:
            raise Interrupted(number)

    def on_save(self, number: int, frame: FrameType | None) -> None:
        self.save = True


def not_yet(number: int, frame: FrameType | None) -> None:
    """Takes a request to save from a run that has only begun to load its libraries."""


@contextmanager
def listening(requests: Requests | None = None) -> Iterator[Requests]:
    """The requests of this run's signals: SIGINT, SIGTERM and, where there is one, SIGUSR1.

    Given requests are those of somebody who listens already, a sweep: they are used as they are.

    Handlers that somebody else has set stay: whoever runs many jobs has its own. Signals reach
    Python's main thread alone; a run in another thread hears none.
    """
    if requests is not None:
        yield requests
        return
    requests = Requests()
    saved: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        wanted: list[tuple[int, Any]] = [(one, requests.on_stop) for one in STOP]
        if SAVE is not None:
            wanted.append((SAVE, requests.on_save))
        for number, handler in wanted:
            current = signal.getsignal(number)
            if current in (signal.SIG_DFL, signal.default_int_handler, not_yet):
                saved[number] = current
                signal.signal(number, handler)
    try:
        yield requests
    finally:
        for number, handler in saved.items():
            signal.signal(number, handler)
