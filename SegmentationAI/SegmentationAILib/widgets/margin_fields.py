"""Six margins around a drawing of the patient's axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from SegmentationAILib.radiotherapy.rules import SIDES
from SegmentationAILib.widgets.translation import tr

_SIZE = 74
_ARM = 22


class MarginFields:
    """The spin boxes ``leftSpinBox`` … ``inferiorSpinBox``, and what they make of a structure.

    Args:
        ui: has the six spin boxes and ``axesLabel``.
        changed: told that a margin changed by the user's hand.
    """

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self._fields = {side: getattr(ui, f"{side}SpinBox") for side in SIDES}
        for field in self._fields.values():
            field.connect("valueChanged(double)", lambda _value: changed())
        ui.axesLabel.setPixmap(_axes(ui.axesLabel))
        ui.axesLabel.setToolTip(tr("Seen from the front: S to the head, R and L the patient's sides, A front, P back"))

    @property
    def margins_mm(self) -> dict[str, float]:
        return {side: field.value for side, field in self._fields.items()}


def _axes(label: qt.QLabel) -> qt.QPixmap:
    """The patient's axes as a radiologist faces them."""
    ratio = label.devicePixelRatioF()
    picture = qt.QPixmap(round(_SIZE * ratio), round(_SIZE * ratio))
    picture.setDevicePixelRatio(ratio)
    picture.fill(qt.Qt.transparent)
    painter = qt.QPainter(picture)
    painter.setRenderHint(qt.QPainter.Antialiasing)
    painter.setPen(qt.QPen(label.palette.color(qt.QPalette.WindowText), 1.4))
    middle = _SIZE / 2
    slant = 0.6 * _ARM
    for text, x, y in (
        ("S", 0.0, -_ARM),
        ("I", 0.0, _ARM),
        ("R", -_ARM, 0.0),
        ("L", _ARM, 0.0),
        ("A", -slant, slant),
        ("P", slant, -slant),
    ):
        painter.drawLine(qt.QPointF(middle, middle), qt.QPointF(middle + x, middle + y))
        place = qt.QRectF(middle + 1.4 * x - 8, middle + 1.4 * y - 8, 16, 16)
        painter.drawText(place, qt.Qt.AlignCenter, text)
    painter.end()
    return picture
