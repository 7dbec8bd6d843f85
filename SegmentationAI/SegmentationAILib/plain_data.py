"""Dataclasses as what JSON holds, with their arrays apart, and back by their type hints: no code crosses."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

# The only key of what is written for an array.
_ARRAY = "$array"


def encode(value: Any, arrays: list[NDArray]) -> Any:
    """What JSON holds of a value.

    Args:
        value: dataclasses, enumerations, times, arrays, mappings, tuples, lists, numbers, text, None, in each other.
        arrays: the value's arrays are added to it, and their places are what is written of them.

    Raises:
        TypeError: it holds something else.
    """
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return _encoded_parts(value, arrays)


def _encoded_parts(value: Any, arrays: list[NDArray]) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: encode(getattr(value, one.name), arrays) for one in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: encode(one, arrays) for key, one in value.items()}
        # JSON would turn the keys into text.
        return [[encode(key, arrays), encode(one, arrays)] for key, one in value.items()]
    if isinstance(value, (tuple, list)):
        return [encode(one, arrays) for one in value]
    raise TypeError(f"a {type(value).__name__} cannot cross to another process")


def decode(kind: Any, held: Any, arrays: Sequence[NDArray]) -> Any:
    """The value of a type again.

    Args:
        kind: a class or a type hint; in a ``dict`` without hints lie only arrays and what JSON knows.
        held: as ``encode`` gave it, after JSON.
        arrays: that ``encode`` added, in their order.

    Raises:
        TypeError, ValueError, KeyError, IndexError: it is not such a value.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        known = [one for one in arguments if one is not types.NoneType]
        return held if held is None or len(known) > 1 else decode(known[0], held, arrays)
    if kind is np.ndarray or origin is np.ndarray:
        return arrays[held[_ARRAY]]
    if origin is not None:
        return _decoded_parts(origin, arguments, held, arrays)
    if is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{one.name: decode(hints[one.name], held[one.name], arrays) for one in fields(kind)})
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(held)
    return datetime.fromisoformat(held) if kind is datetime else _with_arrays(held, arrays)


def _decoded_parts(origin: Any, arguments: tuple[Any, ...], held: Any, arrays: Sequence[NDArray]) -> Any:
    if origin is tuple:
        kinds = [arguments[0]] * len(held) if arguments[-1] is Ellipsis else arguments
        return tuple(decode(one, part, arrays) for one, part in zip(kinds, held, strict=True))
    if issubclass(origin, Mapping):
        items = held.items() if isinstance(held, dict) else held
        return {decode(arguments[0], key, arrays): decode(arguments[1], one, arrays) for key, one in items}
    if issubclass(origin, Sequence):
        return [decode(arguments[0], one, arrays) for one in held]
    raise TypeError(f"a {origin} cannot cross to another process")


def _with_arrays(held: Any, arrays: Sequence[NDArray]) -> Any:
    if isinstance(held, dict):
        if held.keys() == {_ARRAY}:
            return arrays[held[_ARRAY]]
        return {key: _with_arrays(one, arrays) for key, one in held.items()}
    return [_with_arrays(one, arrays) for one in held] if isinstance(held, list) else held
