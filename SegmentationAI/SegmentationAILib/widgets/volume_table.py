"""The table of segments and their volumes."""

from __future__ import annotations

from collections.abc import Mapping

import qt

from SegmentationAILib.widgets.translation import tr


class VolumeTable:
    """Names and volumes in ml, in the order of the segmentation."""

    def __init__(self, widget: qt.QTableWidget) -> None:
        self._widget = widget
        widget.setColumnCount(2)
        widget.setHorizontalHeaderLabels([tr("Structure"), tr("Volume (ml)")])
        widget.verticalHeader().setVisible(False)
        widget.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)

    def show(self, volumes_ml: Mapping[str, float]) -> None:
        """Replace all rows."""
        self._widget.setRowCount(len(volumes_ml))
        for row, (name, volume) in enumerate(volumes_ml.items()):
            self._widget.setItem(row, 0, qt.QTableWidgetItem(name))
            number = qt.QTableWidgetItem(f"{volume:.1f}")
            number.setTextAlignment(qt.Qt.AlignVCenter | qt.Qt.AlignRight)
            self._widget.setItem(row, 1, number)
