"""Arrays as short text in JSON."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LEVEL = 6


def packed(array: NDArray) -> dict[str, Any]:
    """What JSON holds of an array; its type is for the reader to know."""
    data = zlib.compress(np.ascontiguousarray(array).tobytes(), _LEVEL)
    return {"shape": array.shape, "data": base64.b64encode(data).decode("ascii")}


def unpacked(held: Mapping[str, Any], kind: DTypeLike) -> NDArray:
    """The array again; it cannot be written to.

    Raises:
        ValueError, KeyError, TypeError, zlib.error: it is damaged.
    """
    data = zlib.decompress(base64.b64decode(held["data"]))
    return np.frombuffer(data, dtype=kind).reshape(held["shape"])
