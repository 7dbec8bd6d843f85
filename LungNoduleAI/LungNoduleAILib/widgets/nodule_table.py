"""The table of nodules in the panel: sort, filter, choose."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import qt

from SegmentationAILib.widgets.translation import tr

# Of the panel's font, so that nine columns fit beside each other at 350 px.
_FONT_SCALE = 0.85
_TITLE_PADDING = 4


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
            Column(tr("#"), "id", "{}", tr("Number, in order of falling score")),
            Column(tr("R/L"), "lung", "{}", tr("The patient's right or left lung")),
            Column(
                tr("Ø mm"), "mean_diameter_mm", "{:.1f}", tr("Mean of the longest axial diameter and the one across it")
            ),
            Column(tr("mm³"), "volume_mm3", "{:.0f}", tr("Volume")),
            Column(tr("HU"), "mean_hu", "{:.0f}", tr("Mean attenuation")),
            Column(tr("Score"), "score", "{:.2f}", tr("How much the detector believes in it, 0 to 1")),
            Column(tr("Kind"), "kind", "{}", tr("What radiologists would probably have called it, by its texture")),
            Column(
                tr("Suspi-\ncion of\nreaders\n(1-5)"),
                "suspicion_of_readers_1_to_5",
                "{:.1f}",
                tr(
                    "Suspicion of malignancy that radiologists would probably have stated on seeing it, "
                    "1 (least) to 5 (most). Their impression of a picture: no probability of cancer, no diagnosis."
                ),
            ),
            Column(
                tr("Calci-\nfied"), "calcified", "{}", tr("Whether radiologists would probably have seen calcium in it")
            ),
        )
        # The table's words, as the user reads them.
        self._words = {
            # Short or in two lines, for a narrow panel.
            "left": tr("L"),
            "right": tr("R"),
            "ground glass": tr("ground\nglass"),
            "part-solid": tr("part-\nsolid"),
            "solid": tr("solid"),
            "yes": tr("yes"),
            "no": tr("no"),
        }
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
        font = qt.QFont(widget.font)
        font.setPointSizeF(_FONT_SCALE * font.pointSizeF())
        widget.setFont(font)
        # Titles do not take the table's font where the style has one for them.
        widget.horizontalHeader().setFont(font)
        for index, column in enumerate(self._columns):
            widget.horizontalHeaderItem(index).setToolTip(column.tool_tip)
        widget.verticalHeader().setVisible(False)
        header = widget.horizontalHeader()
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(10)
        header.setSectionsClickable(True)
        header.setSortIndicatorShown(True)
        header.setSortIndicator(0, qt.Qt.AscendingOrder)
        header.connect("sectionClicked(int)", self._on_header_clicked)
        widget.connect("itemSelectionChanged()", self._on_chosen)
        widget.connect("cellClicked(int,int)", lambda _row, _column: self._on_chosen())
        self._fit_columns()

    def _sort_and_fill(self) -> None:
        header = self._widget.horizontalHeader()
        key = self._columns[header.sortIndicatorSection()].key
        descending = header.sortIndicatorOrder() == qt.Qt.DescendingOrder
        self._rows.sort(key=lambda row: _order(row[key]), reverse=descending)
        self._widget.blockSignals(True)
        self._widget.clearSelection()
        self._widget.setRowCount(len(self._rows))
        for index, row in enumerate(self._rows):
            tool_tip = self._row_tool_tip(row)
            for position, column in enumerate(self._columns):
                item = self._item(column, row[column.key])
                item.setToolTip(tool_tip or column.tool_tip)
                self._widget.setItem(index, position, item)
        self._widget.blockSignals(False)
        self._fit_columns()
        self.filter(self._minimum_score)

    def _fit_columns(self) -> None:
        """As narrow as titles and cells allow; Qt's own fitting leaves room for a sort arrow beside each title."""
        metrics = self._widget.horizontalHeader().fontMetrics()
        for index, column in enumerate(self._columns):
            title = metrics.size(0, column.title).width() + _TITLE_PADDING
            self._widget.setColumnWidth(index, max(title, self._widget.sizeHintForColumn(index)))

    def _item(self, column: Column, value: float | str) -> qt.QTableWidgetItem:
        is_text = isinstance(value, str)
        text = self._words.get(value, value) if is_text else "" if math.isnan(value) else column.format.format(value)
        item = qt.QTableWidgetItem(text)
        item.setTextAlignment(qt.Qt.AlignVCenter | (qt.Qt.AlignLeft if is_text else qt.Qt.AlignRight))
        return item

    def _row_tool_tip(self, row: dict[str, float | str]) -> str:
        """All ratings of a nodule, a sentence in a line, and what they are not; "" where it was not rated."""
        if not row["ratings"]:
            return ""
        sentences = html.escape(row["ratings"]).replace(". ", ".<br>")
        caution = html.escape(tr("Impressions of a picture, compared by a program; no diagnosis."))
        return f"{sentences}<br><i>{caution}</i>"

    def _on_header_clicked(self, _section: int) -> None:
        self._sort_and_fill()

    def _on_chosen(self) -> None:
        indexes = self._widget.selectionModel().selectedRows()
        if indexes:
            self._chosen(self._rows[indexes[0].row()]["id"])


def _order(value: float | str) -> float | str:
    """Sorts a value; a number that is not known is below all others."""
    return -math.inf if isinstance(value, float) and math.isnan(value) else value
