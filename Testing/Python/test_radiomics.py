"""Radiomics: IBSI's reference values, the same for any axes, settings in the file, one sentence for bad input."""

from __future__ import annotations

import csv
import logging
import math
import re
from itertools import permutations, product
from typing import get_args

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiomics import mirp_values
from SegmentationAILib.radiomics.extraction import extract
from SegmentationAILib.radiomics.ibsi import ibsi_features
from SegmentationAILib.radiomics.region import Region, region_around
from SegmentationAILib.radiomics.settings import Aggregation, RadiomicsSettings
from SegmentationAILib.radiomics.spatial import spatial_features
from SegmentationAILib.radiomics.table import COLUMNS, write_csv
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

NATIVE = {"spacing_mm": 1.0, "in_plane": False, "interpolation": "linear"}
# A turn that leaves each axis closest to its own.
TURN = sitk.Euler3DTransform((0, 0, 0), 0.1, -0.15, 0.2).GetMatrix()


def nodule_ct(spacing=(0.7, 0.9, 2.0), shape=(16, 26, 30)) -> tuple[Volume, np.ndarray]:
    """A noisy lump in lung on an oblique grid with axes near L, P, S."""
    matrix = LPS_FROM_RAS.copy()
    matrix[:3, :3] @= np.reshape(TURN, (3, 3)) @ np.diag(spacing)
    grid = Grid(shape, matrix)
    k, j, i = np.indices(shape)
    distance = np.linalg.norm(
        np.stack([(i - 14) * spacing[0], (j - 12) * spacing[1], (k - 8) * spacing[2]])
        / [[[[5.0]]], [[[4.0]]], [[[6.0]]]],
        axis=0,
    )
    hu = np.where(distance < 1.0, 40.0, -850.0) + np.random.default_rng(3).normal(scale=60.0, size=shape)
    return Volume(np.round(hu).astype(np.int16), grid, "lump", "CT"), distance < 1.1


def other_axes(grid: Grid, order: tuple[int, ...], signs: tuple[int, ...]) -> Grid:
    """The same voxels: the new axis n of (i, j, k) runs along the old axis order[n], forwards or backwards."""
    size = grid.shape[::-1]
    change = np.zeros((4, 4))
    change[3, 3] = 1.0
    for axis, (old, sign) in enumerate(zip(order, signs, strict=True)):
        change[old, axis] = sign
        change[old, 3] = 0 if sign > 0 else size[old] - 1
    return Grid(tuple(size[old] for old in order)[::-1], grid.ijk_to_ras @ change)


@pytest.fixture(scope="module")
def mirp():
    return pytest.importorskip("mirp", reason="MIRP is an optional package")


@pytest.fixture(scope="module")
def lump(mirp):
    volume, mask = nodule_ct()
    return extract(volume, mask, name="lump")


@pytest.mark.parametrize("aggregation", get_args(Aggregation))
def test_the_digital_phantom_has_the_reference_values(data_dir, mirp, aggregation):
    folder = data_dir / "ibsi"
    image = sitk.ReadImage(folder / "phantom.nii.gz")
    grid = Grid(image.GetSize()[::-1], np.diag([*image.GetSpacing(), 1.0]))
    volume = Volume(sitk.GetArrayFromImage(image), grid, modality="CT")
    mask = sitk.GetArrayFromImage(sitk.ReadImage(folder / "mask.nii.gz")) > 0
    settings = RadiomicsSettings(spacing_mm=None, intensity_range=None, bin_width=None, aggregation=aggregation)
    found = extract(volume, mask, settings).values
    with (folder / "ibsi_1_dig_phantom.csv").open() as file:
        rows = {row["tag"]: row for row in csv.DictReader(file, delimiter=";")}
    assert len(found) == 169
    for tag, value in found.items():
        reference = float(rows[tag]["reference value"])
        # The references are printed with three significant digits.
        half_digit = 0.5 * 10.0 ** (math.floor(math.log10(abs(reference))) - 2) if reference else 0.005
        tolerance = max(float(rows[tag]["tolerance"]), half_digit)
        assert abs(value - reference) <= tolerance * (1 + 1e-9), (tag, value, reference)


def test_every_reference_value_is_of_a_known_feature(data_dir):
    with (data_dir / "ibsi" / "ibsi_1_dig_phantom.csv").open() as file:
        rows = {row["tag"] for row in csv.DictReader(file, delimiter=";") if row["reference value"]}
    settings = [RadiomicsSettings(aggregation=name) for name in get_args(Aggregation)]
    assert rows == {feature.tag_with(one) for feature in ibsi_features() for one in settings}
    assert len(rows) == 482


