"""DICOM SR by TID 1500: what a report says, as any reader finds it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from dicom_reports import GRIDS, MADE_AT, ball_nodule, content_of, dcmqi, report_of, with_character
from pydicom.sr.codedict import codes as standard
from pydicom.uid import generate_uid
from rt_phantoms import dicom_errors

from LungNoduleAILib.followup.change import lone_of, pair_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.dicom_groups import items_named
from LungNoduleAILib.report.dicom_seg import write_seg
from LungNoduleAILib.report.dicom_sr import ellipsoid_lps, write_sr
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib import files
from SegmentationAILib.errors import InputError


@pytest.fixture(scope="module", params=["oblique", "one slice"])
def written(request, tmp_path_factory):
    """A report, the CT's folder, its SEG and its SR."""
    folder = tmp_path_factory.mktemp("sr")
    content = with_character(report_of(folder / "ct", GRIDS[request.param]))
    seg = write_seg(content, folder / "ct", folder / "seg.dcm")
    return content, folder / "ct", seg, write_sr(content, folder / "ct", folder / "sr.dcm", seg)


@pytest.fixture(scope="module")
def axial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("axial")
    return report_of(folder / "ct"), folder / "ct"


def groups_of(path):
    return hd.sr.srread(path).content.get_volumetric_roi_measurement_groups()


def numbers_of(group) -> dict[str, tuple[float, str]]:
    return {one.name.value: (float(one.value), one.unit.value) for one in group.get_measurements()}


def answers_of(group) -> dict[str, str]:
    return {one.name.value: one.value.value for one in group.get_qualitative_evaluations()}


def comments_of(path) -> list[str]:
    return [item.TextValue for item in items_named(pydicom.dcmread(path), codes.COMMENT)]


def test_the_standard_is_kept_with_and_without_a_seg(written):
    content, folder, _, path = written
    assert dicom_errors(path) == []
    assert dicom_errors(write_sr(content, folder, path.parent / "bare.dcm")) == []


def test_highdicom_reads_what_was_measured(written):
    content, _, seg, path = written
    segments = pydicom.dcmread(seg)
    groups = groups_of(path)
    assert [one.tracking_uid for one in groups] == [one.uid for one in content.kept]
    for n, (one, group) in enumerate(zip(content.kept, groups, strict=True), start=1):
        measured = one.nodule.measurements
        numbers = numbers_of(group)
        for code, value, unit in (
            (codes.VOLUME, measured.volume_mm3, "mm3"),
            (codes.LONG_AXIS, measured.long_axis_mm, "mm"),
            (codes.SHORT_AXIS, measured.short_axis_mm, "mm"),
            (codes.AVERAGE_DIAMETER, measured.mean_diameter_mm, "mm"),
            (codes.ATTENUATION, measured.mean_hu, "[hnsf'U]"),
            (codes.SCORE, one.nodule.score, "1"),
        ):
            assert numbers[code.value] == (pytest.approx(value, abs=1e-4), unit)
        assert group.tracking_identifier == one.nodule.name
        assert group.finding_type == codes.NODULE
        reference = group.referenced_segment[0].ReferencedSOPSequence[0]
        assert reference.ReferencedSOPInstanceUID == segments.SOPInstanceUID
        assert reference.ReferencedSegmentNumber == n
        assert segments.SegmentSequence[n - 1].TrackingUID == group.tracking_uid


def test_a_nodules_character_is_coded(written):
    content, _, _, path = written
    first, second, _ = groups_of(path)
    numbers, answers = numbers_of(first), answers_of(first)
    assert numbers["solid-volume"] == (60.0, "mm3")
    assert numbers["solid-long-axis"] == (4.0, "mm")
    assert numbers["mass"][1] == "mg"
    assert numbers["brock"] == (pytest.approx(100 * content.nodules[0].assessment.brock.probability, abs=1e-4), "%")
    assert answers[codes.ATTENUATION_TYPE.value] == "RID50152"
    assert answers[codes.CALCIFICATION.value] == "RID28473"
    assert answers["review"] == "open"
    [site] = first.finding_sites
    assert (site.value, site.laterality) == (codes.LOBES[content.nodules[0].nodule.character.lobe][0], codes.RIGHT)
    assert "solid-volume" not in numbers_of(second)
    [site] = second.finding_sites
    assert (site.value, site.laterality) == (codes.LUNG, codes.LEFT)


def test_the_category_is_said_or_both_ends_of_its_range(written):
    content, _, _, path = written
    ends = 0
    for one, group in zip(content.kept, groups_of(path), strict=True):
        said, answers = one.assessment.lung_rads, answers_of(group)
        if isinstance(said, Range):
            ends += 1
            assert answers["lung-rads-low"] == codes.CATEGORIES[said.low.category].value
            assert answers["lung-rads-high"] == codes.CATEGORIES[said.high.category].value
            assert codes.LUNG_RADS.value not in answers
        else:
            assert answers[codes.LUNG_RADS.value] == codes.CATEGORIES[said.category].value
    assert 0 < ends < 3


