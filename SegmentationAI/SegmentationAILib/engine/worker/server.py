"""The worker process: ``python -m SegmentationAILib.engine.worker.server TASKS_MODULE ... --idle SECONDS``.

Messages come on stdin and go to stdout; whatever libraries print goes to stderr. It ends when its stdin does,
which is when its parent has ended or has had enough of it, when it has had nothing to do for a while, and after
a failure that nobody foresaw.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import IO, Any

from SegmentationAILib.engine.freed_memory import freed_memory_kept
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker import protocol
from SegmentationAILib.engine.worker.registry import Entry, entries, entry_of, load
from SegmentationAILib.engine.worker.shared_arrays import Segment, discard, new_name
from SegmentationAILib.engine.worker.shared_value import receive, share
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain

# A cancelled run that has not come to its next step by then is in a loop, or in code that cannot be stopped.
STUCK_S = 5.0
EXIT_STUCK, EXIT_REFUSED = 3, 4
# Reports with the same text come no faster, so that a parent that is busy for long does not hold up the work.
_BETWEEN_REPORTS_S = 0.05


class Server:
    """Runs one task after the other in the main thread, and listens in another.

    Args:
        messages: from the parent.
        answers: to the parent.
        known: the tasks.
        idle_s: ends after so long without a task.
    """

    def __init__(self, messages: IO[bytes], answers: IO[bytes], known: dict[str, Entry], idle_s: float) -> None:
        self._messages = messages
        self._answers = answers
        self._known = known
        self._idle_s = idle_s
        self._sending = threading.Lock()
        self._runs: queue.SimpleQueue[protocol.Message] = queue.SimpleQueue()
        self._tokens: dict[int, CancelToken] = {}
        self._greeted = False
        self._announced: set[str] = set()
        self._result: Segment | None = None

    def serve(self) -> None:
        """Until the parent ends or nothing was to do for ``idle_s``."""
        self.send("hello", protocol=protocol.PROTOCOL)
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            try:
                message = self._runs.get(timeout=self._idle_s)
            except queue.Empty:
                # Not before the last result is out of shared memory.
                if not self._announced:
                    self._leave()
            else:
                self._run(message)

    def _listen(self) -> None:
        try:
            for line in self._messages:
                self._heard(protocol.parse(line))
        except Exception:
            traceback.print_exc()
            self._end(EXIT_REFUSED)
        self._end(0)

    def _heard(self, message: protocol.Message) -> None:
        kind = message["type"]
        if kind == "hello" and message["protocol"] == protocol.PROTOCOL:
            self._greeted = True
        elif not self._greeted:
            self.send("refused", protocol=protocol.PROTOCOL)
            self._end(EXIT_REFUSED)
        elif kind == "segment":
            self._announced.add(message["name"])
        elif kind == "dropped":
            self._announced.discard(message["name"])
        elif kind == "run":
            self._tokens[message["job"]] = CancelToken()
            self._runs.put(message)
        elif kind == "cancel" and (token := self._tokens.get(message["job"])) is not None:
            token.cancel()
            watch = threading.Timer(STUCK_S, self._end_if_stuck, [message["job"]])
            watch.daemon = True
            watch.start()
        elif kind == "taken" and self._result is not None:
            self._result.release()
            self._announced.discard(self._result.name)

    def _run(self, message: protocol.Message) -> None:
        job = message["job"]
        try:
            self.send("done", job=job, result=self._result_of(message))
        except Cancelled:
            self.send("failed", job=job, error="cancelled")
        except InputError as problem:
            self.send("failed", job=job, error="input", message=str(problem))
        except (Exception, SystemExit) as error:
            self.send("failed", job=job, error="other", message=explain(error), details=traceback.format_exc())
            # A GPU that has failed stays unusable for the process, and memory that ran out may not come back.
            self._leave()
        del self._tokens[job]

    def _result_of(self, message: protocol.Message) -> dict[str, Any]:
        job, token = message["job"], self._tokens[message["job"]]
        entry = entry_of(self._known, message["name"])
        value = receive(load(entry.takes) | None, message["value"])
        self._announced.discard(message["value"]["name"])
        self.send("started", job=job)
        run = load(entry.run)
        if token.cancelled:
            raise Cancelled
        with freed_memory_kept():
            result = run(value, Task(**message["task"]), Progress(_Reports(self, job), token))
        return self._shared(result)

    def _shared(self, result: Any) -> dict[str, Any]:
        """Put a result where the parent can take it."""
        name = new_name()
        self._announced.add(name)
        self.send("segment", name=name)
        try:
            self._result, shared = share(result, name)
            self._result.fill()
        except InputError:
            # Nobody will take it, and the process goes on.
            self._result = None
            discard(name)
            self._announced.discard(name)
            raise
        return shared

    def send(self, kind: str, **fields: Any) -> None:
        """A message to the parent; ends the process where the parent is gone."""
        try:
            with self._sending:
                protocol.write(self._answers, kind, **fields)
        except OSError:
            self._end(0)

    def _leave(self) -> None:
        self.send("leaving")
        self._end(0)

    def _end_if_stuck(self, job: int) -> None:
        if job not in self._tokens:
            return
        print(f"The cancelled run did not stop within {STUCK_S:.0f} s.", file=sys.stderr, flush=True)  # noqa: T201
        self._end(EXIT_STUCK)

    def _end(self, code: int) -> None:
        """Now, whatever the main thread does."""
        for name in tuple(self._announced):
            discard(name)
        os._exit(code)


class _Reports:
    """Sends progress to the parent."""

    def __init__(self, server: Server, job: int) -> None:
        self._server = server
        self._job = job
        self._text: str | None = None
        self._at = 0.0

    def __call__(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if text != self._text or now - self._at >= _BETWEEN_REPORTS_S or fraction >= 1.0:
            self._text, self._at = text, now
            self._server.send("progress", job=self._job, fraction=fraction, text=text)


def _claim_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to the parent; what is printed goes to stderr from here on, and nothing can be read from stdin."""
    messages, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(messages, "rb"), os.fdopen(answers, "wb")


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the parent."""
    parser = argparse.ArgumentParser(prog="python -m SegmentationAILib.engine.worker.server", description=__doc__)
    parser.add_argument("tasks", nargs="+", help="modules whose TASKS are run")
    parser.add_argument("--idle", type=float, required=True, help="seconds without a task after which it ends")
    options = parser.parse_args(arguments)
    messages, answers = _claim_pipes()
    # Where a crash happened is told in the log.
    faulthandler.enable()
    Server(messages, answers, entries(options.tasks), options.idle).serve()


if __name__ == "__main__":
    main()
