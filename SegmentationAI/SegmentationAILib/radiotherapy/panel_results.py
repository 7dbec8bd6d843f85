"""What panel and worker give each other, apart from what computes it, so that it is shown without loading a network."""

from __future__ import annotations

from dataclasses import dataclass

from SegmentationAILib.radiotherapy.layered_set import LayeredSet
from SegmentationAILib.volume import Volume

# What the tasks are of, in ``Task.model``.
RADIOTHERAPY = "radiotherapy"
# RAS, mm.
Points = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, eq=False)
class OnVolume:
    """Structures and what is looked at with them.

    Attributes:
        volume: the CT, HU, or a dose, Gy.
    """

    structures: LayeredSet
    volume: Volume


@dataclass(frozen=True, eq=False)
class Clicked:
    """A CT with points on a tumour, and beside it."""

    case: OnVolume
    on_tumour: Points
    elsewhere: Points = ()


@dataclass(frozen=True, eq=False)
class Edited:
    """Structures of which some were edited.

    Attributes:
        changed: their names; None of all.
    """

    structures: LayeredSet
    changed: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Built:
    """What came of it.

    Attributes:
        structures: those that are new or other than before.
        notes: sentences for the user.
    """

    structures: LayeredSet
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Phases:
    """A CT with the phases of a 4-D CT.

    Attributes:
        phases: each with the structures that were drawn on it.
        targets: name of the target in each.
    """

    case: OnVolume
    phases: tuple[OnVolume, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class United:
    """A target over the phases.

    Attributes:
        excursion_mm: how far its centre travels from end to end along R, A and S.
    """

    built: Built
    excursion_mm: tuple[float, float, float]
