"""DICOM SEG: the same voxels in the patient, whatever the orientation, for any reader."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_reports import GRIDS, MADE_AT, ball_nodule, content_of, dcmqi, marked, report_of
from dicom_writer import Encoding, enhanced, enhanced_identity, write_series
from geometry import grids
from hypothesis import HealthCheck, given, settings
from rt_phantoms import axial_grid, dicom_errors

import SegmentationAILib
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.report.dicom_seg import write_lungs_seg, write_seg
from LungNoduleAILib.report.dicom_segments import read_segments
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib import files
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS


@pytest.fixture(scope="module", params=GRIDS)
def written(request, tmp_path_factory):
    """A report, the CT's folder and its SEG, in some orientation."""
    folder = tmp_path_factory.mktemp("seg")
    content = report_of(folder / "ct", GRIDS[request.param])
    return content, folder / "ct", write_seg(content, folder / "ct", folder / "seg.dcm")


def voxels_of(grid, array, ijk_to_lps) -> set[tuple[int, ...]]:
    """Indices (i, j, k) on a grid of the voxels that are set in another array [z, y, x]; they must coincide."""
    index = np.argwhere(array > 0)[:, ::-1]
    lps = index @ ijk_to_lps[:3, :3].T + ijk_to_lps[:3, 3]
    ijk = grid.ijk(lps @ LPS_FROM_RAS[:3, :3])
    assert np.abs(ijk - np.round(ijk)).max() < 1e-6
    return set(map(tuple, np.round(ijk).astype(int)))


def drawn(content, number) -> set[tuple[int, ...]]:
    return set(map(tuple, np.argwhere(marked(content, number))[:, ::-1]))


def test_highdicom_reads_the_same_voxels(written):
    content, _, path = written
    volume = hd.seg.segread(path).get_volume()
    for n in range(len(content.kept)):
        assert voxels_of(content.volume.grid, volume.array[..., n], volume.affine[:, [2, 1, 0, 3]]) == drawn(content, n)


def test_dcmqi_reads_the_same_voxels(written, tmp_path):
    content, _, path = written
    tool = dcmqi("segimage2itkimage")
    done = subprocess.run(
        [tool, "--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nrrd", "--prefix", "s"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for n in range(len(content.kept)):
        image = sitk.ReadImage(str(tmp_path / f"s-{n + 1}.nrrd"))
        matrix = np.eye(4)
        matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing())
        matrix[:3, 3] = image.GetOrigin()
        assert voxels_of(content.volume.grid, sitk.GetArrayFromImage(image), matrix) == drawn(content, n)


def test_own_reader_reads_the_same_voxels(written):
    content, _, path = written
    masks = read_segments(path, [1, 2, 3, 99])
    assert sorted(masks) == [1, 2, 3]
    for n, mask in masks.items():
        lps = LPS_FROM_RAS @ mask.grid.ijk_to_ras
        assert voxels_of(content.volume.grid, mask.occupancy, lps) == drawn(content, n - 1)


def test_the_standard_is_kept(written):
    content, folder, path = written
    assert dicom_errors(path) == []
    lungs = write_lungs_seg(content, folder, path.parent / "lungs.dcm")
    assert dicom_errors(lungs) == []
    assert {one.SegmentAlgorithmName for one in pydicom.dcmread(lungs).SegmentSequence} == {"ThoraxAI lungs"}
    numbers = hd.seg.segread(lungs).get_volume(combine_segments=True, relabel=False).array
    assert [int((numbers == n).sum()) for n in (1, 2)] == [int((content.lungs.array == n).sum()) for n in (1, 2)]


def test_what_a_segment_says(written):
    content, folder, path = written
    dataset = pydicom.dcmread(path)
    for one, segment in zip(content.kept, dataset.SegmentSequence, strict=True):
        assert (segment.TrackingID, segment.TrackingUID) == (one.nodule.name, one.uid)
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "27925004"
        region = segment.AnatomicRegionSequence[0]
        side = {"right": "24028007", "left": "7771000"}[one.nodule.lung]
        assert (region.CodeValue, region.AnatomicRegionModifierSequence[0].CodeValue) == ("39607008", side)
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmVersion == SegmentationAILib.__version__
        for told in ("model=nodules", f"weights-sha256={content.model_hash}", "threshold=0.1", "device=cpu"):
            assert told in algorithm.AlgorithmParameters
    ct = {pydicom.dcmread(one).SOPInstanceUID for one in folder.iterdir()}
    assert {
        one.ReferencedSOPInstanceUID for one in dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    } == ct
    assert (dataset.ContentDate, dataset.ContentTime[:6]) == (MADE_AT.strftime("%Y%m%d"), MADE_AT.strftime("%H%M%S"))
    assert "research use" in dataset.SeriesDescription
    assert "ContentCreatorName" not in dataset or not dataset.ContentCreatorName


def test_colours_are_the_ones_on_screen(written):
    content, _, path = written
    for segment, layer in zip(pydicom.dcmread(path).SegmentSequence, (0, 1, 2), strict=True):
        shown = lung_nodule_colour(content, layer)
        lab = hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue).to_rgb()
        assert np.abs(np.subtract(lab, shown)).max() <= 2


