"""A download or an import in the background, with its progress and a button that cancels it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import qt

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.side_thread import SideThread
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain
from SegmentationAILib.widgets.translation import tr

T = TypeVar("T")

_POLL_MS = 30


class ModelTransfer:
    """One at a time; the window stays alive, and nothing of it is touched by the thread.

    Args:
        ui: has ``modelProgressFrame`` with ``modelProgressBar`` and ``modelCancelButton``.
        say: shows a sentence, ``is_problem`` or not, with ``details`` behind a button.
        ended: called when it has ended, however it did.
    """

    def __init__(self, ui: Any, say: Callable[..., None], ended: Callable[[], None]) -> None:
        self._ui = ui
        self._say = say
        self._ended = ended
        self._thread: SideThread | None = None
        self._done: Callable[[Any], str] = lambda _value: ""
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._on_timeout)
        ui.modelCancelButton.connect("clicked()", self.cancel)
        ui.modelProgressFrame.setVisible(False)

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self, work: Callable[[Progress], T], done: Callable[[T], str]) -> None:
        """Begin.

        Args:
            work: done in a thread; touches no widget.
            done: given what the work returned; returns what to say.
        """
        self._say("")
        self._done = done
        self._thread = SideThread(work)
        self._ui.modelProgressBar.setValue(0)
        self._ui.modelProgressBar.setFormat("")
        self._ui.modelCancelButton.setEnabled(True)
        self._ui.modelProgressFrame.setVisible(True)
        self._timer.start()

    def cancel(self) -> None:
        """Ask it to stop; what was downloaded is kept for the next time."""
        if self._thread is not None:
            self._thread.cancel()
            self._ui.modelCancelButton.setEnabled(False)

    def close(self) -> None:
        """The panel goes away: stop, and touch no widget any more."""
        self._timer.stop()
        if self._thread is not None:
            self._thread.cancel()

    def _on_timeout(self) -> None:
        if not self._thread.poll():
            self._ui.modelProgressBar.setValue(round(100 * self._thread.fraction))
            self._ui.modelProgressBar.setFormat(f"{self._thread.text}  %p%")
            return
        self._timer.stop()
        thread, self._thread = self._thread, None
        self._ui.modelProgressFrame.setVisible(False)
        self._tell(thread)
        self._ended()

    def _tell(self, thread: SideThread) -> None:
        try:
            self._say(self._done(thread.result()))
        except Cancelled:
            self._say(tr("Cancelled; a download that is started again goes on where it stopped."))
        except InputError as problem:
            self._say(str(problem), is_problem=True)
        except Exception as error:
            logging.exception("ThoraxAI could not get a model")
            self._say(explain(error), is_problem=True, details=traceback.format_exc())
