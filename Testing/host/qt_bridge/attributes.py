"""Attribute access of Qt objects beyond Qt properties: what PythonQt adds, and what it refuses."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import shiboken6
from PySide6.QtCore import Property, QObject

from host.qt_bridge.classes import is_cpp, qt_object_classes
from host.qt_bridge.connections import connect, disconnect
from host.qt_bridge.finding import find_child, find_children
from host.qt_bridge.properties import write_property


def _class_name(instance: QObject) -> str:
    return instance.metaObject().className()


# PythonQt's methods of every object. PySide6 finds connect and disconnect before the class does.
_METHODS: dict[str, Callable[..., Any]] = {
    "connect": connect,
    "disconnect": disconnect,
    "findChild": find_child,
    "findChildren": find_children,
    "className": _class_name,
    "delete": shiboken6.delete,
}


def give_attributes() -> None:
    """Patch every QObject class of Qt."""
    for cls in list(qt_object_classes()):
        cls.__setattr__ = _assign
        if cls is QObject or "__getattribute__" in vars(cls):
            cls.__getattribute__ = _lookup(cls.__getattribute__)


def _lookup(original: Callable[[QObject, str], Any]) -> Callable[[QObject, str], Any]:
    def get(instance: QObject, name: str) -> Any:
        if name in _METHODS:
            return partial(_METHODS[name], instance)
        try:
            return original(instance, name)
        except AttributeError:
            if not name.startswith("__") and _is_dynamic(instance, name):
                return instance.property(name)
            raise

    return get


def _assign(instance: QObject, name: str, value: Any) -> None:
    """Set a property. A C++ object takes no attribute that it does not have; a Python subclass does."""
    cls = type(instance)
    held = inspect.getattr_static(cls, name, None)
    if isinstance(held, Property):
        write_property(instance, name, value)
    elif hasattr(type(held), "__set__"):
        type(held).__set__(held, instance, value)
    elif held is None and _is_dynamic(instance, name):
        instance.setProperty(name, value)
    elif is_cpp(cls) and not name.startswith("_"):
        reason = "has no property" if held is None else "does not let you overwrite"
        raise AttributeError(f"{cls.__name__} {reason} '{name}'")
    else:
        instance.__dict__[name] = value


def _is_dynamic(instance: QObject, name: str) -> bool:
    return shiboken6.isValid(instance) and name.encode() in [one.data() for one in instance.dynamicPropertyNames()]
