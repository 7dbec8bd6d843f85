"""The lists of what finds nodules and what outlines the lobes: what comes with the extension, and what is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from LungNoduleAILib.analysis_result import BASELINE, NODULES
from LungNoduleAILib.model_choice import detection_bundles, is_installed, lobe_models
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.widgets.translation import tr


class ModelSelectors:
    """Drives ``detectorComboBox`` and ``lobesComboBox`` of ``advancedCollapsibleButton``.

    Args:
        ui: the panel's named widgets.
        parameters: the parameter node, None in a closed scene.
    """

    def __init__(self, ui: Any, parameters: Callable[[], Any]) -> None:
        self._parameters = parameters
        self._listed = False
        own = [(tr("Built-in network"), NODULES), (tr("Without a network"), BASELINE)]
        self._detector = ModelSelector(ui.detectorComboBox, own, detection_bundles, self._on_detector)
        self._lobes = ModelSelector(ui.lobesComboBox, [(tr("Not outlined"), "")], lobe_models, self._on_lobes)

    def show(self) -> None:
        """List what is installed by now; what was chosen and has gone since is chosen no more."""
        parameters = self._parameters()
        if parameters is None:
            # What is on this computer may change until it is shown again.
            self._listed = False
            return
        chosen = (self._detector.chosen, self._lobes.chosen)
        if self._listed and (parameters.detector, parameters.lobes) == chosen:
            return
        self._listed = True
        detector, lobes = self._detector.fill(parameters.detector), self._lobes.fill(parameters.lobes)
        parameters.detector, parameters.lobes = detector, lobes

    def close(self) -> None:
        """The panel goes away."""

    def _on_detector(self, model: str) -> None:
        self._parameters().detector = model

    def _on_lobes(self, model: str) -> None:
        self._parameters().lobes = model


class ModelSelector:
    """A combo box whose items' data are models' ids.

    Args:
        combo_box: filled here.
        own: text and id of what needs no installing, the default first.
        known: the catalogue's models for it, of which those that are installed are listed.
        changed: told the id that the user chose.
    """

    def __init__(
        self,
        combo_box: qt.QComboBox,
        own: list[tuple[str, str]],
        known: Callable[[], list[Entry]],
        changed: Callable[[str], None],
    ) -> None:
        self._combo_box = combo_box
        self._own = own
        self._known = known
        self._changed = changed
        combo_box.connect("activated(int)", self._on_activated)

    @property
    def chosen(self) -> str | None:
        """The id; None before anything is listed."""
        return self._combo_box.itemData(self._combo_box.currentIndex)

    def fill(self, model_id: str) -> str:
        """List what there is now and choose a model; the default, where it is not installed any more. The id chosen."""
        box = self._combo_box
        box.clear()
        for text, own_id in self._own:
            box.addItem(text, own_id)
        for entry in filter(is_installed, self._known()):
            box.addItem(entry.title, entry.id)
        box.setCurrentIndex(max(0, box.findData(model_id)))
        return self.chosen

    def _on_activated(self, index: int) -> None:
        self._changed(self._combo_box.itemData(index))
