"""Sections that show and hide what is in them."""

from __future__ import annotations

from PySide6.QtCore import Property, QChildEvent, QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPaintEvent, QShowEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QGroupBox,
    QSizePolicy,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QStylePainter,
    QWidget,
)

from host.qt_bridge.classes import emulates_cpp

_UNLIMITED = 16_777_215  # QWIDGETSIZE_MAX
_PADDING = 5


class Contents:
    """The direct children of a section; those that were hidden before it was collapsed stay so."""

    def __init__(self, section: QWidget) -> None:
        self._section = section
        self._hidden: list[QWidget] = []

    def set_shown(self, shown: bool) -> None:
        if shown:
            hidden, self._hidden = self._hidden, []
            for child in hidden:
                child.show()
            return
        for child in self._section.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
            if not child.isHidden() and not child.isWindow():
                child.hide()
                self._hidden.append(child)

    def forget(self, child: object) -> None:
        self._hidden = [one for one in self._hidden if one is not child]


@emulates_cpp
class ctkCollapsibleButton(QAbstractButton):
    """A header with an arrow over a layout; checked means expanded, as in CTK."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: QWidget | str | None) -> None:
        text = next((one for one in arguments if isinstance(one, str)), "")
        super().__init__(next((one for one in arguments if isinstance(one, QWidget)), None))
        self._collapsed = False
        self._contents = Contents(self)
        self.setText(text)
        self.setSizePolicy(QSizePolicy.Minimum, QSizePolicy.Preferred)
        self.setCheckable(True)
        self.setChecked(True)
        self._fit_header()
        self.toggled.connect(self._on_toggled)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: self._collapsed, setCollapsed, notify=contentsCollapsed)

    def hitButton(self, place: QPoint) -> bool:
        return self._header().contains(place)

    def sizeHint(self) -> QSize:
        return self._around_header(QWidget.sizeHint.__get__(self)())

    def minimumSizeHint(self) -> QSize:
        return self._around_header(QWidget.minimumSizeHint.__get__(self)())

    def showEvent(self, event: QShowEvent) -> None:
        # Children made after the section was collapsed, as in a .ui file.
        if self._collapsed:
            self._contents.set_shown(False)
        super().showEvent(event)

    def childEvent(self, event: QChildEvent) -> None:
        if event.removed():
            self._contents.forget(event.child())
        super().childEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.FontChange, QEvent.StyleChange):
            self._fit_header()
        super().changeEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QStylePainter(self)
        header = self._header()
        bevel = QStyleOptionButton()
        bevel.initFrom(self)
        bevel.rect = header
        bevel.state |= QStyle.State_Sunken if self.isDown() else QStyle.State_Raised
        painter.drawControl(QStyle.CE_PushButtonBevel, bevel)
        arrow = QStyleOption()
        arrow.initFrom(self)
        side = header.height() // 2
        arrow.rect = QRect(header.left() + 2 * _PADDING, header.center().y() - side // 2, side, side)
        painter.drawPrimitive(QStyle.PE_IndicatorArrowRight if self._collapsed else QStyle.PE_IndicatorArrowDown, arrow)
        title = header.adjusted(side + 4 * _PADDING, 0, -_PADDING, 0)
        text = painter.fontMetrics().elidedText(self.property("text"), Qt.ElideRight, title.width())
        self.style().drawItemText(
            painter, title, Qt.AlignLeft | Qt.AlignVCenter | Qt.TextShowMnemonic, self.palette, self.isEnabled(), text
        )

    def _on_toggled(self, expanded: bool) -> None:
        self._collapsed = not expanded
        self._contents.set_shown(expanded)
        self.setMaximumHeight(_UNLIMITED if expanded else self._header_height())
        self.updateGeometry()
        self.contentsCollapsed.emit(self._collapsed)

    def _fit_header(self) -> None:
        self.setContentsMargins(0, self._header_height(), 0, 0)
        self.setMaximumHeight(self._header_height() if self._collapsed else _UNLIMITED)

    def _header_height(self) -> int:
        return self.fontMetrics().height() + 2 * _PADDING

    def _header(self) -> QRect:
        return QRect(0, 0, self.property("width"), self._header_height())

    def _around_header(self, hint: QSize) -> QSize:
        width = self.fontMetrics().horizontalAdvance(self.property("text")) + 2 * self._header_height()
        height = self._header_height() if self._collapsed or self.layout() is None else hint.height()
        return QSize(max(width, hint.width()), height)


@emulates_cpp
class ctkCollapsibleGroupBox(QGroupBox):
    """A group box whose check mark shows and hides what is in it."""

    def __init__(self, *arguments: QWidget | str | None) -> None:
        super().__init__(*arguments)
        self._contents = Contents(self)
        self.setCheckable(True)
        self.setChecked(True)
        self.toggled.connect(self._on_toggled)

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, lambda self: not self.isChecked(), setCollapsed)

    def showEvent(self, event: QShowEvent) -> None:
        if not self.isChecked():
            self._contents.set_shown(False)
        super().showEvent(event)

    def childEvent(self, event: QChildEvent) -> None:
        if event.removed():
            self._contents.forget(event.child())
        super().childEvent(event)

    def _on_toggled(self, expanded: bool) -> None:
        self._contents.set_shown(expanded)
        self.setMaximumHeight(_UNLIMITED if expanded else self.fontMetrics().height() + 2 * _PADDING)
        self.updateGeometry()
