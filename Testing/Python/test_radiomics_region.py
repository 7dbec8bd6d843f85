"""What radiomics look at: the same for any axes, on IBSI's lattice; and its autocorrelation."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lump import nodule_ct, other_axes
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiomics import mirp_values
from SegmentationAILib.radiomics.region import Region, region_around
from SegmentationAILib.radiomics.spatial import spatial_features
from SegmentationAILib.volume import Grid, Volume

NATIVE = {"spacing_mm": 1.0, "in_plane": False, "interpolation": "linear"}


@pytest.mark.parametrize(
    ("spacing_mm", "interpolation"), [(1.0, "linear"), (0.9, "cubic"), (1.5, "nearest"), (None, "linear")]
)
def test_the_region_is_the_same_for_any_axes(spacing_mm, interpolation):
    volume, mask = nodule_ct()
    options = {"spacing_mm": spacing_mm, "in_plane": False, "interpolation": interpolation}
    expected = region_around(volume, mask, **options)
    assert expected.mask.any()
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        grid = other_axes(volume.grid, order, signs)
        turned = Volume(reorient(volume.array, volume.grid, grid), grid, modality="CT")
        found = region_around(turned, reorient(mask, volume.grid, grid), **options)
        np.testing.assert_array_equal(found.image, expected.image)
        np.testing.assert_array_equal(found.mask, expected.mask)
        assert found.spacing_kji == expected.spacing_kji


@given(st.tuples(*[st.floats(-15, 15)] * 3))
@settings(deadline=None)
def test_the_region_is_the_same_for_a_turned_patient(angles_deg):
    volume, mask = nodule_ct()
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    turned = Volume(volume.array, Grid(volume.shape, turn @ volume.ijk_to_ras))
    expected, found = region_around(volume, mask, **NATIVE), region_around(turned, mask, **NATIVE)
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.mask, expected.mask)
    assert found.spacing_kji == expected.spacing_kji


@pytest.mark.parametrize(("interpolation", "spline"), [("linear", 1), ("cubic", 3)])
def test_resampling_is_that_of_mirp_on_the_whole_volume(interpolation, spline):
    """Cutting out the surroundings first changes nothing; MIRP's pipeline is the one verified on IBSI's CT."""
    mirp = pytest.importorskip("mirp", reason="MIRP is an optional package")
    volume, mask = nodule_ct(shape=(40, 60, 70))
    ours = region_around(volume, mask, spacing_mm=1.2, in_plane=False, interpolation=interpolation)
    with mirp_values._quiet():
        ((images, masks),) = mirp.extract_images(
            image=volume.array.astype(float), mask=mask.astype(np.uint8), image_export_format="native"
        )
        for held in (images[0], masks[0].roi, masks[0].roi_intensity, masks[0].roi_morphology):
            if held is not None:
                held.image_spacing = tuple(np.round(volume.spacing[::-1], 6))
        ((images, masks),) = mirp.extract_images(
            image=images[0],
            mask=masks[0],
            new_spacing=1.2,
            spline_order=spline,
            anti_aliasing=False,
            image_export_format="native",
        )
    # As far around as the local intensity peak looks.
    ours_around, theirs_around = (
        ndimage.binary_dilation(mask, iterations=4) for mask in (ours.mask, masks[0].roi.get_voxel_grid())
    )
    np.testing.assert_allclose(ours.image[ours_around], images[0].get_voxel_grid()[theirs_around], atol=0.01)


def test_in_the_plane_slices_stay_where_they_are():
    volume, mask = nodule_ct()
    region = region_around(volume, mask, spacing_mm=1.0, in_plane=True, interpolation="linear")
    assert region.spacing_kji == (2.0, 1.0, 1.0)
    assert region.mask.any(axis=(1, 2)).sum() == mask.any(axis=(1, 2)).sum()


@given(
    arrays.arrays(np.float64, (3, 4, 5), elements=st.integers(-50, 50).map(float)),
    arrays.arrays(np.bool_, (3, 4, 5)),
)
@settings(deadline=None)
def test_autocorrelation_is_the_sum_over_pairs(image, inside):
    inside = inside.copy()
    inside[1, 1, 1:3] = True
    spacing = (2.0, 0.8, 1.1)
    found = spatial_features(Region(image, inside, spacing), inside, 10.0)
    values = image[inside]
    deviation = values - values.mean()
    if not np.ptp(values):
        assert math.isnan(found["morph_moran_i"])
        return
    points = np.argwhere(inside) * spacing
    distance = np.linalg.norm(points[:, None] - points, axis=-1) + np.diag(np.full(len(points), np.inf))
    weight, squares, n = 1 / distance, (deviation**2).sum(), len(values)
    moran = n * (weight * np.outer(deviation, deviation)).sum() / (weight.sum() * squares)
    geary = (n - 1) * (weight * (values[:, None] - values) ** 2).sum() / (2 * weight.sum() * squares)
    assert found["morph_moran_i"] == pytest.approx(moran, abs=1e-9)
    assert found["morph_geary_c"] == pytest.approx(geary, abs=1e-9)


def no_voxel(volume, mask):
    return volume, np.zeros_like(mask)


def one_voxel(volume, mask):
    mask = np.zeros_like(mask)
    mask[8, 12, 14] = True
    return volume, mask


def another_grid(volume, mask):
    return volume, mask[1:]


def nan_in_the_mask(volume, mask):
    array = volume.array.astype(np.float32)
    array[8, 12, 14] = np.nan
    return volume.with_array(array), mask


def sheared(volume, mask):
    matrix = volume.ijk_to_ras @ np.array([[1, 0.0, 0.4, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    return Volume(volume.array, Grid(volume.shape, matrix)), mask


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_voxel, r"holds no voxel; choose"),
        (one_voxel, r"holds a single voxel; choose"),
        (another_grid, r"has 30×26×15 voxels and the volume 30×26×16; resample"),
        (nan_in_the_mask, r"The volume 'lump' has voxels in or near the mask that are not numbers"),
        (sheared, r"not at right angles.*; resample"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(spoil, message):
    with pytest.raises(InputError, match=message) as refusal:
        region_around(*spoil(*nodule_ct()), **NATIVE)
    assert str(refusal.value).count(". ") == 0


def test_a_mask_lost_in_resampling_is_refused():
    volume, mask = nodule_ct()
    mask = np.zeros_like(mask)
    mask[8, 12, 14:16] = True
    with pytest.raises(InputError, match="after resampling; choose a smaller spacing"):
        region_around(volume, mask, spacing_mm=5.0, in_plane=False, interpolation="linear")


def test_nan_far_from_the_mask_does_no_harm():
    volume, mask = nodule_ct(shape=(40, 60, 70))
    array = volume.array.astype(np.float32)
    array[-1] = np.nan
    found = region_around(volume.with_array(array), mask, **NATIVE)
    np.testing.assert_array_equal(found.image, region_around(volume, mask, **NATIVE).image)