def lung_nodule_colour(content, n) -> tuple[int, ...]:
    nodule = content.nodules[n].nodule
    [layer] = nodule_layers([nodule], content.volume.grid)
    return tuple(round(255 * part) for part in layer.structures[nodule.id].colour)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(grid=grids())
def test_voxels_stay_in_place_on_any_grid(tmp_path_factory, grid):
    folder = tmp_path_factory.mktemp("any")
    content = report_of(folder / "ct", grid, places=((0.5, 0.5, 0.5, 3.0),))
    volume = hd.seg.segread(write_seg(content, folder / "ct", folder / "seg.dcm")).get_volume()
    index = np.argwhere(volume.array[..., 0] > 0)
    ras = (index @ volume.affine[:3, :3].T + volume.affine[:3, 3]) @ LPS_FROM_RAS[:3, :3]
    want = content.volume.grid.ras(np.argwhere(marked(content, 0))[:, ::-1])
    assert len(ras) == len(want)
    assert np.abs(np.sort(ras, axis=0) - np.sort(want, axis=0)).max() < 1e-3


def test_rejected_nodules_are_left_out_and_edited_ones_are_not_automatic(tmp_path):
    content = report_of(tmp_path / "ct")
    first, second, third = content.nodules
    nodules = (
        replace(first, decision=Decision(Verdict.REJECTED, MADE_AT)),
        replace(second, decision=Decision(Verdict.ACCEPTED, MADE_AT, edited=True)),
        replace(third, decision=Decision(Verdict.ACCEPTED, MADE_AT, added=True)),
    )
    dataset = pydicom.dcmread(write_seg(replace(content, nodules=nodules), tmp_path / "ct", tmp_path / "seg.dcm"))
    assert [(one.SegmentNumber, one.TrackingID, one.SegmentAlgorithmType) for one in dataset.SegmentSequence] == [
        (1, "nodule 2", "SEMIAUTOMATIC"),
        (2, "nodule 3", "SEMIAUTOMATIC"),
    ]


def test_segments_lie_on_the_slices_as_they_were_acquired_with_a_tilted_gantry(tmp_path):
    grid = axial_grid(shape=(12, 40, 44))
    hu = np.full(grid.shape, -850)

    def tilt(dataset, k):
        dataset.ImagePositionPatient = [
            *dataset.ImagePositionPatient[:1],
            30.0 + 0.6 * k,
            *dataset.ImagePositionPatient[2:],
        ]

    write_series(tmp_path / "ct", hu, grid, edit=tilt)
    content = content_of(files.load(tmp_path / "ct"), [ball_nodule(1, files.load(tmp_path / "ct").grid)])
    assert any("tilted" in note for note in content.volume.notes)
    path = write_seg(content, tmp_path / "ct", tmp_path / "seg.dcm")
    assert dicom_errors(path) == []
    centres = []
    dataset = pydicom.dcmread(path)
    for frame, plane in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        position = frame.PlanePositionSequence[0].ImagePositionPatient
        j, i = np.argwhere(plane).T
        centres.append([[position[0] + 0.9 * x, position[1] + 1.1 * y, position[2]] for y, x in zip(j, i, strict=True)])
    lps = np.concatenate(centres)
    assert np.allclose(lps.mean(axis=0) * [-1, -1, 1], content.nodules[0].nodule.centre_ras, atol=0.4)
    assert len(lps) * 0.9 * 1.1 * 3 == pytest.approx(
        marked(content, 0).sum() * content.volume.grid.voxel_volume, rel=0.1
    )


