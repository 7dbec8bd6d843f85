"""Where a model is: on this computer, or how it comes there."""

from __future__ import annotations

from enum import Enum

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.store import installed, record_of


class State(str, Enum):
    """In words that fit a list."""

    BUILT_IN = "built in"
    INSTALLED = "installed"
    DAMAGED = "damaged"
    TO_FETCH = "to fetch"
    NEEDS_LICENCE = "needs licence"

    @property
    def runs(self) -> bool:
        return self in (State.BUILT_IN, State.INSTALLED)


def state_of(entry: Entry) -> State:
    """Where a model is now; one of which a file is missing or has another size is damaged."""
    if installed(entry):
        return State.BUILT_IN if entry.built_in else State.INSTALLED
    if entry.built_in or record_of(entry) is not None:
        return State.DAMAGED
    return State.TO_FETCH if entry.fetchable else State.NEEDS_LICENCE
