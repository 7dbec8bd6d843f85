"""Qt properties as attributes, and a loud failure for those that do not exist."""

from __future__ import annotations

import inspect
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

# Their getters are virtual: Qt would take the attribute for a Python override and call it for ever.
_VIRTUAL_GETTERS = {"QWidget": ("sizeHint", "minimumSizeHint"), "QProgressBar": ("text",)}
_MODULES = (QtCore, QtGui, QtWidgets)


class QtPropertyAttribute:
    """Reads and writes a Qt property of the instance; in PythonQt it hides the getter of that name.

    Asked of the class it is what it hides, as ``QTimer.singleShot`` is a function and a property.
    """

    def __init__(self, name: str, hidden: Any) -> None:
        self._name = name
        self._hidden = hidden

    def __get__(self, instance: QtCore.QObject | None, owner: type) -> Any:
        return self._hidden if instance is None else instance.property(self._name)

    def __set__(self, instance: QtCore.QObject, value: Any) -> None:
        meta = instance.metaObject()
        found = meta.property(meta.indexOfProperty(self._name))
        if not found.isWritable():
            raise AttributeError(f"the property '{self._name}' of {type(instance).__name__} is read-only")
        if not found.write(instance, value):
            raise TypeError(f"{type(instance).__name__}.{self._name} cannot be {value!r}")


def qt_classes() -> list[type[QtCore.QObject]]:
    """Every QObject class of Qt's Core, Gui and Widgets."""
    found = [getattr(module, name) for module in _MODULES for name in dir(module)]
    return [one for one in found if inspect.isclass(one) and issubclass(one, QtCore.QObject)]


def give_properties() -> None:
    """Patch every QObject class of Qt once; each has its own attribute slots, so one does not do."""
    for cls in qt_classes():
        _give_own_properties(cls)
        cls.__setattr__ = _assign
        cls.__delattr__ = _delete


def _give_own_properties(cls: type[QtCore.QObject]) -> None:
    meta = cls.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        name = meta.property(index).name()
        if name not in _VIRTUAL_GETTERS.get(cls.__name__, ()):
            setattr(cls, name, QtPropertyAttribute(name, getattr(cls, name, None)))


def _assign(instance: QtCore.QObject, name: str, value: Any) -> None:
    """As PythonQt: a C++ object takes no attribute that it does not have, a Python subclass does."""
    cls = type(instance)
    held = inspect.getattr_static(cls, name, None)
    if hasattr(type(held), "__set__"):
        type(held).__set__(held, instance, value)
    elif isinstance(held, QtCore.Property):
        instance.setProperty(name, value)
    elif held is None and cls.__module__.startswith("PySide6."):
        raise AttributeError(f"{cls.__name__} has no property '{name}'")
    else:
        instance.__dict__[name] = value


def _delete(instance: QtCore.QObject, name: str) -> None:
    if name not in instance.__dict__:
        raise AttributeError(name)
    del instance.__dict__[name]
