"""The table of a protocol's goals and what became of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import qt

from SegmentationAILib.widgets.translation import tr

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.goals import GoalResult


class GoalsTable:
    """A row for each goal, with why it failed or where it was published in the tool tip.

    Args:
        table: an empty table.
    """

    def __init__(self, table: qt.QTableWidget) -> None:
        self._table = table
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([tr("Goal"), tr("Value"), tr("Verdict")])
        table.verticalHeader().setVisible(False)
        table.horizontalHeader().setMinimumSectionSize(10)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def show(self, results: Sequence[GoalResult]) -> None:
        self._table.setRowCount(len(results))
        for row, result in enumerate(results):
            value = "" if math.isnan(result.value) else f"{result.value:.4g}"
            for column, text in enumerate((str(result.goal), value, result.verdict.value)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(result.reason or result.goal.source)
                self._table.setItem(row, column, item)