def test_centre_and_axes_lie_where_they_were_measured(written):
    content, _, _, path = written
    nodule = content.nodules[0].nodule
    container = groups_of(path)[0][0]
    found = {
        item.ConceptNameCodeSequence[0].CodeValue: np.reshape(item.GraphicData, (-1, 3)) * [-1, -1, 1]
        for item in container.ContentSequence
        if item.ValueType == "SCOORD3D"
    }
    assert np.allclose(found[codes.CENTRE.value], nodule.centre_ras, atol=1e-4)
    ends = found[codes.LONG_AXIS.value]
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(nodule.measurements.long_axis_mm, abs=1e-3)


def test_without_a_seg_a_nodule_is_an_ellipsoid_in_its_place(axial, tmp_path):
    content, folder = axial
    for one, group in zip(content.kept, groups_of(write_sr(content, folder, tmp_path / "sr.dcm")), strict=True):
        assert group.roi[0].graphic_type == hd.sr.GraphicTypeValues3D.ELLIPSOID
        ends = group.roi[0].value * [-1, -1, 1]
        assert np.allclose(ends.mean(axis=0), one.nodule.centre_ras, atol=0.3)
        axes = np.linalg.norm(ends[1::2] - ends[::2], axis=1)
        mask = one.nodule.mask
        assert np.pi / 6 * axes.prod() == pytest.approx(mask.occupancy.sum() * mask.grid.voxel_volume, rel=1e-3)
        assert list(axes) == sorted(axes, reverse=True)


def test_an_ellipsoid_has_the_axes_of_what_it_stands_for():
    content_grid = GRIDS["axial"].with_spacing(0.5)
    k, j, i = np.indices(content_grid.shape)
    centre = (np.array(content_grid.shape) - 1) / 2
    inside = ((k - centre[0]) / 12) ** 2 + ((j - centre[1]) / 18) ** 2 + ((i - centre[2]) / 30) ** 2 <= 1
    ends = ellipsoid_lps(NoduleMask(inside.astype(np.float32), content_grid))
    axes = np.linalg.norm(ends[1::2] - ends[::2], axis=1)
    assert np.allclose(axes, (30, 18, 12), rtol=0.03)


