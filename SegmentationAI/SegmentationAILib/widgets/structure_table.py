"""The table of structures: name, role, volume, rule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import qt

from SegmentationAILib.widgets.swatch import swatch
from SegmentationAILib.widgets.translation import tr


@dataclass(frozen=True)
class StructureRow:
    """What a row shows."""

    name: str
    role: str
    volume_ml: float
    rule: str
    colour: tuple[float, float, float]


class StructureTable:
    """Rows in the order of the segmentation.

    Args:
        widget: shows the rows.
        chosen: told the row that the user clicked or moved to.
    """

    def __init__(self, widget: qt.QTableWidget, chosen: Callable[[StructureRow], None]) -> None:
        self._widget = widget
        self._chosen = chosen
        self._rows: list[StructureRow] = []
        widget.setColumnCount(4)
        widget.setHorizontalHeaderLabels([tr("Structure"), tr("Role"), tr("ml"), tr("Rule")])
        widget.verticalHeader().setVisible(False)
        header = widget.horizontalHeader()
        # All titles would be bold over a chosen row.
        header.setHighlightSections(False)
        header.setMinimumSectionSize(10)
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(3, qt.QHeaderView.Stretch)
        widget.setWordWrap(False)
        widget.connect("itemSelectionChanged()", self._on_chosen)

    @property
    def rows(self) -> Sequence[StructureRow]:
        return tuple(self._rows)

    def show(self, rows: Sequence[StructureRow]) -> None:
        """Replace all rows; the chosen structure stays chosen."""
        chosen = self._chosen_name()
        self._rows = list(rows)
        widget = self._widget
        widget.blockSignals(True)
        widget.clearSelection()
        widget.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            for column, text in enumerate((row.name, row.role, f"{row.volume_ml:.1f}", row.rule)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(row.rule or tr("Drawn"))
                if column == 0:
                    item.setIcon(swatch(row.colour))
                if column == 2:
                    item.setTextAlignment(qt.Qt.AlignVCenter | qt.Qt.AlignRight)
                widget.setItem(index, column, item)
            if row.name == chosen:
                widget.selectRow(index)
        widget.blockSignals(False)

    def _chosen_name(self) -> str:
        indexes = self._widget.selectionModel().selectedRows()
        return self._rows[indexes[0].row()].name if indexes else ""

    def _on_chosen(self) -> None:
        indexes = self._widget.selectionModel().selectedRows()
        if indexes:
            self._chosen(self._rows[indexes[0].row()])
