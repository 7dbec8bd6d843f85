"""Volumes, diameters, type, place and shape of digital nodules; what is unsure is said."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from benchmarks.nodule_ct import SHARP, SOFT, NoduleCt, Shape, ball, ellipsoid, render
from benchmarks.nodule_volumes import rough_outline
from LungNoduleAILib.characterization import nodule_of
from LungNoduleAILib.diameters import axial_diameters, best_plane_diameters
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.guidelines.findings import Calcification, Kind, Lobe
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.nodule_character import character_of
from LungNoduleAILib.outline_shape import lobulation, spiculation
from LungNoduleAILib.refinement import refine
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import Structure
from SegmentationAILib.volume import Grid, Volume


def refined(shape: Shape, ct: NoduleCt) -> Nodule:
    mask = refine(ct.volume, rough_outline(shape, ct), ct.lungs)
    return nodule_of(ct.volume, ct.lungs, mask, 1, shape.diameter_mm, 0.9)


@cache
def known(shape: Shape, slice_mm: float = 1.0) -> tuple[NoduleCt, Nodule]:
    """A shape's CT and the nodule that is measured in it, for what does not change them."""
    ct = render(shape, slice_mm=slice_mm)
    return ct, refined(shape, ct)


SOLID = ball(12.0)


def volume_error(shape: Shape, **scan) -> float:
    ct = render(shape, **scan)
    return refined(shape, ct).measurements.volume_mm3 / ct.volume_mm3 - 1


@pytest.mark.parametrize("shape", [ball(6.0), ellipsoid(8.0)], ids=["ball of 6 mm", "ellipsoid of 8 mm"])
@pytest.mark.parametrize("kernel", [SOFT, SHARP], ids=["soft", "sharp"])
def test_volume_within_five_per_cent(shape, kernel):
    assert abs(volume_error(shape, kernel=kernel, slice_mm=1.25, noise_hu=60.0)) <= 0.05


@pytest.mark.parametrize(("kernel", "slice_mm"), [(SOFT, 0.5), (SHARP, 1.25)], ids=["soft", "sharp"])
def test_ground_glass_around_a_core_counts(kernel, slice_mm):
    """The core is a fifth of the volume; an edge at half of its level would leave the rest out."""
    shape = ball(8.0, solid_share=0.6)
    assert abs(volume_error(shape, kernel=kernel, slice_mm=slice_mm, noise_hu=30.0)) <= 0.05


@pytest.mark.parametrize("kernel", [SOFT, SHARP], ids=["soft", "sharp"])
def test_ground_glass_of_the_smallest_nodule_counts_in_noise_too(kernel):
    """6 mm with a core of 3.6 mm, which blur leaves no plateau; noise of 60 HU alone can cost more than 5 %."""
    shape = ball(6.0, solid_share=0.6)
    errors = [volume_error(shape, kernel=kernel, slice_mm=1.25, noise_hu=noise) for noise in (15.0, 30.0, 60.0)]
    assert np.mean(np.abs(errors)) <= 0.05
    assert np.max(np.abs(errors)) <= 0.15


def test_ground_glass_of_a_larger_nodule_counts():
    """Above 13 mm the shapes are the CT's own, no ellipsoids."""
    shape = ball(15.0, solid_share=0.5)
    assert abs(volume_error(shape, kernel=SHARP)) <= 0.05


def test_volume_hangs_little_on_slice_thickness():
    assert abs(volume_error(ball(10.0), slice_mm=2.5)) <= 0.05


def test_a_vessel_is_no_part_of_the_volume():
    assert abs(volume_error(ball(10.0, vessel_mm=3.0))) <= 0.05


def test_without_cutting_the_vessel_would_count():
    """The rough outline of a nodule with 8 mm of vessel on it: the vessel goes."""
    shape = ball(10.0, vessel_mm=3.0)
    ct = render(shape)
    rough = rough_outline(shape, ct)
    k, j, i = np.indices(rough.occupancy.shape)
    points = rough.grid.ras(np.stack([i, j, k], axis=-1))
    x, y, z = -points[..., 0], -points[..., 1], points[..., 2]
    u, v = x * 0.866 + y * 0.5, y * 0.866 - x * 0.5
    tube = (np.hypot(v - 3.5, z - 0.3 * u) < 2.0) & (np.abs(u) < 11)
    with_vessel = NoduleMask(np.maximum(rough.occupancy, tube).astype(np.float32), rough.grid)
    before = with_vessel.occupancy.sum() * with_vessel.grid.voxel_volume / ct.volume_mm3
    mask = refine(ct.volume, with_vessel, ct.lungs)
    after = mask.occupancy.sum() * mask.grid.voxel_volume / ct.volume_mm3
    assert before > 1.4
    assert after == pytest.approx(1.0, abs=0.15)


