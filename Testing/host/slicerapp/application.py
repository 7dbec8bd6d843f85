"""``slicer.app``: what scripted modules ask of the application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import slicer
from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtWidgets import QApplication

VERSION = (5, 12, 3)


class Application(QObject):
    """Real Qt and a real application logic; anything else is an AttributeError."""

    startupCompleted = Signal()
    commandOptions = None

    def __init__(self, logic: slicer.vtkSlicerApplicationLogic, folder: Path) -> None:
        super().__init__()
        self._logic = logic
        self._settings = QSettings(str(folder / "Slicer.ini"), QSettings.IniFormat)
        self.temporaryPath = str(folder)
        self.slicerHome = str(folder)
        _make_launcher(folder / "bin" / "PythonSlicer")
        self.applicationVersion, self.majorVersion, self.minorVersion = ".".join(map(str, VERSION)), *VERSION[:2]

    def applicationLogic(self) -> slicer.vtkSlicerApplicationLogic:
        return self._logic

    def mrmlScene(self) -> slicer.vtkMRMLScene:
        return slicer.mrmlScene

    def processEvents(self, *_flags: Any) -> None:
        QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return True

    def settings(self) -> QSettings:
        return self._settings

    def userSettings(self) -> QSettings:
        return self._settings

    def clipboard(self) -> Any:
        return QApplication.clipboard()

    def palette(self) -> Any:
        return QApplication.palette()


def _make_launcher(path: Path) -> None:
    """Slicer's Python, which is a launcher too."""
    path.parent.mkdir()
    path.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    path.chmod(0o755)
