"""CTK's widgets that the panels use, with their properties and signals, on plain Qt."""

from __future__ import annotations

from PySide6.QtCore import Property, Qt, Signal
from PySide6.QtGui import QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QDoubleSpinBox,
    QHBoxLayout,
    QSizePolicy,
    QSlider,
    QStyle,
    QStyleOptionButton,
    QStyleOptionViewItem,
    QStylePainter,
    QWidget,
)

_HEADER_HEIGHT = 26
_STEPS = 10_000


class ctkCollapsibleButton(QAbstractButton):
    """A section with a header that shows and hides what is in it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._collapsed = False
        self.setSizePolicy(QSizePolicy.Preferred, QSizePolicy.Preferred)
        self.setContentsMargins(0, _HEADER_HEIGHT, 0, 0)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._on_toggled)

    def _is_collapsed(self) -> bool:
        return self._collapsed

    def _set_collapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, _is_collapsed, _set_collapsed, notify=contentsCollapsed)

    def setCollapsed(self, collapsed: bool) -> None:
        self._set_collapsed(collapsed)

    def _on_toggled(self, expanded: bool) -> None:
        self._collapsed = not expanded
        self._show_contents()
        self.contentsCollapsed.emit(self._collapsed)

    def _show_contents(self) -> None:
        for child in self.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
            if self._collapsed:
                if not child.isHidden():
                    child.setProperty("hiddenByCollapse", True)
                    child.hide()
            elif child.property("hiddenByCollapse"):
                child.setProperty("hiddenByCollapse", False)
                child.show()
        self.setMaximumHeight(_HEADER_HEIGHT if self._collapsed else 16_777_215)
        self.updateGeometry()

    def showEvent(self, event) -> None:
        self._show_contents()
        super().showEvent(event)

    def hitButton(self, place) -> bool:
        return place.y() < _HEADER_HEIGHT

    def sizeHint(self):
        hint = QWidget.sizeHint(self)
        if self._collapsed or self.layout() is None:
            hint.setHeight(_HEADER_HEIGHT)
        return hint

    def minimumSizeHint(self):
        hint = QWidget.minimumSizeHint(self)
        if self._collapsed or self.layout() is None:
            hint.setHeight(_HEADER_HEIGHT)
        return hint

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QStylePainter(self)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect.setHeight(_HEADER_HEIGHT)
        option.state |= QStyle.State_Raised
        painter.drawControl(QStyle.CE_PushButtonBevel, option)
        arrow = QStyleOptionViewItem()
        arrow.initFrom(self)
        arrow.rect = option.rect.adjusted(6, 5, 0, -5)
        arrow.rect.setWidth(arrow.rect.height())
        painter.drawPrimitive(QStyle.PE_IndicatorArrowRight if self._collapsed else QStyle.PE_IndicatorArrowDown, arrow)
        painter.drawText(option.rect.adjusted(28, 0, -4, 0), Qt.AlignLeft | Qt.AlignVCenter, self.property("text"))


class ctkSliderWidget(QWidget):
    """A slider with a spin box beside it; both show the same value."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QSlider(Qt.Horizontal, self)
        self._slider.setRange(0, _STEPS)
        self._spin_box = QDoubleSpinBox(self)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._slider.valueChanged.connect(self._on_slider)
        self._spin_box.valueChanged.connect(self._on_spin_box)

    def _on_slider(self, step: int) -> None:
        low, high = self._spin_box.property("minimum"), self._spin_box.property("maximum")
        self._spin_box.setValue(low + (high - low) * step / _STEPS)

    def _on_spin_box(self, value: float) -> None:
        low, high = self._spin_box.property("minimum"), self._spin_box.property("maximum")
        self._slider.blockSignals(True)
        self._slider.setValue(round((value - low) / (high - low) * _STEPS) if high > low else 0)
        self._slider.blockSignals(False)
        self.valueChanged.emit(value)

    def setValue(self, value: float) -> None:
        self._spin_box.setValue(value)

    def setMinimum(self, value: float) -> None:
        self._spin_box.setMinimum(value)

    def setMaximum(self, value: float) -> None:
        self._spin_box.setMaximum(value)

    def setSingleStep(self, value: float) -> None:
        self._spin_box.setSingleStep(value)

    def setDecimals(self, value: int) -> None:
        self._spin_box.setDecimals(value)

    def setSuffix(self, value: str) -> None:
        self._spin_box.setSuffix(value)

    value = Property(float, lambda self: self._spin_box.property("value"), setValue, notify=valueChanged)
    minimum = Property(float, lambda self: self._spin_box.property("minimum"), setMinimum)
    maximum = Property(float, lambda self: self._spin_box.property("maximum"), setMaximum)
    singleStep = Property(float, lambda self: self._spin_box.property("singleStep"), setSingleStep)
    decimals = Property(int, lambda self: self._spin_box.property("decimals"), setDecimals)
    suffix = Property(str, lambda self: self._spin_box.property("suffix"), setSuffix)


class ctkDoubleSpinBox(QDoubleSpinBox):
    """As Qt's."""
