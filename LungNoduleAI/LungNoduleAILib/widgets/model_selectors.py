"""The lists of what finds nodules and what outlines the lobes: what comes with the extension, and what is installed."""

from __future__ import annotations

from collections.abc import Callable

import qt

from LungNoduleAILib.analysis_result import BASELINE, NODULES
from LungNoduleAILib.model_choice import detection_bundles, is_installed, lobe_models
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.widgets.translation import tr


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


def detector_selector(combo_box: qt.QComboBox, changed: Callable[[str], None]) -> ModelSelector:
    """What finds the nodules."""
    own = [(tr("Built-in network"), NODULES), (tr("Without a network"), BASELINE)]
    return ModelSelector(combo_box, own, detection_bundles, changed)


def lobe_selector(combo_box: qt.QComboBox, changed: Callable[[str], None]) -> ModelSelector:
    """What outlines the lobes."""
    return ModelSelector(combo_box, [(tr("Not outlined"), "")], lobe_models, changed)
