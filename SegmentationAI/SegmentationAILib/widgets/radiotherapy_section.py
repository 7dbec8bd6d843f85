"""The radiotherapy section of the panel: structures and their rules, tumour, names, dose, RTSTRUCT in and out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import qt

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.margin_fields import MarginFields
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.structure_table import StructureRow, StructureTable
from SegmentationAILib.widgets.text_dialog import TextDialog
from SegmentationAILib.widgets.translation import tr

_DICOM_FILTER = "DICOM (*.dcm *.DCM);;All files (*)"
# What edits announce, they announce often: the table follows once they pause.
_PAUSE_MS = 150


class RadiotherapySection:
    """Drives the widgets of ``radiotherapyCollapsibleButton``.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
        show_chart: shows a plot chart node to the user.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        controls: RunControls,
        parameters: Callable[[], Any],
        show_chart: Callable[[Any], None],
    ) -> None:
        self._ui, self._logic, self._controls = ui, logic, controls
        self._parameters, self._show_chart = parameters, show_chart
        self._dialog: TextDialog | None = None
        self._shown = None
        self._tags: list[tuple[Any, int]] = []
        self._table = StructureTable(ui.structuresTable, self._on_row)
        self._margins = MarginFields(ui, self._on_margins)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", self._show_rows)
        ui.goalsTable.setColumnCount(3)
        ui.goalsTable.setHorizontalHeaderLabels([tr("Goal"), tr("Value"), tr("Verdict")])
        ui.goalsTable.verticalHeader().setVisible(False)
        ui.goalsTable.horizontalHeader().setMinimumSectionSize(10)
        ui.goalsTable.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        ui.goalsTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        for name, slot in (
            ("applyProtocolButton", self._apply_protocol),
            ("rebuildButton", self._rebuild),
            ("checkNamesButton", self._check_names),
            ("importStructuresButton", self._import),
            ("exportStructuresButton", self._export),
            ("contourTumourButton", self._contour_tumour),
            ("setRuleButton", self._set_rule),
            ("loadDoseButton", self._load_dose),
            ("evaluateButton", self._evaluate),
        ):
            getattr(ui, name).connect("clicked()", slot)
        ui.marginSourceComboBox.connect("activated(int)", lambda _index: self._on_margins())
        ui.radiotherapyCollapsibleButton.connect("contentsCollapsed(bool)", self._on_collapsed)

    def close(self) -> None:
        """The panel goes away."""
        self._timer.stop()
        self._observe(None)

    def show(self) -> None:
        """Show what the parameter node says."""
        parameters = self._parameters()
        structures = parameters.structures if parameters else None
        if structures is not self._shown:
            self._observe(structures)
            self._show_rows()
        self._enable()

    def _on_collapsed(self, collapsed: bool) -> None:
        # Reading the protocols takes a moment, which opening the panel should not.
        if not collapsed and self._ui.protocolComboBox.count == 0:
            try:
                protocols = self._logic.protocols()
            except InputError as problem:
                self._controls.say(str(problem), is_problem=True)
                return
            for name, path in protocols.items():
                self._ui.protocolComboBox.addItem(name, path)

    def _enable(self) -> None:
        parameters = self._parameters()
        volume = parameters.inputVolume if parameters else None
        structures = parameters.structures if parameters else None
        needs_volume = "" if volume else tr("Choose a CT volume above.")
        needs_structures = needs_volume or ("" if structures else tr("Choose a structure set, or apply a protocol."))
        needs_dose = needs_structures or ("" if parameters.dose else tr("Load a dose."))
        needs_points = needs_volume or ("" if parameters.tumourPoints else tr("Place points on the tumour."))
        for name, reason in (
            ("applyProtocolButton", needs_volume),
            ("importStructuresButton", needs_volume),
            ("rebuildButton", needs_structures),
            ("checkNamesButton", needs_structures),
            ("exportStructuresButton", needs_structures),
            ("setRuleButton", needs_structures),
            ("evaluateButton", needs_dose),
            ("contourTumourButton", needs_points),
        ):
            enable_unless(getattr(self._ui, name), reason)

    def _observe(self, structures: Any) -> None:
        for caller, tag in self._tags:
            caller.RemoveObserver(tag)
        self._shown = structures
        self._tags = []
        if structures is not None:
            segments = structures.GetSegmentation()
            self._tags = [(segments, segments.AddObserver("AnyEvent", lambda *_: self._timer.start()))]

    def _show_rows(self) -> None:
        rows = self._logic.structureRows(self._shown) if self._shown else []
        self._table.show([StructureRow(*row) for row in rows])
        chosen = self._ui.marginSourceComboBox.currentText
        self._ui.marginSourceComboBox.clear()
        for row in rows:
            self._ui.marginSourceComboBox.addItem(row[0])
        self._ui.marginSourceComboBox.setCurrentIndex(max(0, self._ui.marginSourceComboBox.findText(chosen)))

    def _on_row(self, row: StructureRow) -> None:
        self._ui.structureNameEdit.setText(row.name)
        self._ui.ruleEdit.setText(row.rule)

    def _on_margins(self) -> None:
        source = self._ui.marginSourceComboBox.currentText
        if source:
            self._ui.ruleEdit.setText(self._logic.marginRule(source, self._margins.margins_mm))

    def _run(self, work: Callable[[Any, Progress], str | None]) -> None:
        """Do it with the parameters; what it returns is said below the button."""
        parameters = self._parameters()
        said = self._controls.run(lambda progress: work(parameters, progress) or tr("Done."))
        if said:
            self._controls.say(said)
        self._timer.start()
        self._enable()

    def _apply_protocol(self) -> None:
        protocol = self._ui.protocolComboBox.itemData(self._ui.protocolComboBox.currentIndex)

        def work(parameters: Any, progress: Progress) -> str:
            if not parameters.structures:
                parameters.structures = self._logic.newStructures(parameters.inputVolume)
            unbuilt = self._logic.applyProtocol(
                parameters.structures, parameters.inputVolume, protocol, parameters.device, progress
            )
            return tr("Done; to complete: {list}").format(list=" ".join(unbuilt)) if unbuilt else ""

        self._run(work)

    def _rebuild(self) -> None:
        def work(parameters: Any, progress: Progress) -> str:
            made = self._logic.rebuild(parameters.structures, parameters.inputVolume, None, progress)
            return tr("Made again: {list}").format(list=", ".join(made)) if made else tr("Nothing is derived.")

        self._run(work)

    def _set_rule(self) -> None:
        name, rule = self._ui.structureNameEdit.text.strip(), self._ui.ruleEdit.text.strip()
        self._run(
            lambda parameters, progress: self._logic.setRule(
                parameters.structures, parameters.inputVolume, name, rule, progress
            )
        )

    def _contour_tumour(self) -> None:
        def work(parameters: Any, progress: Progress) -> None:
            if not parameters.structures:
                parameters.structures = self._logic.newStructures(parameters.inputVolume)
            self._logic.contourTumour(
                parameters.structures,
                parameters.inputVolume,
                parameters.tumourPoints,
                parameters.otherPoints,
                progress=progress,
            )

        self._run(work)

    def _check_names(self) -> None:
        parameters = self._parameters()
        findings = self._logic.checkNames(parameters.structures)
        names = self._logic.nameProposals(parameters.structures)
        parent = self._ui.checkNamesButton.window()
        if not names:
            text = "\n".join(findings) or tr("All names follow AAPM TG-263.")
            self._dialog = TextDialog(tr("Names by AAPM TG-263"), text, parent)
            self._dialog.show()
            return
        listed = "\n".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in names.items())
        question = "\n".join([*findings, "", tr("Rename these?"), listed])
        if qt.QMessageBox.question(parent, tr("Names by AAPM TG-263"), question) == qt.QMessageBox.Yes:
            self._run(
                lambda parameters, _progress: self._logic.applyNames(
                    parameters.structures, parameters.inputVolume, names
                )
            )

    def _import(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, tr("Import RTSTRUCT"), "", _DICOM_FILTER)
        if not path:
            return

        def work(parameters: Any, progress: Progress) -> str:
            node, notes = self._logic.importStructures(path, parameters.inputVolume, progress)
            parameters.structures = node
            return " ".join(notes)

        self._run(work)

    def _export(self) -> None:
        parent = self._ui.exportStructuresButton.window()
        parameters = self._parameters()
        if not self._logic.isFromDicom(parameters.inputVolume):
            question = tr("This CT does not come from DICOM. An RTSTRUCT needs one: write the CT as DICOM too?")
            answer = qt.QMessageBox.question(parent, tr("Export RTSTRUCT"), question)
            if answer != qt.QMessageBox.Yes:
                return
            folder = qt.QFileDialog.getExistingDirectory(parent, tr("Empty folder for the CT's DICOM files"))
            if not folder:
                return
            self._logic.exportCT(parameters.inputVolume, folder)
        else:
            folder = self._logic.dicomFolder(parameters.inputVolume) or qt.QFileDialog.getExistingDirectory(
                parent, tr("Folder of the CT's DICOM series")
            )
        path = qt.QFileDialog.getSaveFileName(parent, tr("Export RTSTRUCT"), "structures.dcm", _DICOM_FILTER)
        if not (folder and path):
            return

        def work(parameters: Any, progress: Progress) -> str:
            written = self._logic.exportStructures(
                parameters.structures, parameters.inputVolume, path, folder, progress
            )
            return tr("Written: {path}").format(path=written)

        self._run(work)

    def _load_dose(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, tr("Load RTDOSE"), "", _DICOM_FILTER)
        if not path:
            return

        def work(parameters: Any, _progress: Progress) -> str:
            node, notes = self._logic.loadDose(path)
            parameters.dose = node
            return " ".join(notes)

        self._run(work)

    def _evaluate(self) -> None:
        protocol = self._ui.protocolComboBox.itemData(self._ui.protocolComboBox.currentIndex)

        def work(parameters: Any, progress: Progress) -> str:
            evaluation, chart, _table = self._logic.evaluateDose(
                parameters.structures, parameters.inputVolume, parameters.dose, protocol, progress=progress
            )
            self._show_goals(evaluation.results)
            self._show_chart(chart)
            return " ".join(evaluation.warnings)

        self._run(work)

    def _show_goals(self, results: Sequence[Any]) -> None:
        table = self._ui.goalsTable
        table.setRowCount(len(results))
        for row, result in enumerate(results):
            value = "" if math.isnan(result.value) else f"{result.value:.4g}"
            for column, text in enumerate((str(result.goal), value, result.verdict.value)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(result.reason or result.goal.source)
                table.setItem(row, column, item)