def test_codes_are_those_of_one_feature_each():
    codes = [feature.code for feature in ibsi_features()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[A-Z0-9]{4}", code) for code in codes)


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


def test_features_are_the_same_for_other_axes(lump):
    volume, mask = nodule_ct()
    grid = other_axes(volume.grid, (2, 0, 1), (-1, 1, -1))
    turned = Volume(reorient(volume.array, volume.grid, grid), grid, modality="CT")
    assert extract(turned, reorient(mask, volume.grid, grid)).values == lump.values


@pytest.mark.parametrize(("interpolation", "spline"), [("linear", 1), ("cubic", 3)])
def test_resampling_is_that_of_mirp_on_the_whole_volume(mirp, interpolation, spline):
    """Cutting out the surroundings first changes nothing; MIRP's pipeline is the one verified on IBSI's CT."""
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
    theirs = masks[0].roi.get_voxel_grid()
    assert np.count_nonzero(ours.mask) == np.count_nonzero(theirs)
    np.testing.assert_allclose(ours.image[ours.mask], images[0].get_voxel_grid()[theirs], atol=0.01)


def test_in_the_plane_slices_stay_where_they_are():
    volume, mask = nodule_ct()
    region = region_around(volume, mask, spacing_mm=1.0, in_plane=True, interpolation="linear")
    assert region.spacing_kji == (2.0, 1.0, 1.0)
    assert region.mask.any(axis=(1, 2)).sum() == mask.any(axis=(1, 2)).sum()


def test_values_outside_the_range_do_not_count_but_for_shape(lump):
    volume, mask = nodule_ct()
    solid = extract(volume, mask, RadiomicsSettings(intensity_range=(-200.0, 400.0)))
    assert solid.voxels == lump.voxels
    assert solid.voxels_in_range < lump.voxels_in_range
    assert solid.values["morph_volume"] == lump.values["morph_volume"]
    assert solid.values["stat_min"] >= -200.0 > lump.values["stat_min"]


def test_grey_levels_are_those_of_the_settings(lump):
    volume, mask = nodule_ct()
    by_number = extract(volume, mask, RadiomicsSettings(bin_width=None, bin_number=16)).values
    assert by_number["ih_max"] == 16
    assert by_number["ih_min"] == 1
    assert lump.values["ih_max"] == math.floor((lump.values["stat_max"] + 1000.0) / 25.0) + 1


def test_one_intensity_and_two_voxels_are_enough(mirp):
    volume, mask = nodule_ct()
    two = np.zeros_like(mask)
    two[8, 12, 14:16] = True
    settings = RadiomicsSettings(spacing_mm=None)
    assert extract(volume, two, settings).values["morph_volume"] > 0
    flat = extract(volume.with_array(np.full(volume.shape, 30, dtype=np.int16)), mask, settings).values
    assert flat["stat_var"] == 0
    assert flat["stat_mean"] == 30
    assert math.isnan(flat["morph_moran_i"])


def test_nothing_is_printed_and_the_loggers_stay_as_they_were(mirp, capfd):
    volume, mask = nodule_ct()
    before = list(logging.getLogger().handlers)
    extract(volume, mask, RadiomicsSettings(spacing_mm=None))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger().handlers == before


@given(
    arrays.arrays(np.float64, (3, 4, 5), elements=st.integers(-50, 50).map(float)),
    arrays.arrays(np.bool_, (3, 4, 5)),
)
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


def test_the_file_holds_values_codes_and_settings(tmp_path, lump):
    path = write_csv([lump], tmp_path / "radiomics.csv")
    with path.open(newline="") as file:
        rows = {row["ibsi_tag"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(lump.values)
    contrast = rows["cm_contrast_3D_comb"]
    assert tuple(contrast) == COLUMNS
    assert float(contrast["value"]) == lump.values["cm_contrast_3D_comb"]
    assert (contrast["ibsi_code"], contrast["feature"], contrast["segment"]) == ("ACUI", "Contrast", "lump")
    assert (contrast["spacing_mm"], contrast["bin_width"], contrast["bin_number"]) == ("1.0", "25.0", "")
    assert (contrast["intensity_low"], contrast["intensity_high"]) == ("-1000.0", "400.0")
    assert contrast["software"].startswith("MIRP 2.")


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"intensity_range": (500.0, 600.0)}, "holds 0 voxels with an intensity of 500 to 600; choose"),
        ({"intensity_range": None, "bin_width": None}, "Without bins the voxels must be grey levels"),
    ],
)
def test_intensities_that_do_not_fit_the_settings_are_refused(mirp, settings, message):
    with pytest.raises(InputError, match=message):
        extract(*nodule_ct(), RadiomicsSettings(**settings))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"spacing_mm": 0.0}, "choose 0.1 to 10 mm"),
        ({"spacing_mm": math.nan}, "choose 0.1 to 10 mm"),
        ({"interpolation": "quintic"}, "choose one of nearest, linear, cubic"),
        ({"aggregation": "4D"}, "choose one of 2D_avg"),
        ({"intensity_range": (400.0, -1000.0)}, "must begin below its end"),
        ({"bin_number": 32}, "both given"),
        ({"bin_width": -1.0}, "above 0"),
        ({"intensity_range": None}, "bin_width needs intensity_range"),
        ({"bin_width": None, "bin_number": 1}, "2 bins and more"),
    ],
)
def test_settings_are_checked_when_they_are_made(settings, message):
    with pytest.raises(InputError, match=message):
        RadiomicsSettings(**settings)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(mirp_values, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'install it with pip install "mirp>=2\.5"'):
        extract(*nodule_ct())
