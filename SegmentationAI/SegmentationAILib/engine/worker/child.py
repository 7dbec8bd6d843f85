"""The worker as its parent has it: a process with three pipes, the last lines that it printed, and a way to end it."""

from __future__ import annotations

import queue
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import psutil

from SegmentationAILib.engine.worker import protocol

_LOG_LINES, _LOG_LINE_BYTES = 200, 2000
# Long enough for the threads that read the pipes to run once.
MOMENT_S = 0.002
_LAST_WORDS_S = 0.5
_CLOSING_S = 2.0


class Child:
    """A process that speaks ``protocol``.

    Threads only move lines: everything else is done by who calls ``messages``. The log is kept in
    memory and bounded, so that nothing that a library prints of a patient lies on a disk.

    Args:
        command: program and arguments.
        environment: its whole environment.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            # Ctrl+C in a console is for the parent, and on Windows no console opens.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        self._lines = lines = queue.SimpleQueue[bytes | None]()
        self._log: deque[bytes] = deque(maxlen=_LOG_LINES)
        self._threads = (
            _reading(self._process.stdout, -1, lines.put, lambda: lines.put(None)),
            _reading(self._process.stderr, _LOG_LINE_BYTES, self._log.append, lambda: None),
        )
        self.ended = False
        # Python keeps the pipes of a process that nobody waited for.
        weakref.finalize(self, _hang_up, self._process.stdin)

    @property
    def pid(self) -> int:
        """Of the process that was started, which may be a launcher of the worker."""
        return self._process.pid

    def send(self, kind: str, **fields: Any) -> None:
        """A message to the worker; lost where it has ended, which ``messages`` will find."""
        with suppress(OSError, ValueError):
            protocol.write(self._process.stdin, kind, **fields)

    def messages(self, patience_s: float) -> list[protocol.Message]:
        """What the worker has said since; sets ``ended`` once that was all.

        Args:
            patience_s: how long to wait for the first message. Zero gets nothing in an application that
                runs Python only now and then: the reading threads need a moment.
        """
        found: list[protocol.Message] = []
        patience = patience_s
        if self._process.poll() is not None:
            # What it forked may hold the pipes open.
            for thread in self._threads:
                thread.join(_LAST_WORDS_S)
            self._lines.put(None)
        while not self.ended:
            try:
                line = self._lines.get(timeout=patience)
            except queue.Empty:
                break
            if line is None:
                self.ended = True
            else:
                found += self._message(line)
            patience = 0.0
        return found

    def _message(self, line: bytes) -> list[protocol.Message]:
        try:
            return [protocol.parse(line)]
        except ValueError:
            # Printed by what ran before the server took its pipes.
            self._log.append(line)
            return []

    def exit_code(self) -> int | None:
        """After the end; None where the system cannot end it."""
        try:
            self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            # Its pipes are closed and it lingers: nothing more can come of it.
            self.kill()
        for thread in self._threads:
            thread.join(_LAST_WORDS_S)
        return self._process.returncode

    def log_lines(self) -> list[str]:
        """The last that it printed, without line ends."""
        return [line.decode(errors="replace").rstrip() for line in tuple(self._log)]

    def kill(self) -> None:
        """End it now, and what it started: PythonSlicer is a launcher, whose end would not end the worker."""
        if self._process.poll() is not None:
            return
        with suppress(psutil.Error):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    process.kill()
        self._process.kill()
        # One that hangs in a driver cannot be ended, and nobody should wait for it.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_CLOSING_S)

    def close(self) -> None:
        """End it in good order, or kill it."""
        _hang_up(self._process.stdin)
        try:
            self._process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            self.kill()


def _hang_up(stream: IO[bytes]) -> None:
    """The worker ends when it can hear nobody."""
    with suppress(OSError):
        stream.close()


def _reading(
    stream: IO[bytes], longest: int, take: Callable[[bytes], None], end: Callable[[], None]
) -> threading.Thread:
    # Neither takes the child along, so that it can be freed and with it the pipe that keeps the worker alive.
    def read() -> None:
        with stream, suppress(ValueError, OSError):
            for line in iter(lambda: stream.readline(longest), b""):
                take(line)
        end()

    thread = threading.Thread(target=read, daemon=True, name="worker pipe")
    thread.start()
    return thread
