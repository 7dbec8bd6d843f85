"""Work in a thread, looked after by who must not wait: a timer of a window."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from SegmentationAILib.engine.progress import CancelToken, Progress

T = TypeVar("T")

# The wait lets go of the interpreter, which an application that embeds Python holds while it is idle.
_MOMENT_S = 0.015


class SideThread(Generic[T]):
    """A piece of work that has begun; it must touch nothing of the window.

    Attributes:
        fraction, text: of the latest progress.

    Args:
        work: told where to report; its progress' token cancels it.
    """

    def __init__(self, work: Callable[[Progress], T]) -> None:
        self.fraction, self.text = 0.0, ""
        self._work = work
        self._token = CancelToken()
        self._value: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._token.cancelled

    def cancel(self) -> None:
        """Ask it to stop at its next step."""
        self._token.cancel()

    def poll(self, patience_s: float = _MOMENT_S) -> bool:
        """Give the work a moment and tell whether it has ended."""
        self._thread.join(patience_s)
        return not self._thread.is_alive()

    def result(self) -> T:
        """What the work returned, or its exception raised; waits for it."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._work(Progress(self._report, self._token))
        except BaseException as error:
            self._error = error

    def _report(self, fraction: float, text: str) -> None:
        self.fraction, self.text = fraction, text
