"""The list of a model's structures, ticked where they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import qt

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.search import matches
from SegmentationAILib.widgets.swatch import swatch
from SegmentationAILib.widgets.translation import tr

_VALUE = qt.Qt.UserRole


class StructurePicker:
    """All structures of a model are wanted until the user takes some away.

    *All* and *None* tick what the filter shows.

    Args:
        ui: has ``wantedCollapsibleButton``, whose text tells the choice, with ``wantedFilterEdit``, ``wantedList``,
            ``wantAllButton`` and ``wantNoneButton``.
        changed: told the ids of the wanted structures; None for all.
    """

    def __init__(self, ui: Any, changed: Callable[[frozenset[str] | None], None]) -> None:
        self._ui = ui
        self._changed = changed
        self._entry: Entry | None = None
        ui.wantedFilterEdit.connect("textChanged(QString)", lambda _text: self._filter())
        ui.wantAllButton.connect("clicked()", lambda: self._tick(True))
        ui.wantNoneButton.connect("clicked()", lambda: self._tick(False))
        ui.wantedList.connect("itemChanged(QListWidgetItem*)", lambda _item: self._on_changed())

    @property
    def wanted(self) -> frozenset[str] | None:
        """Ids of the structures that are ticked; None where all are."""
        if self._entry is None:
            return None
        ticked = [item for item in self._items() if item.checkState() == qt.Qt.Checked]
        if len(ticked) == len(self._entry.labels):
            return None
        return frozenset(self._entry.label_ids[item.data(_VALUE)] for item in ticked)

    def show(self, entry: Entry | None, wanted: Collection[str] | None) -> None:
        """The structures of a model, those in ``wanted`` ticked; all where it is None."""
        widget = self._ui.wantedList
        if (
            entry is self._entry
            and (wanted is None) == (self.wanted is None)
            and set(wanted or ()) == set(self.wanted or ())
        ):
            self._describe()
            return
        widget.blockSignals(True)
        if entry is not self._entry:
            self._entry = entry
            widget.clear()
            self._ui.wantedFilterEdit.blockSignals(True)
            self._ui.wantedFilterEdit.clear()
            self._ui.wantedFilterEdit.blockSignals(False)
            for value, structure in entry.labels.items() if entry else ():
                item = qt.QListWidgetItem(swatch(structure.colour), structure.name)
                item.setData(_VALUE, value)
                item.setToolTip(f"{structure.name} ({structure.tg263})" if structure.tg263 else structure.name)
                widget.addItem(item)
        for item in self._items():
            ticked = wanted is None or entry.label_ids[item.data(_VALUE)] in wanted
            item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        widget.blockSignals(False)
        self._describe()

    def _items(self) -> list[qt.QListWidgetItem]:
        return [self._ui.wantedList.item(row) for row in range(self._ui.wantedList.count)]

    def _filter(self) -> None:
        words = self._ui.wantedFilterEdit.text
        for item in self._items():
            item.setHidden(not matches(self._entry, item.data(_VALUE), words))

    def _tick(self, ticked: bool) -> None:
        self._ui.wantedList.blockSignals(True)
        for item in self._items():
            if not item.isHidden():
                item.setCheckState(qt.Qt.Checked if ticked else qt.Qt.Unchecked)
        self._ui.wantedList.blockSignals(False)
        self._on_changed()

    def _on_changed(self) -> None:
        self._describe()
        self._changed(self.wanted)

    def _describe(self) -> None:
        wanted, count = self.wanted, len(self._entry.labels) if self._entry else 0
        if wanted is None:
            text = tr("Structures: all {count}").format(count=count) if count else tr("Structures")
        else:
            text = tr("Structures: {wanted} of {count}").format(wanted=len(wanted), count=count)
        self._ui.wantedCollapsibleButton.setProperty("text", text)