def test_the_wall_is_no_part_of_the_volume():
    shape = ball(12.0, wall=True)
    ct = render(shape)
    nodule = refined(shape, ct)
    assert nodule.measurements.volume_mm3 == pytest.approx(ct.volume_mm3, rel=0.3)
    character = character_of(ct.volume, ct.lungs, nodule)
    assert character.juxtapleural
    assert character.pleura_mm < 1.0


def test_diameters_of_an_ellipsoid():
    shape = ellipsoid(12.0)
    ct = render(shape)
    nodule = refined(shape, ct)
    long_axis, short_axis, height = (2 * r for r in shape.radii_mm)
    axial, best = axial_diameters(nodule.mask), best_plane_diameters(nodule.mask)
    assert axial.long_axis_mm == pytest.approx(long_axis, abs=0.5)
    assert axial.short_axis_mm == pytest.approx(short_axis, abs=0.5)
    assert best.long_axis_mm >= axial.long_axis_mm - 1e-6
    assert height < best.short_axis_mm <= short_axis + 0.6
    for found in (axial, best):
        ends, across = np.array(found.long_axis_ras), np.array(found.short_axis_ras)
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(found.long_axis_mm)
        assert (ends[1] - ends[0]) @ (across[1] - across[0]) == pytest.approx(0.0, abs=1e-6)
    assert np.ptp(np.array(axial.long_axis_ras)[:, 2]) == pytest.approx(0.0, abs=1e-6)


def test_the_best_plane_is_oblique_where_the_nodule_is():
    grid = Grid((41, 41, 41), np.diag([-0.5, -0.5, 0.5, 1.0]))
    k, j, i = (np.indices(grid.shape) - 20) * 0.5
    along = (i + k) / np.sqrt(2)
    across = np.sqrt(np.maximum(i**2 + j**2 + k**2 - along**2, 0))
    mask = NoduleMask(np.clip(0.5 + (1 - np.hypot(along / 8, across / 4)) * 4, 0, 1).astype(np.float32), grid)
    assert best_plane_diameters(mask).long_axis_mm == pytest.approx(16.0, abs=0.4)
    assert best_plane_diameters(mask).short_axis_mm == pytest.approx(8.0, abs=0.4)
    assert axial_diameters(mask).long_axis_mm < 12.5


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        (SOLID, Kind.SOLID),
        (ball(14.0, solid_share=0.5), Kind.PART_SOLID),
        (ball(10.0, solid_share=0.01), Kind.GROUND_GLASS),
    ],
    ids=lambda x: getattr(x, "value", ""),
)
def test_type_by_attenuation(shape, kind):
    ct, nodule = known(shape)
    character = character_of(ct.volume, ct.lungs, nodule)
    assert character.kind is kind
    assert (character.solid_part is None) == (kind is Kind.SOLID)
    if kind is Kind.PART_SOLID:
        assert character.solid_part.volume_mm3 == pytest.approx(ct.solid_mm3, rel=0.15)
        assert character.solid_part.diameters.mean_mm == pytest.approx(7.0, abs=0.6)


def test_mass_is_volume_times_density():
    ct, nodule = known(SOLID)
    expected = ct.volume_mm3 * 1.04
    assert character_of(ct.volume, ct.lungs, nodule).mass_mg == pytest.approx(expected, rel=0.12)


def with_core(ct: NoduleCt, radius_mm: float, hu: float, at_mm: float = 0.0) -> NoduleCt:
    k, j, i = np.indices(ct.volume.shape)
    points = ct.volume.grid.ras(np.stack([i, j, k], axis=-1)) - np.array([at_mm, 0, 0])
    array = np.where(np.linalg.norm(points, axis=-1) < radius_mm, hu, ct.volume.array).astype(np.int16)
    return replace(ct, volume=ct.volume.with_array(array))


@pytest.mark.parametrize(
    ("radius_mm", "at_mm", "pattern"),
    [
        (0.0, 0.0, Calcification.NONE),
        (2.8, 0.0, Calcification.CENTRAL),
        (6.0, 0.0, Calcification.COMPLETE),
        (2.4, 3.2, Calcification.OTHER),
    ],
)
def test_calcium_by_its_pattern(radius_mm, at_mm, pattern):
    ct, nodule = known(SOLID)
    calcified = with_core(ct, radius_mm, 500.0, at_mm)
    assert character_of(calcified.volume, ct.lungs, nodule).calcification is pattern


def test_fat_is_told_from_soft_tissue_and_not_in_thick_slices():
    for slice_mm, fat_hu, found in ((1.0, -80.0, True), (1.0, 40.0, False), (2.5, -80.0, False)):
        ct, nodule = known(SOLID, slice_mm)
        held = with_core(ct, 4.0, fat_hu)
        assert character_of(held.volume, ct.lungs, nodule).fat is found


