"""Two structure sets: matched by name, brought to one grid, what is missing is listed."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_grid

from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import compare
from SegmentationAILib.radiotherapy.comparison_report import (
    BOTH,
    COLUMNS,
    REFERENCE_ONLY,
    TEST_ONLY,
    compare_structure_sets,
    write_comparison,
)
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import Grid

GRID = oblique_grid(AXIS_ORDERS[3], angles_deg=(4, -3, 7), spacing=(0.9, 1.1, 2.5), shape=(20, 40, 44))


def ball(grid: Grid, offset_ras: tuple[float, ...], radius_mm: float) -> np.ndarray:
    k, j, i = np.indices(grid.shape)
    centre = GRID.ras((np.array(GRID.shape[::-1]) - 1) / 2) + offset_ras
    return np.linalg.norm(grid.ras(np.stack([i, j, k], axis=-1)) - centre, axis=-1) <= radius_mm


def structures(grid: Grid, **masks: np.ndarray) -> StructureSet:
    return StructureSet(grid, tuple(RTStructure(name, Role.ORGAN, mask) for name, mask in masks.items()))


@pytest.fixture
def reference() -> StructureSet:
    return structures(
        GRID, Heart=ball(GRID, (0, 0, 0), 12), GTVp=ball(GRID, (3, 2, 0), 6), Liver=ball(GRID, (0, 0, 0), 4)
    )


@pytest.fixture
def test() -> StructureSet:
    moved = ball(GRID, (2, 0, 0), 12)
    return structures(GRID, Lung_L=ball(GRID, (0, 0, 0), 5), gtvP=ball(GRID, (3, 2, 0), 6), Heart=moved)


def test_matches_names_and_lists_the_rest(reference, test):
    comparison = compare_structure_sets(reference, test, 1.0)
    held = [(one.name, one.held_by) for one in comparison.structures]
    assert held == [("Heart", BOTH), ("GTVp", BOTH), ("Liver", REFERENCE_ONLY), ("Lung_L", TEST_ONLY)]
    heart, gtv, liver, lung = comparison.structures
    assert gtv.figures["dice"] == 1
    assert heart.figures["centre_shift_mm"] == pytest.approx(2, abs=0.3)
    assert liver.figures == lung.figures == {}
    expected = compare(reference["Heart"].mask, test["Heart"].mask, (2.5, 1.1, 0.9), 1.0)
    assert {name: heart.figures[name] for name in expected} == pytest.approx(expected)
    assert heart.figures["reference_ml"] == pytest.approx(4 / 3 * math.pi * 1.2**3, rel=0.05)


def test_sets_on_other_grids(reference):
    """The same ball on a grid of other axes and finer voxels is the same structure to within a voxel."""
    finer = oblique_grid(AXIS_ORDERS[9], angles_deg=(-2, 5, 1), spacing=(0.7, 0.7, 0.7), shape=(90, 90, 90))
    centre = GRID.ras((np.array(GRID.shape[::-1]) - 1) / 2) - finer.ras((np.array(finer.shape[::-1]) - 1) / 2)
    moved = finer.ijk_to_ras.copy()
    moved[:3, 3] += centre
    finer = Grid(finer.shape, moved)
    comparison = compare_structure_sets(reference, structures(finer, Heart=ball(finer, (0, 0, 0), 12)))
    figures = comparison.structures[0].figures
    assert figures["dice"] > 0.97
    assert figures["surface_dice"] == 1
    assert figures["centre_shift_mm"] < 0.3
    assert figures["test_ml"] == pytest.approx(figures["reference_ml"], rel=0.02)


def test_table_and_csv_say_the_same(reference, test, tmp_path):
    comparison = compare_structure_sets(reference, test, 1.5)
    path = write_comparison(tmp_path / "agreement.csv", comparison)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == (*COLUMNS, "Surface Dice tolerance [mm]")
    assert [row["Structure"] for row in rows] == ["Heart", "GTVp", "Liver", "Lung_L"]
    assert rows[0]["Surface Dice tolerance [mm]"] == "1.5"
    assert [row["Compared with"] for row in rows] == ["Heart", "gtvP", "", ""]
    for title in COLUMNS[3:]:
        assert [float(row[title] or "nan") for row in rows] == pytest.approx(
            comparison.column(title), rel=1e-4, nan_ok=True
        )
    lines = comparison.table().splitlines()
    assert len(lines) == 1 + len(rows)
    assert all(title in lines[0] for title in COLUMNS)
    assert lines[3].split()[:4] == ["Liver", "reference", "only", "-"]
    assert rows[0]["HD95 [mm]"] in lines[1].split()


def test_an_empty_structure_is_reported(reference):
    nothing = np.zeros(GRID.shape, dtype=bool)
    comparison = compare_structure_sets(reference, structures(GRID, Heart=nothing))
    assert comparison.structures[0].figures["hd95_mm"] == math.inf
    assert "inf" in comparison.table()


def test_refuses_what_cannot_be_compared(reference, test):
    with pytest.raises(InputError, match="share no name"):
        compare_structure_sets(reference, structures(GRID, Spleen=ball(GRID, (0, 0, 0), 3)))
    with pytest.raises(InputError, match="tolerance"):
        compare_structure_sets(reference, test, -1.0)
    sheared = GRID.ijk_to_ras.copy()
    sheared[:3, 2] += 0.3 * sheared[:3, 1]
    tilted = Grid(GRID.shape, sheared)
    with pytest.raises(InputError, match="sheared"):
        compare_structure_sets(structures(tilted, Heart=ball(tilted, (0, 0, 0), 9)), test)
