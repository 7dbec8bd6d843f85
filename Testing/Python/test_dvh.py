"""DVHs against closed forms."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from dvh_phantoms import CENTRE_GY, SOLIDS, ct_grid, drawn, linear_dose, mask, sphere
from geometry import AXIS_ORDERS, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dose_metrics import evaluate
from SegmentationAILib.radiotherapy.dvh import compute_dvh, dose_grid_dvh, structure_dvhs
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import DicomSource, Grid, Volume

OFFSET = np.array([0.21, -0.37, 0.13])
DOSES = {along_s: linear_dose(along_s) for along_s in (True, False)}
# Of a voxel's longest side: how far the edges of a solid lie from those of its voxels.
VOXEL_PART = 0.5


@pytest.mark.parametrize("along_s", [True, False])
@pytest.mark.parametrize("make", SOLIDS)
@pytest.mark.parametrize(("volume_cc", "spacing"), [(0.5, (1, 1, 1)), (10, (1, 1, 2)), (100, (2.5, 2.5, 2.5))])
def test_solids_under_a_gradient(make, volume_cc, spacing, along_s):
    """1 Gy/mm: an error in Gy is one in mm. The whole error is that of the voxels' outline."""
    solid = make(volume_cc)
    grid = ct_grid(solid, spacing, OFFSET)
    inside = mask(solid, grid)
    dvh = compute_dvh(DOSES[along_s], inside, grid)
    assert dvh.volume_cc == pytest.approx(np.count_nonzero(inside) * grid.voxel_volume / 1000, rel=1e-5)
    limit = VOXEL_PART * max(spacing)
    assert dvh.mean_gy == pytest.approx(solid.mean(along_s), abs=limit)
    for part in (0.95, 0.5, 0.05):
        assert dvh.dose_at(part * dvh.volume_cc) == pytest.approx(solid.dose_at(part, along_s), abs=limit)


@pytest.mark.parametrize("along_s", [True, False])
@pytest.mark.parametrize("volume_cc", [0.1, 1.0, 10.0])
def test_a_drawn_sphere_is_right_to_a_part_of_a_voxel(volume_cc, along_s):
    """Coverage of voxels of 1 mm: D99 and D0.03cc within 0.25 mm, the mean within 0.05, the volume within 1.5 %."""
    solid = sphere(volume_cc)
    grid = ct_grid(solid, (1, 1, 1), OFFSET)
    dvh = compute_dvh(DOSES[along_s], drawn(solid, grid), grid)
    assert dvh.volume_cc == pytest.approx(volume_cc, rel=0.015)
    assert dvh.mean_gy == pytest.approx(CENTRE_GY, abs=0.05)
    assert dvh.dose_at(0.99 * dvh.volume_cc) == pytest.approx(solid.dose_at(0.99, along_s), abs=0.25)
    assert dvh.dose_at(0.03) == pytest.approx(solid.dose_at(0.03 / volume_cc, along_s), abs=0.25)


