"""How a worker is started: which Python, with which libraries."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from SegmentationAILib.errors import InputError

_SERVER = "SegmentationAILib.engine.worker.server"


def find_python(slicer_home: str | Path | None = None) -> str:
    """The program that runs a worker.

    Args:
        slicer_home: ``slicer.app.slicerHome`` in Slicer, where ``sys.executable`` may be the application;
            None in plain Python.

    Returns:
        Slicer's ``PythonSlicer``, or the Python that runs this.

    Raises:
        InputError: Slicer's Python is not there.
    """
    if slicer_home is None:
        return sys.executable
    program = Path(slicer_home) / "bin" / ("PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer")
    found = str(program) if program.is_file() else shutil.which("PythonSlicer")
    if not found:
        raise InputError(f"Slicer's Python is not where it should be ('{program}'); install Slicer again.")
    return found


def command(python: str, tasks: Sequence[str], idle_s: float) -> list[str]:
    """The command line of a worker.

    Args:
        python: as ``find_python`` gives it.
        tasks: modules whose ``TASKS`` it runs.
        idle_s: it ends after so many seconds without a task.
    """
    return [python, "-m", _SERVER, *tasks, "--idle", str(idle_s)]


def environment(tasks: Sequence[str], base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker, which finds the libraries where this process has them.

    Args:
        tasks: modules whose ``TASKS`` it runs.
        base: what it is made from; this process's where it is not given. For another Python than
            Slicer's, give ``slicer.util.startupEnvironment()``.
    """
    made = dict(os.environ if base is None else base)
    folders = dict.fromkeys(_folder_of(module) for module in (_SERVER, *tasks))
    before = [made["PYTHONPATH"]] if made.get("PYTHONPATH") else []
    made["PYTHONPATH"] = os.pathsep.join([*folders, *before])
    made["PYTHONUNBUFFERED"] = "1"
    return made


def _folder_of(module: str) -> str:
    """What has to be on the path so that the module is found."""
    spec = find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    place = Path(spec.origin).parent
    return str(place.parent if spec.submodule_search_locations else place)
