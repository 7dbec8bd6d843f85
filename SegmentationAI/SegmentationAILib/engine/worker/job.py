"""One run in a worker, as who asked for it sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker.child import MOMENT_S
from SegmentationAILib.errors import Cancelled

# A cancelled run counts as ended after this, whatever the worker still does.
CANCEL_S = 0.8
_STEP_S = 0.05


class Job:
    """A run that ``Worker.submit`` began; only its worker makes one.

    Attributes:
        number: unique in its worker.
        name, task, value: what is run, how, and on what.
        fraction, text: of the latest progress.
        started: the worker has what it is run on.
    """

    def __init__(
        self,
        number: int,
        name: str,
        task: Task,
        value: Any,
        report: Callable[[float, str], None] | None,
        advance: Callable[[float], None],
        ask_to_cancel: Callable[[], None],
    ) -> None:
        self.number = number
        self.name = name
        self.task = task
        self.value = value
        self.fraction, self.text = 0.0, ""
        self.started = False
        self._report = report
        self._advance = advance
        self._ask_to_cancel = ask_to_cancel
        self._cancelled_at: float | None = None
        self._finished = False
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def finished(self) -> bool:
        return self._finished

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop."""
        return self._cancelled_at is not None

    def poll(self, patience_s: float = MOMENT_S) -> bool:
        """Take in what the worker has said since, and tell whether the run has ended.

        Args:
            patience_s: how long to wait where nothing was said.
        """
        if not self._finished:
            self._advance(patience_s)
        if not self._finished and self.cancelled and time.monotonic() - self._cancelled_at >= CANCEL_S:
            self.finish()
        return self._finished

    def cancel(self) -> None:
        """Ask it to stop; within a second ``poll`` says that it has."""
        if not self._finished and not self.cancelled:
            self._cancelled_at = time.monotonic()
            self._ask_to_cancel()

    def result(self, timeout_s: float | None = None) -> Any:
        """What the task returned; waits for it.

        Raises:
            InputError, Cancelled: as the task raised them.
            WorkerFailed: the task raised something else.
            WorkerDied: the process ended.
            ProtocolMismatch: the process is of another version.
            TimeoutError: it has not ended after ``timeout_s``.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.poll(_STEP_S):
            if until is not None and time.monotonic() >= until:
                raise TimeoutError(f"the run has not ended after {timeout_s} s")
        if self._error is not None:
            raise self._error
        return self._value

    def progressed(self, fraction: float, text: str) -> None:
        """The worker says how far it is."""
        self.fraction, self.text = fraction, text
        if self._report is not None:
            self._report(fraction, text)

    def finish(self, value: Any = None, error: Exception | None = None) -> None:
        """How it ended; one that was cancelled has no result, even if it came."""
        if self.cancelled:
            value, error = None, Cancelled()
        self._finished, self._value, self._error, self.value = True, value, error, None