def test_spikes_and_lobes_raise_their_indices():
    grid = Grid((64, 64, 64), np.eye(4) * 0.6 + np.diag([0, 0, 0, 0.4]))
    points = (np.moveaxis(np.indices(grid.shape), 0, -1) - 31.5) * 0.6
    radius = np.linalg.norm(points, axis=-1)
    round_mask = radius < 7
    spiky = round_mask.copy()
    for direction in np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, 0], [0, -1, -1], [1, 1, 1], [-1, 0, 1]]):
        unit = direction / np.linalg.norm(direction)
        along = points @ unit
        spiky |= (along > 0) & (along < 13) & (np.sqrt(np.maximum(radius**2 - along**2, 0)) < 0.8)
    lobed = (np.linalg.norm(points - [4, 0, 0], axis=-1) < 6) | (np.linalg.norm(points - [-6, -2, 0], axis=-1) < 5)
    masks = [NoduleMask(m.astype(np.float32), grid) for m in (round_mask, spiky, lobed)]
    spikes, lobes = [spiculation(m) for m in masks], [lobulation(m) for m in masks]
    assert spikes[0] < 0.03
    assert spikes[2] < 0.1
    assert spikes[1] > 0.15
    assert lobes[0] < 0.05
    assert lobes[2] > 0.08


def test_thick_slices_noise_and_the_edge_make_the_volume_unreliable():
    (thin, nodule), (thick, blurred) = known(SOLID), known(SOLID, 2.5)
    sure = character_of(thin.volume, thin.lungs, nodule)
    unsure = character_of(thick.volume, thick.lungs, blurred)
    volume = nodule.measurements.volume_mm3
    assert sure.reliable
    assert sure.warnings == ()
    assert sure.volume_95_mm3 == pytest.approx((volume / (1 + THIN_SLICES.limit), volume * (1 + THIN_SLICES.limit)))
    assert not unsure.reliable
    assert "2.5 mm apart: the Fleischner Society" in unsure.warnings[0]
    low, high = unsure.volume_95_mm3
    assert high / low > sure.volume_95_mm3[1] / sure.volume_95_mm3[0]


def test_a_nodule_that_the_field_of_view_cuts():
    ct, nodule = known(SOLID)
    middle = ct.volume.shape[0] // 2
    cut = Volume(
        ct.volume.array[middle:],
        ct.volume.grid.crop((middle, 0, 0), (ct.volume.shape[0] - middle, *ct.volume.shape[1:])),
    )
    lungs = LabelMap(ct.lungs.array[middle:], cut.grid, ct.lungs.structures)
    mask = refine(cut, nodule.mask, lungs)
    found = character_of(cut, lungs, nodule_of(cut, lungs, mask, 1, 12.0, 0.9))
    assert found.at_edge
    assert not found.reliable
    assert any("field of view cuts" in warning for warning in found.warnings)
    assert not character_of(ct.volume, ct.lungs, nodule).at_edge


def test_lobes_where_they_are_given():
    shape = ball(10.0)
    ct = render(shape)
    upper = np.indices(ct.volume.shape)[0] >= ct.volume.shape[0] // 2 - 4
    codes = ct.lungs.structures[1]
    names = {1: "Right upper lobe", 2: "Right lower lobe"}
    lobes = LabelMap(
        np.where(upper, 1, 2).astype(np.uint8),
        ct.volume.grid,
        {value: replace(codes, name=name) if isinstance(codes, Structure) else codes for value, name in names.items()},
    )
    nodule = refined(shape, ct)
    assert character_of(ct.volume, ct.lungs, nodule, lobes).lobe is Lobe.RIGHT_UPPER
    alone = character_of(ct.volume, ct.lungs, nodule)
    assert alone.lobe is None
    assert alone.perifissural is None
    assert alone.zone == "middle"


def test_an_empty_mask_and_another_volume_are_refused():
    ct, nodule = known(SOLID)
    empty = replace(nodule, mask=NoduleMask(np.zeros_like(nodule.mask.occupancy), nodule.mask.grid))
    with pytest.raises(InputError, match="mask is empty"):
        character_of(ct.volume, ct.lungs, empty)
    shift = np.eye(4)
    shift[0, 3] = 900.0
    away = Grid(nodule.mask.grid.shape, shift @ nodule.mask.grid.ijk_to_ras)
    far = replace(nodule, mask=NoduleMask(nodule.mask.occupancy, away))
    with pytest.raises(InputError, match="outside the volume"):
        character_of(ct.volume, ct.lungs, far)
