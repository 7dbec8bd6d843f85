"""What the reader decided of a nodule, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum


class Verdict(str, Enum):
    """Of a detector's finding, or of a nodule that the reader added."""

    OPEN = "not reviewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Decision:
    """A reader's decision on a nodule.

    Attributes:
        verdict: what it is.
        at: when it was made, with its time zone; None for ``OPEN``.
        edited: the reader changed the outline.
        added: the reader found it, not the detector.
    """

    verdict: Verdict = Verdict.OPEN
    at: datetime | None = None
    edited: bool = False
    added: bool = False
