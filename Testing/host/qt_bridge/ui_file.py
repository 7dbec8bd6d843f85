"""``.ui`` files with custom classes, loaded by Qt's own loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from PySide6.QtCore import QBuffer, QObject
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from host.qt_bridge import ctk_widgets
from host.qt_bridge.connections import connect

# Made in Python but owned by C++: without these references Python forgets their classes.
_made: dict[int, list[QWidget]] = {}


class UiLoader(QUiLoader):
    """Makes the custom classes that it is given, and Qt's."""

    def __init__(self, register: Mapping[str, type[QWidget]]) -> None:
        super().__init__()
        self._register = register
        self.made: list[QWidget] = []

    def createWidget(self, class_name: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        if class_name not in self._register:
            return super().createWidget(class_name, parent, name)
        widget = self._register[class_name](parent)
        widget.setObjectName(name)
        self.made.append(widget)
        return widget


def load_ui(path: Path | str, register: Mapping[str, type[QWidget]] | None = None) -> QWidget:
    """The top widget of a ``.ui`` file.

    Args:
        path: the file.
        register: classes for custom class names; CTK's are known.

    Raises:
        FileNotFoundError: no such file.
        NotImplementedError: a class, or a property that is not dynamic, is not in the stand-in.
        ValueError: a connection names an object, signal or slot that is not there, or Qt cannot read the file.
    """
    root = ElementTree.fromstring(Path(path).read_bytes())
    loader = UiLoader({**ctk_widgets.WIDGETS, **(register or {})})
    _check_classes(root, {*loader.availableWidgets(), *loader._register})
    connections = _take_connections(root)
    buffer = QBuffer()
    buffer.setData(ElementTree.tostring(root))
    top = loader.load(buffer)
    if top is None:
        raise ValueError(f"{path}: {loader.errorString()}")
    _keep(top, loader.made)
    _check_properties(root, top)
    for connection in connections:
        _connect(top, connection)
    return top


def _check_classes(root: ElementTree.Element, known: set[str]) -> None:
    missing = [
        f"{one.get('class')} ({one.get('name')})" for one in root.iter("widget") if one.get("class") not in known
    ]
    if missing:
        raise NotImplementedError(f"not in the stand-in: {', '.join(missing)}")


def _check_properties(root: ElementTree.Element, top: QWidget) -> None:
    """Qt makes a dynamic property of what it does not know, so a misspelt one would go unnoticed."""
    for element in root.iter("widget"):
        widget = _object(top, element.get("name"))
        for name in _declared_properties(element):
            if widget.metaObject().indexOfProperty(name) < 0:
                raise NotImplementedError(f"{element.get('class')} ({element.get('name')}) has no property '{name}'")


def _declared_properties(element: ElementTree.Element) -> Iterator[str]:
    return (one.get("name") for one in element.iterfind("property") if one.get("stdset") != "0")


def _take_connections(root: ElementTree.Element) -> list[dict[str, str]]:
    """Qt's loader knows no signals and slots declared in Python, so the connections are left to ``_connect``."""
    taken = []
    for block in root.findall("connections"):
        taken += [{part.tag: part.text or "" for part in connection} for connection in block.iterfind("connection")]
        root.remove(block)
    return taken


def _connect(top: QWidget, connection: Mapping[str, str]) -> None:
    sender, receiver = _object(top, connection["sender"]), _object(top, connection["receiver"])
    connect(sender, connection["signal"], receiver, connection["slot"])


def _object(top: QWidget, name: str) -> QObject:
    found = top if top.property("objectName") == name else top.findChild(QObject, name)
    if found is None:
        raise ValueError(f"there is no object '{name}'")
    return found


def _keep(top: QWidget, made: list[QWidget]) -> None:
    key = id(made)
    _made[key] = made
    top.destroyed.connect(lambda: _made.pop(key, None))
