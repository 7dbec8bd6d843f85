"""What goes wrong with a worker process itself; ``str`` of each is a sentence for the user."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence

# Windows' STATUS_ACCESS_VIOLATION and STATUS_STACK_OVERFLOW.
_WINDOWS_CRASHES = {0xC0000005: "a memory access violation", 0xC00000FD: "a stack overflow"}
_SHELL = 128


class InWorker(Exception):
    """What the worker told of a failure, so that a traceback printed here shows it."""


class WorkerError(Exception):
    """A run in a worker process failed; ``details`` is text for who looks into it, and is in its traceback."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details
        if details:
            self.__cause__ = InWorker(details)


class WorkerFailed(WorkerError):
    """The run raised something unexpected; the details are its traceback; the next run starts another process."""


class ProtocolMismatch(WorkerError):
    """The worker is of another version of ThoraxAI."""


class WorkerDied(WorkerError):
    """The worker process ended during a run; the next run starts another.

    Attributes:
        exit_code: of the process, as ``subprocess.Popen.returncode``; None where the system could not end it.
        log_lines: the last that it and its libraries wrote.
    """

    def __init__(self, exit_code: int | None, log_lines: Sequence[str]) -> None:
        message = f"The process that does the work {_what_happened(exit_code)}; nothing was changed. Run it again."
        super().__init__(message, "\n".join([f"Exit code {exit_code}.", *log_lines]))
        self.exit_code = exit_code
        self.log_lines = tuple(log_lines)


def _what_happened(exit_code: int | None) -> str:
    if exit_code is None:
        return "hangs and cannot be ended"
    if sys.platform != "win32" and exit_code - _SHELL in set(signal.Signals):
        # A launcher tells of the signal that ended what it ran as shells do.
        exit_code = _SHELL - exit_code
    if exit_code < 0:
        name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
        if name == "SIGKILL":
            return "was killed (SIGKILL), as the system does when memory runs short"
        return f"crashed ({name})"
    if exit_code & 0xFFFFFFFF in _WINDOWS_CRASHES:
        return f"crashed ({_WINDOWS_CRASHES[exit_code & 0xFFFFFFFF]})"
    return f"ended unexpectedly (exit code {exit_code})"
