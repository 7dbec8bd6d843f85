"""DVHs of patients against an independent calculation, Eclipse's and CERR's."""

from __future__ import annotations

import csv
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pydicom
import pytest
import vtk
from matplotlib.path import Path as Polygon
from scipy.interpolate import RegularGridInterpolator
from vtk.util.numpy_support import vtk_to_numpy

from SegmentationAILib.files import load
from SegmentationAILib.radiotherapy.dose import read_dose
from SegmentationAILib.radiotherapy.dvh import compute_dvh
from SegmentationAILib.radiotherapy.rasterise import rasterise
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

Planes = dict[float, list[np.ndarray]]


def contours_of(path, number: int) -> Planes:
    """LPS z -> (x, y) [n, 2] of each contour, straight from the file."""
    planes = defaultdict(list)
    for roi in pydicom.dcmread(path).ROIContourSequence:
        for contour in roi.get("ContourSequence", []) if roi.ReferencedROINumber == number else []:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            planes[round(points[0, 2], 3)].append(points[:, :2])
    return planes


def mask_of(planes: Planes, grid: Grid) -> np.ndarray:
    rings, places = [], []
    for z, contours in planes.items():
        for contour in contours:
            ijk = grid.ijk(np.column_stack([contour, np.full(len(contour), z)]) * [-1, -1, 1])
            rings.append(ijk[:, :2])
            places.append(float(ijk[0, 2]))
    return rasterise(rings, places, grid.shape, float(grid.spacing[2])).mask


def grid_around(planes: Planes, spacing: tuple[float, float, float]) -> Grid:
    points = np.concatenate([contour for contours in planes.values() for contour in contours])
    first = np.array([*points.min(axis=0) - 2 * spacing[0], min(planes)])
    last = np.array([*points.max(axis=0) + 2 * spacing[0], max(planes)])
    matrix = np.diag([*spacing, 1.0])
    matrix[:3, 3] = first
    shape = np.round((last - first) / spacing).astype(int)[::-1] + 1
    return Grid(tuple(shape), LPS_FROM_RAS @ matrix)


def independent_doses(dose_path, planes, thickness: float) -> np.ndarray:
    """Doses at points 0.7 mm apart, by matplotlib's polygons and scipy's interpolation, hottest first."""
    dataset = pydicom.dcmread(dose_path)
    first, step = np.array(dataset.ImagePositionPatient, float), np.array(dataset.PixelSpacing, float)
    values = dataset.pixel_array * float(dataset.DoseGridScaling)
    axes = (
        first[2] + np.array(dataset.GridFrameOffsetVector, float),
        first[1] + step[0] * np.arange(values.shape[1]),
        first[0] + step[1] * np.arange(values.shape[2]),
    )
    dose = RegularGridInterpolator(axes, values)
    found = []
    for z, contours in planes.items():
        points = np.concatenate(contours)
        x, y = np.meshgrid(*(np.arange(points[:, n].min(), points[:, n].max(), 0.7) for n in (0, 1)))
        place = np.column_stack([x.ravel(), y.ravel()])
        inside = np.zeros(len(place), dtype=bool)
        for contour in contours:
            inside ^= Polygon(np.vstack([contour, contour[:1]])).contains_points(place)
        x, y = place[inside].T
        found += [dose(np.column_stack([np.full(len(x), z + part * thickness), y, x])) for part in (-1 / 3, 0, 1 / 3)]
    return np.sort(np.concatenate(found))[::-1]


