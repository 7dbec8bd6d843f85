"""A prior report is read back, of this software and of others, and its nodules are followed."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import date

import numpy as np
import pydicom
import pytest
from dicom_reports import GRIDS, PATIENT_ID, content_of, dcmqi, report_of, with_character
from pydicom.uid import generate_uid

from LungNoduleAILib.followup.change import pair_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.exam import days_between, read_exam
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.followup.matching import Match, match_nodules
from LungNoduleAILib.guidelines.findings import Kind, Lobe
from LungNoduleAILib.report.dicom_prior import matched, read_prior, tracked
from LungNoduleAILib.report.dicom_seg import write_seg
from LungNoduleAILib.report.dicom_sr import write_sr
from SegmentationAILib.errors import InputError


@pytest.fixture(scope="module", params=["axial", "oblique"])
def prior(request, tmp_path_factory):
    """A report of the prior CT in a folder with its SEG."""
    folder = tmp_path_factory.mktemp("prior")
    content = with_character(report_of(folder / "ct", GRIDS[request.param]))
    seg = write_seg(content, folder / "ct", folder / "report" / "seg.dcm")
    write_sr(content, folder / "ct", folder / "report" / "sr.dcm", seg)
    return content, folder


@pytest.fixture(scope="module")
def written(prior):
    content, folder = prior
    return content, read_prior(folder / "report")


class Still:
    """A registration of a patient who did not move."""

    def to_current(self, ras):
        return np.asarray(ras)


def followed(current, before) -> FollowUp:
    matches: tuple[Match, ...] = match_nodules(current, before, Still())
    pairs = tuple(pair_of(current[m.current], before[m.prior], m.distance_mm, 90, THIN_SLICES) for m in matches)
    return FollowUp(90, None, pairs, (), (), (), ())


def test_nodules_come_back(written):
    content, report = written
    assert report.notes == ()
    assert report.series_uid == content.volume.source.series_instance_uid
    for one, read in zip(content.kept, report.nodules, strict=True):
        measured = one.nodule.measurements
        assert (read.id, read.uid, read.name, read.lung) == (one.nodule.id, one.uid, one.nodule.name, one.nodule.lung)
        assert np.allclose(read.centre_ras, one.nodule.centre_ras, atol=1e-4)
        assert read.volume_mm3 == pytest.approx(measured.volume_mm3, abs=1e-4)
        assert read.long_axis_mm == pytest.approx(measured.long_axis_mm, abs=1e-4)
        assert read.short_axis_mm == pytest.approx(measured.short_axis_mm, abs=1e-4)
        assert read.mean_diameter_mm == pytest.approx(measured.mean_diameter_mm, abs=1e-4)
        assert read.mean_hu == pytest.approx(measured.mean_hu, abs=1e-4)
        assert read.score == pytest.approx(one.nodule.score, abs=1e-4)
        assert read.mask.occupancy.sum() == one.nodule.mask.occupancy.sum()
    first, second = report.nodules[:2]
    assert (first.kind, first.lobe) == (Kind.PART_SOLID, Lobe.RIGHT_UPPER)
    assert (second.kind, second.lobe) == (None, None)


def test_a_comparison_needs_no_detection_and_keeps_the_identifiers(written):
    content, report = written
    now = [
        replace(
            nodule, id=10 + n, measurements=replace(nodule.measurements, volume_mm3=2 * nodule.measurements.volume_mm3)
        )
        for n, nodule in enumerate(one.nodule for one in content.nodules)
    ]
    follow_up = followed(now, report.comparable)
    assert len(follow_up.pairs) == len(content.kept)
    for pair, one in zip(follow_up.pairs, content.kept, strict=True):
        assert pair.doubling.days == pytest.approx(90, rel=1e-4)
        assert report.uids[pair.prior.id] == one.uid
    assert tracked(follow_up, report) == {10 + n: one.uid for n, one in enumerate(content.kept)}
    assert matched(follow_up, report) == {10 + n: one for n, one in enumerate(report.nodules)}


def test_nodules_that_were_detected_on_the_prior_ct_again_are_found_in_its_report(written):
    content, report = written
    # Other ids, other order, 2 mm aside, and one that the report does not have.
    again = [
        replace(one.nodule, id=n, centre_ras=tuple(np.add(one.nodule.centre_ras, (0, 0, 2.0))))
        for n, one in enumerate(reversed(content.kept), start=1)
    ]
    again.append(replace(again[0], id=4, centre_ras=tuple(np.add(again[0].centre_ras, (60, 0, 0)))))
    now = [replace(nodule, id=nodule.id + 20) for nodule in again]
    uids = tracked(followed(now, again), report)
    assert uids == {20 + n: one.uid for n, one in enumerate(reversed(content.kept), start=1)}


def test_without_pairs_nothing_is_tracked(written):
    assert tracked(followed([], []), written[1]) == {}


def test_the_day_is_the_cts_and_the_patient_is_compared(prior, written, tmp_path):
    content, folder = prior
    report = written[1]
    # The CT is of the day after the study began; the report was made two days later.
    assert report.exam.date == date(2026, 3, 2)
    assert report.exam == read_exam(folder / "ct", content.volume)
    later = report_of(tmp_path / "later", places=(), AcquisitionDate="20260602")
    assert days_between(read_exam(tmp_path / "later", later.volume), report.exam) == 92
    other = report_of(tmp_path / "other", places=(), AcquisitionDate="20260602", PatientID="another")
    with pytest.raises(InputError, match="another patient") as refused:
        days_between(read_exam(tmp_path / "other", other.volume), report.exam)
    assert PATIENT_ID not in str(refused.value)
    assert PATIENT_ID not in repr(report)


def test_without_its_seg_a_report_still_tells_which_nodule_is_which(prior, tmp_path):
    content, folder = prior
    report = read_prior(shutil.copy(folder / "report" / "sr.dcm", tmp_path))
    # Without them, every nodule of the current CT would look new.
    with pytest.raises(InputError, match="no outline"):
        _ = report.comparable
    assert any("SEG" in note and "not in its folder" in note for note in report.notes)
    nodules = [one.nodule for one in content.kept]
    assert tracked(followed(nodules, nodules), report) == {one.nodule.id: one.uid for one in content.kept}


def test_a_report_without_nodules(prior, tmp_path):
    content, folder = prior
    path = write_sr(content_of(content.volume, []), folder / "ct", tmp_path / "sr.dcm")
    report = read_prior(path)
    assert (report.nodules, report.notes, report.comparable) == ((), (), ())
    assert report.exam.date == date(2026, 3, 2)


@pytest.fixture
def foreign(prior, tmp_path):
    """A report that dcmqi wrote on our SEG, in the words of the LIDC's DICOM edition."""
    content, folder = prior
    seg = shutil.copy(folder / "report" / "seg.dcm", tmp_path)
    first = next((folder / "ct").iterdir())

    def code(value, scheme, meaning):
        return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}

    def number(value, quantity, unit):
        return {"value": value, "quantity": quantity, "units": code(unit, "UCUM", unit)}

    def group(n, uid, finding, items):
        return {
            "TrackingIdentifier": f"lesion {n}",
            "TrackingUniqueIdentifier": uid,
            "ReferencedSegment": n,
            "SourceSeriesForImageSegmentation": content.volume.source.series_instance_uid,
            "segmentationSOPInstanceUID": str(pydicom.dcmread(seg).SOPInstanceUID),
            "Finding": finding,
            "FindingSite": code("T-28000", "SRT", "Lung"),
            "measurementItems": items,
        }

    volume, diameter = code("G-D705", "SRT", "Volume"), code("M-02550", "SRT", "Diameter")
    nodule, liver = code("M-03010", "SRT", "Nodule"), code("T-62000", "SRT", "Liver")
    uids = [str(generate_uid(None)) for _ in range(3)]
    metadata = {
        "SeriesDescription": "Measurements",
        "SeriesNumber": "1001",
        "InstanceNumber": "1",
        "compositeContext": ["seg.dcm"],
        "imageLibrary": [first.name],
        "observerContext": {
            "ObserverType": "DEVICE",
            "DeviceObserverName": "another",
            "DeviceObserverUID": str(generate_uid(None)),
        },
        "VerificationFlag": "UNVERIFIED",
        "CompletionFlag": "COMPLETE",
        "activitySession": "1",
        "timePoint": "1",
        "Measurements": [
            group(
                1,
                uids[0],
                code("M-03010", "SRT", "Nodule"),
                [number("1.2", volume, "cm3"), number("11", diameter, "mm")],
            ),
            group(2, uids[1], nodule, [number("9.5", diameter, "mm")]),
            group(3, uids[2], liver, [number("9", diameter, "mm")]),
        ],
    }
    (tmp_path / "sr.json").write_text(json.dumps(metadata))
    done = subprocess.run(
        [
            dcmqi("tid1500writer"),
            *("--inputMetadata", tmp_path / "sr.json"),
            *("--inputImageLibraryDirectory", first.parent),
            *("--inputCompositeContextDirectory", tmp_path),
            *("--outputDICOM", tmp_path / "sr.dcm"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "sr.dcm").exists(), done.stdout + done.stderr
    return content, uids, tmp_path


def test_a_report_of_other_software_is_read(foreign):
    content, uids, folder = foreign
    report = read_prior(folder)
    first, second = report.nodules
    assert (first.uid, second.uid, first.name) == (uids[0], uids[1], "lesion 1")
    assert first.volume_mm3 == pytest.approx(1200)
    assert first.mean_diameter_mm == pytest.approx(11)
    assert any("1 of the report's measurement groups" in note for note in report.notes)
    # What the report does not say of the second is measured on its outline.
    mask = content.nodules[1].nodule.mask
    assert second.volume_mm3 == pytest.approx(mask.occupancy.sum() * mask.grid.voxel_volume, rel=1e-5)
    assert np.allclose(second.centre_ras, content.nodules[1].nodule.centre_ras, atol=0.3)
    measured = report.comparable[0].measurements
    assert (measured.long_axis_mm, measured.short_axis_mm) == (pytest.approx(11), pytest.approx(11))
    assert np.isnan(measured.mean_hu)
    assert report.exam.patient_id == PATIENT_ID


def test_what_is_no_report_is_said(prior, tmp_path):
    _, folder = prior
    with pytest.raises(InputError, match="does not exist"):
        read_prior(tmp_path / "none.dcm")
    with pytest.raises(InputError, match="no report"):
        read_prior(folder / "ct")
    with pytest.raises(InputError, match="no DICOM report"):
        read_prior(folder / "report" / "seg.dcm")
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(InputError, match="can be read"):
        read_prior(tmp_path / "text.dcm")
    for n in range(2):
        shutil.copy(folder / "report" / "sr.dcm", tmp_path / f"{n}.dcm")
    with pytest.raises(InputError, match="2 reports"):
        read_prior(tmp_path)


def test_a_damaged_report_is_said(prior, tmp_path):
    _, folder = prior
    report = pydicom.dcmread(folder / "report" / "sr.dcm")
    for item in report.ContentSequence[-2].ContentSequence:
        for one in item.ContentSequence:
            if one.ValueType == "IMAGE":
                del one.ReferencedSOPSequence
    report.save_as(tmp_path / "sr.dcm")
    with pytest.raises(InputError, match="damaged"):
        read_prior(tmp_path)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_half_a_report_is_no_report(prior, tmp_path, share):
    whole = (prior[1] / "report" / "sr.dcm").read_bytes()
    (tmp_path / "sr.dcm").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"whole|can be read|no DICOM report"):
        read_prior(tmp_path / "sr.dcm")


def test_half_a_seg_is_said(prior, tmp_path):
    whole = (prior[1] / "report" / "seg.dcm").read_bytes()
    (tmp_path / "seg.dcm").write_bytes(whole[: int(0.95 * len(whole))])
    report = read_prior(shutil.copy(prior[1] / "report" / "sr.dcm", tmp_path))
    assert not report.complete
    assert any("seg.dcm" in note for note in report.notes)
