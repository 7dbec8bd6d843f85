"""The worker as a program uses it: one process, kept warm; one run at a time; nothing that happens there happens here.

Nothing here waits, unless asked to, and all is done in the thread that calls: a timer of Qt that calls
``Job.poll`` is all that a panel needs.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker import launching, protocol
from SegmentationAILib.engine.worker.child import MOMENT_S, Child
from SegmentationAILib.engine.worker.errors import ProtocolMismatch, WorkerDied, WorkerFailed
from SegmentationAILib.engine.worker.job import Job
from SegmentationAILib.engine.worker.registry import entries, entry_of, load
from SegmentationAILib.engine.worker.shared_arrays import Segment, discard, new_name
from SegmentationAILib.engine.worker.shared_value import receive, share
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain

IDLE_S = 900.0
_STEP_S = 0.03
# A few milliseconds' work.
_COPY_BYTES = 16_000_000


class Worker:
    """A process that runs tasks.

    Example::

        with Worker.start(tasks=["LungNoduleAILib.worker_tasks"]) as worker:
            findings = worker.run(Task("nodules"), volume)
    """

    def __init__(self, python: str, tasks: Sequence[str], idle_s: float, environment: Mapping[str, str] | None) -> None:
        self._command = launching.command(python, tasks, idle_s)
        self._environment = launching.environment(tasks, environment)
        self._known = entries(tasks)
        self._child: Child | None = None
        self._job: Job | None = None
        self._jobs = 0
        # What the job is run on, and what tells the process of it once it is whole.
        self._memory: Segment | None = None
        self._shared: dict[str, Any] | None = None
        # Of the process: whether it takes no run any more, and the memory that it makes.
        self._leaving = False
        self._announced: set[str] = set()

    @staticmethod
    def start(
        *,
        tasks: Sequence[str],
        python: str | None = None,
        idle_s: float = IDLE_S,
        environment: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start the process; returns at once.

        Args:
            tasks: modules whose ``TASKS`` can be run.
            python: as ``launching.find_python`` gives it; the Python that runs this if not given.
            idle_s: the process ends after so many seconds without a task, and the next run starts another.
            environment: what the process's environment is made from; this one's if not given.

        Raises:
            OSError: the program cannot be started.
        """
        worker = Worker(python or launching.find_python(), tasks, idle_s, environment)
        worker._start_child()
        return worker

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        self._advance()
        return self._child is not None

    @property
    def pid(self) -> int | None:
        """Of the process that was started, if it runs; that may be a launcher of the worker."""
        return self._child.pid if self.alive else None

    @property
    def busy(self) -> bool:
        """Whether its process has a run in progress, be it cancelled."""
        self._advance()
        return self._job is not None

    def submit(
        self, task: Task, value: Any, report: Callable[[float, str], None] | None = None, *, name: str | None = None
    ) -> Job:
        """Begin a run; a process that has ended is started again.

        Args:
            task: passed to what is run.
            value: what it is run on, such as a Volume; its arrays are copied once, into shared memory, a
                few milliseconds of it by each ``Job.poll``.
            report: told of the run's progress, by ``Job.poll``.
            name: of one of ``TASKS``; ``task.model`` if not given.

        Raises:
            InputError: there is no such task, another run is in progress, or the system has not that much
                shared memory.
            OSError: the process cannot be started.
        """
        name = name or task.model
        entry_of(self._known, name)
        self._advance()
        if self._job is not None:
            if not self._job.cancelled:
                raise InputError("Another run is in progress; wait for it to finish, or cancel it.")
            # It has not come to its next step.
            self._child.kill()
            self._bury()
        self._jobs += 1
        number = self._jobs
        job = Job(number, name, task, value, report, self._advance, lambda: self._ask_to_cancel(number))
        self._job = job
        try:
            if self._child is None:
                self._start_child()
            self._post(job)
        except BaseException:
            self._job = None
            raise
        return job

    def run(self, task: Task, value: Any, progress: Progress | None = None, *, name: str | None = None) -> Any:
        """Run and wait: the same as in this process.

        Args:
            task, value, name: as for ``submit``.
            progress: told every few hundredths of a second, also when nothing is new, so that a window
                stays alive; its token cancels.

        Raises:
            InputError, Cancelled: as the task raises them.
            WorkerFailed, WorkerDied, ProtocolMismatch: what else went wrong.
        """
        progress = progress or Progress()
        job = self.submit(task, value, name=name)
        try:
            while not job.poll(_STEP_S):
                try:
                    progress(job.fraction, job.text)
                except Cancelled:
                    job.cancel()
        except BaseException:
            job.cancel()
            raise
        return job.result()

    def close(self) -> None:
        """End the process; a run in progress is cancelled."""
        if self._job is not None:
            self._job.cancel()
        if self._child is not None:
            self._child.close()
            self._bury()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start_child(self) -> None:
        self._child = Child(self._command, self._environment)
        self._leaving = False
        self._child.send("hello", protocol=protocol.PROTOCOL)

    def _post(self, job: Job) -> None:
        """Begin to give the process what the job is run on; ``_advance`` goes on with it."""
        name = new_name()
        self._child.send("segment", name=name)
        try:
            self._memory, self._shared = share(job.value, name)
        except BaseException:
            self._child.send("dropped", name=name)
            raise

    def _copy(self) -> bool:
        """Copy a piece of what the job is run on; whether there was one."""
        if self._shared is None:
            return False
        job = self._job
        try:
            self._memory.fill(_COPY_BYTES)
        except InputError as error:
            self._end(None, error)
            return True
        if self._memory.whole:
            shared, self._shared = self._shared, None
            self._child.send("run", job=job.number, name=job.name, task=asdict(job.task), value=shared)
        return True

    def _ask_to_cancel(self, number: int) -> None:
        if self._shared is not None:
            # The process does not know of it yet.
            self._end(None, Cancelled())
        elif self._child is not None:
            self._child.send("cancel", job=number)

    def _advance(self, patience_s: float = MOMENT_S) -> None:
        """Do what the process's messages ask for, and bury it where it has ended."""
        if self._child is None:
            return
        if self._copy():
            patience_s = 0.0
        for message in self._child.messages(patience_s):
            self._heard(message)
        if self._child.ended:
            self._bury()

    def _heard(self, message: protocol.Message) -> None:
        kind = message["type"]
        if kind in ("hello", "refused"):
            if message.get("protocol") != protocol.PROTOCOL:
                self._refuse(message.get("protocol"))
        elif kind == "segment":
            self._announced.add(message["name"])
        elif kind == "leaving":
            self._leaving = True
        elif self._job is not None:
            self._heard_of_job(kind, message)

    def _heard_of_job(self, kind: str, message: protocol.Message) -> None:
        if kind == "started":
            self._job.started = True
            self._memory.release()
        elif kind == "progress" and not self._job.finished:
            self._job.progressed(message["fraction"], message["text"])
        elif kind == "done":
            self._end(*self._taken(message["result"]))
        elif kind == "failed":
            self._end(None, self._error(message))

    def _taken(self, shared: dict[str, Any]) -> tuple[Any, Exception | None]:
        """The result, or what is wrong with it."""
        value, error = None, None
        if not self._job.finished:
            try:
                value = receive(load(entry_of(self._known, self._job.name).result), shared)
            except Exception as problem:
                error = WorkerFailed(explain(problem), traceback.format_exc())
        discard(shared["name"])
        self._announced.discard(shared["name"])
        self._child.send("taken")
        return value, error

    def _error(self, message: protocol.Message) -> Exception:
        if message["error"] == "cancelled":
            return Cancelled()
        if message["error"] == "input":
            return InputError(message["message"])
        return WorkerFailed(message["message"], "\n".join([message["details"], *self._child.log_lines()]))

    def _refuse(self, spoken: object) -> None:
        self._end(
            None,
            ProtocolMismatch(
                f"The process that does the work is of another version of ThoraxAI (its protocol is {spoken}, this one "
                f"speaks {protocol.PROTOCOL}); install ThoraxAI again and restart Slicer."
            ),
        )
        self._child.kill()

    def _end(self, value: Any, error: Exception | None) -> None:
        """The process is done with the job, which its caller may have left before."""
        if self._job is not None and not self._job.finished:
            self._job.finish(value, error)
        if self._memory is not None:
            self._memory.release()
        if self._shared is not None and self._child is not None:
            # It was told of the memory, and would never end for want of work.
            self._child.send("dropped", name=self._shared["name"])
        self._job = self._memory = self._shared = None

    def _bury(self) -> None:
        """Free what an ended process left, and tell of its end or begin the run again in another."""
        child, job = self._child, self._job
        self._child = None
        exit_code = child.exit_code()
        self._announced |= {one["name"] for one in child.messages(0.0) if one["type"] == "segment"}
        for name in self._announced:
            discard(name)
        self._announced.clear()
        if job is not None and self._leaving and not job.started and not job.cancelled:
            # It was about to end as the run was sent.
            self._memory.release()
            try:
                self._start_child()
                self._post(job)
            except (OSError, InputError) as error:
                self._end(None, error)
        else:
            self._end(None, WorkerDied(exit_code, child.log_lines()))
