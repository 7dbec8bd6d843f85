"""Time and peak memory of one side of a comparison, in a process of its own."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
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
        peak_bytes: highest resident memory of the first repeat less that before it.
        result: what the function returned.
    """

    seconds: float
    peak_bytes: int
    result: Any


def measure(prepare: Callable[[], Any], run: Callable[[Any], Any]) -> Measurement:
    """Call ``run(prepare())`` in a fresh process, so that neither side's caches or memory help the other."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure_here, args=(prepare, run, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"{run.__qualname__} ended with exit code {process.exitcode}") from None
    finally:
        process.join()


def _measure_here(prepare: Callable[[], Any], run: Callable[[Any], Any], sender: Any) -> None:
    data = prepare()
    own = psutil.Process()
    before = own.memory_info().rss
    peak = before
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLE_SECONDS):
            peak = max(peak, own.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    times = []
    for repeat in range(REPEATS):
        start = time.perf_counter()
        result = run(data)
        times.append(time.perf_counter() - start)
        if repeat == 0:
            done.set()
            watcher.join()
    sender.send(Measurement(min(times), peak - before, result))
