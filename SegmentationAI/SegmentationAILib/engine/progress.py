"""Progress and cancelling of a run, passed down through the pipeline."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from SegmentationAILib.errors import Cancelled


class CancelToken:
    """Set from one thread, checked between pieces of work in another."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()


@dataclass(frozen=True)
class Progress:
    """Reports a fraction in [0, 1] and a short text; stops the run when its token is cancelled.

    ``progress.part(0.2, 0.6)`` is the progress of a stage: its 0…1 is the whole's 0.2…0.6.

    Attributes:
        notes: sentences that the user should read with the result, of all parts.
    """

    report: Callable[[float, str], None] | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    start: float = 0.0
    end: float = 1.0
    notes: list[str] = field(default_factory=list)

    def __call__(self, fraction: float, text: str = "") -> None:
        """Report, after checking the token.

        Raises:
            Cancelled: the user cancelled.
        """
        if self.cancel.cancelled:
            raise Cancelled
        if self.report is not None:
            self.report(self.start + (self.end - self.start) * min(max(fraction, 0.0), 1.0), text)

    def note(self, sentence: str) -> None:
        """Keep the sentence for the result, and report it."""
        self.notes.append(sentence)
        if self.report is not None:
            self.report(self.start, sentence)

    def part(self, start: float, end: float) -> Progress:
        width = self.end - self.start
        return Progress(self.report, self.cancel, self.start + width * start, self.start + width * end, self.notes)
