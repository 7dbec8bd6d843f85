"""Widgets tied to parameters, as ``connectGui`` does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ctk
import qt

from host.slicerapp.qmrml_widgets import qMRMLNodeComboBox


class Binding:
    """One widget and one parameter; what either shows, the other takes over."""

    def __init__(
        self, wrapper: Any, name: str, widget: qt.QWidget, signal: str, read: Callable, write: Callable
    ) -> None:
        self._wrapper = wrapper
        self._name = name
        self._widget = widget
        self._signal = signal
        self._read = read
        self._write = write
        widget.connect(signal, self.store)

    def store(self) -> None:
        setattr(self._wrapper, self._name, self._read())

    def show(self) -> None:
        value = getattr(self._wrapper, self._name)
        if self._read() != value:
            self._write(value)

    def release(self) -> None:
        self._widget.disconnect(self._signal, self.store)


def bind(wrapper: Any, parameter: Any, widget: qt.QWidget) -> Binding:
    """Tie a widget by its class.

    Raises:
        NotImplementedError: Slicer has no connection for such a widget, or the stand-in has none.
    """
    _apply_range(parameter, widget)
    if isinstance(widget, qMRMLNodeComboBox):
        write = widget.setCurrentNode
        return Binding(wrapper, parameter.name, widget, "currentNodeChanged(vtkMRMLNode*)", widget.currentNode, write)
    if isinstance(widget, (qt.QSpinBox, qt.QSlider)):
        return Binding(wrapper, parameter.name, widget, "valueChanged(int)", lambda: widget.value, widget.setValue)
    if isinstance(widget, (qt.QDoubleSpinBox, ctk.ctkSliderWidget)):
        return Binding(wrapper, parameter.name, widget, "valueChanged(double)", lambda: widget.value, widget.setValue)
    if isinstance(widget, qt.QCheckBox) or (isinstance(widget, qt.QPushButton) and widget.checkable):
        return Binding(wrapper, parameter.name, widget, "toggled(bool)", lambda: widget.checked, widget.setChecked)
    if isinstance(widget, qt.QLineEdit):
        return Binding(wrapper, parameter.name, widget, "textChanged(QString)", lambda: widget.text, widget.setText)
    if isinstance(widget, qt.QComboBox) and parameter.type is str:
        read = lambda: widget.currentText  # noqa: E731 - one of a row of such pairs
        return Binding(wrapper, parameter.name, widget, "currentTextChanged(QString)", read, widget.setCurrentText)
    raise NotImplementedError(f"{parameter.name}: no connection for a {type(widget).__name__} in the stand-in")


def widgets_of(gui: Any) -> Iterator[qt.QWidget]:
    """A widget's descendants, or what ``childWidgetVariables`` gave."""
    if isinstance(gui, qt.QWidget):
        yield from gui.findChildren(qt.QWidget)
    else:
        yield from (widget for widget in vars(gui).values() if isinstance(widget, qt.QWidget))


def _apply_range(parameter: Any, widget: qt.QWidget) -> None:
    """A range in the parameter's type is the widget's range."""
    for one in parameter.annotations:
        for side in ("minimum", "maximum"):
            if hasattr(one, side) and hasattr(widget, f"set{side.capitalize()}"):
                getattr(widget, f"set{side.capitalize()}")(parameter.type(getattr(one, side)))
