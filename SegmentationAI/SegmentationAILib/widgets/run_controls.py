"""The button that starts and cancels a run, its progress bar and its message."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import qt

from SegmentationAILib import __version__
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain
from SegmentationAILib.widgets.text_dialog import TextDialog
from SegmentationAILib.widgets.translation import tr

T = TypeVar("T")


class RunControls:
    """Runs work in the foreground, with the window alive between its steps.

    While it runs the button says *Cancel*, ``locked`` widgets take no input, and no second run can
    start in either panel. A failure becomes one sentence below the button, with the log behind
    *Details*; it never leaves this class as an exception.

    Args:
        ui: has ``progressBar``, ``messageFrame``, ``messageIcon``, ``messageLabel``, ``detailsButton``.
        button: starts and cancels.
        process_events: lets the application handle clicks and repaint.
        locked: widgets that are disabled during a run.
    """

    _active: ClassVar[RunControls | None] = None

    def __init__(
        self, ui: Any, button: qt.QPushButton, process_events: Callable[[], None], locked: tuple[qt.QWidget, ...]
    ) -> None:
        self._ui = ui
        self._button = button
        self._process_events = process_events
        self._locked = locked
        self._start_text = button.text
        self._cancel: CancelToken | None = None
        self._closed = False
        self._details = ""
        self._dialog: TextDialog | None = None
        ui.detailsButton.connect("clicked()", self.show_details)
        ui.progressBar.setVisible(False)
        self.say("")

    @property
    def running(self) -> bool:
        return self._cancel is not None

    def cancel(self) -> None:
        """Ask the run to stop; it does so at its next step."""
        if self._cancel is None:
            return
        self._cancel.cancel()
        if not self._closed:
            self._button.setEnabled(False)
            self._button.setText(tr("Cancelling..."))

    def close(self) -> None:
        """The panel goes away: stop the run and touch no widget any more."""
        self._closed = True
        self.cancel()

    def run(self, work: Callable[[Progress], T]) -> T | None:
        """Do the work and return what it made; None where it failed or was cancelled."""
        if RunControls._active is not None:
            self.say(tr("Another run is in progress; wait for it to finish, or cancel it."), is_problem=True)
            return None
        RunControls._active = self
        self._cancel = CancelToken()
        self._show_running(True)
        try:
            return work(Progress(self._report, self._cancel))
        except Cancelled:
            self.say(tr("Cancelled; nothing was changed."))
        except InputError as problem:
            self.say(str(problem), is_problem=True)
        except Exception as error:
            logging.exception("ThoraxAI run failed")
            self.say(explain(error), is_problem=True, details=f"ThoraxAI {__version__}\n\n{traceback.format_exc()}")
        finally:
            RunControls._active = None
            self._cancel = None
            self._show_running(False)
        return None

    def say(self, text: str, *, is_problem: bool = False, details: str = "") -> None:
        """Show a sentence below the button; an empty one hides the place."""
        if self._closed:
            return
        self._details = details
        icon = qt.QStyle.SP_MessageBoxWarning if is_problem else qt.QStyle.SP_MessageBoxInformation
        self._ui.messageIcon.setPixmap(self._ui.messageFrame.style().standardIcon(icon).pixmap(16, 16))
        self._ui.messageLabel.setText(text)
        self._ui.detailsButton.setVisible(bool(details))
        self._ui.messageFrame.setVisible(bool(text))

    def show_details(self) -> None:
        self._dialog = TextDialog(tr("Details"), self._details, self._ui.messageFrame.window())
        self._dialog.show()

    def _report(self, fraction: float, text: str) -> None:
        if self._closed:
            return
        self._ui.progressBar.setValue(round(100 * fraction))
        self._ui.progressBar.setFormat(f"{text}  %p%" if text else "%p%")
        self._process_events()

    def _show_running(self, running: bool) -> None:
        if self._closed:
            return
        for widget in self._locked:
            widget.setEnabled(not running)
        self._ui.progressBar.setVisible(running)
        self._ui.progressBar.setValue(0)
        self._button.setEnabled(True)
        self._button.setText(tr("Cancel") if running else self._start_text)
        if running:
            self.say("")
            self._process_events()
