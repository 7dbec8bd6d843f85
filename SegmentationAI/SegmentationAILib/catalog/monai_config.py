"""A MONAI bundle's configuration read as data: nothing in it is ever run.

MONAI evaluates every value that starts with "$" as Python. Here such a value is taken apart into a few literal
forms, and any other is refused by name, but only when it is needed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from SegmentationAILib.errors import InputError

_REFERENCE = re.compile(r"@([A-Za-z_][\w]*(?:(?:#|::)\w+)*)")
_DEVICE = re.compile(r"\$torch\.device\(.*\)")
_ON_DEVICE = re.compile(r"\$@(\w+)\.to\(@\w+\)")
_MOST_CHARACTERS = 500
_MOST_DEPTH = 32
# References within references could make a small file a huge value.
_MOST_VALUES = 100_000
# Keys of a component that say how MONAI makes it, and are none of its arguments.
_OWN_KEYS = ("_target_", "_disabled_", "_desc_")
_PLAIN = (str, int, float, bool, type(None))


class Config:
    """A configuration file's values, with references followed when they are asked for.

    Args:
        path: ``inference.json``, ``inference.yaml`` or ``inference.yml``.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            held = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"The bundle's {path.name} cannot be read; take the bundle from its publisher.") from error
        if not isinstance(held, Mapping):
            raise InputError(f"The bundle's {path.name} is no configuration; take the bundle from its publisher.")
        self.name = path.name
        self._held = held
        self._read = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def component(self, place: str) -> Mapping[str, Any]:
        """What is written at a place that must hold a component, a mapping with "_target_", unresolved.

        Args:
            place: such as "inferer" or "preprocessing#transforms#0"; a reference there is followed.

        Raises:
            InputError: there is none, or an expression makes it.
        """
        return self.as_component(f"@{place}", place)

    def as_component(self, value: Any, place: str) -> Mapping[str, Any]:
        """A component that is written, or referred to, at ``place``.

        Raises:
            InputError: it is none.
        """
        for _ in range(_MOST_DEPTH):
            if not isinstance(value, str):
                break
            whole = _REFERENCE.fullmatch(value) or _ON_DEVICE.fullmatch(value)
            if whole is None:
                break
            place = whole[1]
            value = self._at(place)
        if isinstance(value, str):
            raise self._refused(place, value)
        if not isinstance(value, Mapping) or not isinstance(value.get("_target_"), str):
            raise InputError(f"The bundle's {self.name} names no component for '{place}' and cannot be run here.")
        if unknown := [key for key in value if key.startswith("_") and key not in _OWN_KEYS]:
            raise InputError(f"'{place}' of the bundle's {self.name} uses {unknown[0]}, which cannot be run here.")
        return value

    def target(self, component: Mapping[str, Any]) -> str:
        """The class that a component names, without the modules it lies in."""
        return component["_target_"].rpartition(".")[2]

    def arguments(self, component: Mapping[str, Any], place: str) -> dict[str, Any]:
        """A component's arguments as plain values.

        Raises:
            InputError: one is neither plain nor of a form that is understood.
        """
        return {key: self.value(value, f"{place}#{key}") for key, value in component.items() if not key.startswith("_")}

    def disabled(self, component: Mapping[str, Any], place: str) -> bool:
        """Whether MONAI leaves a component out."""
        return self.value(component.get("_disabled_", False), f"{place}#_disabled_") is True

    def value(self, value: Any, place: str, depth: int = 0) -> Any:
        """A value of numbers, texts, lists and mappings, references and literal expressions replaced.

        Args:
            value: as it is written.
            place: where, for the message.

        Raises:
            InputError: it holds anything else.
        """
        self._read += 1
        if depth > _MOST_DEPTH or self._read > _MOST_VALUES:
            raise InputError(
                f"'{place}' of the bundle's {self.name} refers to itself or to too much; take it from its publisher."
            )
        if isinstance(value, str):
            whole = _REFERENCE.fullmatch(value)
            if whole:
                return self.value(self._at(whole[1]), whole[1], depth + 1)
            if value.startswith(("$", "%")):
                return self._expression(value, place, depth)
            return value
        if isinstance(value, Mapping) and "_target_" not in value:
            return {str(key): self.value(one, f"{place}#{key}", depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [self.value(one, f"{place}#{n}", depth + 1) for n, one in enumerate(value)]
        if isinstance(value, _PLAIN):
            return value
        raise InputError(f"'{place}' of the bundle's {self.name} is no plain value and cannot be used here.")

    def _at(self, place: str) -> Any:
        found: Any = self._held
        for part in re.split("#|::", place):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, TypeError, ValueError):
                raise InputError(
                    f"The bundle's {self.name} has no '{place}', which is needed; take the bundle from its publisher."
                ) from None
        return found

    def _expression(self, text: str, place: str, depth: int) -> Any:
        if len(text) > _MOST_CHARACTERS:
            raise self._refused(place, text)
        if _DEVICE.fullmatch(text):
            # The device is the caller's choice.
            return None
        names: dict[str, str] = {}

        def named(match: re.Match[str]) -> str:
            return names.setdefault(match[1], f"_reference_{len(names)}")

        source = _REFERENCE.sub(named, text.removeprefix("$").strip())
        try:
            tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refused(place, text) from None
        referred = {name: at for at, name in names.items()}

        def read(node: ast.expr) -> Any:
            match node:
                case ast.Constant(value=str() | bool() | int() | float() | None):
                    found = node.value
                case ast.List() | ast.Tuple():
                    found = [read(one) for one in node.elts]
                case ast.Name(id=name) if name in referred:
                    found = self.value(f"@{referred[name]}", place, depth + 1)
                case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                    found = -number
                case ast.UnaryOp(op=ast.Not()):
                    found = not read(node.operand)
                case ast.IfExp():
                    found = read(node.body) if read(node.test) else read(node.orelse)
                case ast.BinOp(op=ast.Add()):
                    first, second = read(node.left), read(node.right)
                    if not all(isinstance(part, str) and len(part) <= _MOST_CHARACTERS for part in (first, second)):
                        raise self._refused(place, text)
                    found = first + second
                case _:
                    raise self._refused(place, text)
            return found

        return read(tree)

    def _refused(self, place: str, text: str) -> InputError:
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        return InputError(
            f"'{place}' of the bundle's {self.name} is the expression {shown}, which would run code and is not "
            "evaluated; write its value there instead."
        )
