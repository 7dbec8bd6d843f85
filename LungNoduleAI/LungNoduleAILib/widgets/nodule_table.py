"""The table of nodules in the panel: sort, filter, choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import qt

from LungNoduleAILib.review import Verdict
from LungNoduleAILib.widgets.nodule_columns import NoduleColumns, row_tool_tip

if TYPE_CHECKING:
    from LungNoduleAILib.overview import Row

# Of the panel's font, so that ten columns fit beside each other at 350 px.
_FONT_SCALE = 0.82
_TITLE_PADDING = 4
_SORT_ARROW = 12
_ROW_PADDING = 8
# The site's words take what room there is.
_STRETCHED = 1
# The table is as high as its rows, within these.
_LEAST_ROWS, _MOST_ROWS = 3, 12


class _Cell(NamedTuple):
    text: str
    tool_tip: str
    struck_out: bool


class NoduleTable:
    """A row for each nodule, the surest first.

    Args:
        widget: shows the rows.
        chosen: told the id of the nodule that the user clicked or moved to.
    """

    def __init__(self, widget: qt.QTableWidget, chosen: Callable[[int], None]) -> None:
        self._widget = widget
        self._chosen = chosen
        self._rows: list[Row] = []
        # What each cell of a row says, since asking the widget takes longer.
        self._written: list[list[_Cell | None]] = []
        self._minimum_score = self._minimum_diameter_mm = 0.0
        self._columns = NoduleColumns().all
        self._prepare()

    def show(self, rows: Sequence[Row]) -> None:
        """Show these rows, of which those that are as before are left alone; the chosen nodule stays chosen."""
        kept, before = self.chosen_id, self._rows
        self._rows = self._sorted(rows)
        if [row.id for row in before] == self.all_ids:
            self._fill([index for index, row in enumerate(self._rows) if row != before[index]])
        else:
            self._fill_all()
            self._mark_chosen(kept)

    def filter(self, minimum_score: float, minimum_diameter_mm: float = 0.0) -> None:
        """Hide the rows below a score or a mean diameter; a nodule that the reader added has no score to fall below."""
        self._minimum_score, self._minimum_diameter_mm = minimum_score, minimum_diameter_mm
        for index, row in enumerate(self._rows):
            if self._widget.isRowHidden(index) == self._passes(row):
                self._widget.setRowHidden(index, not self._passes(row))

    def choose(self, nodule_id: int | None) -> None:
        """Choose a nodule as a click would."""
        if self._mark_chosen(nodule_id):
            self._on_chosen()

    @property
    def rows(self) -> list[Row]:
        """In the order shown, hidden ones included."""
        return self._rows

    @property
    def chosen_id(self) -> int | None:
        """The nodule whose row is chosen and shown."""
        indexes = self._widget.selectionModel().selectedRows()
        if not indexes or self._widget.isRowHidden(indexes[0].row()) or indexes[0].row() >= len(self._rows):
            return None
        return self._rows[indexes[0].row()].id

    @property
    def visible_ids(self) -> list[int]:
        """Nodules that pass the filter, in the order shown."""
        return [row.id for row in self._rows if self._passes(row)]

    @property
    def all_ids(self) -> list[int]:
        return [row.id for row in self._rows]

    def next_open(self) -> int | None:
        """The first nodule after the chosen one, round the table, that is shown and was not decided."""
        ids = self.visible_ids
        start = ids.index(self.chosen_id) + 1 if self.chosen_id in ids else 0
        undecided = {row.id for row in self._rows if row.verdict is Verdict.OPEN}
        return next((one for one in ids[start:] + ids[:start] if one in undecided), None)

    def _passes(self, row: Row) -> bool:
        # By what the table shows, so that a nodule of "6.0" passes a limit of 6.0.
        is_large = round(row.mean_diameter_mm, 1) >= self._minimum_diameter_mm
        return is_large and (row.added or row.score >= self._minimum_score)

    def _prepare(self) -> None:
        widget = self._widget
        widget.setColumnCount(len(self._columns))
        widget.setHorizontalHeaderLabels([column.title for column in self._columns])
        font = qt.QFont(widget.font)
        font.setPointSizeF(_FONT_SCALE * font.pointSizeF())
        widget.setFont(font)
        # Titles do not take the table's font where the style has one for them.
        widget.horizontalHeader().setFont(font)
        for index, column in enumerate(self._columns):
            widget.horizontalHeaderItem(index).setToolTip(column.tool_tip)
        widget.verticalHeader().setVisible(False)
        widget.verticalHeader().setMinimumSectionSize(10)
        widget.verticalHeader().setDefaultSectionSize(widget.fontMetrics().height() + _ROW_PADDING)
        header = widget.horizontalHeader()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(_STRETCHED, qt.QHeaderView.Stretch)
        header.setMinimumSectionSize(10)
        # Bold titles over a chosen row would not fit.
        header.setHighlightSections(False)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicator(0, qt.Qt.AscendingOrder)
        header.connect("sectionClicked(int)", self._on_header_clicked)
        widget.connect("itemSelectionChanged()", self._on_chosen)
        widget.connect("cellClicked(int,int)", lambda _row, _column: self._on_chosen())
        self._fit_columns()
        self._fit_height()

    def _sorted(self, rows: Sequence[Row]) -> list[Row]:
        header = self._widget.horizontalHeader()
        order = self._columns[header.sortIndicatorSection()].order
        return sorted(rows, key=order, reverse=header.sortIndicatorOrder() == qt.Qt.DescendingOrder)

    def _fill_all(self) -> None:
        self._widget.blockSignals(True)
        self._widget.clearSelection()
        self._widget.setRowCount(len(self._rows))
        self._widget.blockSignals(False)
        count = len(self._rows)
        new = range(len(self._written), count)
        self._written = [*self._written[:count], *([None] * len(self._columns) for _row in new)]
        self._fit_height()
        self._fill(range(len(self._rows)))

    def _fill(self, indexes: Sequence[int]) -> None:
        self._widget.blockSignals(True)
        written = [self._write(index, position) for index in indexes for position in self._changed_cells(index)]
        self._widget.blockSignals(False)
        if written:
            self._fit_columns()
        self.filter(self._minimum_score, self._minimum_diameter_mm)

    def _changed_cells(self, index: int) -> list[int]:
        """Positions of the cells of a row that are to say something else now, which ``_written`` then tells."""
        row, tool_tip = self._rows[index], row_tool_tip(self._rows[index])
        rejected = row.verdict is Verdict.REJECTED
        cells = [_Cell(column.text(row), tool_tip or column.tool_tip, rejected) for column in self._columns]
        before, self._written[index] = self._written[index], cells
        return [position for position, cell in enumerate(cells) if cell != before[position]]

    def _fit_columns(self) -> None:
        """As narrow as titles and cells allow; Qt's own fitting leaves room for a sort arrow beside each title."""
        header = self._widget.horizontalHeader()
        metrics = header.fontMetrics()
        for index, column in enumerate(self._columns):
            arrow = _SORT_ARROW if index == header.sortIndicatorSection() else 0
            title = metrics.size(0, column.title).width() + _TITLE_PADDING + arrow
            self._widget.setColumnWidth(index, max(title, self._widget.sizeHintForColumn(index)))

    def _fit_height(self) -> None:
        rows = min(max(len(self._rows), _LEAST_ROWS), _MOST_ROWS)
        metrics = self._widget.horizontalHeader().fontMetrics()
        titles = max(metrics.size(0, column.title).height() for column in self._columns) + _ROW_PADDING
        height = titles + rows * self._widget.verticalHeader().defaultSectionSize + 2 * self._widget.frameWidth
        self._widget.setMinimumHeight(height)
        self._widget.setMaximumHeight(height)

    def _write(self, index: int, position: int) -> None:
        cell, column = self._written[index][position], self._columns[position]
        item = qt.QTableWidgetItem(cell.text)
        item.setTextAlignment(qt.Qt.AlignVCenter | (qt.Qt.AlignRight if column.is_number else qt.Qt.AlignLeft))
        item.setToolTip(cell.tool_tip)
        if cell.struck_out:
            font = qt.QFont(self._widget.font)
            font.setStrikeOut(True)
            item.setFont(font)
        self._widget.setItem(index, position, item)

    def _mark_chosen(self, nodule_id: int | None) -> bool:
        """Choose a row without telling; whether there is one to choose."""
        self._widget.blockSignals(True)
        self._widget.clearSelection()
        found = nodule_id in self.visible_ids
        if found:
            self._widget.selectRow(self.all_ids.index(nodule_id))
        self._widget.blockSignals(False)
        return found

    def _on_header_clicked(self, _section: int) -> None:
        kept = self.chosen_id
        self._rows = self._sorted(self._rows)
        self._fill_all()
        # The arrow moves, also where no cell says something else.
        self._fit_columns()
        self._mark_chosen(kept)

    def _on_chosen(self) -> None:
        chosen = self.chosen_id
        if chosen is not None:
            self._chosen(chosen)
