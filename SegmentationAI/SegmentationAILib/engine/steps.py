"""Long work written once, for a script that waits and for a window that must not.

The work is a generator. Where it needs something computed it yields a ``Call`` and is sent the answer; where
it has done a little and has more to do it yields None, so that a window can breathe. Whoever drives it decides
where a call is computed: here, by ``finish``, or in a worker process, by ``widgets.stepped_run``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, TypeVar

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Call:
    """Something to compute.

    Attributes:
        name: of one of a worker's ``TASKS``.
        task: how.
        value: on what.
        start, end: its share of the whole work's time, 0…1.
    """

    name: str
    task: Task
    value: Any
    start: float = 0.0
    end: float = 1.0


Steps = Generator[Call | None, Any, T]


def importing(modules: Sequence[str]) -> Steps[None]:
    """Import modules that take long together, with a breath after each."""
    for name in modules:
        if name not in sys.modules:
            import_module(name)
            yield


def part(steps: Steps[T], start: float, end: float) -> Steps[T]:
    """Work that is a share of a longer one's time, 0…1."""
    width = end - start
    try:
        call = next(steps)
        while True:
            if call is not None:
                call = replace(call, start=start + width * call.start, end=start + width * call.end)
            try:
                answer = yield call
            except GeneratorExit:
                steps.close()
                raise
            except Exception as error:
                call = steps.throw(error)
            else:
                call = steps.send(answer)
    except StopIteration as done:
        return done.value


def finish_alone(steps: Steps[T]) -> T:
    """Do work that computes nothing elsewhere to its end and return what it made.

    Raises:
        Exception: what the work raises.
    """

    def refuse(call: Call, _progress: Progress) -> None:
        raise TypeError(f"nobody is there to compute '{call.name}'")

    return finish(steps, refuse)


def finish(steps: Steps[T], compute: Callable[[Call, Progress], Any], progress: Progress | None = None) -> T:
    """Do the work to its end and return what it made.

    Args:
        compute: gives the answer to a call.
        progress: told of each call's progress; its token cancels.

    Raises:
        Exception: what the work or a call raises.
    """
    progress = progress or Progress()
    try:
        call = next(steps)
        while True:
            answer = None
            if call is not None:
                try:
                    answer = compute(call, progress.part(call.start, call.end))
                except Exception as error:
                    call = steps.throw(error)
                    continue
            call = steps.send(answer)
    except StopIteration as done:
        return done.value
