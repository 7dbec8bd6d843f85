"""The follow-up section of the panel: comparison with a prior CT, what became of each nodule, both CTs side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.translation import tr

_FONT_SCALE = 0.85
_ROW_PADDING = 8
_PERCENT = 100


class FollowUpSection:
    """Drives ``followUpCollapsibleButton``.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
        views: shows both CTs side by side.
    """

    def __init__(self, ui: Any, logic: Any, controls: RunControls, parameters: Callable[[], Any], views: Any) -> None:
        self._ui, self._logic, self._controls = ui, logic, controls
        self._parameters, self._views = parameters, views
        self._shown: Any = None
        self._places: list[tuple[float, float, float] | None] = []
        table = ui.pairsTable
        table.setColumnCount(4)
        table.setHorizontalHeaderLabels([tr("Now"), tr("Before"), tr("Volume"), tr("What became of it")])
        font = qt.QFont(table.font)
        font.setPointSizeF(_FONT_SCALE * font.pointSizeF())
        table.setFont(font)
        table.horizontalHeader().setFont(font)
        # All titles would be bold over a chosen row.
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setMinimumSectionSize(10)
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(3, qt.QHeaderView.Stretch)
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setMinimumSectionSize(10)
        table.verticalHeader().setDefaultSectionSize(table.fontMetrics().height() + _ROW_PADDING)
        table.connect("itemSelectionChanged()", self._on_chosen)
        ui.compareButton.connect("clicked()", self._compare)
        ui.sideBySideButton.connect("clicked(bool)", self._on_side_by_side)

    def show(self) -> None:
        """Show the comparison of the parameter node's findings, and what can be done."""
        parameters = self._parameters()
        self._shown = self._compared(parameters.findings if parameters else None)
        self._fill(self._shown)
        if self._shown is None:
            self._views.close_side_by_side()
            self._ui.sideBySideButton.setChecked(False)
        self.enable()

    def enable(self) -> None:
        """Say what can be done."""
        enable_unless(self._ui.compareButton, self._reason_not_to_compare())
        enable_unless(self._ui.sideBySideButton, "" if self._shown else tr("Compare with a prior CT first."))

    def _reason_not_to_compare(self) -> str:
        parameters = self._parameters()
        volume = parameters.inputVolume if parameters else None
        prior = parameters.priorVolume if parameters else None
        if volume is None:
            return tr("Choose a CT volume above.")
        if prior is None:
            return tr("Choose a prior CT above.")
        if prior is volume:
            return tr("The prior CT is the current one; choose an earlier one above.")
        return self._logic.reasonNotToCompare(volume, prior, parameters.daysBetween or None)

    def close(self) -> None:
        """The panel goes away."""
        self._views.close_side_by_side()

    def _fill(self, compared: Any) -> None:
        rows: list[tuple[str, str, str, str, str]] = []
        self._places = []
        for pair in compared.pairs if compared else ():
            change = f"{pair.volume_change:+.0%}"
            rows.append((str(pair.current.id), str(pair.prior.id), change, pair.behaviour.value, pair.sentence))
            self._places.append(pair.current.centre_ras)
        for ones, is_current in ((compared.new, True), (compared.resolved, False)) if compared else ():
            for one in ones:
                number = str(one.nodule.id)
                ids = (number, "") if is_current else ("", number)
                rows.append((*ids, "", one.behaviour.value, one.sentence))
                self._places.append(one.nodule.centre_ras if is_current else one.place_ras)
        for one in compared.unseen if compared else ():
            rows.append(("", "", "", tr("not covered"), one.sentence))
            self._places.append(None)
        table = self._ui.pairsTable
        table.blockSignals(True)
        table.setRowCount(len(rows))
        for row, (*texts, sentence) in enumerate(rows):
            for column, text in enumerate(texts):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(sentence)
                table.setItem(row, column, item)
        table.blockSignals(False)
        self._ui.followUpLabel.setText(_summary(compared))

    def _on_chosen(self) -> None:
        indexes = self._ui.pairsTable.selectionModel().selectedRows()
        place = self._places[indexes[0].row()] if indexes else None
        if place is not None:
            self._views.jump(place)

    def _compare(self) -> None:
        parameters = self._parameters()

        def steps() -> Steps[None]:
            findings = parameters.findings
            if findings is None or self._logic.volumeOf(findings) is not parameters.inputVolume:
                findings = parameters.inputVolume
            sentences = yield from self._logic.comparing(
                findings, parameters.priorVolume, parameters.daysBetween or None, parameters.device
            )
            parameters.findings = self._logic.findingsIn(parameters.inputVolume)
            self._controls.say(tr("{count} nodules were compared.").format(count=len(sentences)))
            self.show()

        self._controls.start(steps())

    def _on_side_by_side(self, wanted: bool) -> None:
        if not wanted:
            self._views.close_side_by_side()
            return
        findings = self._parameters().findings
        compared = self._compared(findings)
        if compared is None:
            # The prior CT left the scene.
            self.show()
            return
        self._views.show_side_by_side(findings, self._logic.priorOf(findings), compared)

    def _compared(self, findings: Any) -> Any:
        """The comparison of findings; None without one, or where they hold no record."""
        try:
            return self._logic.followUp(findings) if findings else None
        except InputError:
            return None


def _summary(compared: Any) -> str:
    """How sure the comparison is, and what makes it less so."""
    if compared is None:
        return ""
    fit = tr("{days:.0f} days; the lungs overlap by {overlap:.0f} % after registration.").format(
        days=compared.days, overlap=_PERCENT * compared.registration.overlap
    )
    return " ".join((fit, *compared.warnings))
