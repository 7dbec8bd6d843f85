"""Time and peak memory of one side of a comparison, in a process of its own."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psutil

REPEATS = 3
_SAMPLE_SECONDS = 0.005


@dataclass(frozen=True)
class Measurement:
    """The best of the repeats and the highest memory above what the input itself takes.

    Attributes:
        seconds: shortest wall time of the repeats.
        peak_bytes: highest resident memory of the process less that before the first repeat.
        gpu_peak_bytes: highest memory of torch's tensors on the GPU; 0 without one.
        result: what the function returned.
    """

    seconds: float
    peak_bytes: int
    gpu_peak_bytes: int
    result: Any


class DidNotFitError(Exception):
    """The process took more memory than it was given, and was ended."""


def measure(
    prepare: Callable[[], Any], run: Callable[[Any], Any], repeats: int = REPEATS, most_bytes: int | None = None
) -> Measurement:
    """Call ``run(prepare())`` in a fresh process, so that neither side's caches or memory help the other.

    Raises:
        DidNotFitError: it took more than ``most_bytes``, or the system ended it.
        RuntimeError: it failed otherwise.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_here, args=(prepare, run, repeats, sender))
    process.start()
    sender.close()
    watched = psutil.Process(process.pid)
    before = peak = 0
    try:
        while True:
            # Sampled from outside: inside, a library that holds Python's lock would hide its own peak.
            if not receiver.poll(_SAMPLE_SECONDS):
                with suppress(psutil.NoSuchProcess):
                    peak = max(peak, watched.memory_info().rss)
                if most_bytes is not None and peak > most_bytes:
                    process.kill()
                    raise DidNotFitError(f"did not fit in {most_bytes / 2**30:.0f} GiB")
                continue
            told = receiver.recv()
            if isinstance(told, Measurement):
                return Measurement(told.seconds, max(peak - before, 0), told.gpu_peak_bytes, told.result)
            if isinstance(told, Exception):
                if isinstance(told, MemoryError):
                    raise DidNotFitError(str(told))
                raise RuntimeError(f"{_name(run)} failed: {told}") from told
            before = peak = told
    except EOFError:
        process.join()
        # Linux ends what takes the last of the memory by signal 9.
        if process.exitcode == -9:
            raise DidNotFitError("was ended by the system for want of memory") from None
        raise RuntimeError(f"{_name(run)} ended with exit code {process.exitcode}") from None
    finally:
        process.join()


def _name(run: Callable) -> str:
    return getattr(run, "__qualname__", str(run))


def _measure_here(prepare: Callable[[], Any], run: Callable[[Any], Any], repeats: int, sender: Any) -> None:
    try:
        data = prepare()
        torch = sys.modules.get("torch")
        gpu = torch is not None and torch.cuda.is_available()
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        sender.send(psutil.Process().memory_info().rss)
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            result = run(data)
            times.append(time.perf_counter() - start)
        sender.send(Measurement(min(times), 0, torch.cuda.max_memory_allocated() if gpu else 0, result))
    except (Exception, MemoryError) as error:
        told = error if isinstance(error, MemoryError) else RuntimeError(f"{type(error).__name__}: {error}")
        sender.send(told)
