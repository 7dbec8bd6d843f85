"""Which Python classes stand for C++ classes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import TypeVar

from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

QT_MODULES: tuple[ModuleType, ...] = (QtWidgets, QtGui, QtCore, QtUiTools)

Class = TypeVar("Class", bound=type[QtCore.QObject])

_emulated: set[type] = set()


def qt_object_classes() -> Iterator[type[QtCore.QObject]]:
    """Every QObject class of Qt, base classes not necessarily first."""
    for module in QT_MODULES:
        # PySide6 makes a class when it is asked for; `vars` has only those that were.
        for name in dir(module):
            found = getattr(module, name)
            if inspect.isclass(found) and issubclass(found, QtCore.QObject):
                yield found


def emulates_cpp(cls: Class) -> Class:
    """Class decorator: this Python class takes the place of a C++ class, so it takes no new attributes.

    Names that begin with an underscore are its own.
    """
    _emulated.add(cls)
    return cls


def is_cpp(cls: type) -> bool:
    """Whether the class is one that PythonQt would wrap, not a Python subclass of one."""
    return cls in _emulated or cls.__module__.startswith("PySide6.")