@pytest.mark.parametrize(("number", "name"), [(2, "GTV-1"), (5, "Spinal cord"), (7, "Heart")])
def test_a_patient_against_an_independent_calculation(data_dir, number, name):
    """Every point of the curve within 0.3 % of the volume; D98, D50, D2 within 0.1 Gy."""
    folder = data_dir / "LUNG1-002" / "dicom"
    planes = contours_of(folder / "1.dcm", number)
    doses = independent_doses(folder / "117.dcm", planes, 3.0)
    grid = grid_around(planes, (0.977, 0.977, 3.0))
    dvh = compute_dvh(read_dose(folder / "117.dcm").volume, mask_of(planes, grid), grid, name=name)
    at = np.arange(0.1, 76, 0.1)
    expected = 1 - np.searchsorted(doses[::-1], at) / len(doses)
    assert np.abs(dvh.volume_at(at) / dvh.volume_cc - expected).max() < 0.003
    assert dvh.mean_gy == pytest.approx(doses.mean(), abs=0.05)
    for part in (0.98, 0.5, 0.02):
        assert dvh.dose_at(part * dvh.volume_cc) == pytest.approx(doses[int(part * len(doses))], abs=0.1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_plan_against_eclipse(data_dir, number):
    """The DVHs that Eclipse wrote into its RTDOSE; it counts only what lies inside the dose grid."""
    folder = data_dir / "rt" / "rtdose-head"
    dataset = pydicom.dcmread(folder / "rtdose.dcm")
    written = next(d for d in dataset.DVHSequence if d.DVHReferencedROISequence[0].ReferencedROINumber == number)
    steps, volume = np.array(written.DVHData, dtype=float).reshape(-1, 2).T
    planes = contours_of(folder / "rtstruct.dcm", number)
    grid = grid_around(planes, (0.5, 0.5, 0.6))
    dvh = compute_dvh(read_dose(folder / "rtdose.dcm").volume, mask_of(planes, grid), grid)
    at = np.cumsum(steps) - steps[0]
    inside = dvh.volume_cc - dvh.outside_cc
    assert inside == pytest.approx(volume[0], rel=0.01)
    off = np.abs(dvh.volume_at(at[1:]) / inside - volume[1:] / volume[0])
    assert off.max() < 0.02
    assert off[at[1:] <= written.DVHMaximumDose].mean() < 0.002
    assert dvh.max_gy == pytest.approx(float(written.DVHMaximumDose), abs=0.01)
    assert dvh.mean_inside_gy == pytest.approx(float(written.DVHMeanDose), abs=0.1)


def polygons_of(path: Path) -> tuple[str, Planes]:
    """The name and, by LPS z, the (x, y) [n, 2] of each contour of a segment in Slicer's RAS."""
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    poly = reader.GetOutput()
    points = vtk_to_numpy(poly.GetPoints().GetData()).astype(float) * [-1, -1, 1]
    lines = poly.GetLines()
    start = vtk_to_numpy(lines.GetOffsetsArray())
    order = vtk_to_numpy(lines.GetConnectivityArray())
    planes = defaultdict(list)
    for first, last in pairwise(start):
        ring = points[order[first:last]]
        planes[round(float(ring[0, 2]), 3)].append(ring[:, :2])
    return poly.GetFieldData().GetAbstractArray("Segment_Name").GetValue(0), planes


def curves_of(path: Path) -> dict[str, np.ndarray]:
    """Structure -> [n, 2] of dose in Gy and volume in %; names are letters and digits alone."""
    header, *rows = list(csv.reader(path.open()))
    found = {}
    for column in range(0, len(header) - 1, 2):
        pairs = [row[column : column + 2] for row in rows if len(row) > column + 1 and row[column] and row[column + 1]]
        found[bare(header[column].split("_DvhArray")[0])] = np.array(pairs, dtype=float)
    return found


def bare(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


# CTV, GTV, right optic nerve, left and right orbit, PTV1: 1.8 to 127 cc by Eclipse's own volumes.
@pytest.mark.parametrize("number", [3, 5, 9, 11, 12, 13])
def test_a_head_plan_is_nearer_to_eclipse_than_cerr(data_dir, number):
    """Mean difference of the curves within 0.6 % of the volume and below CERR's."""
    folder = data_dir / "rt" / "slicerrt-ent"
    name, planes = polygons_of(folder / "EclipseEnt_Structures.seg" / f"EclipseEnt_Structures.seg_{number}.vtp")
    name = bare("OpticNerveRt" if name == "Optic Nerve - Rt" else name.replace(" - ", " "))
    eclipse, cerr = (curves_of(folder / f"EclipseEnt_DvhTable_{one}.csv")[name] for one in ("Eclipse", "CERR"))
    grid = grid_around(planes, (1.074219, 1.074219, 2.5))
    dvh = compute_dvh(load(folder / "EclipseEnt_Dose.nrrd"), mask_of(planes, grid), grid)
    at = eclipse[:, 0][(eclipse[:, 0] >= 0.3) & (eclipse[:, 1] > 0)]
    expected = np.interp(at, *eclipse.T)
    ours = np.abs(100 * dvh.volume_at(at) / dvh.volume_cc - expected).mean()
    theirs = np.abs(np.interp(at, *cerr.T, right=0) - expected).mean()
    assert ours < 0.6
    assert ours < theirs
