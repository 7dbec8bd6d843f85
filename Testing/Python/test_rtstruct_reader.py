"""RTSTRUCT in: whatever other systems write, on the CT's grid, and what does not fit is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from rt_phantoms import axial_grid, ct_series, phantom_structures

from SegmentationAILib import files
from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.roi_types import role_of
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
from SegmentationAILib.radiotherapy.structure_set import Origin, Role
from SegmentationAILib.volume import LPS_FROM_RAS

SQUARE = np.array([[10.0, 10.0], [20.0, 10.0], [20.0, 20.0], [10.0, 20.0]]) + 0.5


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reader") / "ct"
    return folder, ct_series(folder, axial_grid())


@pytest.fixture
def volume(ct):
    return ct[1]


def structure_set(volume, contours: dict[str, list], **roi) -> Dataset:
    """An RTSTRUCT as another system might write it: name -> contours of (k, ij [n, 2]) or ijk [n, 3]."""
    source = volume.source
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    dataset.StudyInstanceUID = source.study_instance_uid
    dataset.StructureSetLabel = "plan"
    frame = Dataset()
    frame.FrameOfReferenceUID = source.frame_of_reference_uid
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence, dataset.ROIContourSequence, dataset.RTROIObservationsSequence = [], [], []
    for number, (name, rings) in enumerate(contours.items(), 11):
        item = Dataset()
        item.ROINumber, item.ROIName = number, name
        item.ReferencedFrameOfReferenceUID = source.frame_of_reference_uid
        dataset.StructureSetROISequence.append(item)
        drawn = Dataset()
        drawn.ReferencedROINumber = number
        drawn.ContourSequence = [contour(volume, ring) for ring in rings]
        dataset.ROIContourSequence.append(drawn)
        observation = Dataset()
        observation.ReferencedROINumber = number
        observation.RTROIInterpretedType = roi.get("kind", "ORGAN")
        dataset.RTROIObservationsSequence.append(observation)
    return dataset


def contour(volume, ring, kind: str = "CLOSED_PLANAR") -> Dataset:
    if isinstance(ring, tuple):
        k, ij = ring
        ring = np.column_stack([ij, np.full(len(ij), float(k))])
    item = Dataset()
    item.ContourGeometricType = kind
    points = volume.grid.ras(ring) @ LPS_FROM_RAS[:3, :3]
    item.NumberOfContourPoints = len(points)
    item.ContourData = [f"{v:.4f}" for v in points.ravel()]
    return item


def test_holes_by_nesting_and_by_keyhole(volume):
    inner = 0.6 * (SQUARE - 15.5) + 15.5
    key = np.concatenate([SQUARE, SQUARE[:1], inner[::-1][-1:], inner[::-1], SQUARE[:1]])
    same_way = [(3, SQUARE), (3, inner)]
    read, notes = read_rtstruct(structure_set(volume, {"Nested": same_way, "Keyhole": [(3, key)]}), volume)
    assert notes == []
    assert read["Nested"].mask.sum() == 64
    assert np.array_equal(read["Nested"].mask, read["Keyhole"].mask)
    assert not read["Nested"].mask[3, 15, 15]


def test_skipped_slices_are_filled_and_named(volume):
    dataset = structure_set(volume, {"Skips": [(2, SQUARE), (5, SQUARE)], "Parts": [(2, SQUARE), (5, SQUARE + 12)]})
    read, notes = read_rtstruct(dataset, volume)
    assert read["Skips"].mask[2:6, 12:19, 12:19].all()
    assert not read["Parts"].mask[3:5].any()
    assert "'Skips': slices without contours are interpolated from their neighbours (4, 5)." in notes
    assert any(
        note.startswith("'Parts' is in separate parts: nothing is drawn between slices 3 and 6") for note in notes
    )


def test_contours_across_the_slices(volume):
    """Sagittal contours, 1 mm apart, of a box of 10 by 13 voxels and 6 slices."""
    grid = volume.grid
    box = []
    for i in np.arange(10.0, 20.0, 1.0 / grid.spacing[0]):
        box.append(np.array([[i, 9.5, 2.5], [i, 22.5, 2.5], [i, 22.5, 8.5], [i, 9.5, 8.5]]))
    read, notes = read_rtstruct(structure_set(volume, {"Box": box}), volume)
    wanted = np.zeros(grid.shape, dtype=bool)
    wanted[3:9, 10:23, 10:20] = True
    assert dice(read["Box"].mask, wanted) > 0.93
    assert notes == ["'Box' is drawn between or across the CT's slices and is interpolated onto them."]


def test_points_and_open_contours_are_skipped_and_empty_ones_listed(volume):
    dataset = structure_set(volume, {"Iso": [], "Wire": [], "None": [], "Line": [(1, SQUARE[:2])], "Ok": [(1, SQUARE)]})
    dataset.ROIContourSequence[0].ContourSequence = [contour(volume, (2, SQUARE[:1]), "POINT")]
    dataset.ROIContourSequence[1].ContourSequence = [contour(volume, (2, SQUARE), "OPEN_PLANAR")] * 2
    read, notes = read_rtstruct(dataset, volume)
    assert [one.name for one in read] == ["Ok"]
    assert notes == [
        "'Iso': contours that enclose nothing are left out (1 POINT).",
        "'Wire': contours that enclose nothing are left out (2 OPEN_PLANAR).",
        "'Line': 1 contours are damaged or have less than 3 points and are left out.",
        "Without contours, left out: None.",
    ]


def test_bent_repeated_and_outlying_contours_are_named(volume):
    bent = np.column_stack([SQUARE, [2, 4, 2, 6]])
    dataset = structure_set(volume, {"A": [(3, SQUARE), (3, SQUARE[::-1]), bent, (-4, SQUARE)], "B": [(99, SQUARE)]})
    read, notes = read_rtstruct(dataset, volume)
    assert [one.name for one in read] == ["A"]
    assert read["A"].mask.sum() == 100
    assert "'A': 1 contours that do not lie in a plane are left out." in notes
    assert "'A': 1 contours repeat another of their slice and are left out." in notes
    assert "'A': 1 of 4 contours lie beyond the CT's slices and are left out." in notes
    assert "'B' has no volume within the CT and is left out." in notes


def test_images_that_the_ct_lacks_are_named(ct, tmp_path):
    folder, volume = ct
    path = write_rtstruct(phantom_structures(volume), folder, tmp_path / "rt.dcm")
    uids = list(volume.source.sop_instance_uids)
    other = replace(volume, source=replace(volume.source, sop_instance_uids=(*["x"] * 6, *uids[6:])))
    _, notes = read_rtstruct(path, other)
    assert "6 of the 12 images that the structure set refers to are not in the CT." in notes
    assert any("contours refer to images that are not in the CT; they are placed by their coord" in n for n in notes)
    other = replace(volume, source=replace(volume.source, sop_instance_uids=tuple(uids[::-1])))
    _, notes = read_rtstruct(path, other)
    assert any("lie on another slice than the image they refer to" in note for note in notes)
    other = replace(volume, source=replace(volume.source, series_instance_uid="1.2.99"))
    assert read_rtstruct(path, other)[1] == [
        "The structures were drawn on another series of the same frame of reference."
    ]


def test_another_patient_is_refused(volume, tmp_path):
    dataset = structure_set(volume, {"A": [(3, SQUARE)]})
    with pytest.raises(InputError, match="another frame of reference"):
        read_rtstruct(dataset, replace(volume, source=replace(volume.source, frame_of_reference_uid="1.9")))
    with pytest.raises(InputError, match="another study"):
        read_rtstruct(dataset, replace(volume, source=replace(volume.source, study_instance_uid="1.9")))
    _, notes = read_rtstruct(dataset, replace(volume, source=None))
    assert notes == ["The CT has no DICOM origin, so it cannot be checked that the structures were drawn on it."]
    (tmp_path / "no.dcm").write_text("nothing")
    with pytest.raises(InputError, match="not a DICOM RTSTRUCT"):
        read_rtstruct(tmp_path / "no.dcm", volume)
    with pytest.raises(InputError, match="cannot be read"):
        read_rtstruct(tmp_path / "absent.dcm", volume)
    with pytest.raises(InputError, match="no structure with a volume"):
        read_rtstruct(structure_set(volume, {"A": []}), volume)


def test_a_structure_of_another_frame_is_left_out(volume):
    dataset = structure_set(volume, {"A": [(3, SQUARE)], "PET": [(3, SQUARE)]})
    dataset.StructureSetROISequence[1].ReferencedFrameOfReferenceUID = "1.9"
    read, notes = read_rtstruct(dataset, volume)
    assert [one.name for one in read] == ["A"]
    assert notes == ["'PET' is in another frame of reference than the CT and is left out."]


def test_names_that_repeat_are_numbered(volume):
    dataset = structure_set(volume, {"GTV": [(3, SQUARE)], "gtv ": [(4, SQUARE)]})
    read, notes = read_rtstruct(dataset, volume)
    assert [one.name for one in read] == ["GTV", "gtv 2"]
    assert notes == ["More than one structure is named 'gtv'; this one is read as 'gtv 2'."]
    assert read["GTV"].origin is Origin.MANUAL


@pytest.mark.parametrize(
    ("name", "kind", "role", "guessed"),
    [
        ("GTV-1", "ORGAN", Role.GTV, False),
        ("CTV 60Gy", "", Role.CTV, False),
        ("PTVp_6000", "PTV", Role.PTV, False),
        ("ITV", "CTV", Role.ITV, False),
        ("iGTV_n1", "GTV", Role.ITV, False),
        ("GTV_boost", "PTV", Role.PTV, False),
        ("SpinalCord_PRV05", "AVOIDANCE", Role.PRV, False),
        ("PRV cord", "ORGAN", Role.PRV, False),
        ("Heart", "ORGAN", Role.ORGAN, False),
        ("Ring", "AVOIDANCE", Role.AVOIDANCE, False),
        ("BODY", "", Role.EXTERNAL, False),
        ("Skin", "EXTERNAL", Role.EXTERNAL, False),
        ("Couch", "SUPPORT", Role.ORGAN, True),
        ("Something", "", Role.ORGAN, True),
    ],
)
def test_roles(name, kind, role, guessed):
    assert role_of(name, kind, Dataset()) == (role, guessed)


def test_a_guessed_role_is_said(volume):
    read, notes = read_rtstruct(structure_set(volume, {"Couch": [(3, SQUARE)]}, kind="SUPPORT"), volume)
    assert read["Couch"].role is Role.ORGAN
    assert notes == ["'Couch' has the type SUPPORT and is taken for an organ."]


def test_a_real_plan_comes_back(data_dir, tmp_path):
    """LUNG1-002, by XiO: its left lung has outlines twice, which must not take each other for holes."""
    folder = data_dir / "LUNG1-002" / "dicom"
    volume = files.load(folder)
    path = next(p for p in folder.iterdir() if pydicom.dcmread(p, specific_tags=["Modality"]).Modality == "RTSTRUCT")
    read, notes = read_rtstruct(path, volume)
    assert {one.name: one.role for one in read if one.role is not Role.ORGAN} == {
        "Patient": Role.EXTERNAL,
        "GTV-1": Role.GTV,
        "PTV-1": Role.PTV,
        "CTV-1": Role.CTV,
    }
    assert "'Lung L': 62 contours repeat another of their slice and are left out." in notes
    assert "'Isocenter 1': contours that enclose nothing are left out (1 POINT)." in notes
    assert read["Lung L"].mask.any(axis=(1, 2)).sum() == 88
    # Small, thin, with holes and with many parts; the others take time and come back as well.
    some = replace(
        read, structures=[read[name] for name in ("GTV-1", "Spinal cord", "Esophagus", "Lung L", "contrast")]
    )
    back, _ = read_rtstruct(write_rtstruct(some, folder, tmp_path / "rt.dcm"), volume)
    for one in some:
        assert one.mask.sum() * volume.grid.voxel_volume > 1000
        assert dice(one.mask, back[one.name].mask) > 0.99, one.name
        assert back[one.name].mask.sum() == pytest.approx(one.mask.sum(), rel=0.005)


@pytest.mark.parametrize("sequence", ["StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"])
@pytest.mark.parametrize("number", [None, "", [1, 2], "missing"])
def test_items_without_a_number_are_left_out(volume, sequence, number):
    dataset = structure_set(volume, {"Lung": [(3, SQUARE)], "Heart": [(5, SQUARE)]})
    item = dataset[sequence].value[1]
    keyword = "ROINumber" if sequence == "StructureSetROISequence" else "ReferencedROINumber"
    if number == "missing":
        delattr(item, keyword)
    else:
        setattr(item, keyword, number)
    read, notes = read_rtstruct(dataset, volume)
    assert "Lung" in read
    assert ("Heart" in read) == (sequence == "RTROIObservationsSequence")
    assert any("Heart" in note for note in notes)


@pytest.mark.parametrize("colour", [7, "", [1, 2], [1, 2, 3, 4]])
def test_a_colour_that_is_none_is_replaced(volume, colour):
    dataset = structure_set(volume, {"Lung": [(3, SQUARE)]})
    dataset.ROIContourSequence[0].ROIDisplayColor = colour
    assert read_rtstruct(dataset, volume)[0]["Lung"].colour == (1.0, 1.0, 0.0)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_file_of_damaged_bytes_is_read_or_refused_in_a_sentence(volume, tmp_path):
    path = tmp_path / "plan.dcm"
    pydicom.dcmwrite(path, structure_set(volume, {"Lung": [(3, SQUARE)]}), implicit_vr=False, little_endian=True)
    content = path.read_bytes()
    told = set()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            read_rtstruct(path, volume)
        except InputError as error:
            told.add(str(error))
    assert "'plan.dcm' is damaged or was not copied whole; copy or export it again." in told
