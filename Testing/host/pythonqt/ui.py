"""``.ui`` files with custom classes, loaded by Qt's own loader."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from host.pythonqt import ctk_widgets

_SCENE_CONNECTION = re.compile(
    rb"<connection>(?:(?!</connection>).)*<signal>mrmlSceneChanged\(vtkMRMLScene\*\)</signal>.*?</connection>",
    re.DOTALL,
)


class UiLoader(QUiLoader):
    """Knows CTK's classes and those it is given; any other custom class is an error."""

    def __init__(self, register: Mapping[str, type[QWidget]]) -> None:
        super().__init__()
        self._register = dict(register)
        self._known = set(self.availableWidgets())
        self.made: list[QWidget] = []
        self.missing: list[str] = []

    def createWidget(self, class_name: str, parent: QWidget | None = None, name: str = "") -> QWidget:
        custom = self._register.get(class_name) or vars(ctk_widgets).get(class_name)
        if custom is not None:
            widget = custom(parent)
            widget.setObjectName(name)
            # Qt holds the C++ part; without this, Python forgets that it is one of ours.
            self.made.append(widget)
            return widget
        if class_name not in self._known:
            self.missing.append(f"{class_name} ({name})")
            return QWidget(parent)
        return super().createWidget(class_name, parent, name)


def load_ui(path: Path | str, register: Mapping[str, type[QWidget]]) -> QWidget:
    """The top widget of a .ui file.

    Raises:
        FileNotFoundError: no such file.
        NotImplementedError: it has a class that is not in the stand-in.
    """
    form = QBuffer()
    form.setData(_without_scene_connections(Path(path)))
    form.open(QIODevice.ReadOnly)
    loader = UiLoader(register)
    widget = loader.load(form)
    if loader.missing:
        raise NotImplementedError(f"{path}: not in the stand-in: {', '.join(loader.missing)}")
    if widget is None:
        raise ValueError(f"{path}: {loader.errorString()}")
    key = id(widget)
    _ALIVE[key] = loader.made
    widget.destroyed.connect(lambda: _ALIVE.pop(key, None))
    return widget


def _without_scene_connections(path: Path) -> bytes:
    """The file less what hands the scene on, which carries a C++ type: ``qMRMLWidget`` does it here."""
    return _SCENE_CONNECTION.sub(b"", path.read_bytes())


_ALIVE: dict[int, list[QWidget]] = {}
