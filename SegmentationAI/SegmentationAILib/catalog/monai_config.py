"""A MONAI bundle's configuration read as data: nothing in it is ever run.

MONAI evaluates every value that starts with "$" as Python. Here such a value is taken apart into a few literal
forms, and any other is refused by name, but only when it is needed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Call:
    """A call that is written, and never made here.

    Attributes:
        function: its dotted name; "@name.method" where it is a method of what a reference names.
        arguments, words: by place and by name.
    """

    function: str
    arguments: Sequence[Any]
    words: Mapping[str, Any]


class Config:
    """A configuration file's values, with references followed when they are asked for.

    Args:
        path: ``inference.json``, ``inference.yaml`` or ``inference.yml``.
        others: values instead of those that are written at the top.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, path: Path, others: Mapping[str, Any] | None = None) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            held = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise InputError(f"The bundle's {path.name} cannot be read; take the bundle from its publisher.") from error
        if not isinstance(held, Mapping):
            raise InputError(f"The bundle's {path.name} is no configuration; take the bundle from its publisher.")
        self.name = path.name
        self._held = {**held, **(others or {})}
        self._read = 0

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def written(self, place: str) -> Any:
        """What is written at a place, such as "inferer#roi_size", unresolved.

        Raises:
            InputError: there is nothing.
        """
        found: Any = self._held
        for part in re.split("#|::", place):
            try:
                found = found[int(part)] if isinstance(found, list) else found[part]
            except (KeyError, IndexError, TypeError, ValueError):
                raise InputError(
                    f"The bundle's {self.name} has no '{place}', which is needed; take the bundle from its publisher."
                ) from None
        return found

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
            value = self.written(place)
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
                return self.value(self.written(whole[1]), whole[1], depth + 1)
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

    def call(self, text: Any, place: str) -> Call:
        """A "$" expression that calls one function with plain arguments, taken apart.

        An argument that refers to a component stays a text, "@name".

        Raises:
            InputError: it is none.
        """
        if not isinstance(text, str):
            raise InputError(f"'{place}' of the bundle's {self.name} is no expression and cannot be used here.")
        tree, referred = self._taken_apart(text, place)

        def argument(node: ast.expr) -> Any:
            if isinstance(node, ast.Name) and node.id in referred and self._makes(referred[node.id]):
                return f"@{referred[node.id]}"
            return self._literal(node, referred, (text, place), 0)

        if not isinstance(tree, ast.Call) or any(word.arg is None for word in tree.keywords):
            raise self._refused(place, text)
        function = ast.unparse(tree.func)
        for name, at in referred.items():
            function = re.sub(rf"\b{name}\b", f"@{at}", function)
        words = {str(word.arg): argument(word.value) for word in tree.keywords}
        return Call(function, [argument(one) for one in tree.args], words)

    def _makes(self, place: str) -> bool:
        """Whether a component, or an expression that is not read here, is at a place."""
        found = self.written(place)
        return isinstance(found, Mapping) or (isinstance(found, str) and found.startswith("$"))

    def _expression(self, text: str, place: str, depth: int) -> Any:
        if _DEVICE.fullmatch(text):
            # The device is the caller's choice.
            return None
        tree, referred = self._taken_apart(text, place)
        return self._literal(tree, referred, (text, place), depth)

    def _taken_apart(self, text: str, place: str) -> tuple[ast.expr, dict[str, str]]:
        """The parsed expression, and what its names refer to."""
        names: dict[str, str] = {}

        def named(match: re.Match[str]) -> str:
            return names.setdefault(match[1], f"_reference_{len(names)}")

        if not text.startswith("$") or len(text) > _MOST_CHARACTERS:
            raise self._refused(place, text)
        try:
            tree = ast.parse(_REFERENCE.sub(named, text.removeprefix("$").strip()), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refused(place, text) from None
        return tree, {name: at for at, name in names.items()}

    def _literal(self, node: ast.expr, referred: Mapping[str, str], told: tuple[str, str], depth: int) -> Any:
        """The value of a literal form; ``told`` is the text and its place, for messages."""

        def read(node: ast.expr) -> Any:
            match node:
                case ast.Constant(value=str() | bool() | int() | float() | None):
                    found = node.value
                case ast.List() | ast.Tuple():
                    found = [read(one) for one in node.elts]
                case ast.Name(id=name) if name in referred:
                    found = self.value(f"@{referred[name]}", told[1], depth + 1)
                case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                    found = -number
                case ast.UnaryOp(op=ast.Not()):
                    found = not read(node.operand)
                case ast.IfExp():
                    found = read(node.body) if read(node.test) else read(node.orelse)
                case ast.BinOp(op=ast.Add()):
                    first, second = read(node.left), read(node.right)
                    if not all(isinstance(part, str) and len(part) <= _MOST_CHARACTERS for part in (first, second)):
                        raise self._refused(told[1], told[0])
                    found = first + second
                case _:
                    raise self._refused(told[1], told[0])
            return found

        return read(node)

    def _refused(self, place: str, text: str) -> InputError:
        shown = text if len(text) <= 80 else f"{text[:80]}…"
        return InputError(
            f"'{place}' of the bundle's {self.name} is the expression {shown}, which would run code and is not "
            "evaluated; write its value there instead."
        )
