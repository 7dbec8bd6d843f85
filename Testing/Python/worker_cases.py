"""Tasks for tests of the worker process: what real ones do, and what they must never do."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import numpy as np

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker.registry import Entry
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG
from SegmentationAILib.volume import Volume

_LABELS = "SegmentationAILib.labels:LabelMap"
_VOLUME = "SegmentationAILib.volume:Volume"
_loads = 0


def threshold(volume: Volume, task: Task, progress: Progress) -> LabelMap:
    """1 above the option's HU, 2 below."""
    progress(0.5, "Comparing")
    labels = np.where(volume.array > task.options["hu"], np.uint8(1), np.uint8(2))
    return LabelMap(labels, volume.grid, {1: LEFT_LUNG, 2: AIRWAY})


def echo(volume: Volume, task: Task, progress: Progress) -> Volume:
    return volume


def describe(volume: Volume | None, task: Task, progress: Progress) -> dict[str, object]:
    """Numbers of the volume, and of the process."""
    total = None if volume is None else int(volume.array.sum(dtype=np.int64))
    return {"sum": total, "loads": _model(), "pid": os.getpid(), "axis": np.arange(3)}


@cache
def _model() -> int:
    """Loads of the model by this process."""
    global _loads  # noqa: PLW0603
    _loads += 1
    return _loads


def steps(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    """Counts, so that each step is a report."""
    count = task.options["count"]
    for n in range(count):
        progress(n / count, f"step {n}")
        time.sleep(task.options.get("each_s", 0.0))
    return {"steps": count}


def deaf(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    """Looks at no token; tells that it has begun by a file."""
    if "stuck_s" in task.options:
        # The process runs the server as its main module.
        sys.modules["__main__"].STUCK_S = task.options["stuck_s"]
    Path(task.options["begun"]).touch()
    time.sleep(300.0)
    return {}


def noisy(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    """Prints to stdout in all the ways that a library may, and reads stdin."""
    sys.stdout.write('{"type": "done", "job": 1, "result": {}}\n')
    os.write(1, b'{"type": "failed"}\nno newline')
    subprocess.run([sys.executable, "-c", "print('{}')"], check=True)
    return {"read": len(os.read(0, 10))}


def crash(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    sys.stdout.write("about to crash\n")
    return {"byte": len(ctypes.string_at(0))}


def leave(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    sys.exit(7)


def refuse(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    raise InputError("The volume is too small; choose a larger one.")


def fail(volume: Volume, task: Task, progress: Progress) -> dict[str, int]:
    raise RuntimeError("CUDA error: an illegal memory access was encountered")


def vast(volume: Volume, task: Task, progress: Progress) -> dict[str, object]:
    """More than any shared memory holds."""
    return {"array": np.broadcast_to(np.int16(0), (10_000, 100_000, 100_000))}


def unsendable(volume: Volume, task: Task, progress: Progress) -> dict[str, object]:
    return {"code": fail}


def _entry(name: str, result: str = "builtins:dict") -> Entry:
    return Entry(f"{__name__}:{name}", result)


TASKS = {
    "threshold": _entry("threshold", _LABELS),
    "echo": _entry("echo", _VOLUME),
    **{
        name: _entry(name)
        for name in ("describe", "steps", "deaf", "noisy", "crash", "leave", "refuse", "fail", "vast", "unsendable")
    },
}
