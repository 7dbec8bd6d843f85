"""The section of the panel in which a model is found, read about, fetched, and its structures chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import qt

from SegmentationAILib import catalog
from SegmentationAILib.catalog import timing
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.state import State, state_of
from SegmentationAILib.catalog.tasks import task_for
from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.model_list import ModelList
from SegmentationAILib.widgets.model_store import ModelStore
from SegmentationAILib.widgets.model_structures import StructurePicker
from SegmentationAILib.widgets.model_text import card_html
from SegmentationAILib.widgets.translation import tr

# As the parameter node keeps it; a list of ids otherwise.
ALL = "*"


class ModelSection:
    """Shows what the parameter node's ``task``, ``wantedStructures``, ``inputVolume`` and ``device`` say.

    Args:
        ui: the panel's named widgets.
        parameters: gives the parameter node, None in a closed scene.
        say: shows a sentence below the panel's button, as ``RunControls.say``.
        icon_path: path of an icon by its file's name.
        prepare: installs what fetching needs; raises InputError or Cancelled.
        changed: called when something changed on which it depends whether a run can start.
    """

    def __init__(
        self,
        ui: Any,
        parameters: Callable[[], Any],
        say: Callable[..., None],
        icon_path: Callable[[str], str],
        prepare: Callable[[], None],
        changed: Callable[[], None],
    ) -> None:
        self._ui = ui
        self._parameters = parameters
        self._say = say
        self._changed = changed
        self._entries: dict[str, Entry] = {}
        self._states: dict[str, State] = {}
        self._estimates: dict[str, timing.Estimate | None] = {}
        self._key: tuple | None = None
        self._warnings_key: tuple | None = None
        self._warnings: list[str] = []
        self._list = ModelList(ui.modelSearchEdit, ui.modelsList, icon_path, self._on_model)
        self._picker = StructurePicker(ui, self._on_wanted)
        self._store = ModelStore(ui, lambda: self.entry, say, prepare, self._on_stored)
        icon = ui.modelWarningFrame.style().standardIcon(qt.QStyle.SP_MessageBoxWarning)
        ui.modelWarningIcon.setPixmap(icon.pixmap(16, 16))

    @property
    def entry(self) -> Entry | None:
        """The chosen model; None where it is not on the list any more."""
        parameters = self._parameters()
        return self._entries.get(parameters.task) if parameters else None

    @property
    def wanted(self) -> list[str] | None:
        """Ids of the wanted structures, None for all of the model's."""
        held = self._parameters().wantedStructures
        return None if held == ALL else [one for one in held.split(",") if one]

    def reasons(self) -> list[str]:
        """Sentences on why the chosen model cannot run."""
        entry = self.entry
        if entry is None:
            return [tr("Choose a model.")]
        reasons = []
        if not self._states[entry.id].runs:
            reasons.append(tr("'{title}' is not on this computer yet.").format(title=entry.title))
        if self.wanted == []:
            reasons.append(tr("Tick at least one structure."))
        return reasons

    def show(self) -> None:
        """Show what the parameter node says."""
        parameters = self._parameters()
        if parameters is None:
            # What is on this computer may change until it is shown again.
            self._key = None
            return
        nodes = (parameters.inputVolume, parameters.segmentation)
        key = (*(node.GetID() if node else "" for node in nodes), parameters.device)
        if key != self._key:
            self._key = key
            self.refresh()
        else:
            self._list.choose(parameters.task)
            self._show_card()

    def refresh(self) -> None:
        """Look again which models there are, where, and how long they took."""
        parameters = self._parameters()
        self._entries = {one.id: one for one in self._known() if one.task == "segmentation" and one.labels}
        self._states = {one: state_of(entry) for one, entry in self._entries.items()}
        grid = self._grid()
        tasks = [task_for(one, None, parameters.device) for one in self._entries]
        self._estimates = timing.estimates(tasks, grid) if grid else {}
        self._list.show(tuple(self._entries.values()), self._states, self._estimates, parameters.task)
        self._show_card()

    def close(self) -> None:
        """The panel goes away."""
        self._store.close()

    def _on_model(self, model_id: str) -> None:
        parameters = self._parameters()
        parameters.wantedStructures = ALL
        parameters.task = model_id

    def _on_wanted(self, wanted: frozenset[str] | None) -> None:
        self._parameters().wantedStructures = ALL if wanted is None else ",".join(sorted(wanted))

    def _on_stored(self, added: str) -> None:
        """A model came or went; one that the user added is chosen."""
        if self._parameters() is None:
            return
        self.refresh()
        if added:
            self._on_model(added)
        self._changed()

    def _known(self) -> Iterable[Entry]:
        try:
            return catalog.load()
        except InputError as problem:
            self._say(str(problem), is_problem=True)
            return ()

    def _show_card(self) -> None:
        parameters, entry = self._parameters(), self.entry
        self._picker.show(entry, self.wanted)
        self._ui.wantedCollapsibleButton.setEnabled(entry is not None)
        if entry is None:
            self._ui.modelCardLabel.setText(
                tr("The model '{model}' is not on this computer; add it again, or choose another.").format(
                    model=parameters.task
                )
            )
            self._store.show(None, None)
            self._warn([])
            return
        state, grid = self._states[entry.id], self._grid()
        estimate = timing.estimate(task_for(entry.id, self.wanted, parameters.device), grid) if grid else None
        self._ui.modelCardLabel.setText(card_html(entry, state, estimate))
        self._store.show(entry, state)
        self._warn(self._misfits(entry))

    def _grid(self) -> Any:
        volume = self._volume()
        return volume.grid if volume else None

    def _volume(self) -> Any:
        from SegmentationAILib.scene import volume_from_node  # needs VTK  # noqa: PLC0415

        try:
            return volume_from_node(self._parameters().inputVolume)
        except InputError:
            # The panel's button says why.
            return None

    def _misfits(self, entry: Entry) -> list[str]:
        """What in the volume does not suit the model; asked once for each pair of them."""
        volume, node = self._volume(), self._parameters().inputVolume
        if volume is None:
            return []
        key = (entry.id, self._states[entry.id], node.GetID(), node.GetMTime())
        if key != self._warnings_key:
            self._warnings_key = key
            self._warnings = (
                [
                    tr("This model reads {reads}, and the volume is {modality}: choose another.").format(
                        reads=entry.input.modality, modality=volume.modality
                    )
                ]
                if volume.modality not in ("", entry.input.modality)
                else catalog.warnings_for(entry, volume)
            )
        return self._warnings

    def _warn(self, sentences: list[str]) -> None:
        self._ui.modelWarningLabel.setText("\n".join(sentences))
        self._ui.modelWarningFrame.setVisible(bool(sentences))
