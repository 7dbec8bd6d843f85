"""Which patients the nodule network learns from, and which measure it; fixed in ``split.json``.

Patients of lidc-vois go by a hash of their id: one in five measures, one in twelve of the others
decides when to stop; those whose whole CT is a background of training train. The cubes come without
their patient: where a cube shows the same voxels as a box of lidc-vois (normalised cross-correlation
of at least 0.93, in the order of scans), it goes with that patient; a cube that could be of a patient
who measures is left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("split.json")


@dataclass(frozen=True)
class Split:
    """Patients of lidc-vois, names of lidc-cubes and whole CTs, each in one part.

    Attributes:
        train: learnt from.
        validation: decide when to stop and set the score's scale.
        test: never seen before the figures.
    """

    train: frozenset[str]
    validation: frozenset[str]
    test: frozenset[str]


def read_split(path: Path = _FILE) -> dict[str, Split]:
    """The parts of "patients", "cubes" and "scans"."""
    held = json.loads(path.read_text())
    return {
        of: Split(*(frozenset(held[of][part]) for part in ("train", "validation", "test")))
        for of in ("patients", "cubes", "scans")
    }
