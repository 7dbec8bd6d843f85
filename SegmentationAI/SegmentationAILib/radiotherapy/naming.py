"""Local structure names put into AAPM TG-263, where it is clear what they stand for."""

from __future__ import annotations

from dataclasses import dataclass

from SegmentationAILib.radiotherapy.graph import rename
from SegmentationAILib.radiotherapy.local_names import propose
from SegmentationAILib.radiotherapy.structure_set import StructureSet

# Below this a user should look at a proposal twice (``local_names.Proposal``).
_SURE = 0.7


@dataclass(frozen=True, eq=False)
class Renaming:
    """A structure set under TG-263 names.

    Attributes:
        structure_set: with new names, in rules too; voxels, roles and colours are as they were.
        names: old name -> new name, of those that changed.
    """

    structure_set: StructureSet
    names: dict[str, str]


def proposals(names: list[str]) -> dict[str, str]:
    """Old name -> TG-263 name, where it is clear, is another and no other structure bears or gets it."""
    taken = {name.lower() for name in names}
    found: dict[str, str] = {}
    for name in names:
        proposal = propose(name)
        if proposal is None or proposal.confidence < _SURE or proposal.name == name:
            continue
        if proposal.name.lower() in taken - {name.lower()}:
            continue
        taken.add(proposal.name.lower())
        found[name] = proposal.name
    return found


def standardised(structure_set: StructureSet) -> Renaming:
    """Rename what ``proposals`` is clear about."""
    names = proposals([one.name for one in structure_set])
    for old, new in names.items():
        structure_set = rename(structure_set, old, new)
    return Renaming(structure_set, names)
