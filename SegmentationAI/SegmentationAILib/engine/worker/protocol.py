"""What Slicer and its worker process say to each other: JSON, one object on each line, over the worker's pipes.

To the worker: ``hello``, ``segment`` (a name of shared memory, before it is made), ``dropped`` (nothing will be run on
the memory of that name), ``run``, ``cancel``, ``taken`` (the result is out of shared memory). From the worker:
``hello`` or ``refused``, ``segment``, ``started`` (it has what it runs on), ``progress``, ``done``, ``failed``,
``leaving`` (it ends and takes no run any more).
"""

from __future__ import annotations

import json
from typing import IO, Any

# Raised with every change of what is said.
PROTOCOL = 3

Message = dict[str, Any]


def write(stream: IO[bytes], kind: str, **fields: Any) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    stream.write(json.dumps({"type": kind, **fields}).encode("ascii") + b"\n")
    stream.flush()


def parse(line: bytes) -> Message:
    """The message of a line.

    Raises:
        ValueError: it is none.
    """
    message = json.loads(line)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ValueError("a message is an object with a type")
    return message
