"""The preprocess section of the panel: an operation, its parameters, a live preview, and a new volume."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.engine.task import Option
from SegmentationAILib.enhancement.operations import OPERATIONS, operation
from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.live_preview import LivePreview, Wish
from SegmentationAILib.widgets.parameter_fields import ParameterFields
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.translation import tr


class PreprocessSection:
    """Drives the widgets of ``preprocessCollapsibleButton``.

    The parameter node has ``preprocessOperation``, and as JSON in ``preprocessParameters`` the values that
    were chosen, by operation and parameter.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
    """

    def __init__(self, ui: Any, logic: Any, controls: RunControls, parameters: Callable[[], Any]) -> None:
        self._ui, self._logic, self._controls, self._parameters = ui, logic, controls, parameters
        self._shown = ""
        self._fields = ParameterFields(ui.preprocessParametersForm, self._on_values)
        self._preview = LivePreview(self._wish, self._say)
        group = ""
        for one in OPERATIONS.values():
            if group not in ("", one.group):
                ui.preprocessComboBox.insertSeparator(ui.preprocessComboBox.count)
            group = one.group
            ui.preprocessComboBox.addItem(tr(one.title), one.name)
        ui.preprocessComboBox.connect("activated(int)", self._on_operation)
        ui.previewCheckBox.connect("toggled(bool)", self._on_preview)
        ui.preprocessButton.connect("clicked()", self._apply)
        ui.preprocessCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self.end_preview())
        self._say("")

    def close(self) -> None:
        """The panel goes away."""
        self._preview.stop()

    def end_preview(self) -> None:
        """Leave the slice views as they were."""
        self._ui.previewCheckBox.setChecked(False)

    def show(self) -> None:
        """Show what the parameter node says."""
        parameters = self._parameters()
        name = (
            parameters.preprocessOperation if parameters and parameters.preprocessOperation in OPERATIONS else "median"
        )
        held = operation(name)
        if name != self._shown:
            self._shown = name
            self._ui.preprocessComboBox.setCurrentIndex(self._ui.preprocessComboBox.findData(name))
            self._ui.preprocessHintLabel.setText(f"{tr(held.hint)} {tr(held.values)}")
            self._fields.show(held.parameters, self._values(parameters))
        else:
            self._fields.set_values(self._values(parameters))
        needs_volume = "" if parameters and parameters.inputVolume else tr("Choose a volume above.")
        nothing_new = "" if held.shows else tr("The picture stays the same; there is nothing to preview.")
        enable_unless(self._ui.preprocessButton, needs_volume)
        enable_unless(self._ui.previewCheckBox, needs_volume or nothing_new)
        if needs_volume or nothing_new:
            self.end_preview()

    def _values(self, parameters: Any) -> dict[str, Option]:
        try:
            return json.loads(parameters.preprocessParameters)[self._shown] if parameters else {}
        except (ValueError, KeyError, TypeError):
            return {}

    def _on_operation(self, index: int) -> None:
        self._parameters().preprocessOperation = self._ui.preprocessComboBox.itemData(index)

    def _on_values(self) -> None:
        parameters = self._parameters()
        try:
            held = json.loads(parameters.preprocessParameters)
        except ValueError:
            held = {}
        held[self._shown] = self._fields.values
        parameters.preprocessParameters = json.dumps(held, sort_keys=True)

    def _wish(self) -> Wish | None:
        parameters = self._parameters()
        if not parameters or not parameters.inputVolume:
            return None
        return Wish(parameters.inputVolume, self._shown, tuple(self._fields.values.items()))

    def _on_preview(self, wanted: bool) -> None:
        if not wanted:
            self._preview.stop()
            return
        try:
            self._logic.requireDependencies()
        except InputError as problem:
            self.end_preview()
            self._say(str(problem))
            return
        self._preview.start()

    def _apply(self) -> None:
        self.end_preview()
        parameters = self._parameters()
        volume, name, values, device = parameters.inputVolume, self._shown, self._fields.values, parameters.device

        def steps() -> Steps[None]:
            made = yield from self._logic.preprocessing(volume, name, values, device)
            self._controls.say(tr("New volume: {name}").format(name=made.GetName()))

        self._controls.start(steps())

    def _say(self, text: str) -> None:
        self._ui.previewLabel.setText(text)
        self._ui.previewLabel.setVisible(bool(text))
