"""How long the event loop stands still: what a user feels as a frozen window."""

from __future__ import annotations

import sys
import threading
import time
import traceback

import qt

_BEAT_MS = 10
_LOOK_S = 0.02


class Heartbeat:
    """A timer of 10 ms, the longest gap between two of its ticks, and where the main thread was meanwhile.

    On a computer that is busy with other things a gap is longer than the work in it, which is told beside it: the
    time that a processor spent on the main thread.

    Example::

        with Heartbeat() as heartbeat:
            while panel.runControls.running:
                host.process_events()
        print(heartbeat.longest_ms, heartbeat.ticks)

    Args:
        told_from_ms: gaps as long as this are kept in ``blocks``, with the work in them and a stack seen during them.
    """

    def __init__(self, told_from_ms: float = 50.0) -> None:
        self.ticks = 0
        self.longest_ms = self.most_work_ms = 0.0
        self.blocks: list[tuple[float, float, str]] = []
        self._told_from_ms = told_from_ms
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._seen: list[str] = []
        self._stop = threading.Event()
        self._main = threading.get_ident()
        self._timer = qt.QTimer()
        self._timer.setTimerType(qt.Qt.PreciseTimer)
        self._timer.connect("timeout()", self._tick)

    def __enter__(self) -> Heartbeat:
        self._last, self._worked = time.perf_counter(), time.thread_time()
        self._timer.start(_BEAT_MS)
        threading.Thread(target=self._watch, daemon=True, name="heartbeat").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._timer.stop()
        self._stop.set()

    def _tick(self) -> None:
        now = time.perf_counter()
        worked = time.thread_time()
        gap, self._last = 1000.0 * (now - self._last), now
        work, self._worked = 1000.0 * (worked - self._worked), worked
        self.ticks += 1
        self.longest_ms = max(self.longest_ms, gap)
        self.most_work_ms = max(self.most_work_ms, work)
        seen, self._seen = self._seen, []
        if gap >= self._told_from_ms:
            self.blocks.append((gap, work, seen[len(seen) // 2] if seen else ""))

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            if 1000.0 * (time.perf_counter() - self._last) > self._told_from_ms / 2:
                frame = sys._current_frames().get(self._main)
                self._seen.append("".join(traceback.format_stack(frame)[-9:]) if frame else "")
