"""The export section of the panel: reports in the forms that are ticked, into a folder, and DICOM into the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.translation import tr

_BOXES = {
    "csvCheckBox": ("csv",),
    "jsonCheckBox": ("json",),
    "htmlCheckBox": ("html",),
    "pdfCheckBox": ("pdf",),
    "dicomCheckBox": ("seg", "sr"),
}


class ExportSection:
    """Drives ``exportCollapsibleButton``.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
        suggested_folder: where the dialog starts.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        controls: RunControls,
        parameters: Callable[[], Any],
        suggested_folder: Callable[[], str],
    ) -> None:
        self._ui, self._logic, self._controls = ui, logic, controls
        self._parameters, self._suggested_folder = parameters, suggested_folder
        for name in _BOXES:
            getattr(ui, name).connect("toggled(bool)", lambda _checked: self.show())
        ui.exportButton.connect("clicked()", self._export)
        ui.exportDatabaseButton.connect("clicked()", self._export_to_database)

    @property
    def formats(self) -> list[str]:
        """What is ticked."""
        return [one for name, formats in _BOXES.items() if getattr(self._ui, name).checked for one in formats]

    def show(self) -> None:
        """Say what can be done."""
        parameters = self._parameters()
        reason = "" if parameters and parameters.findings else tr("Detect nodules first.")
        enable_unless(self._ui.exportButton, reason or ("" if self.formats else tr("Tick at least one form.")))
        enable_unless(self._ui.exportDatabaseButton, reason or self._logic.databaseMissing())

    def close(self) -> None:
        """The panel goes away."""

    def _export(self) -> None:
        parameters = self._parameters()
        folder = qt.QFileDialog.getExistingDirectory(
            self._ui.exportButton.window(), tr("Folder for the report"), self._suggested_folder()
        )
        if not folder:
            return

        def steps() -> Steps[None]:
            written = yield from self._logic.reporting(
                parameters.findings,
                folder,
                self.formats,
                explain=self._ui.explainCheckBox.checked,
                device=parameters.device,
            )
            names = ", ".join(path.name for path in written)
            self._controls.say(tr("Saved in {folder}: {names}").format(folder=folder, names=names))

        self._controls.start(steps())

    def _export_to_database(self) -> None:
        parameters = self._parameters()

        def steps() -> Steps[None]:
            written = yield from self._logic.exportingToDatabase(
                parameters.findings, explain=self._ui.explainCheckBox.checked, device=parameters.device
            )
            names = ", ".join(written)
            self._controls.say(tr("In Slicer's DICOM database now: {names}").format(names=names))

        self._controls.start(steps())
