"""Real CTs: the same voxels at the same places as ITK's own reader gives; the demo CT is what its README says."""

from __future__ import annotations

import csv
import hashlib
import json

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT

from data.make_demo_ct import COLUMNS, demo_volume, reference_rows
from SegmentationAILib.checks import check_ct
from SegmentationAILib.files import load
from SegmentationAILib.volume import LPS_FROM_RAS

DEMO = ROOT / "Resources" / "Demo"
DEMO_CT = DEMO / "LIDC-IDRI-0003.nrrd"


@pytest.mark.parametrize(("case", "slices"), [("LIDC-IDRI-0003", 140), ("LUNG1-002", 111)])
def test_dicom_as_itk_reads_it(data_dir, case, slices):
    """LUNG1-002 has its structure set, plan and dose in the same folder."""
    folder = data_dir / case / "dicom"
    volume = load(folder)
    assert volume.shape == (slices, 512, 512)
    assert volume.array.dtype == np.int16
    assert volume.modality == "CT"
    assert len(set(volume.source.sop_instance_uids)) == slices
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), volume.source.series_instance_uid)
    itk = sitk.ReadImage(names)
    assert np.array_equal(volume.array, sitk.GetArrayViewFromImage(itk))
    size = np.array(itk.GetSize()) - 1
    for corner in ([0, 0, 0], size, [size[0], 0, 0], [0, size[1], 0], [0, 0, size[2]]):
        lps = itk.TransformContinuousIndexToPhysicalPoint([float(n) for n in corner])
        assert np.abs(volume.grid.ras(corner) - LPS_FROM_RAS[:3, :3] @ lps).max() < 0.01


def test_the_readers_nodules_lie_on_the_dicom_voxels(data_dir):
    case = data_dir / "LIDC-IDRI-0003"
    ct, nodules = load(case / "dicom"), load(case / "nodules.nii.gz")
    assert nodules.grid.same_as(ct.grid, tolerance_mm=0.01)
    for nodule in json.loads((case / "nodules.json").read_text())["nodules"]:
        voxels = np.argwhere(nodules.array == nodule["label"])
        centre = nodules.grid.ras(voxels[:, ::-1].mean(axis=0))
        assert np.abs(centre - LPS_FROM_RAS[:3, :3] @ nodule["centre_lps_mm"]).max() < 0.02


def test_the_demo_ct_is_the_public_case_cropped_and_rounded(data_dir):
    case = data_dir / "LIDC-IDRI-0003"
    demo, made, original = load(DEMO_CT), demo_volume(case / "dicom"), load(case / "dicom")
    assert np.array_equal(demo.array, made.array)
    assert demo.grid.same_as(made.grid)
    first = int(np.round(original.grid.ijk(demo.grid.ras([0, 0, 0])))[1])
    assert demo.grid.same_as(original.grid.crop((0, first, 0), demo.shape))
    there = original.array[:, first : first + demo.shape[1]].clip(-1024, 3071)
    assert np.abs(there - demo.array).max() <= 4
    with (DEMO / "reference_nodules.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == list(COLUMNS)
    expected = reference_rows(case / "nodules.json")
    assert np.allclose(np.array(rows[1:], dtype=float), np.array(expected))


def test_the_demo_ct_is_what_its_readme_says():
    readme = (DEMO / "README.md").read_text(encoding="utf-8")
    raw = DEMO_CT.read_bytes()
    assert hashlib.sha256(raw).hexdigest() in readme
    assert "CC BY 3.0" in readme
    assert len(raw) < 25e6
    volume = load(DEMO_CT)
    assert volume.shape == (140, 399, 512)
    assert volume.name == "LIDC-IDRI-0003"
    assert not np.any(volume.array % 8)
    check_ct(volume)


def test_the_demo_ct_names_nobody():
    header = DEMO_CT.read_bytes()[:2000].split(b"\n\n")[0].decode().splitlines()[1:]
    fields = {line.split(":")[0] for line in header if not line.startswith("#")}
    geometry = {"dimension", "space", "sizes", "space directions", "space origin", "kinds"}
    assert fields == geometry | {"type", "endian", "encoding"}
