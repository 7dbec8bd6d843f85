"""Sides of comparisons, in a module that a fresh process reads quickly."""

from __future__ import annotations

import time

import numpy as np


def number() -> int:
    return 7


def take(megabytes: int, _data: int) -> int:
    held = np.ones(megabytes << 17)
    # A loaded machine may look at this process only now and then.
    time.sleep(1.0)
    return int(held[0])


def fail(_data: int) -> None:
    raise ValueError("a reason")


def refuse(_data: int) -> None:
    raise MemoryError("Unable to allocate 99 TiB")


def double(data: int) -> int:
    return 2 * data
