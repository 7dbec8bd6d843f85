"""Qt properties as attributes, as PythonQt has them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from PySide6.QtCore import QObject

from host.qt_bridge.classes import qt_object_classes


class QtPropertyAttribute:
    """Reads and writes one Qt property; on an instance it hides the getter of the same name.

    Where PySide6 has a getter or setter, that is called: ``QObject.property`` cannot convert flags.

    Args:
        name: the property.
        hidden: what the class had under that name; class access still gives it (``QTimer.singleShot``).
        getter: unbound C++ getter.
        setter: unbound C++ setter.
    """

    def __init__(self, name: str, hidden: Any, getter: Callable | None, setter: Callable | None) -> None:
        self._name = name
        self._hidden = hidden
        self._getter = getter
        self._setter = setter

    def __get__(self, instance: QObject | None, owner: type) -> Any:
        if instance is None:
            return self if self._hidden is None else self._hidden
        return instance.property(self._name) if self._getter is None else self._getter(instance)

    def __set__(self, instance: QObject, value: Any) -> None:
        write_property(instance, self._name, value, self._setter)


def write_property(instance: QObject, name: str, value: Any, setter: Callable | None = None) -> None:
    """Set a Qt property, by its setter or else with Qt's conversions.

    Raises:
        AttributeError: it is read-only, or does not take such a value.
    """
    meta = instance.metaObject()
    found = meta.property(meta.indexOfProperty(name))
    described = f"Property '{name}' of {type(instance).__name__}"
    if not found.isWritable():
        raise AttributeError(f"{described} is not writable")
    if setter is not None:
        with suppress(TypeError, ValueError):  # Qt may still convert it
            setter(instance, value)
            return
    if not found.write(instance, value):
        raise AttributeError(
            f"{described} has the type '{found.typeName()}' and does not accept {type(value).__name__} {value!r}"
        )


def give_properties() -> None:
    """Patch every QObject class of Qt, so that objects made in Python and in C++ have them alike."""
    planned = [(cls, name, attribute) for cls in qt_object_classes() for name, attribute in _attributes(cls).items()]
    # Only now, because finding the getters needs the classes as PySide6 made them.
    for cls, name, attribute in planned:
        setattr(cls, name, attribute)


def _attributes(cls: type[QObject]) -> dict[str, QtPropertyAttribute]:
    meta = cls.staticMetaObject
    attributes = {}
    for index in range(meta.propertyCount()):
        name = meta.property(index).name()
        # A class that has its own getter of an inherited property would show that getter again.
        if index >= meta.propertyOffset() or name in vars(cls):
            attributes[name] = QtPropertyAttribute(
                name, getattr(cls, name, None), _getter(cls, name), _setter(cls, name)
            )
    return attributes


def _getter(cls: type[QObject], name: str) -> Callable | None:
    for candidate in (name, f"is{name[0].upper()}{name[1:]}", f"has{name[0].upper()}{name[1:]}"):
        if _is_instance_method(found := getattr(cls, candidate, None)):
            return found
    return None


def _setter(cls: type[QObject], name: str) -> Callable | None:
    found = getattr(cls, f"set{name[0].upper()}{name[1:]}", None)
    return found if _is_instance_method(found) else None


def _is_instance_method(found: Any) -> bool:
    # A static method of C++ (`QTimer.singleShot`) comes as a bound built-in function.
    return type(found).__name__ == "method_descriptor"
