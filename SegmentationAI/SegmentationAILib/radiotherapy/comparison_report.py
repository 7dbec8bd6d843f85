"""How two structure sets of one patient agree, structure by structure: figures, table and CSV."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import compare
from SegmentationAILib.radiotherapy.structure_set import StructureSet
from SegmentationAILib.writing import atomic_write

# Title of a column -> its figure in ``metrics.compare``, or what is counted here.
_FIGURES = {
    "Dice": "dice",
    "Surface Dice": "surface_dice",
    "HD95 [mm]": "hd95_mm",
    "HD100 [mm]": "hd100_mm",
    "Mean surface distance [mm]": "mean_surface_distance_mm",
    "Added path length [mm]": "added_path_length_mm",
    "Reference volume [ml]": "reference_ml",
    "Test volume [ml]": "test_ml",
    "Volume ratio": "volume_ratio",
    "Centre shift [mm]": "centre_shift_mm",
}
COLUMNS = ("Structure", "Held by", "Compared with", *_FIGURES)
BOTH, REFERENCE_ONLY, TEST_ONLY = "both", "reference only", "test only"


@dataclass(frozen=True)
class ComparedStructure:
    """One structure of either set.

    Attributes:
        name: as in the reference, or as in the test where only that holds it.
        held_by: ``BOTH``, ``REFERENCE_ONLY`` or ``TEST_ONLY``.
        figures: those of ``metrics.compare`` and ``reference_ml`` and ``test_ml``; empty where one set lacks it.
        compared_with: name in the test; "" where one set lacks it.
    """

    name: str
    held_by: str
    figures: dict[str, float]
    compared_with: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two structure sets compared.

    Attributes:
        structures: those of both sets in the reference's order, then those of the reference and of the test alone.
        tolerance_mm: of the surface Dice.
    """

    structures: tuple[ComparedStructure, ...]
    tolerance_mm: float

    def column(self, title: str) -> list[str] | NDArray[np.float64]:
        """Values of one of ``COLUMNS``, a row per structure; NaN where a set lacks the structure."""
        if title == "Structure":
            return [one.name for one in self.structures]
        if title == "Held by":
            return [one.held_by for one in self.structures]
        if title == "Compared with":
            return [one.compared_with for one in self.structures]
        return np.array([one.figures.get(_FIGURES[title], math.nan) for one in self.structures])

    def table(self) -> str:
        """The figures as text, in columns; "-" where there is none."""
        columns = [[title, *(_shown(value, "-") for value in self.column(title))] for title in COLUMNS]
        widths = [max(map(len, column)) for column in columns]
        lines = zip(*columns, strict=True)
        return "\n".join(
            "  ".join(cell.ljust(n) for cell, n in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def compare_structure_sets(reference: StructureSet, test: StructureSet, tolerance_mm: float = 2.0) -> Comparison:
    """Compare the structures that have the same name, case aside.

    Masks of the test that lie on another grid are brought to the reference's by nearest voxel.

    Args:
        reference: what is taken to be right.
        test: what is judged.
        tolerance_mm: of the surface Dice; 2 mm is about what experts differ by (Nikolov et al., JMIR 2021).

    Raises:
        InputError: the sets share no name, the reference's voxels are sheared, or the tolerance is negative.
    """
    if not any(one.name in test for one in reference):
        raise InputError(
            f"The sets share no name: one holds {_names(reference)}, the other {_names(test)}; rename the structures."
        )
    if not reference.grid.is_orthogonal:
        raise InputError("The reference's voxels are sheared; resample its CT to a grid with right angles first.")
    spacing = reference.grid.spacing[::-1]
    rows, missed = [], []
    for one in reference:
        if one.name not in test:
            missed.append(ComparedStructure(one.name, REFERENCE_ONLY, {}))
            continue
        other = _on_grid_of(reference, test, test[one.name].mask)
        volumes = {
            "reference_ml": np.count_nonzero(one.mask) * reference.grid.voxel_volume / 1000,
            "test_ml": np.count_nonzero(test[one.name].mask) * test.grid.voxel_volume / 1000,
        }
        figures = compare(one.mask, other, spacing, tolerance_mm) | volumes
        rows.append(ComparedStructure(one.name, BOTH, figures, test[one.name].name))
    added = [ComparedStructure(one.name, TEST_ONLY, {}) for one in test if one.name not in reference]
    return Comparison((*rows, *missed, *added), tolerance_mm)


def write_comparison(path: str | Path, comparison: Comparison) -> Path:
    """Write ``COLUMNS`` and the tolerance as CSV, a row per structure; the file is whole or not there.

    A figure that is not defined is empty; an infinite distance, where one of both masks is empty, is ``inf``.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    rows = zip(*(comparison.column(title) for title in COLUMNS), strict=True)
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*COLUMNS, "Surface Dice tolerance [mm]"])
        writer.writerows([*(_shown(value, "") for value in row), f"{comparison.tolerance_mm:g}"] for row in rows)
    return path


def _on_grid_of(reference: StructureSet, test: StructureSet, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if test.grid.same_as(reference.grid):
        return mask
    # Sets on other grids are rare in a panel, and torch takes seconds to load.
    from SegmentationAILib.preprocess import resample  # noqa: PLC0415

    return resample(mask.astype(np.uint8), test.grid, reference.grid, mode="nearest").astype(bool)


def _shown(value: str | float, missing: str) -> str:
    if isinstance(value, str):
        return value
    return missing if math.isnan(value) else f"{value:.5g}"


def _names(held: StructureSet) -> str:
    return ", ".join(one.name for one in held) or "nothing"
