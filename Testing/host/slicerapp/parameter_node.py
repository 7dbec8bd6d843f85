"""``slicer.parameterNodeWrapper``: typed attributes kept on a scripted module node.

Stored as Slicer stores them: plain values as text parameters, nodes as node references, so that they
come back with a saved scene. Types that are not supported here raise when the class is made.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import slicer
import vtk

from host.slicerapp import parameter_gui

__all__ = ["Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "WithinRange", "parameterNodeWrapper"]


@dataclass(frozen=True)
class Default:
    value: Any


@dataclass(frozen=True)
class Decimals:
    value: int


@dataclass(frozen=True)
class SingleStep:
    value: float


@dataclass(frozen=True)
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], got {value}")


@dataclass(frozen=True)
class Minimum:
    minimum: float

    def validate(self, value: float) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, got {value}")


@dataclass(frozen=True)
class Maximum:
    maximum: float

    def validate(self, value: float) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, got {value}")


class Choice:
    def __init__(self, choices: typing.Iterable[Any]) -> None:
        self.choices = list(choices)

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, got {value}")


_HINTS = (Default, Decimals, SingleStep)


class Parameter:
    """One typed attribute of a parameter node wrapper."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.annotations: tuple[Any, ...] = ()
        if typing.get_origin(annotation) is Annotated:
            annotation, *rest = typing.get_args(annotation)
            self.annotations = tuple(rest)
        self.type, self.optional = _without_none(annotation)
        self.is_node = isinstance(self.type, type) and issubclass(self.type, slicer.vtkMRMLNode)
        unknown = [one for one in self.annotations if not hasattr(one, "validate") and type(one) not in _HINTS]
        if unknown:
            raise NotImplementedError(f"parameter '{name}': {unknown} is not in the stand-in")
        known = (bool, int, float, str, Path)
        if not (self.is_node or self.type in known or _is_enum(self.type)):
            raise NotImplementedError(f"parameter '{name}': the type {annotation} is not in the stand-in")
        given = next((one.value for one in self.annotations if isinstance(one, Default)), default)
        self.default = self._empty() if given is _NOTHING else given
        if given is not _NOTHING:
            self.validate(given)

    def validate(self, value: Any) -> None:
        for one in self.annotations:
            if hasattr(one, "validate"):
                one.validate(value)

    def read(self, node: slicer.vtkMRMLScriptedModuleNode) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        # Asked by name: an empty text is a value too.
        if self.name not in node.GetParameterNames():
            return self.default
        text = node.GetParameter(self.name)
        return None if self.optional and text == _NONE else _from_text(self.type, text)

    def write(self, node: slicer.vtkMRMLScriptedModuleNode, value: Any) -> None:
        if self.is_node:
            if value is not None and not isinstance(value, self.type):
                raise TypeError(f"'{self.name}' takes a {self.type.__name__}, not a {type(value).__name__}")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
            return
        if value is None and self.optional:
            node.SetParameter(self.name, _NONE)
            return
        if not isinstance(value, (int, float) if self.type is float else self.type):
            raise TypeError(f"'{self.name}' takes a {self.type.__name__}, not {value!r}")
        self.validate(value)
        node.SetParameter(self.name, _to_text(value))

    def _empty(self) -> Any:
        if self.is_node or self.optional:
            return None
        return next(iter(self.type)) if _is_enum(self.type) else self.type()


_NOTHING = object()
_NONE = "None"


def parameterNodeWrapper(cls: type) -> type:
    """Class decorator: instances take a scripted module node and keep their attributes on it."""
    hints = typing.get_type_hints(cls, include_extras=True)
    parameters = {name: Parameter(name, hint, vars(cls).get(name, _NOTHING)) for name, hint in hints.items()}

    def initialize(self: Any, parameterNode: slicer.vtkMRMLScriptedModuleNode) -> None:
        if not isinstance(parameterNode, slicer.vtkMRMLScriptedModuleNode):
            raise TypeError(f"{cls.__name__} wraps a vtkMRMLScriptedModuleNode, not {parameterNode!r}")
        object.__setattr__(self, "parameterNode", parameterNode)
        object.__setattr__(self, "_connections", {})

    def assign(self: Any, name: str, _value: Any) -> None:
        if name not in parameters:
            raise AttributeError(f"{cls.__name__} has no parameter '{name}'")
        object.__setattr__(self, name, _value)

    for name, parameter in parameters.items():
        setattr(cls, name, property(_reader(parameter), _writer(parameter)))
    cls.__init__ = initialize
    cls.__setattr__ = assign
    cls.allParameters = parameters
    for method in ("AddObserver", "RemoveObserver", "HasObserver", "StartModify", "EndModify", "Modified", "GetID"):
        setattr(cls, method, _forward(method))
    cls.connectGui = _connect_gui
    cls.disconnectGui = _disconnect_gui
    return cls


def _reader(parameter: Parameter) -> Callable[[Any], Any]:
    return lambda self: parameter.read(self.parameterNode)


def _writer(parameter: Parameter) -> Callable[[Any, Any], None]:
    return lambda self, value: parameter.write(self.parameterNode, value)


def _forward(method: str) -> Callable[..., Any]:
    return lambda self, *arguments: getattr(self.parameterNode, method)(*arguments)


def _connect_gui(self: Any, gui: Any) -> int:
    """Tie the widgets that name a parameter in ``SlicerParameterName`` to it, both ways."""
    bindings = []
    for widget in parameter_gui.widgets_of(gui):
        name = widget.property("SlicerParameterName")
        if not name:
            continue
        if name not in self.allParameters:
            raise ValueError(f"{widget.objectName} names the parameter '{name}', which is not there")
        bindings.append(parameter_gui.bind(self, self.allParameters[name], widget))

    def update(*_event: Any) -> None:
        for binding in bindings:
            binding.show()

    observer = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, update)
    update()
    self._connections[observer] = bindings
    return observer


def _disconnect_gui(self: Any, tag: int) -> None:
    for binding in self._connections.pop(tag):
        binding.release()
    self.parameterNode.RemoveObserver(tag)


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        rest = [one for one in typing.get_args(annotation) if one is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def _is_enum(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, enum.Enum)


def _to_text(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return value.name
    return str(value) if isinstance(value, (str, Path)) else json.dumps(value)


def _from_text(kind: type, text: str) -> Any:
    if _is_enum(kind):
        return kind[text]
    return kind(text) if kind in (str, Path) else kind(json.loads(text))