def test_a_block_of_voxels_has_its_exact_dvh():
    """Flat faces stay where they are: 20 mm along the gradient, evenly spread."""
    grid = Grid((10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    occupancy = np.ones(grid.shape, dtype=bool)
    dose = linear_dose(True)
    dvh = compute_dvh(dose, occupancy, grid)
    low = CENTRE_GY - 1.0
    for dose_gy in np.linspace(low + 0.01, low + 19.99, 50):
        assert float(dvh.volume_at(dose_gy)) == pytest.approx(8.0 * (low + 20 - dose_gy) / 20, abs=0.004)
    assert (dvh.min_gy, dvh.max_gy) == pytest.approx((low, low + 20), abs=0.005)
    assert dvh.mean_gy == pytest.approx(low + 10, abs=1e-3)
    assert dvh.geud_gy(1.0) == pytest.approx(dvh.mean_gy, abs=1e-3)


def test_an_even_dose_is_a_step():
    grid = Grid((9, 9, 9), np.eye(4))
    dose = Volume(np.full((9, 9, 9), 60.0, dtype=np.float32), grid)
    ball = np.linalg.norm(np.indices(grid.shape) - 4, axis=0) < 3
    dvh = compute_dvh(dose, ball, grid)
    for part in (0.0, 0.02, 0.5, 0.98, 1.0):
        assert dvh.dose_at(part * dvh.volume_cc) == pytest.approx(60.0, abs=1e-4)
    assert dvh.volume_at([59.99, 60.01]) == pytest.approx([dvh.volume_cc, 0.0])


def near_maximum_less_near_minimum(dvh) -> float:
    return float(dvh.dose_at(0.02 * dvh.volume_cc) - dvh.dose_at(0.98 * dvh.volume_cc))


@given(st.sampled_from(AXIS_ORDERS), st.tuples(*[st.floats(-90, 90)] * 3), st.floats(0.9, 3.0))
@settings(deadline=None, max_examples=10)
def test_any_orientation_of_the_ct(order, angles, slice_mm):
    """A ball on an oblique grid: as a mask it has the doses of its voxels, by its coverage those of the ball."""
    grid = oblique_grid(
        order, angles_deg=angles, spacing=(0.8, 0.9, slice_mm), shape=(24, 24, 24), centre_ras=(3, -2, 1)
    )
    ijk = np.stack(np.indices(grid.shape)[::-1], axis=-1).astype(float)
    centre = grid.ras((np.array(grid.shape[::-1]) - 1) / 2)
    fifths = (np.arange(5) + 0.5) / 5 - 0.5
    parts = [grid.ras(ijk + part) for part in product(fifths, repeat=3)]
    covered = np.mean([np.linalg.norm(part - centre, axis=-1) < 8 for part in parts], axis=0)
    ball = np.linalg.norm(grid.ras(ijk) - centre, axis=-1) < 8

    of_mask = compute_dvh(DOSES[True], ball, grid)
    assert of_mask.volume_cc == pytest.approx(4 / 3 * np.pi * 0.512, rel=0.08)
    assert of_mask.mean_gy == pytest.approx(CENTRE_GY + centre[2], abs=0.25)
    low, high = np.percentile(np.stack([part[ball][:, 2] for part in parts]), (2, 98))
    assert near_maximum_less_near_minimum(of_mask) == pytest.approx(high - low, abs=0.2 + 0.3 * slice_mm)

    of_coverage = compute_dvh(DOSES[True], covered.astype(np.float32), grid)
    assert of_coverage.volume_cc == pytest.approx(4 / 3 * np.pi * 0.512, rel=0.005)
    expected = 2 * (sphere(of_coverage.volume_cc).dose_at(0.02, True) - CENTRE_GY)
    assert near_maximum_less_near_minimum(of_coverage) == pytest.approx(expected, abs=0.2 + 0.15 * slice_mm)


def test_what_lies_outside_the_dose_grid_is_told_and_counts_as_no_dose():
    grid = Grid((10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    # Points of the dose reach from −9.8 to 10.2 mm along S, the block from −1 to 19 mm.
    matrix = np.diag([5.0, 5.0, 5.0, 1.0])
    matrix[:3, 3] = -10.0, -10.0, -9.8
    plane = np.linspace(20, 60, 5, dtype=np.float32)
    dose = Volume(np.broadcast_to(plane[:, None, None], (5, 9, 9)), Grid((5, 9, 9), matrix))
    dvh = compute_dvh(dose, np.ones(grid.shape, dtype=bool), grid, name="Lungs")
    assert dvh.outside_fraction == pytest.approx(0.44, abs=1e-3)
    assert dvh.warning == "44 % of 'Lungs' (3.52 cc) lies outside the dose grid and is taken to get 0 Gy."
    assert dvh.outside_limit_gy == 60.0
    assert dvh.min_gy == 0.0
    assert dvh.volume_at([0.0, 0.1, 37.5]) == pytest.approx([8.0, 4.48, 4.48], abs=1e-3)
    assert dvh.dose_at(4.5) == 0.0
    assert dvh.mean_gy == pytest.approx(0.56 * 48.8, abs=0.01)
    hot = dvh.taking_outside_at(dvh.outside_limit_gy)
    assert hot.mean_gy == pytest.approx(0.56 * 48.8 + 0.44 * 60, abs=0.01)
    assert hot.dose_at(3.5) == pytest.approx(60.0, abs=0.01)
    assert hot.dose_at(8.0) == pytest.approx(37.6, abs=0.01)
    assert "is taken to get 60 Gy" in hot.warning


def test_wholly_outside_and_empty():
    grid = Grid((4, 4, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
    far = Grid(grid.shape, grid.ijk_to_ras + np.eye(4, k=3) * 500)
    dose = Volume(np.ones(grid.shape, dtype=np.float32), grid)
    dvh = compute_dvh(dose, np.ones(far.shape, dtype=bool), far)
    assert (dvh.outside_fraction, dvh.mean_gy, dvh.max_gy) == (1.0, 0.0, 0.0)
    with pytest.raises(InputError, match="'Heart' is empty"):
        compute_dvh(dose, np.zeros(grid.shape, dtype=bool), grid, name="Heart")


def test_conformity_of_a_ball_in_a_round_dose():
    """60 Gy at 10 mm and 30 Gy at 20 mm from the centre, around a target of 8 mm: ratios of volumes of balls."""
    matrix = np.diag([1.0, 1.0, 1.0, 1.0])
    matrix[:3, 3] = -24.7
    grid = Grid((50, 50, 50), matrix)
    k, j, i = np.indices(grid.shape)
    distance = np.linalg.norm(grid.ras(np.stack([i, j, k], axis=-1)), axis=-1)
    dose = Volume((90 - 3 * np.minimum(distance, 30)).astype(np.float32), grid)
    target, around = compute_dvh(dose, distance < 8, grid, name="PTV"), dose_grid_dvh(dose)
    values = {
        metric: evaluate(metric, target, prescription_gy=60.0, dose_grid=around)
        for metric in ("CI_Paddick", "CI_RTOG", "R50", "GI", "V100%[%]")
    }
    assert values["V100%[%]"] == pytest.approx(100.0)
    assert values["CI_RTOG"] == pytest.approx((10 / 8) ** 3, rel=0.01)
    assert values["CI_Paddick"] == pytest.approx((8 / 10) ** 3, rel=0.01)
    assert values["R50"] == pytest.approx((20 / 8) ** 3, rel=0.01)
    assert values["GI"] == pytest.approx(8.0, rel=0.01)


def test_a_structure_set():
    grid = Grid((8, 8, 8), np.eye(4))
    dose = Volume(np.ones(grid.shape, dtype=np.float32), grid, source=DicomSource(frame_of_reference_uid="1.2"))
    full, empty = np.zeros(grid.shape, dtype=bool), np.zeros(grid.shape, dtype=bool)
    full[2:6, 2:6, 2:6] = True
    structures = (RTStructure("Heart", Role.ORGAN, full), RTStructure("None", Role.ORGAN, empty))
    found = structure_dvhs(dose, StructureSet(grid, structures, source=DicomSource(frame_of_reference_uid="1.2")))
    assert [dvh.name for dvh in found] == ["Heart"]
    assert found[0].volume_cc == pytest.approx(0.064)
    assert dose_grid_dvh(dose).volume_cc == pytest.approx(0.512)
    with pytest.raises(InputError, match="different frames of reference"):
        structure_dvhs(dose, StructureSet(grid, structures, source=DicomSource(frame_of_reference_uid="1.3")))
    with pytest.raises(InputError, match="no structure 'Lung'"):
        structure_dvhs(dose, StructureSet(grid, structures), names=["Lung"])
