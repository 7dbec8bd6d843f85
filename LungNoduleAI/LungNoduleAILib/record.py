"""A reading as text, so that it is saved with the scene, and back."""

from __future__ import annotations

import json
import typing
import zlib
from collections import OrderedDict
from dataclasses import fields
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.packed_arrays import packed, unpacked
from LungNoduleAILib.reading import Entry, Reading
from SegmentationAILib.errors import InputError
from SegmentationAILib.plain_data import Reader, Writer
from SegmentationAILib.volume import Grid

FORMAT = 1
# An occupancy is kept to 1/255, a displacement to 0.01 mm.
_OCCUPANCY_STEPS = 255
_DISPLACEMENT_STEP_MM = 0.01


def to_text(reading: Reading, grid: Grid) -> str:
    """JSON of a reading.

    Args:
        grid: of the CT that was read.
    """
    writer = _Writer()
    held = writer.plain(reading)
    return json.dumps({"format": FORMAT, "grid": writer.plain(grid), "reading": held, "pool": writer.pool})


def from_text(text: str) -> tuple[Reading, Grid]:
    """The reading and the grid of its CT.

    Raises:
        InputError: it is damaged, or a newer version wrote it.
    """
    try:
        held = json.loads(text)
        if held["format"] > FORMAT:
            raise InputError("These findings were written by a newer version of ThoraxAI; update ThoraxAI.")
        reader = _Reader(held["pool"])
        return reader.of(Reading, held["reading"]), reader.of(Grid, held["grid"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, zlib.error) as error:
        raise InputError("The findings' record is damaged; detect the nodules again.") from error


def parsed(text: str) -> tuple[Reading, Grid]:
    """As ``from_text``; the same text is asked for at each look at a reading, and read once."""
    if text not in _known:
        remember(text, *from_text(text))
    _known.move_to_end(text)
    return _known[text]


def remember(text: str, reading: Reading, grid: Grid) -> None:
    """Spare ``parsed`` the reading of a text that ``to_text`` made, less what writing rounds: it must hold none but
    masks and a registration that were read from a text.
    """
    _known[text] = (reading, grid)
    if len(_known) > _MOST_KNOWN:
        _known.popitem(last=False)


_known: OrderedDict[str, tuple[Reading, Grid]] = OrderedDict()
_MOST_KNOWN = 8
# What was written of parts that one change of a reading leaves as they are; of an entry, with its mask's place.
_written_masks: WeakKeyDictionary[NoduleMask, dict[str, Any]] = WeakKeyDictionary()
_written_entries: WeakKeyDictionary[Entry, tuple[int, dict[str, Any]]] = WeakKeyDictionary()


class _Writer(Writer):
    """What several of a reading's parts share is written once, and large arrays are packed."""

    def __init__(self) -> None:
        super().__init__()
        self.pool: list[Any] = []
        self._places: dict[int, int] = {}
        # Alive until the end, so that no two objects have one id.
        self._seen: list[Any] = []

    def plain(self, value: Any) -> Any:
        if isinstance(value, (NoduleMask, Entry)):
            return self._pooled(value)
        if isinstance(value, LungRegistration):
            others = {f.name: self.plain(getattr(value, f.name)) for f in fields(value) if f.name != "displacement"}
            limit = np.iinfo(np.int16).max
            steps = np.clip(np.round(value.displacement / _DISPLACEMENT_STEP_MM), -limit, limit).astype("<i2")
            return {**others, "displacement": packed(steps)}
        return super().plain(value)

    def array(self, value: NDArray) -> Any:
        return value.tolist()

    def _pooled(self, value: Any) -> int:
        if id(value) not in self._places:
            written = self._mask(value) if isinstance(value, NoduleMask) else self._entry(value)
            self._places[id(value)] = len(self.pool)
            self._seen.append(value)
            self.pool.append(written)
        return self._places[id(value)]

    def _mask(self, value: NoduleMask) -> dict[str, Any]:
        if value not in _written_masks:
            steps = np.round(np.clip(value.occupancy, 0, 1) * _OCCUPANCY_STEPS).astype(np.uint8)
            _written_masks[value] = {"occupancy": packed(steps), "grid": self.plain(value.grid)}
        return _written_masks[value]

    def _entry(self, value: Entry) -> dict[str, Any]:
        place = self._pooled(value.nodule.mask)
        if _written_entries.get(value, (None,))[0] != place:
            _written_entries[value] = (place, super().plain(value))
        return _written_entries[value][1]


class _Reader(Reader):
    """The other way."""

    def __init__(self, pool: list[Any]) -> None:
        super().__init__()
        self._pool = pool
        self._made: dict[int, Any] = {}

    def of(self, kind: Any, held: Any) -> Any:
        if kind in (NoduleMask, Entry):
            if held not in self._made:
                self._made[held] = self._pooled(kind, self._pool[held])
            return self._made[held]
        if kind is LungRegistration:
            steps = unpacked(held["displacement"], "<i2")
            return self.dataclass(kind, held, displacement=steps.astype(np.float32) * _DISPLACEMENT_STEP_MM)
        return super().of(kind, held)

    def array(self, held: Any) -> NDArray:
        return np.array(held)

    def _pooled(self, kind: Any, held: Any) -> Any:
        if kind is NoduleMask:
            steps = unpacked(held["occupancy"], np.uint8)
            return NoduleMask(steps.astype(np.float32) / _OCCUPANCY_STEPS, self.of(Grid, held["grid"]))
        hints = _finding_hints()
        corrections = {name: self.of(hints[name], value) for name, value in held["corrections"].items()}
        return self.dataclass(kind, held, corrections=corrections)


@cache
def _finding_hints() -> dict[str, Any]:
    return typing.get_type_hints(Finding)
