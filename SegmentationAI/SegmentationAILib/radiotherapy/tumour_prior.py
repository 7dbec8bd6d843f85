"""Another opinion on what is tumour, which a library above this one may offer."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.volume import Volume

# A probability of tumour, [k, j, i] on the grid of the CT's part that it is given.
Prior = Callable[[Volume], NDArray[np.float32]]

_offers: list[str] = []


def offer(maker: str) -> None:
    """Offer a prior to whoever outlines a tumour.

    Args:
        maker: "package.module:function" that makes the prior; imported on first use, since networks import torch.
    """
    _offers[:] = [maker]


def offered() -> str:
    """What was offered last; "" where nothing was."""
    return _offers[0] if _offers else ""


def made(maker: str) -> Prior | None:
    """The prior of what was offered; None of "".

    Raises:
        InputError: its weights are missing or damaged.
    """
    if not maker:
        return None
    module, _, function = maker.partition(":")
    return getattr(import_module(module), function)()
