"""Real Qt (PySide6) that behaves as PythonQt does in Slicer: modules ``qt`` and ``ctk``, and ``.ui`` files."""

from __future__ import annotations

import os
import sys

from PySide6.QtWidgets import QApplication

from host.qt_bridge.attributes import give_attributes
from host.qt_bridge.classes import emulates_cpp
from host.qt_bridge.modules import give_file_names, make_ctk_module, make_qt_module
from host.qt_bridge.properties import give_properties
from host.qt_bridge.ui_file import load_ui

__all__ = ["emulates_cpp", "install", "load_ui"]

_installed = False


def install() -> QApplication:
    """Make the application and the modules ``qt`` and ``ctk``; once in a process.

    Without a display Qt draws offscreen.

    Raises:
        RuntimeError: another ``qt`` is there already.
    """
    global _installed  # noqa: PLW0603 - Qt's classes are patched once in a process
    if _installed:
        return QApplication.instance()
    if "qt" in sys.modules:
        raise RuntimeError(f"another module 'qt' is loaded already: {sys.modules['qt']!r}")
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QApplication.instance() or QApplication(["Slicer"])
    give_properties()
    give_attributes()
    give_file_names()
    sys.modules["qt"] = make_qt_module()
    sys.modules["ctk"] = make_ctk_module()
    _installed = True
    return application
