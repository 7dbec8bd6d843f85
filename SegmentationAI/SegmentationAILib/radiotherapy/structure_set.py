"""The structures of a plan: masks on one grid, each with its name, role and origin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import DicomSource, Grid


class Role(str, Enum):
    """What a structure is for (ICRU Reports 50, 62 and 83)."""

    GTV = "GTV"
    CTV = "CTV"
    ITV = "ITV"
    PTV = "PTV"
    PRV = "PRV"
    ORGAN = "ORGAN"
    EXTERNAL = "EXTERNAL"
    AVOIDANCE = "AVOIDANCE"


class Origin(str, Enum):
    """Who drew a structure (DICOM PS3.3 C.8.8.5, ROI Generation Algorithm)."""

    AUTOMATIC = "AUTOMATIC"
    SEMIAUTOMATIC = "SEMIAUTOMATIC"
    MANUAL = "MANUAL"


@dataclass(frozen=True, eq=False)
class RTStructure:
    """One structure.

    Attributes:
        name: unique in its set without regard to case; AAPM TG-263 where it follows that.
        role: what it is for.
        mask: bool [k, j, i] on the set's grid.
        colour: red, green, blue in 0…1.
        origin: who drew it.
        rule: the text of the rule that derives it from other structures, "" where it was drawn.
        code: what it is in codes, None where there is none.
        model: the model that drew it and its hash, "" where none did.
    """

    name: str
    role: Role
    mask: NDArray[np.bool_]
    colour: tuple[float, float, float] = (1.0, 1.0, 0.0)
    origin: Origin = Origin.SEMIAUTOMATIC
    rule: str = ""
    code: Code | None = None
    model: str = ""


@dataclass(frozen=True, eq=False)
class StructureSet:
    """Structures on one grid, in the order in which they are shown.

    Attributes:
        grid: where the masks' voxels lie.
        structures: with unique names.
        name: shown to the user.
        source: the CT's DICOM objects, None where it came from elsewhere.

    Raises:
        InputError: two structures share a name, or a mask is not on the grid.
    """

    grid: Grid
    structures: tuple[RTStructure, ...] = ()
    name: str = ""
    source: DicomSource | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "structures", tuple(self.structures))
        seen: set[str] = set()
        for one in self.structures:
            if one.mask.shape != self.grid.shape:
                raise InputError(
                    f"The structure '{one.name}' has {one.mask.shape} voxels and the set's grid {self.grid.shape}; "
                    "resample it to the CT."
                )
            if one.name.lower() in seen:
                raise InputError(f"Two structures are named '{one.name}' (case does not count); rename one of them.")
            seen.add(one.name.lower())

    def __iter__(self) -> Iterator[RTStructure]:
        return iter(self.structures)

    def __contains__(self, name: str) -> bool:
        return any(one.name.lower() == name.lower() for one in self.structures)

    def __getitem__(self, name: str) -> RTStructure:
        """The structure of that name, case aside.

        Raises:
            InputError: there is none.
        """
        for one in self.structures:
            if one.name.lower() == name.lower():
                return one
        held = ", ".join(one.name for one in self.structures) or "no structure"
        raise InputError(f"There is no structure '{name}'; the set holds {held}.")

    def with_structure(self, structure: RTStructure) -> StructureSet:
        """The set with a structure added, or put in the place of the one of that name."""
        held = list(self.structures)
        for n, one in enumerate(held):
            if one.name.lower() == structure.name.lower():
                held[n] = structure
                return replace(self, structures=tuple(held))
        return replace(self, structures=(*held, structure))


def role_of_name(name: str) -> Role:
    """The role that a name begins with (AAPM TG-263: GTVp, CTVn1, PTV_High, SpinalCord_PRV05), else an organ's."""
    upper = name.strip().upper()
    for role in (Role.GTV, Role.CTV, Role.ITV, Role.PTV):
        if upper.startswith(role.value):
            return role
    if "PRV" in upper:
        return Role.PRV
    if upper in ("EXTERNAL", "BODY", "SKIN", "PATIENT"):
        return Role.EXTERNAL
    return Role.ORGAN
