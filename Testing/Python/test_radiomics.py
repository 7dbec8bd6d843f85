"""Radiomics: IBSI's reference values, the same for any axes, settings in the file, one sentence for bad input."""

from __future__ import annotations

import csv
import logging
import math
import re
from typing import get_args

import numpy as np
import pytest
import SimpleITK as sitk
from lump import nodule_ct, other_axes

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiomics import mirp_values
from SegmentationAILib.radiomics.extraction import extract
from SegmentationAILib.radiomics.ibsi import ibsi_features
from SegmentationAILib.radiomics.settings import Aggregation, RadiomicsSettings
from SegmentationAILib.radiomics.table import COLUMNS, write_csv
from SegmentationAILib.volume import Grid, Volume


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


def test_features_are_the_same_for_other_axes(lump):
    volume, mask = nodule_ct()
    grid = other_axes(volume.grid, (2, 0, 1), (-1, 1, -1))
    turned = Volume(reorient(volume.array, volume.grid, grid), grid, modality="CT")
    assert extract(turned, reorient(mask, volume.grid, grid)).values == lump.values


def test_shape_is_in_mm_on_voxels_of_any_size(mirp):
    volume, mask = nodule_ct(spacing=(0.7, 0.9, 2.0))
    rod = np.zeros_like(mask)
    rod[4:11, 12, 14] = True
    found = extract(volume, rod, RadiomicsSettings(spacing_mm=None)).values
    assert found["morph_diam"] == pytest.approx(7 * 2.0, abs=0.1)
    assert found["morph_vol_approx"] == pytest.approx(7 * 0.7 * 0.9 * 2.0)


def test_intensities_are_whole_hu_in_all_families(lump):
    values = lump.values
    assert values["stat_max"] == round(values["stat_max"])
    assert values["morph_integ_int"] == pytest.approx(values["morph_volume"] * values["stat_mean"], rel=1e-6)


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
