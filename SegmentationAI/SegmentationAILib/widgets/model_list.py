"""The list of models, found by words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import qt

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.search import Match, search
from SegmentationAILib.catalog.state import State
from SegmentationAILib.catalog.timing import Estimate
from SegmentationAILib.widgets.model_text import card_html, row_text
from SegmentationAILib.widgets.translation import tr

_ICONS = {
    State.BUILT_IN: "ModelHere.svg",
    State.INSTALLED: "ModelHere.svg",
    State.DAMAGED: "ModelDamaged.svg",
    State.TO_FETCH: "ModelToFetch.svg",
    State.NEEDS_LICENCE: "ModelNeedsLicence.svg",
}
_ID = qt.Qt.UserRole


class ModelList:
    """A row for each model that answers to what is typed; the chosen one stays chosen while it is listed.

    Args:
        search_edit: takes the words; Return takes the first answer.
        widget: shows the rows.
        icon_path: path of an icon by its file's name.
        chosen: told the id of the model that the user chose.
    """

    def __init__(
        self,
        search_edit: qt.QLineEdit,
        widget: qt.QListWidget,
        icon_path: Callable[[str], str],
        chosen: Callable[[str], None],
    ) -> None:
        self._search_edit = search_edit
        self._widget = widget
        self._chosen = chosen
        self._icons = {state: _icon(icon_path(name)) for state, name in _ICONS.items()}
        self._entries: Sequence[Entry] = ()
        self._states: Mapping[str, State] = {}
        self._estimates: Mapping[str, Estimate | None] = {}
        self._current = ""
        widget.setTextElideMode(qt.Qt.ElideRight)
        search_edit.connect("textChanged(QString)", lambda _text: self._fill())
        search_edit.connect("returnPressed()", self._choose_first)
        widget.connect("currentItemChanged(QListWidgetItem*,QListWidgetItem*)", self._on_current)

    @property
    def shown(self) -> Sequence[str]:
        """Ids of the rows."""
        items = [self._widget.item(row) for row in range(self._widget.count)]
        return [item.data(_ID) for item in items if item.data(_ID)]

    def show(
        self,
        entries: Sequence[Entry],
        states: Mapping[str, State],
        estimates: Mapping[str, Estimate | None],
        current: str,
    ) -> None:
        """Replace all rows.

        Args:
            entries: all models that can be listed.
            states, estimates: by id.
            current: id of the chosen model.
        """
        self._entries, self._states, self._estimates, self._current = entries, states, estimates, current
        self._fill()

    def choose(self, model_id: str) -> None:
        """Show which model is chosen."""
        self._current = model_id
        self._mark()

    def _fill(self) -> None:
        here = [one for one, state in self._states.items() if state.runs]
        matches = search(self._entries, self._search_edit.text, here)
        self._widget.blockSignals(True)
        self._widget.clear()
        for match in matches:
            self._widget.addItem(self._item(match))
        if not matches:
            none = qt.QListWidgetItem(tr("No model finds '{words}'.").format(words=self._search_edit.text))
            none.setFlags(qt.Qt.NoItemFlags)
            self._widget.addItem(none)
        self._widget.blockSignals(False)
        self._mark()

    def _item(self, match: Match) -> qt.QListWidgetItem:
        entry = match.entry
        state, estimate = self._states[entry.id], self._estimates.get(entry.id)
        item = qt.QListWidgetItem(self._icons[state], row_text(match, state, estimate))
        item.setData(_ID, entry.id)
        item.setToolTip(card_html(entry, state, estimate))
        return item

    def _mark(self) -> None:
        self._widget.blockSignals(True)
        shown = list(self.shown)
        self._widget.setCurrentRow(shown.index(self._current) if self._current in shown else -1)
        self._widget.blockSignals(False)

    def _choose_first(self) -> None:
        """Return takes the best answer and goes on to the list, where the arrows choose others."""
        if self.shown:
            self._widget.setCurrentRow(0)
            self._widget.setFocus()

    def _on_current(self, item: qt.QListWidgetItem | None, _before: qt.QListWidgetItem | None) -> None:
        if item is not None and item.data(_ID):
            self._current = item.data(_ID)
            self._chosen(self._current)


def _icon(path: str) -> qt.QIcon:
    """One that a chosen row does not tint."""
    icon = qt.QIcon(path)
    icon.addFile(path, qt.QSize(), qt.QIcon.Selected)
    return icon
