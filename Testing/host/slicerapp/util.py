"""What ``slicer.util`` needs an application for; the rest of it is Slicer's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import qt
import slicer

from host.pythonqt.ui import load_ui
from host.slicerapp.qmrml_widgets import REGISTER


class Dialogs:
    """Message boxes that would have been shown: kept instead, and answered as told.

    Attributes:
        shown: (kind, text) in order; ("module", name) where another module was opened.
        answer: what the user clicks in a question: True for OK or Yes.
    """

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.answer = True

    def clear(self) -> None:
        self.shown.clear()
        self.answer = True

    def tell(self, kind: str, text: str) -> None:
        self.shown.append((kind, text))

    def ask(self, text: str) -> bool:
        self.shown.append(("question", text))
        return self.answer


class WaitCursor:
    def __init__(self, show: bool = True) -> None:
        self._show = show

    def __enter__(self) -> None:
        if self._show:
            qt.QApplication.setOverrideCursor(qt.QCursor(qt.Qt.WaitCursor))

    def __exit__(self, *_error: Any) -> None:
        if self._show:
            qt.QApplication.restoreOverrideCursor()


def complete(dialogs: Dialogs) -> None:
    """Add to ``slicer.util`` what asks for Qt."""
    util = slicer.util
    util.loadUI = lambda path: load_ui(path, REGISTER)
    util.childWidgetVariables = child_widget_variables
    util.findChild = find_child
    util.WaitCursor = WaitCursor
    util.errorDisplay = lambda text, *_a, **_o: dialogs.tell("error", text)
    util.warningDisplay = lambda text, *_a, **_o: dialogs.tell("warning", text)
    util.infoDisplay = lambda text, *_a, **_o: dialogs.tell("information", text)
    util.confirmOkCancelDisplay = lambda text, *_a, **_o: dialogs.ask(text)
    util.confirmYesNoDisplay = lambda text, *_a, **_o: dialogs.ask(text)
    util.selectModule = lambda name: dialogs.tell("module", name)
    util.pip_install = no_pip
    util.tryWithErrorDisplay = try_with_error_display


def child_widget_variables(widget: qt.QWidget) -> SimpleNamespace:
    """The named descendants as attributes."""
    children = [child for child in widget.findChildren(qt.QObject) if child.objectName]
    return SimpleNamespace(**{child.objectName: child for child in children if child.objectName.isidentifier()})


def find_child(widget: qt.QWidget, name: str) -> qt.QWidget:
    found = widget.findChild(qt.QWidget, name)
    if found is None:
        raise RuntimeError(f"no widget named '{name}'")
    return found


def no_pip(requirements: Any, **_options: Any) -> None:
    """The stand-in's environment is fixed; a test that installs brings its own installer."""
    raise RuntimeError(f"the stand-in installs nothing; asked for {requirements}")


@contextmanager
def try_with_error_display(message: str | None = None, show: bool = True, waitCursor: bool = False) -> Iterator[None]:
    try:
        with WaitCursor(waitCursor):
            yield
    except Exception as error:
        if show and not slicer.app.testingEnabled():
            slicer.util.errorDisplay(f"{message}\n\n{error}")
        raise