def test_dcmqi_reads_every_nodule(written, tmp_path):
    content, _, _, path = written
    done = subprocess.run(
        [dcmqi("tid1500reader"), "--inputDICOM", path, "--outputMetadata", tmp_path / "sr.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    read = json.loads((tmp_path / "sr.json").read_text(encoding="utf-8"))
    # 3D Slicer takes the nth group for that of the nth segment: there must be no other.
    assert [one["TrackingUniqueIdentifier"] for one in read["Measurements"]] == [one.uid for one in content.kept]
    for one, group in zip(content.kept, read["Measurements"], strict=True):
        first = group["measurementItems"][0]
        assert first["quantity"]["CodeValue"] == codes.VOLUME.value
        assert float(first["value"]) == pytest.approx(one.nodule.measurements.volume_mm3, abs=1e-4)


def test_who_and_what_made_it(written):
    content, folder, seg, path = written
    dataset = pydicom.dcmread(path)
    assert (dataset.VerificationFlag, dataset.CompletionFlag, dataset.PreliminaryFlag) == (
        "UNVERIFIED",
        "PARTIAL",
        "PRELIMINARY",
    )
    assert (dataset.ContentDate, dataset.ContentTime[:6]) == (MADE_AT.strftime("%Y%m%d"), MADE_AT.strftime("%H%M%S"))
    context = hd.sr.srread(path).content.get_observer_contexts(observer_type=standard.DCM.Device)
    observer = context[0].observer_identifying_attributes
    # The same software on every day and machine.
    assert (observer.name, observer.uid) == ("ThoraxAI", "2.25.30038611086494094826658962319708073576")
    said = comments_of(path)
    assert any("Research use only" in one for one in said)
    assert content.warnings[0] in said
    parameters = [item.TextValue for item in items_named(dataset, standard.DCM.AlgorithmParameters)]
    assert f"weights-sha256={content.model_hash}" in parameters
    ct = {pydicom.dcmread(one, stop_before_pixels=True).SOPInstanceUID for one in folder.iterdir()}
    evidence = {
        one.ReferencedSOPInstanceUID
        for series in dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert evidence == ct | {pydicom.dcmread(seg).SOPInstanceUID}
    assert {one.CodingSchemeDesignator for one in dataset.CodingSchemeIdentificationSequence} >= {codes.PRIVATE}


def test_only_what_identifies_the_patient_on_the_ct_is_copied(written):
    _, folder, seg, path = written
    source = pydicom.dcmread(next(folder.iterdir()), stop_before_pixels=True)
    for written_file in (seg, path):
        dataset = pydicom.dcmread(written_file, stop_before_pixels=True)
        for element in dataset:
            if element.tag.group == 0x0010:
                assert source[element.tag].value == element.value or not element.value
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        assert not {"OperatorsName", "PersonName", "InstitutionName", "StationName"} & set(dataset.dir())


def test_a_ct_without_nodules_has_a_report_that_says_so(axial, tmp_path):
    content, folder = axial
    empty = replace(content_of(content.volume, []), warnings=())
    path = write_sr(empty, folder, tmp_path / "sr.dcm")
    assert dicom_errors(path) == []
    [count] = items_named(pydicom.dcmread(path), codes.NODULE_COUNT)
    assert count.MeasuredValueSequence[0].NumericValue == 0
    [category] = items_named(pydicom.dcmread(path), codes.LUNG_RADS)
    assert category.ConceptCodeSequence[0].CodeValue == codes.CATEGORIES["1"].value
    assert groups_of(path) == []


def test_it_is_complete_once_every_nodule_is_decided_on(axial, tmp_path):
    content, folder = axial
    verdicts = (Verdict.ACCEPTED, Verdict.REJECTED, Verdict.ACCEPTED)
    nodules = tuple(
        replace(one, decision=Decision(verdict, MADE_AT))
        for one, verdict in zip(content.nodules, verdicts, strict=True)
    )
    path = write_sr(replace(content, nodules=nodules), folder, tmp_path / "sr.dcm")
    assert pydicom.dcmread(path).CompletionFlag == "COMPLETE"
    assert [one.tracking_identifier for one in groups_of(path)] == ["nodule 1", "nodule 3"]
    assert [answers_of(one)["review"] for one in groups_of(path)] == ["accepted", "accepted"]


def test_change_since_a_prior_ct_is_written(axial, tmp_path):
    content, folder = axial
    first, second, third = (one.nodule for one in content.nodules)
    smaller = replace(first, measurements=replace(first.measurements, volume_mm3=first.measurements.volume_mm3 / 2))
    pair = pair_of(first, smaller, 1.0, 90, THIN_SLICES)
    follow_up = FollowUp(
        90,
        None,
        (pair,),
        (lone_of(second, (0, 0, 0), True, is_current=True),),
        (lone_of(third, (1, 2, 3), True, is_current=False),),
        (),
        ("The registration is doubtful.",),
    )
    path = write_sr(replace(content, follow_up=follow_up), folder, tmp_path / "sr.dcm")
    assert dicom_errors(path) == []
    numbers = numbers_of(groups_of(path)[0])
    assert numbers["doubling-time"] == (pytest.approx(90.0, abs=1e-3), "d")
    assert numbers["volume-change"] == (pytest.approx(100.0), "%")
    assert numbers["days"] == (90.0, "d")
    said = comments_of(path)
    assert {pair.sentence, follow_up.new[0].sentence, follow_up.resolved[0].sentence, follow_up.warnings[0]} <= set(
        said
    )
    [resolved] = items_named(pydicom.dcmread(path), codes.RESOLVED_COUNT)
    assert resolved.MeasuredValueSequence[0].NumericValue == 1


def test_a_patients_name_in_another_alphabet_stays(tmp_path):
    content = report_of(tmp_path / "ct", SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne")
    dataset = pydicom.dcmread(write_sr(content, tmp_path / "ct", tmp_path / "sr.dcm"))
    assert str(dataset.PatientName) == "Müller^Änne"


def test_a_seg_of_another_report_is_refused(axial, tmp_path):
    content, folder = axial
    seg = write_seg(content, folder, tmp_path / "seg.dcm")
    other = replace(content, nodules=tuple(replace(one, uid=str(generate_uid(None))) for one in content.nodules))
    with pytest.raises(InputError, match="not of this report"):
        write_sr(other, folder, tmp_path / "sr.dcm", seg)
    with pytest.raises(InputError, match="is no DICOM SEG"):
        write_sr(content, folder, tmp_path / "sr.dcm", next(folder.iterdir()))
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(InputError, match="cannot be read"):
        write_sr(content, folder, tmp_path / "sr.dcm", tmp_path / "text.dcm")
    assert not (tmp_path / "sr.dcm").exists()


def test_a_real_ct(data_dir, tmp_path):
    folder = data_dir / "LIDC-IDRI-0003" / "dicom"
    volume = files.load(folder)
    # Small boxes of the CT, as the detector's masks are.
    nodules = [
        ball_nodule(n, volume.grid.crop(start, (12, 40, 40)))
        for n, start in enumerate(((60, 200, 150), (61, 205, 160), (20, 300, 350)), start=1)
    ]
    content = content_of(volume, nodules)
    seg = write_seg(content, folder, tmp_path / "seg.dcm")
    sr = write_sr(content, folder, tmp_path / "sr.dcm", seg)
    assert dicom_errors(seg) == dicom_errors(sr) == []
    read = hd.seg.segread(seg).get_volume()
    for n, one in enumerate(nodules):
        ras = one.mask.grid.ras(np.argwhere(one.mask.occupancy > 0)[:, ::-1])
        index = np.argwhere(read.array[..., n] > 0)
        lps = index @ read.affine[:3, :3].T + read.affine[:3, 3]
        assert np.allclose(np.sort(lps * [-1, -1, 1], axis=0), np.sort(ras, axis=0), atol=1e-4)
    assert len(groups_of(sr)) == 3
