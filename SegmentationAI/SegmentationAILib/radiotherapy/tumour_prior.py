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


def offered() -> Prior | None:
    """The prior that was offered last; None where none was.

    Raises:
        InputError: its weights are missing or damaged.
    """
    if not _offers:
        return None
    module, _, function = _offers[0].partition(":")
    return getattr(import_module(module), function)()
