"""The modules ``qt`` and ``ctk`` as Slicer's Python has them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6.QtWidgets import QFileDialog

from host.qt_bridge import ctk_widgets
from host.qt_bridge.classes import QT_MODULES


class LoudModule(ModuleType):
    """Finds a name in the first part that has it; what none has is named in the error."""

    def __init__(self, name: str, parts: tuple[ModuleType, ...]) -> None:
        super().__init__(name)
        self._parts = parts

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("__"):
            for part in self._parts:
                if hasattr(part, name):
                    return getattr(part, name)
        raise AttributeError(f"{self.__name__}.{name} is not in the stand-in")


def make_qt_module() -> ModuleType:
    return LoudModule("qt", QT_MODULES)


def make_ctk_module() -> ModuleType:
    return LoudModule("ctk", (ctk_widgets,))


def give_file_names() -> None:
    """PythonQt returns a chosen file alone, PySide6 a pair of it and the filter."""
    for name in ("getOpenFileName", "getOpenFileNames", "getSaveFileName"):
        setattr(QFileDialog, name, staticmethod(_first_of(getattr(QFileDialog, name))))


def _first_of(function: Any) -> Any:
    def call(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)[0]

    return call
