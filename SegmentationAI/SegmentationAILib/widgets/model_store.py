"""The buttons that bring models to this computer and take them away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt

from SegmentationAILib import catalog
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.state import State
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.widgets.model_text import size
from SegmentationAILib.widgets.model_transfer import ModelTransfer
from SegmentationAILib.widgets.translation import tr

if TYPE_CHECKING:
    from SegmentationAILib.widgets.model_licence import LicenceDialog

_FILES = "Models (*.zip *.pth *.pt *.safetensors);;All files (*)"


class ModelStore:
    """*Download* or *Import*, and a menu of what is rarer.

    Args:
        ui: has ``modelFetchButton``, ``modelMoreButton`` and what ``ModelTransfer`` needs.
        chosen: gives the chosen model.
        say: shows a sentence, as ``RunControls.say``.
        prepare: installs what fetching needs; raises InputError or Cancelled.
        stored: called when a model came or went, with the id of one that the user added to the list, else "".
    """

    def __init__(
        self,
        ui: Any,
        chosen: Callable[[], Entry | None],
        say: Callable[..., None],
        prepare: Callable[[], None],
        stored: Callable[[str], None],
    ) -> None:
        self._ui = ui
        self._chosen = chosen
        self._say = say
        self._prepare = prepare
        self._stored = stored
        self._added = ""
        self._dialog: LicenceDialog | None = None
        self._transfer = ModelTransfer(ui, say, self._on_ended)
        self._state: State | None = None
        ui.modelFetchButton.connect("clicked()", self._on_fetch)
        menu = qt.QMenu(ui.modelMoreButton)
        self._import_file = self._action(menu, tr("Import this model from a file..."), self._on_import_file)
        self._import_folder = self._action(menu, tr("Import this model from a folder..."), self._on_import_folder)
        self._cite = self._action(menu, tr("Copy what to cite"), self._on_cite)
        self._verify = self._action(menu, tr("Check its files"), self._on_verify)
        self._remove = self._action(menu, tr("Remove it from this computer..."), self._on_remove)
        menu.addSeparator()
        self._action(menu, tr("Add a model of my own from a zip..."), self._on_own_zip)
        self._action(menu, tr("Add a model of my own from a folder..."), self._on_own_folder)
        self._action(menu, tr("Open the folder of models"), self._on_open_folder)
        ui.modelMoreButton.setMenu(menu)

    def show(self, entry: Entry | None, state: State | None) -> None:
        """The buttons that fit the chosen model."""
        self._state = state
        button, busy = self._ui.modelFetchButton, self._transfer.running
        can_fetch = entry is not None and entry.fetchable
        button.setVisible(state in (State.TO_FETCH, State.NEEDS_LICENCE, State.DAMAGED) and not entry.built_in)
        if can_fetch:
            amount = f" ({size(entry.size)})" if entry.size else ""
            button.setText(tr("Download...") + amount)
            button.setToolTip(tr("Show the licence and, once you agree, download the model"))
        else:
            button.setText(tr("Import..."))
            button.setToolTip(tr("Take the model from a folder on this computer, fetched with a licence of your own"))
        button.setEnabled(not busy)
        self._ui.modelMoreButton.setEnabled(not busy)
        other = entry is not None and not entry.built_in
        for action, enabled in (
            (self._import_file, other and len(entry.files) == 1),
            (self._import_folder, other),
            (self._cite, entry is not None and bool(entry.citation)),
            (self._verify, state is not None and (state.runs or state is State.DAMAGED)),
            (self._remove, other and state in (State.INSTALLED, State.DAMAGED)),
        ):
            action.setEnabled(enabled)

    def close(self) -> None:
        self._transfer.close()
        if self._dialog is not None:
            self._dialog.close()

    def _action(self, menu: qt.QMenu, text: str, slot: Callable[[], None]) -> qt.QAction:
        action = menu.addAction(text)
        action.connect("triggered(bool)", lambda _checked: slot())
        return action

    def _on_fetch(self) -> None:
        entry = self._chosen()
        if not entry.fetchable:
            self._on_import_folder()
            return
        from SegmentationAILib.catalog import pins  # noqa: PLC0415 - opening the panel does not wait for it

        def begin(trust_new: bool) -> None:
            self._start(
                entry,
                lambda progress: catalog.fetch(entry, accept_licence=True, progress=progress, trust_new=trust_new),
            )

        self._agree(entry, tr("Download"), begin, pins.is_noted(entry))

    def _on_import_file(self) -> None:
        self._import(qt.QFileDialog.getOpenFileName(self._window(), tr("Zip or weights of the model"), "", _FILES))

    def _on_import_folder(self) -> None:
        self._import(qt.QFileDialog.getExistingDirectory(self._window(), tr("Folder of the model")))

    def _import(self, path: str) -> None:
        entry = self._chosen()
        if path:
            work = lambda progress: catalog.import_local(entry, path, progress=progress)  # noqa: E731
            self._agree(entry, tr("Import"), lambda _trust_new: self._start(entry, work))

    def _on_own_zip(self) -> None:
        self._add(qt.QFileDialog.getOpenFileName(self._window(), tr("Zip of a model"), "", "Zip files (*.zip)"))

    def _on_own_folder(self) -> None:
        self._add(qt.QFileDialog.getExistingDirectory(self._window(), tr("Folder of an nnU-Net model or MONAI bundle")))

    def _add(self, path: str) -> None:
        if path:
            self._start(None, lambda progress: catalog.import_local(None, path, progress=progress))

    def _on_cite(self) -> None:
        qt.QApplication.clipboard().setText("\n".join(self._chosen().citation))
        self._say(tr("Copied."))

    def _on_verify(self) -> None:
        entry = self._chosen()

        def say(damages: list[catalog.Damage]) -> str:
            if damages:
                raise InputError(" ".join(f"{damage}." for damage in damages))
            return tr("The files of '{title}' are as they should be.").format(title=entry.title)

        self._added = ""
        self._transfer.start(lambda progress: catalog.verify(entry, progress), say)
        self.show(entry, self._state)

    def _on_remove(self) -> None:
        entry = self._chosen()
        record = catalog.record_of(entry)
        others = [one for one in record.ids if one != entry.id] if record else []
        question = tr("Remove '{title}' from this computer?").format(title=entry.title)
        if others:
            question += " " + tr("{others} came with it and goes too.").format(others=", ".join(others))
        if qt.QMessageBox.question(self._window(), tr("Remove a model"), question) != qt.QMessageBox.Yes:
            return
        try:
            catalog.remove(entry)
        except InputError as problem:
            self._say(str(problem), is_problem=True)
        else:
            self._say(tr("'{title}' is removed.").format(title=entry.title))
        self._stored("")

    def _on_open_folder(self) -> None:
        folder = catalog.models_folder()
        folder.mkdir(parents=True, exist_ok=True)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(folder)))

    def _agree(self, entry: Entry, action: str, agreed: Callable[[bool], None], may_have_changed: bool = False) -> None:
        """Go on once the user has read and agreed."""
        from SegmentationAILib.widgets.model_licence import LicenceDialog  # noqa: PLC0415 - as above

        if self._ready():
            folder = str(catalog.models_folder() / entry.folder)
            self._dialog = LicenceDialog(entry, folder, action, agreed, may_have_changed, self._window())
            self._dialog.show()

    def _start(self, entry: Entry | None, work: Callable[[Progress], Path]) -> None:
        if not self._ready():
            return

        def done(folder: Path) -> str:
            self._added = "" if entry else folder.name
            title = entry.title if entry else folder.name
            return tr("'{title}' is ready to run.").format(title=title)

        self._added = ""
        self._transfer.start(work, done)
        self.show(entry, self._state)

    def _ready(self) -> bool:
        """Whether what fetching needs is installed; asks where it is not."""
        try:
            self._prepare()
        except InputError as problem:
            self._say(str(problem), is_problem=True)
        except Cancelled:
            self._say(tr("Nothing was installed, and no model was fetched."))
        else:
            return True
        return False

    def _on_ended(self) -> None:
        self._stored(self._added)

    def _window(self) -> qt.QWidget:
        return self._ui.modelFetchButton.window()
