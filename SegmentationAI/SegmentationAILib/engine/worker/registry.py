"""Which tasks a worker runs: an allow-list of names, each with what runs it, imported when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from SegmentationAILib.errors import InputError


@dataclass(frozen=True)
class Entry:
    """What runs a task.

    Attributes:
        run: ``package.module:function``, called with what it is run on, the Task and a Progress.
        result: ``package.module:Class`` of what it returns, or of a ``builtins`` one.
        takes: the same of what it is run on; it may be None where a task does without.
    """

    run: str
    result: str
    takes: str = "SegmentationAILib.volume:Volume"


def entries(modules: Sequence[str]) -> dict[str, Entry]:
    """The tasks by their names: the ``TASKS`` of the modules together."""
    return {name: entry for module in modules for name, entry in import_module(module).TASKS.items()}


def entry_of(known: dict[str, Entry], name: str) -> Entry:
    """The task of that name.

    Raises:
        InputError: there is none.
    """
    if name not in known:
        raise InputError(f"The worker has no task '{name}'; choose one of: {', '.join(known)}.")
    return known[name]


def load(path: str) -> Any:
    """What ``package.module:name`` names."""
    module, name = path.split(":")
    return getattr(import_module(module), name)
