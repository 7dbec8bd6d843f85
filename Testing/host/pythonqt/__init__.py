"""Real Qt (PySide6) that behaves as PythonQt does in Slicer: modules ``qt`` and ``ctk``."""

from __future__ import annotations

import sys

from PySide6.QtWidgets import QApplication

from host.pythonqt.modules import make_ctk_module, make_qt_module
from host.pythonqt.properties import give_properties
from host.pythonqt.signals import give_connect


def install() -> QApplication:
    """Make the application and the modules ``qt`` and ``ctk``; once in a process."""
    application = QApplication.instance()
    if application is None:
        application = QApplication(["Slicer"])
    if "qt" not in sys.modules:
        give_properties()
        give_connect()
        sys.modules["qt"] = make_qt_module()
        sys.modules["ctk"] = make_ctk_module()
    return application
