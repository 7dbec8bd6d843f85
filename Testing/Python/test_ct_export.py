"""A CT's own DICOM series: read back by this project's reader it is the same volume."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from geometry import AXIS_ORDERS, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from rt_phantoms import axial_grid, ball, dicom_errors

from SegmentationAILib import files
from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiotherapy.ct_export import write_ct_series
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import Grid, Volume

angles = st.floats(-40, 40)


def noise(grid: Grid) -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 3072, grid.shape).astype(np.int16)


@given(st.sampled_from(AXIS_ORDERS), st.tuples(angles, angles, angles))
@settings(deadline=None, max_examples=15)
def test_voxels_and_their_places_come_back(tmp_path_factory, order, turned):
    grid = oblique_grid(order, angles_deg=turned, shape=(4, 5, 6))
    volume = Volume(noise(grid), grid, "chest")
    folder = tmp_path_factory.mktemp("export") / "new" / "ct"
    source = write_ct_series(volume, folder)
    back = files.load(folder)
    canonical = grid.canonical()
    assert back.grid.same_as(canonical)
    assert np.array_equal(back.array, reorient(volume.array, grid, canonical))
    assert back.source == source
    assert back.notes == ()


def test_the_standard_is_kept(tmp_path):
    grid = axial_grid((3, 8, 9))
    write_ct_series(Volume(noise(grid), grid, "Brustkorb ü"), tmp_path / "ct", patient_name="Ö^A", patient_id="7")
    for path in (tmp_path / "ct").iterdir():
        assert dicom_errors(path) == []
        dataset = pydicom.dcmread(path)
        assert (str(dataset.PatientName), dataset.PatientID) == ("Ö^A", "7")
        assert dataset.SeriesDescription == "Brustkorb ü"


def test_fractions_of_hu_are_rounded(tmp_path):
    grid = axial_grid((2, 3, 4))
    values = np.linspace(-1000.4, 400.4, 24, dtype=np.float32).reshape(grid.shape)
    write_ct_series(Volume(values, grid), tmp_path / "ct")
    assert np.array_equal(files.load(tmp_path / "ct").array, np.round(values))


def test_structures_of_a_ct_without_dicom_can_be_exported(tmp_path):
    grid = oblique_grid(AXIS_ORDERS[20], angles_deg=(5, -4, 8), spacing=(0.9, 1.1, 3.0), shape=(12, 40, 44))
    mask = ball(grid, (6, 20, 22), 12)
    write_ct_series(Volume(noise(grid), grid), tmp_path / "ct")
    structures = StructureSet(grid, (RTStructure("GTV", Role.GTV, mask),))
    path = write_rtstruct(structures, tmp_path / "ct", tmp_path / "rt.dcm")
    back, notes = read_rtstruct(path, files.load(tmp_path / "ct"))
    assert dice(back["GTV"].mask, reorient(mask, grid, grid.canonical())) > 0.98
    assert notes == []


def test_what_is_no_ct_is_refused(tmp_path):
    grid = axial_grid((2, 3, 4))
    zeros = np.zeros(grid.shape, dtype=np.int16)
    with pytest.raises(InputError, match="not HU"):
        write_ct_series(Volume(zeros + 1e6, grid), tmp_path / "ct")
    with pytest.raises(InputError, match="MR and not CT"):
        write_ct_series(Volume(zeros, grid, modality="MR"), tmp_path / "ct")
    sheared = grid.ijk_to_ras.copy()
    sheared[0, 2] = 1.0
    with pytest.raises(InputError, match="right angles"):
        write_ct_series(Volume(zeros, Grid(grid.shape, sheared)), tmp_path / "ct")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="is not empty"):
        write_ct_series(Volume(zeros, grid), tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
