"""A slider with a spin box for floating-point values."""

from __future__ import annotations

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtWidgets import QDoubleSpinBox, QHBoxLayout, QSlider, QWidget

from host.qt_bridge.classes import emulates_cpp


@emulates_cpp
class ctkDoubleSpinBox(QDoubleSpinBox):
    """As Qt's; CTK adds how the number of decimals follows the input."""


@emulates_cpp
class ctkSliderWidget(QWidget):
    """A slider and a spin box that show the same value.

    While the user drags the slider, ``valueIsChanging`` tells each position; ``valueChanged`` does so too
    where ``tracking`` is on, and otherwise only at the release.
    """

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tracking = True
        self._value = 0.0
        self._page_step = 10.0
        self._slider = QSlider(Qt.Horizontal, self)
        self._spin_box = QDoubleSpinBox(self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self.setFocusProxy(self._slider)
        self._fit_slider()
        self._slider.valueChanged.connect(self._on_slider)
        self._slider.sliderReleased.connect(self._announce)
        self._spin_box.valueChanged.connect(self._on_spin_box)

    def setValue(self, value: float) -> None:
        self._spin_box.setValue(value)

    def setMinimum(self, value: float) -> None:
        self._spin_box.setMinimum(value)
        self._fit_slider()

    def setMaximum(self, value: float) -> None:
        self._spin_box.setMaximum(value)
        self._fit_slider()

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spin_box.setRange(minimum, maximum)
        self._fit_slider()

    def setSingleStep(self, value: float) -> None:
        self._spin_box.setSingleStep(value)
        self._fit_slider()

    def setPageStep(self, value: float) -> None:
        self._page_step = value
        self._fit_slider()

    def setDecimals(self, value: int) -> None:
        self._spin_box.setDecimals(value)
        self._fit_slider()

    def setPrefix(self, value: str) -> None:
        self._spin_box.setPrefix(value)

    def setSuffix(self, value: str) -> None:
        self._spin_box.setSuffix(value)

    def setTracking(self, value: bool) -> None:
        self._tracking = value

    def slider(self) -> QSlider:
        return self._slider

    def spinBox(self) -> QDoubleSpinBox:
        return self._spin_box

    value = Property(float, lambda self: self._spin_box.value, setValue, notify=valueChanged)
    minimum = Property(float, lambda self: self._spin_box.minimum, setMinimum)
    maximum = Property(float, lambda self: self._spin_box.maximum, setMaximum)
    singleStep = Property(float, lambda self: self._spin_box.singleStep, setSingleStep)
    pageStep = Property(float, lambda self: self._page_step, setPageStep)
    decimals = Property(int, lambda self: self._spin_box.decimals, setDecimals)
    prefix = Property(str, lambda self: self._spin_box.prefix, setPrefix)
    suffix = Property(str, lambda self: self._spin_box.suffix, setSuffix)
    tracking = Property(bool, lambda self: self._tracking, setTracking)

    def _fit_slider(self) -> None:
        """One position of the slider for each step, so that keys move both alike."""
        low, high, step = self._spin_box.minimum, self._spin_box.maximum, self._spin_box.singleStep
        self._slider.blockSignals(True)
        self._slider.setRange(0, round((high - low) / step) if step > 0 else 0)
        self._slider.setPageStep(max(1, round(self._page_step / step)) if step > 0 else 1)
        self._slider.blockSignals(False)
        self._place_slider()

    def _place_slider(self) -> None:
        step = self._spin_box.singleStep
        self._slider.blockSignals(True)
        self._slider.setValue(round((self._spin_box.value - self._spin_box.minimum) / step) if step > 0 else 0)
        self._slider.blockSignals(False)

    def _on_slider(self, position: int) -> None:
        self._spin_box.setValue(
            min(self._spin_box.maximum, self._spin_box.minimum + position * self._spin_box.singleStep)
        )

    def _on_spin_box(self, value: float) -> None:
        if not self._slider.isSliderDown():
            self._place_slider()
        self.valueIsChanging.emit(value)
        if self._tracking or not self._slider.isSliderDown():
            self._announce()

    def _announce(self) -> None:
        if self._spin_box.value != self._value:
            self._value = self._spin_box.value
            self.valueChanged.emit(self._value)
