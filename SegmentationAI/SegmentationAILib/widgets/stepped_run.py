"""Drives long work from the event loop, which stays free: the worker computes, a timer looks after it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt

from SegmentationAILib.engine.background import Background
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.errors import Cancelled

if TYPE_CHECKING:
    from SegmentationAILib.engine.worker.job import Job

_POLL_MS = 20
# After a cancelled run the process is listened to until it has done with it, so that its memory is freed.
_DRAIN_MS = 100


class SteppedRun:
    """One piece of work, from its first step to its end.

    Args:
        steps: the work.
        background: what computes its calls.
        ended: told once, with what the work made and what went wrong, either of them None.
        report: told of progress; where a call is computed in this process it keeps the window alive.
        on_fallback: told of the reason where the worker cannot be started and this process computes instead.
        token: cancels the work; its own if not given.
    """

    def __init__(
        self,
        steps: Steps[Any],
        background: Background,
        ended: Callable[[Any, BaseException | None], None],
        report: Callable[[float, str], None] = lambda _fraction, _text: None,
        on_fallback: Callable[[OSError], None] = lambda _error: None,
        token: CancelToken | None = None,
    ) -> None:
        self._steps, self._background = steps, background
        self._report, self._ended, self._on_fallback = report, ended, on_fallback
        self._token = token or CancelToken()
        self._call: Call | None = None
        self._job: Job | None = None
        self._over = False
        # Whether the process has been left with something that it was told to end.
        self._left = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._tick)

    def start(self) -> None:
        """Do the first step now, and the others as the event loop comes to them."""
        self._go_on(lambda: next(self._steps))

    def cancel(self) -> None:
        """Ask it to stop, which it does within a second."""
        self._token.cancel()
        if self._job is not None:
            self._left = True
            self._job.cancel()

    def abandon(self) -> None:
        """Stop without telling anybody: the panel goes away."""
        self._over = True
        self.cancel()
        self._steps.close()
        self._rest()

    def _tick(self) -> None:
        if self._over:
            self._rest()
        elif self._job is None:
            self._resume(None)
        else:
            try:
                finished = self._job.poll()
                answer = self._job.result() if finished else None
            except Exception as error:
                self._job = None
                self._throw(error)
                return
            if finished:
                self._job = None
                self._resume(answer)
            else:
                self._progressed(self._job.fraction, self._job.text)
                self._timer.start(_POLL_MS)

    def _progressed(self, fraction: float, text: str) -> None:
        self._report(self._call.start + (self._call.end - self._call.start) * fraction, text)

    def _resume(self, answer: Any) -> None:
        if self._token.cancelled:
            self._throw(Cancelled())
        else:
            self._go_on(lambda: self._steps.send(answer))

    def _throw(self, error: Exception) -> None:
        self._go_on(lambda: self._steps.throw(error))

    def _go_on(self, step: Callable[[], Call | None]) -> None:
        try:
            call = step()
        except StopIteration as done:
            self._end(done.value, None)
        except Exception as error:
            self._end(None, error)
        else:
            if self._over:
                # The step closed the panel.
                return
            self._call = call
            if call is not None:
                self._compute(call)
            elif self._background.in_process:
                self._resume(None)
            else:
                self._timer.start(0)

    def _compute(self, call: Call) -> None:
        if not self._background.in_process:
            try:
                self._job = self._background.worker().submit(call.task, call.value, name=call.name)
            except OSError as error:
                logging.exception("The worker process cannot be started")
                self._on_fallback(error)
            except Exception as error:
                self._throw(error)
                return
            else:
                if self._token.cancelled:
                    self.cancel()
                self._timer.start(0)
                return
        progress = Progress(self._report, self._token).part(call.start, call.end)
        try:
            answer = self._background.compute_here(call, progress)
        except Exception as error:
            self._throw(error)
        else:
            self._resume(answer)

    def _end(self, value: Any, error: BaseException | None) -> None:
        if not self._over:
            self._over = True
            self._ended(value, error)
        self._rest()

    def _rest(self) -> None:
        # Listening moves on whatever the process is given next: a run that left nothing there keeps out of it.
        if self._left and self._background.busy:
            self._timer.start(_DRAIN_MS)
        else:
            self._timer.stop()
