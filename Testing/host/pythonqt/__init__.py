"""Real Qt (PySide6) that behaves as PythonQt does in Slicer: modules ``qt`` and ``ctk``."""

from __future__ import annotations

import ctypes
import sys

from PySide6.QtWidgets import QApplication

from host.pythonqt.modules import make_ctk_module, make_qt_module
from host.pythonqt.properties import give_properties
from host.pythonqt.signals import give_connect

_MANY = 1 << 40


def install() -> QApplication:
    """Make the application and the modules ``qt`` and ``ctk``; once in a process."""
    application = QApplication.instance()
    if application is None:
        application = QApplication(["Slicer"])
    if "qt" not in sys.modules:
        _keep_none()
        give_properties()
        give_connect()
        sys.modules["qt"] = make_qt_module()
        sys.modules["ctk"] = make_ctk_module()
    return application


def _keep_none() -> None:
    """PySide6's calls take a reference to None away with each return, as if it were immortal, as from Python 3.12 on.

    With the ticks of a timer an older Python would come to its last one (seen with PySide6 6.12 and Python 3.11).
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += _MANY
