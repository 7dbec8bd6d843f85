"""The radiotherapy section of the panel: structures and their rules, tumour, names, dose, RTSTRUCT in and out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import qt

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.steps import Steps, part
from SegmentationAILib.widgets.goals_table import GoalsTable
from SegmentationAILib.widgets.margin_fields import MarginFields
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.stepped_run import SteppedRun
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
        self._listing: SteppedRun | None = None
        self._reading: SteppedRun | None = None
        self._tags: list[tuple[Any, int]] = []
        self._table = StructureTable(ui.structuresTable, self._on_row)
        self._margins = MarginFields(ui, self._on_margins)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", self._show_rows)
        self._goals = GoalsTable(ui.goalsTable)
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
        ui.protocolComboBox.connect("currentIndexChanged(int)", lambda _index: self._enable())
        ui.marginSourceComboBox.connect("activated(int)", lambda _index: self._on_margins())
        ui.radiotherapyCollapsibleButton.connect("contentsCollapsed(bool)", self._on_collapsed)
        self._on_collapsed(ui.radiotherapyCollapsibleButton.collapsed)

    def close(self) -> None:
        """The panel goes away."""
        self._timer.stop()
        for run in (self._listing, self._reading):
            if run is not None:
                run.abandon()
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
        if not collapsed and self._ui.protocolComboBox.count == 0 and self._reading is None:
            self._reading = SteppedRun(self._logic.listingProtocols(), background, self._on_protocols)
            self._reading.start()

    def _on_protocols(self, protocols: Mapping[str, str] | None, error: BaseException | None) -> None:
        self._reading = None
        if error is not None:
            self._controls.say(str(error), is_problem=True)
            return
        for name, path in protocols.items():
            self._ui.protocolComboBox.addItem(name, path)
        # Another site's protocol would add the wrong structures: the user chooses.
        self._ui.protocolComboBox.setCurrentIndex(-1)

    def _enable(self) -> None:
        parameters = self._parameters()
        volume = parameters.inputVolume if parameters else None
        structures = parameters.structures if parameters else None
        needs_volume = "" if volume else tr("Choose a CT volume above.")
        needs_protocol = needs_volume or (
            "" if self._ui.protocolComboBox.currentIndex >= 0 else tr("Choose a protocol.")
        )
        needs_structures = needs_volume or ("" if structures else tr("Choose a structure set, or apply a protocol."))
        needs_dose = needs_structures or ("" if parameters.dose else tr("Load a dose."))
        needs_points = needs_volume or ("" if parameters.tumourPoints else tr("Place points on the tumour."))
        for name, reason in (
            ("applyProtocolButton", needs_protocol),
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
        if self._listing is not None:
            self._listing.abandon()
            self._listing = None
        if self._shown is None:
            self._on_rows([], None)
            return
        self._listing = SteppedRun(self._logic.listingStructures(self._shown), background, self._on_rows)
        self._listing.start()

    def _on_rows(self, rows: Sequence[tuple] | None, error: BaseException | None) -> None:
        if error is not None:
            raise error
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

    def _start(self, work: Callable[[Any], Steps[Any]], shown: Callable[[Any], str | None]) -> None:
        """Start a run.

        Args:
            work: given the module ``radiotherapy.workflow``.
            shown: shows what came of it and tells it in a sentence.
        """

        def steps() -> Steps[None]:
            made = yield from self._logic.steps(work)
            self._controls.say(shown(made) or tr("Done."))
            self._timer.start()
            self._enable()

        self._controls.start(steps())

    def _apply_protocol(self) -> None:
        held = self._parameters()
        structures, volume, device = held.structures, held.inputVolume, held.device
        protocol = self._ui.protocolComboBox.itemData(self._ui.protocolComboBox.currentIndex)

        def shown(made: tuple[Any, Sequence[str]]) -> str:
            held.structures, unbuilt = made
            return tr("Done; to complete: {list}").format(list=" ".join(unbuilt)) if unbuilt else ""

        self._start(lambda workflow: workflow.applying_protocol(structures, volume, protocol, device), shown)

    def _rebuild(self) -> None:
        held = self._parameters()
        structures, volume = held.structures, held.inputVolume

        def shown(made: Sequence[str]) -> str:
            return tr("Made again: {list}").format(list=", ".join(made)) if made else tr("Nothing is derived.")

        self._start(lambda workflow: workflow.rebuilding(structures, volume), shown)

    def _set_rule(self) -> None:
        held = self._parameters()
        structures, volume = held.structures, held.inputVolume
        name, rule = self._ui.structureNameEdit.text.strip(), self._ui.ruleEdit.text.strip()
        self._start(lambda workflow: workflow.setting_rule(structures, volume, name, rule), lambda _made: "")

    def _contour_tumour(self) -> None:
        held = self._parameters()
        structures, volume = held.structures, held.inputVolume
        markups = held.tumourPoints, held.otherPoints

        def steps(workflow: Any) -> Steps[Any]:
            points = [self._logic.pointsOf(one) for one in markups]
            return workflow.contouring_tumour(structures, volume, *points)

        def shown(made: Any) -> None:
            held.structures = made

        self._start(steps, shown)

    def _check_names(self) -> None:
        structures = self._parameters().structures

        def steps() -> Steps[None]:
            found = yield from self._logic.steps(lambda workflow: workflow.checking_names(structures))
            # Asked once the run is over, so that the answer can start another.
            qt.QTimer.singleShot(0, lambda: self._show_names(*found))
            self._controls.say("")

        self._controls.start(steps())

    def _show_names(self, findings: Sequence[str], names: Mapping[str, str]) -> None:
        parameters = self._parameters()
        if parameters is None or parameters.structures is None:
            return
        parent = self._ui.checkNamesButton.window()
        if not names:
            text = "\n".join(findings) or tr("All names follow AAPM TG-263.")
            self._dialog = TextDialog(tr("Names by AAPM TG-263"), text, parent)
            self._dialog.show()
            return
        listed = "\n".join(f"{old} \N{RIGHTWARDS ARROW} {new}" for old, new in names.items())
        question = "\n".join([*findings, "", tr("Rename these?"), listed])
        if qt.QMessageBox.question(parent, tr("Names by AAPM TG-263"), question) == qt.QMessageBox.Yes:
            renamed = self._controls.run(
                lambda _progress: self._logic.applyNames(parameters.structures, parameters.inputVolume, names) or True
            )
            if renamed:
                self._controls.say(tr("Done."))
                self._timer.start()

    def _import(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, tr("Import RTSTRUCT"), "", _DICOM_FILTER)
        if not path:
            return

        held = self._parameters()
        volume = held.inputVolume

        def shown(made: tuple[Any, Sequence[str]]) -> str:
            held.structures, notes = made
            return " ".join(notes)

        self._start(lambda workflow: workflow.importing_structures(path, volume), shown)

    def _export(self) -> None:
        parent = self._ui.exportStructuresButton.window()
        held = self._parameters()
        structures, volume = held.structures, held.inputVolume
        write_ct = not self._logic.isFromDicom(volume)
        if write_ct:
            question = tr("This CT does not come from DICOM. An RTSTRUCT needs one: write the CT as DICOM too?")
            answer = qt.QMessageBox.question(parent, tr("Export RTSTRUCT"), question)
            if answer != qt.QMessageBox.Yes:
                return
            folder = qt.QFileDialog.getExistingDirectory(parent, tr("Empty folder for the CT's DICOM files"))
        else:
            folder = self._logic.dicomFolder(volume) or qt.QFileDialog.getExistingDirectory(
                parent, tr("Folder of the CT's DICOM series")
            )
        if not folder:
            return
        path = qt.QFileDialog.getSaveFileName(parent, tr("Export RTSTRUCT"), "structures.dcm", _DICOM_FILTER)
        if not path:
            return

        def steps(workflow: Any) -> Steps[str]:
            if write_ct:
                yield from part(workflow.exporting_ct(volume, folder), 0.0, 0.5)
            writing = workflow.exporting_structures(structures, volume, path, folder)
            return (yield from part(writing, 0.5 if write_ct else 0.0, 1.0))

        self._start(steps, lambda written: tr("Written: {path}").format(path=written))

    def _load_dose(self) -> None:
        path = qt.QFileDialog.getOpenFileName(None, tr("Load RTDOSE"), "", _DICOM_FILTER)
        if not path:
            return
        held = self._parameters()

        def shown(made: tuple[Any, Sequence[str]]) -> str:
            held.dose, notes = made
            return " ".join(notes)

        self._start(lambda workflow: workflow.loading_dose(path), shown)

    def _evaluate(self) -> None:
        held = self._parameters()
        structures, volume, dose = held.structures, held.inputVolume, held.dose
        protocol = self._ui.protocolComboBox.itemData(self._ui.protocolComboBox.currentIndex)

        def shown(made: tuple[Any, Any, Any]) -> str:
            evaluation, chart, _table = made
            self._goals.show(evaluation.results)
            self._show_chart(chart)
            return " ".join(evaluation.warnings)

        self._start(lambda workflow: workflow.evaluating(structures, volume, dose, protocol), shown)