def test_a_missing_slice_has_no_frame(tmp_path):
    content = report_of(tmp_path / "ct")
    middle = content.volume.source.sop_instance_uids[6]
    next(one for one in (tmp_path / "ct").iterdir() if pydicom.dcmread(one).SOPInstanceUID == middle).unlink()
    gappy = files.load(tmp_path / "ct", interpolate_missing=True)
    path = write_seg(replace(content, volume=gappy), tmp_path / "ct", tmp_path / "seg.dcm")
    frames = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    named = {one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for one in frames}
    assert named < set(gappy.source.sop_instance_uids) - {"", middle}


def test_frames_of_an_enhanced_ct_are_named(tmp_path):
    grid = axial_grid(shape=(5, 40, 44))
    order = [3, 0, 4, 1, 2]
    dataset = enhanced(np.full(grid.shape, -850), grid, order, Encoding(), enhanced_identity())
    (tmp_path / "ct").mkdir()
    pydicom.dcmwrite(tmp_path / "ct" / "one.dcm", dataset)
    volume = files.load(tmp_path / "ct")
    content = content_of(volume, [ball_nodule(1, volume.grid)])
    path = write_seg(content, tmp_path / "ct", tmp_path / "seg.dcm")
    assert dicom_errors(path) == []
    volume = hd.seg.segread(path).get_volume()
    found = voxels_of(content.volume.grid, volume.array[..., 0], volume.affine[:, [2, 1, 0, 3]])
    assert found == drawn(content, 0)
    for frame in pydicom.dcmread(path).PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        z = frame.PlanePositionSequence[0].ImagePositionPatient[2]
        k = round((float(z) - float(grid.ras([0, 0, 0])[2])) / 3.0)
        assert order[int(source.ReferencedFrameNumber) - 1] == k


def test_a_patients_name_in_another_alphabet_stays(tmp_path):
    content = report_of(tmp_path / "ct", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne")
    dataset = pydicom.dcmread(write_seg(content, tmp_path / "ct", tmp_path / "seg.dcm"))
    assert str(dataset.PatientName) == "Müller^Änne"


def test_a_header_without_what_may_be_empty_is_enough(tmp_path):
    content = report_of(tmp_path / "ct")
    for path in (tmp_path / "ct").iterdir():
        dataset = pydicom.dcmread(path)
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "PatientName"):
            delattr(dataset, keyword)
        dataset.save_as(path)
    path = write_seg(content, tmp_path / "ct", tmp_path / "seg.dcm")
    assert dicom_errors(path) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda content: replace(content, nodules=()), "no nodule"),
        (lambda content: replace(content, volume=replace(content.volume, source=None)), "did not come from DICOM"),
        (
            lambda content: replace(
                content,
                volume=replace(content.volume, source=replace(content.volume.source, frame_of_reference_uid="")),
            ),
            "frame of reference",
        ),
        (
            lambda content: replace(
                content,
                volume=replace(content.volume, source=replace(content.volume.source, series_instance_uid="1.9")),
            ),
            "does not hold the CT series",
        ),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(tmp_path, spoil, said):
    content = report_of(tmp_path / "ct")
    with pytest.raises(InputError, match=said):
        write_seg(spoil(content), tmp_path / "ct", tmp_path / "out" / "seg.dcm")
    assert not (tmp_path / "out").exists()
