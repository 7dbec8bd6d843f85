"""Dataclasses as what JSON holds, and back by their type hints, so that no code is stored or sent."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Hints are text until they are looked up, which takes longer than reading a value.
_hints = cache(typing.get_type_hints)
# The only key of what is written for an array.
_ARRAY = "$array"


class Writer:
    """Turns dataclasses, enumerations, times, mappings, tuples, lists, numbers, text and None into what JSON holds.

    Attributes:
        arrays: the values' arrays, which stay apart; where each belongs, its place in this list is written.
    """

    def __init__(self) -> None:
        self.arrays: list[NDArray] = []

    def plain(self, value: Any) -> Any:
        """What JSON holds of a value.

        Raises:
            TypeError: it holds something else.
        """
        if isinstance(value, np.ndarray):
            return self.array(value)
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Enum):
            return value.value
        if value is None or isinstance(value, (str, bool, int, float)):
            return value
        return self._parts(value)

    def array(self, value: NDArray) -> Any:
        """What stands for an array."""
        self.arrays.append(value)
        return {_ARRAY: len(self.arrays) - 1}

    def _parts(self, value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return {one.name: self.plain(getattr(value, one.name)) for one in fields(value)}
        if isinstance(value, date):
            return value.isoformat()
        if isinstance(value, Mapping):
            if all(isinstance(key, str) for key in value):
                return {key: self.plain(one) for key, one in value.items()}
            # JSON would turn the keys into text.
            return [[self.plain(key), self.plain(one)] for key, one in value.items()]
        if isinstance(value, (tuple, list)):
            return [self.plain(one) for one in value]
        raise TypeError(f"a {type(value).__name__} cannot be written as plain data")


class Reader:
    """Makes values again by their types.

    Args:
        arrays: of the ``Writer``.
    """

    def __init__(self, arrays: Sequence[NDArray] = ()) -> None:
        self._arrays = arrays

    def of(self, kind: Any, held: Any) -> Any:
        """The value of a type.

        Args:
            kind: a class or a type hint; in a ``dict`` without hints lie only arrays and what JSON knows.
            held: as ``Writer.plain`` gave it, after JSON.

        Raises:
            TypeError, ValueError, KeyError, IndexError, AttributeError: it is not such a value.
        """
        # From Python 3.12 on, numpy's NDArray is an alias that does not show what it stands for.
        kind = getattr(kind, "__value__", kind)
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            known = [one for one in arguments if one is not types.NoneType]
            return held if held is None or len(known) > 1 else self.of(known[0], held)
        if kind is np.ndarray or origin is np.ndarray:
            return self.array(held)
        if origin is not None:
            return self._parts(origin, arguments, held)
        if is_dataclass(kind):
            return self.dataclass(kind, held)
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(held)
        return kind.fromisoformat(held) if kind in (date, datetime) else self._untyped(held)

    def array(self, held: Any) -> NDArray:
        """The array that something stands for."""
        return self._arrays[held[_ARRAY]]

    def dataclass(self, kind: Any, held: Mapping[str, Any], **made: Any) -> Any:
        """A dataclass of which some fields are made already."""
        hints = _hints(kind)
        values = {one.name: self.of(hints[one.name], held[one.name]) for one in fields(kind) if one.name not in made}
        return kind(**values, **made)

    def _parts(self, origin: Any, arguments: tuple[Any, ...], held: Any) -> Any:
        if origin is typing.Literal:
            return held
        if origin is tuple:
            kinds = [arguments[0]] * len(held) if arguments[-1] is Ellipsis else arguments
            return tuple(self.of(one, part) for one, part in zip(kinds, held, strict=True))
        if issubclass(origin, Mapping):
            items = held.items() if isinstance(held, dict) else held
            return {self.of(arguments[0], key): self.of(arguments[1], one) for key, one in items}
        if issubclass(origin, Sequence):
            return [self.of(arguments[0], one) for one in held]
        raise TypeError(f"a {origin} cannot be read from plain data")

    def _untyped(self, held: Any) -> Any:
        if isinstance(held, dict):
            if held.keys() == {_ARRAY}:
                return self.array(held)
            return {key: self._untyped(one) for key, one in held.items()}
        return [self._untyped(one) for one in held] if isinstance(held, list) else held
