"""``findChild`` and ``findChildren`` with the class itself or its name, as PythonQt takes them."""

from __future__ import annotations

from typing import Any, TypeVar

from PySide6.QtCore import QObject

Found = TypeVar("Found", bound=QObject)

_find_child = QObject.findChild
_find_children = QObject.findChildren


def find_child(parent: QObject, cls: type[Found] | str, *arguments: Any, **options: Any) -> Found | None:
    """The first descendant of that class, optionally with that object name."""
    if isinstance(cls, str):
        return next(iter(find_children(parent, cls, *arguments, **options)), None)
    return _find_child(parent, cls, *arguments, **options)


def find_children(parent: QObject, cls: type[Found] | str, *arguments: Any, **options: Any) -> list[Found]:
    """All descendants of that class, optionally with that object name."""
    if isinstance(cls, str):
        return [one for one in _find_children(parent, QObject, *arguments, **options) if one.inherits(cls)]
    return _find_children(parent, cls, *arguments, **options)
