"""The button that starts and cancels a run, its progress bar and its message."""

from __future__ import annotations

import logging
import math
import time
import traceback
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import qt

from SegmentationAILib import __version__
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain
from SegmentationAILib.widgets.stepped_run import SteppedRun
from SegmentationAILib.widgets.text_dialog import TextDialog
from SegmentationAILib.widgets.translation import tr

T = TypeVar("T")
# An estimate before says nothing.
_SURE_AFTER_S, _SURE_FROM = 5.0, 0.05
_MINUTE_S = 60.0


class RunControls:
    """Starts and cancels work, shows how far it is and what came of it.

    While it runs the button says *Cancel*, ``locked`` widgets take no input, and no second run can
    start in either panel. A failure becomes one sentence below the button, with the log behind
    *Details*; it never leaves this class as an exception.

    Args:
        ui: has ``progressBar``, ``messageFrame``, ``messageIcon``, ``messageLabel``, ``detailsButton``.
        button: starts and cancels.
        process_events: lets the application handle clicks and repaint, where work is done in this process.
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
        self._run: SteppedRun | None = None
        self._began = 0.0
        self._remark = ""
        self._closed = False
        self._details = ""
        self._dialog: TextDialog | None = None
        ui.detailsButton.connect("clicked()", self.show_details)
        ui.progressBar.setVisible(False)
        self.say("")

    @property
    def running(self) -> bool:
        return self._run is not None

    def cancel(self) -> None:
        """Ask the run to stop, which it does within a second."""
        if self._run is None:
            return
        self._run.cancel()
        if not self._closed:
            self._button.setEnabled(False)
            self._button.setText(tr("Cancelling..."))

    def close(self) -> None:
        """The panel goes away: stop the run and touch no widget any more."""
        self._closed = True
        if self._run is not None:
            run, self._run = self._run, None
            RunControls._active = None
            run.abandon()

    def start(self, steps: Steps[Any], token: CancelToken | None = None) -> None:
        """Do the work step by step, while the window stays alive; it has ended once ``running`` is False.

        What the work has to say it says itself, as its last step.

        Args:
            token: cancels it too.
        """
        if RunControls._active is not None:
            steps.close()
            self.say(tr("Another run is in progress; wait for it to finish, or cancel it."), is_problem=True)
            return
        RunControls._active = self
        self._remark = ""
        self._began = time.monotonic()
        self._run = SteppedRun(steps, background, self._ended, self._report, self._fell_back, token)
        self._show_running(True)
        self._run.start()

    def run(self, work: Callable[[Progress], T]) -> T | None:
        """Do short work at once and return what it made; None where it failed or was cancelled.

        The window stands still meanwhile, but where the work reports.
        """
        made: list[T] = []
        token = CancelToken()

        def report(fraction: float, text: str) -> None:
            self._report(fraction, text)
            self._process_events()

        def steps() -> Steps[None]:
            made.append(work(Progress(report, token)))
            yield from ()

        self.start(steps(), token)
        return made[0] if made else None

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

    def _ended(self, _value: Any, error: BaseException | None) -> None:
        RunControls._active = None
        self._run = None
        if isinstance(error, Cancelled):
            self.say(tr("Cancelled; nothing was changed."))
        elif isinstance(error, InputError):
            self.say(str(error), is_problem=True)
        elif error is not None:
            logging.error("ThoraxAI run failed", exc_info=error)
            log = "".join(traceback.format_exception(error))
            self.say(explain(error), is_problem=True, details=f"ThoraxAI {__version__}\n\n{log}")
        elif self._remark:
            self.say(f"{self._ui.messageLabel.text} {self._remark}".strip())
        self._show_running(False)

    def _fell_back(self, error: OSError) -> None:
        self._remark = tr(
            "The process that does the work could not be started ({reason}), so that Slicer did it itself and "
            "stood still meanwhile."
        ).format(reason=error.strerror or error)

    def _report(self, fraction: float, text: str) -> None:
        if self._closed:
            return
        self._ui.progressBar.setValue(round(100 * fraction))
        left = time_left(time.monotonic() - self._began, fraction)
        self._ui.progressBar.setFormat("  ".join(part for part in (text, "%p%", left) if part))
        if background.in_process or self._remark:
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


def time_left(elapsed_s: float, fraction: float) -> str:
    """How long a run will go on, as far as its progress tells; "" while it does not tell yet."""
    if elapsed_s < _SURE_AFTER_S or not _SURE_FROM <= fraction < 1.0:
        return ""
    seconds = elapsed_s * (1.0 - fraction) / fraction
    if seconds >= _MINUTE_S:
        return tr("{count} min left").format(count=round(seconds / _MINUTE_S))
    return tr("{count} s left").format(count=5 * math.ceil(seconds / 5))
