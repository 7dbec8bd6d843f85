"""The modules ``qt`` and ``ctk`` as Slicer's Python has them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtSvg, QtUiTools, QtWidgets

from host.pythonqt import ctk_widgets

_QT_PARTS = (QtWidgets, QtGui, QtCore, QtSvg, QtUiTools)


class LoudModule(ModuleType):
    """Looks names up when they are asked for; what is not there is named."""

    def __init__(self, name: str, parts: tuple[ModuleType, ...]) -> None:
        super().__init__(name)
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        for part in self._parts:
            found = getattr(part, name, None)
            if found is not None and not name.startswith("__"):
                return found
        raise AttributeError(f"{self.__name__}.{name} is not in the stand-in")


def make_qt_module() -> ModuleType:
    module = LoudModule("qt", _QT_PARTS)
    module.QFileDialog = FileDialog
    return module


def make_ctk_module() -> ModuleType:
    return LoudModule("ctk", (ctk_widgets,))


class FileDialog(QtWidgets.QFileDialog):
    """PythonQt returns the path alone, PySide6 the path and the filter."""

    @staticmethod
    def getSaveFileName(*arguments: Any) -> str:
        return QtWidgets.QFileDialog.getSaveFileName(*arguments)[0]

    @staticmethod
    def getOpenFileName(*arguments: Any) -> str:
        return QtWidgets.QFileDialog.getOpenFileName(*arguments)[0]

    @staticmethod
    def getOpenFileNames(*arguments: Any) -> list[str]:
        return QtWidgets.QFileDialog.getOpenFileNames(*arguments)[0]
