"""ITV: the union of what each phase shows, in the right place, and rigid alignment that finds a known motion."""

from __future__ import annotations

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_grid
from phantoms import chest, default_grid
from scipy.spatial.transform import Rotation

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.internal_target import Phase, internal_target
from SegmentationAILib.rigid_registration import align_rigidly
from SegmentationAILib.volume import Grid, Volume

RADIUS = 10.0


def ball(grid: Grid, centre_ras: tuple[float, float, float], radius: float = RADIUS) -> np.ndarray:
    k, j, i = np.indices(grid.shape)
    return np.linalg.norm(grid.ras(np.stack([i, j, k], axis=-1)) - centre_ras, axis=-1) <= radius


def phase(grid: Grid, centre_ras: tuple[float, float, float], name: str = "") -> Phase:
    mask = ball(grid, centre_ras)
    return Phase(Volume(np.where(mask, 50, -850).astype(np.int16), grid, name, "CT"), mask)


@pytest.fixture(scope="module")
def grid() -> Grid:
    return oblique_grid(AXIS_ORDERS[5], spacing=(1.0, 1.5, 2.0), shape=(30, 40, 60), centre_ras=(0, 0, 0))


def test_two_balls_overlap_as_geometry_says(grid):
    """Balls of radius r whose centres are d apart share a lens of π(2r−d)²(d²+4dr)/(12d)."""
    d, r = 12.0, RADIUS
    itv = internal_target([phase(grid, (0, 0, -d / 2)), phase(grid, (0, 0, d / 2))])
    lens = np.pi * (2 * r - d) ** 2 * (d**2 + 4 * d * r) / (12 * d)
    assert itv.mask.sum() * grid.voxel_volume == pytest.approx(2 * 4 / 3 * np.pi * r**3 - lens, rel=0.02)
    assert itv.excursion_mm == pytest.approx((0, 0, d), abs=0.1)
    assert itv.alignments == (None, None)


def test_the_union_holds_every_phase_and_nothing_else(grid):
    phases = [phase(grid, (x, 0, z)) for x, z in ((0, 0), (2, 5), (-1, -6))]
    itv = internal_target(phases, reference=1)
    assert np.array_equal(itv.mask, phases[0].mask | phases[1].mask | phases[2].mask)


def test_a_phase_on_another_grid_comes_to_the_same_place(grid):
    turned = oblique_grid(
        AXIS_ORDERS[30], angles_deg=(10, 5, -8), spacing=(1.2, 1.0, 1.4), shape=(60, 60, 60), centre_ras=(0, 0, 0)
    )
    alone = internal_target([phase(grid, (3, -2, 4))])
    both = internal_target([phase(grid, (3, -2, 4)), phase(turned, (3, -2, 4))])
    assert both.excursion_mm == pytest.approx((0, 0, 0), abs=0.1)
    assert (both.mask ^ alone.mask).sum() * grid.voxel_volume < 0.1 * 4 / 3 * np.pi * RADIUS**3


@pytest.fixture(scope="module")
def moved_chest():
    """A CT of the phantom, the same in another position, and the motion that brings it back."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", [2, -1, 3], degrees=True).as_matrix()
    matrix[:3, 3] = (4, -6, 9)
    still = default_grid(6.0)
    fixed = chest(still).volume
    moving = chest(Grid(still.shape, matrix @ still.ijk_to_ras)).volume
    return fixed, Volume(moving.array, still, "moved", "CT"), matrix


def test_a_known_motion_is_found(moved_chest):
    fixed, moving, matrix = moved_chest
    found = align_rigidly(moving, fixed)
    corners = fixed.grid.ras([[0, 0, 0], np.array(fixed.shape[::-1]) - 1])
    miss = corners @ (found.matrix - matrix)[:3, :3].T + (found.matrix - matrix)[:3, 3]
    assert np.linalg.norm(miss, axis=1).max() < 1.0
    turn = np.degrees(Rotation.from_matrix(matrix[:3, :3]).magnitude())
    assert found.rotation_deg == pytest.approx(turn, abs=0.3)
    assert found.correlation > found.correlation_before + 0.1


def test_aligned_phases_cover_each_other(moved_chest):
    """The target at one place of the anatomy in both CTs is one target after the alignment."""
    fixed, moving, matrix = moved_chest
    at = np.array((70.0, 10.0, 20.0))
    there = (np.linalg.inv(matrix) @ [*at, 1])[:3]
    phases = [Phase(fixed, ball(fixed.grid, tuple(at))), Phase(moving, ball(moving.grid, tuple(there)))]
    apart = internal_target(phases)
    aligned = internal_target(phases, align=True)
    assert max(apart.excursion_mm) > 8
    assert max(aligned.excursion_mm) < 1.5
    assert aligned.mask.sum() < apart.mask.sum()
    assert aligned.alignments[0] is None
    assert aligned.alignments[1].rotation_deg > 1


def test_what_cannot_be_united_is_refused(grid):
    here = phase(grid, (0, 0, 0), "0 %")
    empty = Phase(here.volume, np.zeros(grid.shape, dtype=bool))
    elsewhere = Grid(grid.shape, grid.ijk_to_ras + np.array([[0, 0, 0, 500.0]] * 3 + [[0, 0, 0, 0]]))
    far = Phase(Volume(here.volume.array, elsewhere, "50 %"), here.mask)
    for phases, words in (
        ([], "at least one phase"),
        ([here, empty], "'0 %' is empty"),
        ([here, Phase(here.volume, here.mask[1:])], "not on the grid"),
        ([here, far], "'50 %' lies outside"),
    ):
        with pytest.raises(InputError, match=words):
            internal_target(phases)


def test_what_cannot_be_aligned_is_refused(grid):
    here = phase(grid, (0, 0, 0))
    small = Volume(np.zeros((2, 40, 60), dtype=np.int16), grid.crop((0, 0, 0), (2, 40, 60)))
    away = Grid(grid.shape, grid.ijk_to_ras + np.array([[0, 0, 0, 900.0]] * 3 + [[0, 0, 0, 0]]))
    with pytest.raises(InputError, match="too small"):
        align_rigidly(small, here.volume)
    with pytest.raises(InputError, match="do not overlap"):
        align_rigidly(Volume(here.volume.array, away), here.volume)
