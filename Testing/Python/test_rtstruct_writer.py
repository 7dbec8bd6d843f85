"""RTSTRUCT out: what a planning system reads, of the reference's patient and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from dicom_writer import Encoding, enhanced, enhanced_identity, write_series
from geometry import oblique_grid
from matplotlib.path import Path as Polygon
from rt_phantoms import AXIAL, SAGITTAL, axial_grid, ball, ct_series, dicom_errors, one_voxel, phantom_structures
from scipy import ndimage

import SegmentationAILib
from SegmentationAILib import files
from SegmentationAILib.dicom_series import find_series
from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.polygons import area
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.terminology import LUNG
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

GRIDS = {
    "axial": axial_grid(),
    "oblique": oblique_grid(AXIAL, angles_deg=(12, -9, 20), spacing=(0.9, 1.1, 3.0), shape=(12, 40, 44)),
    "sagittal": oblique_grid(SAGITTAL, spacing=(0.9, 1.1, 3.0), shape=(12, 40, 44)),
    "anisotropic": axial_grid(spacing=(0.5, 2.0, 5.0)),
}


@pytest.fixture(scope="module", params=GRIDS)
def case(request, tmp_path_factory):
    """A CT in some direction, its folder, and structures on it."""
    folder = tmp_path_factory.mktemp(request.param) / "ct"
    volume = ct_series(folder, GRIDS[request.param])
    return folder, volume, phantom_structures(volume)


@pytest.fixture(scope="module")
def axial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axial-only") / "ct"
    volume = ct_series(folder, GRIDS["axial"])
    return folder, volume, phantom_structures(volume)


def written(structure_set, folder, path, **options) -> pydicom.Dataset:
    return pydicom.dcmread(write_rtstruct(structure_set, folder, path, **options))


def points(contour) -> np.ndarray:
    return np.array(contour.ContourData, dtype=float).reshape(-1, 3)


@pytest.mark.parametrize("holes", ["keyhole", "xor"])
def test_structures_come_back(case, tmp_path, holes):
    folder, volume, structures = case
    write_rtstruct(structures, folder, tmp_path / "rt.dcm", holes=holes)
    back, notes = read_rtstruct(tmp_path / "rt.dcm", volume)
    assert notes == []
    for one in structures:
        assert back[one.name].role is one.role
        assert dice(back[one.name].mask, one.mask) > 0.98, one.name
    assert np.array_equal(back["Voxel"].mask, structures["Voxel"].mask)


def test_contours_lie_on_the_planes_of_their_images_and_keep_the_area(case, tmp_path):
    folder, volume, structures = case
    dataset = written(structures, folder, tmp_path / "rt.dcm")
    for one, item in zip(structures, dataset.ROIContourSequence, strict=True):
        total = 0.0
        for contour in item.ContourSequence:
            ijk = volume.grid.ijk(points(contour) @ LPS_FROM_RAS[:3, :3])
            k = volume.source.sop_instance_uids.index(contour.ContourImageSequence[0].ReferencedSOPInstanceUID)
            assert np.all(np.abs(ijk[:, 2] - k) * volume.spacing[2] < 0.01)
            assert contour.NumberOfContourPoints == len(ijk)
            total += area(ijk[:, :2])
        assert total == pytest.approx(one.mask.sum(), rel=0.005)


def test_numbers_take_at_most_16_bytes(case, tmp_path):
    folder, _, structures = case
    dataset = pydicom.dcmread(write_rtstruct(structures, folder, tmp_path / "rt.dcm"))
    for item in dataset.ROIContourSequence:
        for contour in item.ContourSequence:
            texts = bytes(contour.get_item("ContourData").value).split(b"\\")
            assert all(re.fullmatch(rb"-?\d+\.\d+ ?", text) and len(text) <= 16 for text in texts)


def test_the_standard_is_kept(case, tmp_path):
    folder, _, structures = case
    extra = [
        RTStructure("ITV", Role.ITV, structures["Torus"].mask, code=LUNG, model="lungs-1 " + "a" * 64),
        RTStructure("CordPRV", Role.PRV, structures["Torus"].mask, origin=Origin.MANUAL, rule="Cord + 5 mm"),
        RTStructure("Ring", Role.AVOIDANCE, structures["Torus"].mask),
        RTStructure("CTV", Role.CTV, structures["Torus"].mask),
    ]
    for one in extra:
        structures = structures.with_structure(one)
    # What scanners write and the tests' plain series lack.
    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    for one in datasets:
        one.PositionReferenceIndicator = one.PatientBirthDate = one.PatientSex = ""
    path = write_rtstruct(structures, datasets, tmp_path / "rt.dcm")
    assert dicom_errors(path) == []


def test_roles_origins_and_models_are_written_and_read(axial, tmp_path):
    folder, volume, structures = axial
    mask = structures["Torus"].mask
    cases = {
        "GTV": (Role.GTV, "GTV", "228791009"),
        "CTV": (Role.CTV, "CTV", "228792002"),
        "Motion": (Role.ITV, "CTV", "130056"),
        "PTV": (Role.PTV, "PTV", "228793007"),
        "Lung_L": (Role.ORGAN, "ORGAN", "130060"),
        "Cord_05": (Role.PRV, "AVOIDANCE", "130057"),
        "Ring": (Role.AVOIDANCE, "AVOIDANCE", "130058"),
        "Body": (Role.EXTERNAL, "EXTERNAL", None),
    }
    made = tuple(
        RTStructure(name, role, mask, (0.2, 0.4, 1.0), origin, f"rule of {name}", LUNG, f"model {name}")
        for (name, (role, _, _)), origin in zip(cases.items(), list(Origin) * 3, strict=False)
    )
    dataset = written(replace(structures, structures=made), folder, tmp_path / "rt.dcm")
    assert dataset.ApprovalStatus == "UNAPPROVED"
    assert dataset.SoftwareVersions == SegmentationAILib.__version__
    for one, roi, item, observation in zip(
        made,
        dataset.StructureSetROISequence,
        dataset.ROIContourSequence,
        dataset.RTROIObservationsSequence,
        strict=True,
    ):
        _, kind, code = cases[one.name]
        assert observation.RTROIInterpretedType == kind
        assert ("TherapeuticRoleTypeCodeSequence" in observation) == (code is not None)
        if code is not None:
            assert observation.TherapeuticRoleTypeCodeSequence[0].CodeValue == code
        assert observation.RTROIIdentificationCodeSequence[0].CodeValue == LUNG.value
        assert roi.ROIGenerationAlgorithm == one.origin.value
        assert item.ROIDisplayColor == [51, 102, 255]
    back, _ = read_rtstruct(tmp_path / "rt.dcm", volume)
    for one in made:
        held = back[one.name]
        assert (held.role, held.origin, held.rule, held.code, held.model) == (
            one.role,
            one.origin,
            one.rule,
            one.code,
            one.model,
        )
        assert np.allclose(held.colour, one.colour)


def test_references_and_patient_are_those_of_the_ct(axial, tmp_path):
    folder, volume, structures = axial
    dataset = written(structures, folder, tmp_path / "rt.dcm")
    frame = dataset.ReferencedFrameOfReferenceSequence[0]
    study = frame.RTReferencedStudySequence[0]
    series = study.RTReferencedSeriesSequence[0]
    source = volume.source
    assert frame.FrameOfReferenceUID == dataset.FrameOfReferenceUID == source.frame_of_reference_uid
    assert study.ReferencedSOPInstanceUID == dataset.StudyInstanceUID == source.study_instance_uid
    assert series.SeriesInstanceUID == source.series_instance_uid != dataset.SeriesInstanceUID
    images = [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence]
    assert images == list(source.sop_instance_uids)
    assert (dataset.PatientName, dataset.PatientID) == ("Doe^Jane", "SECRET")
    assert "SECRET" not in str(dataset).replace("Patient ID                          LO: 'SECRET'", "")


def test_points_are_few_and_the_tolerance_can_be_chosen(axial, tmp_path):
    folder, _, structures = axial

    def count(**options) -> int:
        dataset = written(structures, folder, tmp_path / "rt.dcm", **options)
        return sum(c.NumberOfContourPoints for item in dataset.ROIContourSequence for c in item.ContourSequence)

    assert count(tolerance_mm=0.5) < count() < 0.7 * count(tolerance_mm=0.0)


def test_holes_are_keyholes_or_contours_of_their_own(axial, tmp_path):
    folder, _, structures = axial
    middle = structures["Torus"].mask.shape[0] // 2

    def kinds(holes: str) -> list[str]:
        dataset = written(structures, folder, tmp_path / "rt.dcm", holes=holes)
        uid = find_image(folder, middle)
        contours = dataset.ROIContourSequence[0].ContourSequence
        return [c.ContourGeometricType for c in contours if c.ContourImageSequence[0].ReferencedSOPInstanceUID == uid]

    assert kinds("keyhole") == ["CLOSED_PLANAR"]
    assert kinds("xor") == ["CLOSEDPLANAR_XOR", "CLOSEDPLANAR_XOR"]


def find_image(folder, k: int) -> str:
    return files.load(folder).source.sop_instance_uids[k]


def test_masks_on_another_grid_are_resampled(axial, tmp_path):
    folder, volume, _ = axial
    fine = volume.grid.with_spacing(0.8)
    middle = tuple((n - 1) / 2 for n in fine.shape)
    structures = StructureSet(
        fine,
        (
            RTStructure("Ball", Role.GTV, ball(fine, middle, 11)),
            RTStructure("Dot", Role.GTV, one_voxel(fine, (20, 30, 30))),
        ),
        source=volume.source,
    )
    write_rtstruct(structures, folder, tmp_path / "rt.dcm")
    back, _ = read_rtstruct(tmp_path / "rt.dcm", volume)
    middle = volume.grid.ijk(fine.ras(np.array(middle)[::-1]))[::-1]
    assert dice(back["Ball"].mask, ball(volume.grid, tuple(middle), 11)) > 0.97
    assert back["Dot"].mask.sum() == 1
    assert back["Dot"].mask[tuple(np.round(volume.grid.ijk(fine.ras([30, 30, 20]))).astype(int)[::-1])]


def test_missing_slices_get_no_contours(axial, tmp_path):
    _, volume, structures = axial
    folder = tmp_path / "ct"
    paths = write_series(folder, volume.array, volume.grid)
    paths[6].unlink()
    gappy = files.load(folder, interpolate_missing=True)
    dataset = written(replace(structures, source=gappy.source), folder, tmp_path / "rt.dcm")
    uids = {c.ContourImageSequence[0].ReferencedSOPInstanceUID for c in dataset.ROIContourSequence[0].ContourSequence}
    assert uids <= {s.sop_instance_uid for s in find_series(folder)[0].slices}
    back, notes = read_rtstruct(tmp_path / "rt.dcm", gappy)
    assert any("'Torus': slices without contours are interpolated from their neighbours (7)" in note for note in notes)
    assert dice(back["Torus"].mask, structures["Torus"].mask) > 0.95


def test_a_tilted_gantry_keeps_contours_on_its_planes(tmp_path):
    grid = axial_grid()
    tilted = grid.ijk_to_ras.copy()
    tilted[1, 2] = 0.3 * grid.spacing[2]
    folder = tmp_path / "ct"
    write_series(folder, np.zeros(grid.shape, dtype=int), Grid(grid.shape, tilted))
    volume = files.load(folder)
    assert "tilted" in volume.notes[0]
    mask = ball(volume.grid, tuple((n - 1) / 2 for n in volume.shape), 12)
    structures = StructureSet(volume.grid, (RTStructure("Ball", Role.GTV, mask),), source=volume.source)
    dataset = written(structures, folder, tmp_path / "rt.dcm")
    images = {s.sop_instance_uid: s for s in find_series(folder)[0].slices}
    for contour in dataset.ROIContourSequence[0].ContourSequence:
        image = images[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        normal = np.cross(*image.directions)
        assert np.all(np.abs((points(contour) - image.position) @ normal) < 0.01)
    back, _ = read_rtstruct(tmp_path / "rt.dcm", volume)
    assert dice(back["Ball"].mask, mask) > 0.97


def test_frames_of_an_enhanced_ct_are_referred_to_by_number(tmp_path):
    grid = axial_grid()
    order = list(range(grid.shape[0]))[::-1]
    dataset = enhanced(np.zeros(grid.shape, dtype=int), grid, order, Encoding(), enhanced_identity())
    (tmp_path / "ct").mkdir()
    pydicom.dcmwrite(tmp_path / "ct" / "all.dcm", dataset)
    volume = files.load(tmp_path / "ct")
    structures = phantom_structures(volume)
    read_back = written(structures, tmp_path / "ct", tmp_path / "rt.dcm")
    for contour in read_back.ROIContourSequence[0].ContourSequence:
        k = round(volume.grid.ijk(points(contour)[0] @ LPS_FROM_RAS[:3, :3])[2])
        assert contour.ContourImageSequence[0].ReferencedFrameNumber == order.index(k) + 1
    back, notes = read_rtstruct(tmp_path / "rt.dcm", volume)
    assert notes == []
    assert dice(back["Torus"].mask, structures["Torus"].mask) > 0.98


def test_bad_names_and_empty_structures_are_refused(axial, tmp_path):
    folder, _, structures = axial
    mask = structures["Torus"].mask

    def attempt(*made: RTStructure) -> None:
        write_rtstruct(replace(structures, structures=made), folder, tmp_path / "rt.dcm")

    with pytest.raises(InputError, match=r"at most 16 characters; rename 'A name that is too long'\."):
        attempt(RTStructure("A name that is too long", Role.GTV, mask))
    with pytest.raises(InputError, match="More than one structure is named 'gtv'"):
        attempt(RTStructure("GTV", Role.GTV, mask), RTStructure("gtv ", Role.GTV, mask))
    with pytest.raises(InputError, match="backslash"):
        attempt(RTStructure("a\\b", Role.GTV, mask))
    with pytest.raises(InputError, match="nothing in 'Empty'"):
        attempt(RTStructure("Empty", Role.GTV, np.zeros_like(mask)))
    with pytest.raises(InputError, match="no structures"):
        attempt()
    assert not (tmp_path / "rt.dcm").exists()


def test_the_wrong_ct_is_refused(axial, tmp_path):
    folder, volume, structures = axial
    other = replace(structures, source=replace(volume.source, frame_of_reference_uid="1.2.3.99"))
    with pytest.raises(InputError, match="different frames of reference"):
        write_rtstruct(other, folder, tmp_path / "rt.dcm")
    other = replace(structures, source=replace(volume.source, series_instance_uid="1.2.3.99"))
    with pytest.raises(InputError, match="does not hold the CT series"):
        write_rtstruct(other, folder, tmp_path / "rt.dcm")
    far = volume.grid.crop((900, 0, 0), volume.shape)
    other = StructureSet(far, (RTStructure("GTV", Role.GTV, structures["Torus"].mask),))
    with pytest.raises(InputError, match="'GTV' lies outside the CT"):
        write_rtstruct(other, folder, tmp_path / "rt.dcm")
    with pytest.raises(InputError, match="export the CT as a DICOM series first"):
        write_rtstruct(structures, None, tmp_path / "rt.dcm")
    with pytest.raises(InputError, match="no DICOM images"):
        write_rtstruct(structures, tmp_path, tmp_path / "rt.dcm")


def test_an_independent_rasteriser_sees_the_same_voxels(case, tmp_path):
    """Matplotlib on the file's points: with the voxels' centres within the keyholed contours it is the mask itself."""
    folder, volume, structures = case
    dataset = written(structures, folder, tmp_path / "rt.dcm")
    j, i = np.indices(volume.shape[1:])
    centres = np.column_stack([i.ravel(), j.ravel()])
    for one, item in zip(structures, dataset.ROIContourSequence, strict=True):
        seen = np.zeros(volume.shape, dtype=bool)
        for contour in item.ContourSequence:
            ijk = volume.grid.ijk(points(contour) @ LPS_FROM_RAS[:3, :3])
            inside = Polygon(np.vstack([ijk[:, :2], ijk[:1, :2]])).contains_points(centres)
            seen[round(ijk[0, 2])] ^= inside.reshape(j.shape)
        assert dice(seen, one.mask) > 0.99, one.name


def test_rt_utils_reads_the_same_structures(tmp_path):
    """rt-utils moves points to whole pixels and paints those that a contour touches: up to a pixel more."""
    rt_utils = pytest.importorskip("rt_utils", reason="rt-utils is not installed (pip install --no-deps rt-utils)")
    pytest.importorskip("cv2", reason="rt-utils needs opencv-python-headless")
    # It takes rows for columns, so the images are square.
    grid = axial_grid((5, 64, 64), (1.0, 1.0, 3.0))
    volume = ct_series(tmp_path / "ct", grid)
    middle = (2, 31, 33)
    mask = ball(grid, middle, 28) & ~ball(grid, middle, 12)
    structures = StructureSet(grid, (RTStructure("Shell", Role.GTV, mask),), source=volume.source)
    path = write_rtstruct(structures, tmp_path / "ct", tmp_path / "rt.dcm")
    reader = rt_utils.RTStructBuilder.create_from(str(tmp_path / "ct"), str(path))
    seen = np.moveaxis(reader.get_roi_mask_by_name("Shell"), 2, 0)
    grown = ndimage.binary_dilation(mask, np.ones((1, 3, 3)))
    assert not (mask & ~seen).any()
    assert not (seen & ~grown).any()
