"""The one worker process of an application, which starts with the first run and ends with the last panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps, finish
from SegmentationAILib.engine.worker import launching
from SegmentationAILib.engine.worker.registry import entries, entry_of, load

if TYPE_CHECKING:
    from SegmentationAILib.engine.worker.client import Worker

T = TypeVar("T")


class Background:
    """Computes calls, in a worker process or in this one.

    Attributes:
        find_python: the program that runs the worker; of this Python, if an application sets no other.
        in_process: whether an application is to do without a process.
    """

    def __init__(self) -> None:
        self.find_python: Callable[[], str] = launching.find_python
        self.in_process = False
        self._modules: list[str] = []
        self._worker: Worker | None = None

    def offer(self, module: str) -> None:
        """Have the ``TASKS`` of a module computed too."""
        if module not in self._modules:
            self._modules.append(module)
            self.close()

    def worker(self) -> Worker:
        """The process, which begins to start where it does not run.

        Raises:
            OSError: it cannot be started.
            InputError: there is no Python to start it with.
        """
        # It needs packages that Slicer lacks, and the panels open without them.
        from SegmentationAILib.engine.worker.client import Worker  # noqa: PLC0415

        if self._worker is None:
            self._worker = Worker.start(tasks=self._modules, python=self.find_python())
        return self._worker

    @property
    def busy(self) -> bool:
        """Whether the process has a run that it was not told to end, or has not ended yet; asking moves it on."""
        return self._worker is not None and self._worker.busy

    def close(self) -> None:
        """End the process; the next run starts another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def compute_here(self, call: Call, progress: Progress) -> Any:
        """The answer to a call, computed in this process.

        Raises:
            InputError: nobody offers such a task, or as it raises.
            Cancelled: the user cancelled.
        """
        return load(entry_of(entries(self._modules), call.name).run)(call.value, call.task, progress)

    def finish_here(self, steps: Steps[T], progress: Progress | None = None) -> T:
        """Do all of the work in this process, as a script wants it.

        Raises:
            InputError, Cancelled: as the work raises them.
        """
        return finish(steps, self.compute_here, progress)


background = Background()
background.offer("SegmentationAILib.worker_tasks")
