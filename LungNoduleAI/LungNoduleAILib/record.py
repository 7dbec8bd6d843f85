"""A reading as text, so that it is saved with the scene, and back."""

from __future__ import annotations

import base64
import json
import types
import typing
import zlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.followup.registration import LungRegistration
from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.reading import Entry, Reading
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid

FORMAT = 1
# An occupancy is kept to 1/255, a displacement to 0.01 mm.
_OCCUPANCY_STEPS = 255
_DISPLACEMENT_STEP_MM = 0.01
_LARGEST_LEVEL = 6


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


class _Writer:
    """Turns dataclasses into what JSON holds; what several of them share is written once."""

    def __init__(self) -> None:
        self.pool: list[Any] = []
        self._places: dict[int, int] = {}
        # Alive until the end, so that no two objects have one id.
        self._seen: list[Any] = []

    def plain(self, value: Any) -> Any:
        if isinstance(value, (NoduleMask, Entry)):
            return self._pooled(value)
        return self._written(value)

    def _pooled(self, value: Any) -> int:
        if id(value) not in self._places:
            written = self._written(value)
            self._places[id(value)] = len(self.pool)
            self._seen.append(value)
            self.pool.append(written)
        return self._places[id(value)]

    def _written(self, value: Any) -> Any:  # noqa: PLR0911 - one line for each kind
        if isinstance(value, Grid):
            return {"shape": value.shape, "ijk_to_ras": value.ijk_to_ras.tolist()}
        if isinstance(value, NoduleMask):
            steps = np.round(np.clip(value.occupancy, 0, 1) * _OCCUPANCY_STEPS).astype(np.uint8)
            return {"occupancy": _packed(steps), "grid": self.plain(value.grid)}
        if isinstance(value, LungRegistration):
            others = {f.name: self.plain(getattr(value, f.name)) for f in fields(value) if f.name != "displacement"}
            limit = np.iinfo(np.int16).max
            steps = np.clip(np.round(value.displacement / _DISPLACEMENT_STEP_MM), -limit, limit).astype("<i2")
            return {**others, "displacement": _packed(steps)}
        if is_dataclass(value):
            return {one.name: self.plain(getattr(value, one.name)) for one in fields(value)}
        if isinstance(value, Enum):
            return value.value
        if isinstance(value, datetime):
            return value.isoformat()
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Mapping):
            return {name: self.plain(one) for name, one in value.items()}
        if isinstance(value, (tuple, list)):
            return [self.plain(one) for one in value]
        return value


class _Reader:
    """Makes dataclasses by their type hints."""

    def __init__(self, pool: list[Any]) -> None:
        self._pool = pool
        self._made: dict[int, Any] = {}

    def of(self, kind: Any, held: Any) -> Any:
        if kind in (NoduleMask, Entry):
            if held not in self._made:
                self._made[held] = self._read(kind, self._pool[held])
            return self._made[held]
        return self._read(kind, held)

    def _read(self, kind: Any, held: Any) -> Any:  # noqa: PLR0911 - one line for each kind
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            [known] = [one for one in arguments if one is not types.NoneType]
            return None if held is None else self.of(known, held)
        if origin is tuple:
            kinds = [arguments[0]] * len(held) if arguments[-1] is Ellipsis else arguments
            return tuple(self.of(one, part) for one, part in zip(kinds, held, strict=True))
        if kind is Grid:
            return Grid(tuple(held["shape"]), np.array(held["ijk_to_ras"]))
        if kind is NoduleMask:
            steps = _unpacked(held["occupancy"], np.uint8)
            return NoduleMask(steps.astype(np.float32) / _OCCUPANCY_STEPS, self.of(Grid, held["grid"]))
        if kind is LungRegistration:
            steps = _unpacked(held["displacement"], "<i2")
            return self._dataclass(kind, held, displacement=steps.astype(np.float32) * _DISPLACEMENT_STEP_MM)
        if kind is Entry:
            return self._dataclass(kind, held, corrections=self._corrections(held["corrections"]))
        if is_dataclass(kind):
            return self._dataclass(kind, held)
        if origin is np.ndarray:
            return np.array(held)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(held)
        return datetime.fromisoformat(held) if kind is datetime else held

    def _dataclass(self, kind: Any, held: Mapping[str, Any], **made: Any) -> Any:
        hints = typing.get_type_hints(kind)
        values = {one.name: self.of(hints[one.name], held[one.name]) for one in fields(kind) if one.name not in made}
        return kind(**values, **made)

    def _corrections(self, held: Mapping[str, Any]) -> dict[str, object]:
        hints = typing.get_type_hints(Finding)
        return {name: self.of(hints[name], value) for name, value in held.items()}


def _packed(array: NDArray) -> dict[str, Any]:
    data = zlib.compress(np.ascontiguousarray(array).tobytes(), _LARGEST_LEVEL)
    return {"shape": array.shape, "data": base64.b64encode(data).decode("ascii")}


def _unpacked(held: Mapping[str, Any], kind: Any) -> NDArray:
    data = zlib.decompress(base64.b64decode(held["data"]))
    return np.frombuffer(data, dtype=kind).reshape(held["shape"])
