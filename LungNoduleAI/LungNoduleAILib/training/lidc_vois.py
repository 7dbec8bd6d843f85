"""The folder lidc-vois: nodules of LIDC-IDRI in boxes of their CTs, with the readers' ratings.

Armato et al., Med Phys 2011 (CC BY 3.0). The folder holds nodules.csv, image/ and mask/.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from LungNoduleAILib.rating import RATINGS
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.volume import Volume

# LIDC's calcification: 1…5 kinds of it, 6 absent.
_NO_CALCIFICATION = 6


@dataclass(frozen=True, eq=False)
class NoduleBox:
    """A nodule's box.

    Attributes:
        name: of the nodule.
        patient: whose it is.
        image: HU.
        mask: on the same grid, above 0 where readers outlined it.
        ratings: the readers' majority on the scale of 1…5, by the names of ``RATINGS``.
        calcified: whether the majority saw calcium.
    """

    name: str
    patient: str
    image: Volume
    mask: Volume
    ratings: Mapping[str, int]
    calcified: bool


def read_boxes(folder: Path) -> Iterator[NoduleBox]:
    """All nodules that have their files, in the order of ``nodules.csv``; each is loaded when it is its turn.

    Raises:
        InputError: the folder lacks ``nodules.csv``, or it names no nodule whose files are there.
    """
    table = folder / "nodules.csv"
    if not table.exists():
        raise InputError(f"{folder} holds no nodules.csv; choose the folder lidc-vois.")
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    count = 0
    for row in rows:
        name = f"{row['patient_id']}_R_{row['nodule_id']}"
        image, mask = (folder / part / f"{name}.nii.gz" for part in ("image", "mask"))
        if image.exists() and mask.exists():
            count += 1
            yield NoduleBox(
                name,
                row["patient_id"],
                load(image),
                load(mask),
                {rating: int(row[f"{rating.capitalize()}_value"]) for rating in RATINGS},
                int(row["Calcification_value"]) != _NO_CALCIFICATION,
            )
    if not count:
        raise InputError(f"No nodule that {table} names has its files in {folder}.")
