"""An explanation's similar nodules as text, so that it is saved with the scene, and back."""

from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.explanation.result import Similar
from LungNoduleAILib.packed_arrays import packed, unpacked
from SegmentationAILib.errors import InputError
from SegmentationAILib.plain_data import Reader, Writer


class _Writer(Writer):
    def array(self, value: NDArray) -> Any:
        return packed(value)


class _Reader(Reader):
    def array(self, held: Any) -> NDArray:
        return unpacked(held, np.uint8)


def to_text(similar: tuple[Similar, ...]) -> str:
    """JSON of similar nodules."""
    return json.dumps(_Writer().plain(similar))


def from_text(text: str) -> tuple[Similar, ...]:
    """Similar nodules again.

    Raises:
        InputError: the text is damaged.
    """
    try:
        return _Reader().of(tuple[Similar, ...], json.loads(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, zlib.error) as error:
        raise InputError("The explanation in this scene is damaged; explain the nodule again.") from error
