"""The table of pairs: a reference, what it is compared with, and how well they agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import qt

from SegmentationAILib.widgets.swatch import swatch
from SegmentationAILib.widgets.translation import tr

# What the columns after the pair show, by its name in ``ComparedStructure.figures``.
_FIGURES = ("dice", "surface_dice", "hd95_mm")


class PairTable:
    """A row for each segment of the reference.

    Args:
        widget: shows the rows.
        chosen: told the reference's name in the row that the user clicked or moved to.
        paired: told the reference's name and the test's that the user chose for it, "" for none.
    """

    def __init__(
        self, widget: qt.QTableWidget, chosen: Callable[[str], None], paired: Callable[[str, str], None]
    ) -> None:
        self._widget, self._chosen, self._paired = widget, chosen, paired
        self._names: list[str] = []
        widget.setColumnCount(2 + len(_FIGURES))
        widget.setHorizontalHeaderLabels([tr("Reference"), tr("Test"), tr("Dice"), tr("Surface"), tr("HD95 mm")])
        for column, hint in enumerate(
            (
                tr("Dice: 1 where both are the same"),
                tr("Surface Dice at the tolerance"),
                tr("95 % of the surfaces are nearer to each other than this, mm"),
            ),
            start=2,
        ):
            widget.horizontalHeaderItem(column).setToolTip(hint)
        widget.verticalHeader().setVisible(False)
        widget.setWordWrap(False)
        header = widget.horizontalHeader()
        # All titles would be bold over a chosen row.
        header.setHighlightSections(False)
        header.setMinimumSectionSize(10)
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)
        widget.connect("itemSelectionChanged()", self._on_selection)

    @property
    def chosen(self) -> str:
        """The reference's name in the chosen row, "" where none is."""
        indexes = self._widget.selectionModel().selectedRows()
        return self._names[indexes[0].row()] if indexes else ""

    def show(
        self,
        colours: Mapping[str, tuple[float, float, float]],
        others: Sequence[str],
        pairs: Mapping[str, str],
    ) -> None:
        """Replace all rows; the chosen one stays chosen.

        Args:
            colours: of the reference's segments, by name.
            others: names in the test.
            pairs: names in the test by those in the reference.
        """
        chosen, widget = self.chosen, self._widget
        self._names = list(colours)
        widget.blockSignals(True)
        widget.clearSelection()
        widget.setRowCount(0)
        widget.setRowCount(len(self._names))
        for row, name in enumerate(self._names):
            item = qt.QTableWidgetItem(name)
            item.setIcon(swatch(colours[name]))
            item.setToolTip(name)
            widget.setItem(row, 0, item)
            widget.setCellWidget(row, 1, self._selector(name, others, pairs.get(name, "")))
            for column in range(2, 2 + len(_FIGURES)):
                widget.setItem(row, column, qt.QTableWidgetItem(""))
            if name == chosen:
                widget.selectRow(row)
        widget.blockSignals(False)

    def show_pairs(self, pairs: Mapping[str, str]) -> None:
        """Choose in each row what a segment is paired with; the rows stay."""
        for row, name in enumerate(self._names):
            selector = self._widget.cellWidget(row, 1)
            selector.setCurrentIndex(max(0, selector.findData(pairs.get(name, ""))))

    def show_figures(self, figures: Mapping[str, Mapping[str, float]]) -> None:
        """Fill in what is known, by the reference's name; the other rows become empty."""
        for row, name in enumerate(self._names):
            held = figures.get(name, {})
            for column, key in enumerate(_FIGURES, start=2):
                item = self._widget.item(row, column)
                item.setText(number(held.get(key, math.nan), decimals=1 if key.endswith("_mm") else 2))
                item.setTextAlignment(qt.Qt.AlignVCenter | qt.Qt.AlignRight)

    def _selector(self, name: str, others: Sequence[str], chosen: str) -> qt.QComboBox:
        selector = qt.QComboBox()
        selector.setToolTip(tr("What {name} is compared with").format(name=name))
        selector.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        selector.setMinimumContentsLength(4)
        selector.addItem("\N{EN DASH}", "")
        for other in others:
            selector.addItem(other, other)
        selector.setCurrentIndex(max(0, selector.findData(chosen)))
        selector.connect("activated(int)", lambda index: self._paired(name, selector.itemData(index)))
        return selector

    def _on_selection(self) -> None:
        if self.chosen:
            self._chosen(self.chosen)


def number(value: float, *, decimals: int) -> str:
    """As a table shows it: "" where it is not defined, an infinity sign where one of both is empty."""
    if math.isnan(value):
        return ""
    return "\N{INFINITY}" if math.isinf(value) else f"{value:.{decimals}f}"
