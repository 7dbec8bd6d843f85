"""A value with arrays, such as a Volume, a LabelMap or findings, from one process to another."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from SegmentationAILib.engine.worker.shared_arrays import Layout, Segment, attach
from SegmentationAILib.plain_data import Reader, Writer


def share(value: Any, name: str) -> tuple[Segment, dict[str, Any]]:
    """Put a value into shared memory.

    Args:
        value: of what ``plain_data.Writer`` takes.
        name: of the memory, as ``new_name`` gives it; the other side knows it already.

    Returns:
        The memory, to be filled, and to be released once the other side has taken the value, and what tells the other
        side of it in a few words, so that a pipe is never full of it.

    Raises:
        InputError: the system has not that much shared memory.
        TypeError: the value holds something that cannot cross.
    """
    writer = Writer()
    text = json.dumps(writer.plain(value)).encode("ascii")
    segment = Segment(name, [np.frombuffer(text, np.uint8), *writer.arrays])
    return segment, {"name": name, "layout": Writer().plain(segment.layout)}


def receive(kind: Any, shared: dict[str, Any]) -> Any:
    """The value that another process shared, on its memory, without a copy; can be done once.

    Args:
        kind: its type.
        shared: as ``share`` gave it.

    Raises:
        FileNotFoundError: the memory is gone.
        TypeError, ValueError, KeyError, IndexError: it is not such a value.
    """
    text, *arrays = attach(shared["name"], Reader().of(list[Layout], shared["layout"]))
    return Reader(arrays).of(kind, json.loads(text.tobytes()))
