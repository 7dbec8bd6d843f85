"""The table of nodules in the panel: sort, filter, choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import qt

from SegmentationAILib.widgets.translation import tr


@dataclass(frozen=True)
class Column:
    """A column: its title, its key in a row, how its value is written, and what it means."""

    title: str
    key: str
    format: str
    tool_tip: str


class NoduleTable:
    """Rows of numbers keyed as in ``nodules.csv``, the surest first.

    Args:
        widget: shows the rows.
        chosen: told the id of the nodule that the user clicked or moved to.
    """

    def __init__(self, widget: qt.QTableWidget, chosen: Callable[[int], None]) -> None:
        self._widget = widget
        self._chosen = chosen
        self._rows: list[dict[str, float | str]] = []
        self._minimum_score = 0.0
        self._columns = (
            Column(tr("No."), "id", "{}", tr("Number, in order of falling score")),
            Column(tr("Lung"), "lung", "{}", tr("The patient's left or right lung")),
            Column(
                tr("Ø mm"), "mean_diameter_mm", "{:.1f}", tr("Mean of the longest axial diameter and the one across it")
            ),
            Column(tr("mm³"), "volume_mm3", "{:.0f}", tr("Volume")),
            Column(tr("HU"), "mean_hu", "{:.0f}", tr("Mean attenuation")),
            Column(tr("Score"), "score", "{:.2f}", tr("How much the detector believes in it, 0 to 1")),
        )
        self._prepare()

    def show(self, rows: Sequence[dict[str, float | str]]) -> None:
        """Replace all rows."""
        self._rows = list(rows)
        self._sort_and_fill()

    def filter(self, minimum_score: float) -> None:
        """Hide the rows below a score."""
        self._minimum_score = minimum_score
        for index, row in enumerate(self._rows):
            self._widget.setRowHidden(index, row["score"] < minimum_score)

    @property
    def visible_ids(self) -> list[int]:
        """Nodules that pass the filter, in the order shown."""
        return [row["id"] for row in self._rows if row["score"] >= self._minimum_score]

    @property
    def all_ids(self) -> list[int]:
        return [row["id"] for row in self._rows]

    def _prepare(self) -> None:
        widget = self._widget
        widget.setColumnCount(len(self._columns))
        widget.setHorizontalHeaderLabels([column.title for column in self._columns])
        for index, column in enumerate(self._columns):
            widget.horizontalHeaderItem(index).setToolTip(column.tool_tip)
        widget.verticalHeader().setVisible(False)
        header = widget.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.Stretch)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicator(0, qt.Qt.AscendingOrder)
        header.connect("sectionClicked(int)", self._on_header_clicked)
        widget.connect("itemSelectionChanged()", self._on_chosen)
        widget.connect("cellClicked(int,int)", lambda _row, _column: self._on_chosen())

    def _sort_and_fill(self) -> None:
        header = self._widget.horizontalHeader()
        key = self._columns[header.sortIndicatorSection()].key
        descending = header.sortIndicatorOrder() == qt.Qt.DescendingOrder
        self._rows.sort(key=lambda row: row[key], reverse=descending)
        self._widget.blockSignals(True)
        self._widget.clearSelection()
        self._widget.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            for position, column in enumerate(self._columns):
                self._widget.setItem(index, position, self._item(column, row[column.key]))
        self._widget.blockSignals(False)
        self.filter(self._minimum_score)

    def _item(self, column: Column, value: float | str) -> qt.QTableWidgetItem:
        item = qt.QTableWidgetItem(column.format.format(value))
        item.setToolTip(column.tool_tip)
        side = qt.Qt.AlignLeft if isinstance(value, str) else qt.Qt.AlignRight
        item.setTextAlignment(qt.Qt.AlignVCenter | side)
        return item

    def _on_header_clicked(self, _section: int) -> None:
        self._sort_and_fill()

    def _on_chosen(self) -> None:
        indexes = self._widget.selectionModel().selectedRows()
        if indexes:
            self._chosen(self._rows[indexes[0].row()]["id"])
