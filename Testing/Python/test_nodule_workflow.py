"""Review of nodules in a real scene: what the reader does is kept, can be undone, and comes back with a saved scene."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import slicer
from nodule_scene import FOUND, MISSED, ball, chest_with_findings, in_scene, in_study, with_prior

from LungNoduleAILib import record, scene, workflow, workflow_report
from LungNoduleAILib.guidelines.findings import Kind
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.node_roles import RECORD_ROLE
from LungNoduleAILib.review import Verdict
from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import mask_from_segment


@pytest.fixture
def findings(mrml_session):
    mrml_session.clear()
    return in_scene()[1].segmentation


def verdicts(findings) -> list[Verdict]:
    return [one.decision.verdict for one in scene.reading_from_scene(findings).entries]


def segments(findings) -> list[str]:
    return sorted(name for name in findings.GetSegmentation().GetSegmentIDs() if name.startswith("nodule"))


def points(findings) -> list[str]:
    markups = findings.GetNodeReference("ThoraxAI.Markups")
    return [markups.GetNthControlPointLabel(n) for n in range(markups.GetNumberOfControlPoints())]


def test_nodules_come_back_from_the_scene_as_they_were_measured(findings):
    _, found = chest_with_findings()
    for there, back in zip(found.nodules, scene.nodules_from_scene(findings), strict=True):
        assert back.measurements == there.measurements
        assert back.centre_ras == there.centre_ras
        assert back.mask.grid.same_as(there.mask.grid)
        assert np.abs(back.mask.occupancy - there.mask.occupancy).max() <= 0.5 / 255 + 1e-6


def test_a_decision_is_kept_with_its_time_and_zone(findings):
    workflow.decide(findings, 2, Verdict.REJECTED)
    decision = scene.reading_from_scene(findings)[2].decision
    assert verdicts(findings) == [Verdict.OPEN, Verdict.REJECTED]
    assert timedelta(0) <= datetime.now(timezone.utc) - decision.at < timedelta(minutes=1)
    assert decision.at.utcoffset() is not None


def test_undo_goes_back_step_by_step_and_then_says_that_there_is_nothing(findings):
    workflow.decide(findings, 1, Verdict.ACCEPTED)
    workflow.decide(findings, 1, Verdict.REJECTED)
    assert workflow.undo(findings) == "nodule 1 rejected"
    assert verdicts(findings)[0] is Verdict.ACCEPTED
    assert workflow.undo(findings) == "nodule 1 accepted"
    assert verdicts(findings)[0] is Verdict.OPEN
    with pytest.raises(InputError, match="nothing to undo"):
        workflow.undo(findings)


def test_what_is_remembered_of_a_record_is_what_is_read_from_it(findings):
    changes = (
        lambda: workflow.decide(findings, 2, Verdict.REJECTED),
        lambda: workflow.correct(findings, 1, "spiculation", True),
        lambda: workflow.correct(findings, 1, "kind", Kind.PART_SOLID),
        lambda: workflow.set_patient(findings, Patient(age=64.5, female=True), {"lungs_evaluable": True}),
        lambda: workflow.undo(findings),
    )
    for change in changes:
        change()
        text = findings.GetNodeReference(RECORD_ROLE).GetText()
        remembered, read = record.parsed(text)[0], record.from_text(text)[0]
        assert remembered is scene.reading_from_scene(findings)
        for name in ("task", "patient", "exam_inputs", "decisions", "corrections", "uids"):
            assert getattr(remembered, name) == getattr(read, name)
        assert [one.measurements for one in remembered.nodules] == [one.measurements for one in read.nodules]
        assert [(one.at, one.action) for one in remembered.steps] == [(one.at, one.action) for one in read.steps]
        assert record.to_text(read, record.from_text(text)[1]) == text


def test_a_nodule_that_was_missed_is_added_by_a_click_and_taken_back(findings):
    number = workflow.add_nodule(findings, MISSED.centre, "cpu")
    assert number == 3
    added = scene.reading_from_scene(findings)[3]
    assert added.decision.added
    assert added.decision.verdict is Verdict.ACCEPTED
    assert np.linalg.norm(np.subtract(added.nodule.centre_ras, MISSED.centre)) < 1.5
    assert added.nodule.measurements.mean_diameter_mm == pytest.approx(2 * MISSED.radius, rel=0.2)
    assert added.nodule.lung == "right"
    assert added.nodule.ratings is not None
    assert segments(findings) == points(findings) == ["nodule 1", "nodule 2", "nodule 3"]
    assert findings.GetNodeReference("ThoraxAI.Table").GetNumberOfRows() == 3
    workflow.undo(findings)
    assert segments(findings) == points(findings) == ["nodule 1", "nodule 2"]
    assert findings.GetNodeReference("ThoraxAI.Table").GetNumberOfRows() == 2


@pytest.mark.parametrize(
    ("ras", "sentence"),
    [
        ((500.0, 0.0, 0.0), "outside the CT"),
        ((112.0, 74.0, 0.0), "body|air"),
        (FOUND[0].centre, "lies in nodule 1, which is there already"),
    ],
)
def test_a_click_where_nothing_can_be_added_changes_nothing(findings, ras, sentence):
    before = findings.GetNodeReference("ThoraxAI.Record").GetText()
    with pytest.raises(InputError, match=sentence):
        workflow.add_nodule(findings, ras, "cpu")
    assert findings.GetNodeReference("ThoraxAI.Record").GetText() == before
    assert segments(findings) == ["nodule 1", "nodule 2"]


def test_an_edited_outline_is_measured_again_and_undo_draws_the_old_one(findings):
    volume, _ = chest_with_findings()
    before = mask_from_segment(findings, "nodule 1", volume.grid)
    larger = ball(volume, FOUND[0].centre, 10.0)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        larger.astype(np.uint8), findings, "nodule 1", scene.ct_of(findings)
    )
    workflow.measure_again(findings, 1, "cpu")
    entry = scene.reading_from_scene(findings)[1]
    assert entry.decision.edited
    assert entry.nodule.measurements.volume_mm3 == pytest.approx(larger.sum() * volume.grid.voxel_volume, rel=0.03)
    assert entry.nodule.measurements.mean_diameter_mm == pytest.approx(20.0, rel=0.1)
    assert entry.nodule.score == pytest.approx(0.7)
    assert np.array_equal(mask_from_segment(findings, "nodule 1", volume.grid), larger)
    workflow.undo(findings)
    assert np.array_equal(mask_from_segment(findings, "nodule 1", volume.grid), before)
    assert scene.nodules_from_scene(findings)[0].measurements == chest_with_findings()[1].nodules[0].measurements


def test_an_outline_that_is_gone_or_empty_is_told(findings):
    volume, _ = chest_with_findings()
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.zeros(volume.shape, np.uint8), findings, "nodule 1", scene.ct_of(findings)
    )
    with pytest.raises(InputError, match="outline is empty"):
        workflow.measure_again(findings, 1)
    findings.GetSegmentation().RemoveSegment("nodule 2")
    with pytest.raises(InputError, match="'nodule 2' is gone"):
        workflow.measure_again(findings, 2)
    assert verdicts(findings) == [Verdict.OPEN, Verdict.OPEN]


def test_corrections_and_patient_change_what_guidelines_say(findings):
    wide = workflow.rows(findings)[0]
    workflow.correct(findings, 1, "kind", Kind.SOLID)
    workflow.correct(findings, 1, "spiculation", False)
    workflow.set_patient(findings, Patient(age=60, female=True, family_history=False, emphysema=False))
    narrow = workflow.rows(findings)[0]
    assert narrow.kind == "solid"
    assert narrow.lung_rads == "4B"
    assert narrow.brock[1] - narrow.brock[0] < wide.brock[1] - wide.brock[0]
    assert workflow.assessment(findings, 1).finding.spiculation is False
    workflow.undo(findings)
    assert workflow.assessment(findings, 1).finding.spiculation is None


def test_a_correction_that_contradicts_a_measurement_changes_nothing(findings):
    with pytest.raises(InputError, match="exceeds"):
        workflow.correct(findings, 1, "solid_volume_mm3", 1e6)
    assert not scene.reading_from_scene(findings).corrections


def test_rejected_nodules_leave_the_report_and_the_count(findings):
    workflow.decide(findings, 2, Verdict.REJECTED)
    content = workflow_report.content(findings)
    assert [one.nodule.id for one in content.nodules] == [1, 2]
    assert [one.nodule.id for one in content.kept] == [1]
    assert content.nodules[0].assessment.finding.nodule_count == 1
    assert len(content.model_hash) == 64
    assert any("slices are 2.5 mm apart" in one for one in content.warnings)


def test_tracking_identifiers_stay_the_same_from_report_to_report(findings):
    first = [one.uid for one in workflow_report.content(findings).nodules]
    assert first == [one.uid for one in workflow_report.content(findings).nodules]
    assert len(set(first)) == 2


def test_everything_comes_back_with_a_saved_scene(findings, mrml_session, tmp_path):
    workflow.decide(findings, 1, Verdict.ACCEPTED)
    workflow.correct(findings, 1, "spiculation", True)
    workflow.add_nodule(findings, MISSED.centre, "cpu")
    workflow.set_patient(findings, Patient(age=71.0, screening=True), {"other_finding": True})
    before = scene.reading_from_scene(findings)
    mrml_session.save_mrb(tmp_path / "scene.mrb")
    mrml_session.clear()
    mrml_session.load_mrb(tmp_path / "scene.mrb")
    [back] = [
        one for one in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if one.GetName().endswith(" findings")
    ]
    after = scene.reading_from_scene(back)
    assert after.decisions == before.decisions
    assert after.corrections == before.corrections == {1: {"spiculation": True}}
    assert after.uids == before.uids
    assert after.patient == before.patient
    assert after.exam_inputs == {"other_finding": True}
    assert [one.measurements for one in after.nodules] == [one.measurements for one in before.nodules]
    assert workflow.undo(back) == "nodule 3 added"
    assert segments(back) == ["nodule 1", "nodule 2"]
    assert len(workflow_report.content(back).nodules) == 2


def test_a_ct_that_was_moved_or_left_the_scene_is_told(findings):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 10.0
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    scene.ct_of(findings).SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(InputError, match="was moved or changed since"):
        workflow_report.content(findings)
    slicer.mrmlScene.RemoveNode(scene.ct_of(findings))
    with pytest.raises(InputError, match="not in the scene any more"):
        workflow_report.content(findings)


def test_a_segmentation_without_a_record_is_told(mrml_session):
    mrml_session.clear()
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn by hand")
    with pytest.raises(InputError, match="'drawn by hand' holds no record"):
        workflow.rows(drawn)
    with pytest.raises(InputError, match="No findings are selected"):
        workflow.rows(None)


def test_a_damaged_record_is_told(findings):
    findings.GetNodeReference("ThoraxAI.Record").SetText('{"format": 1}')
    with pytest.raises(InputError, match="record is damaged"):
        workflow.rows(findings)


def test_no_nodule_at_all_is_a_report_too(findings):
    reading = scene.reading_from_scene(findings)
    for one in reading.nodules:
        workflow.decide(findings, one.id, Verdict.REJECTED)
    content = workflow_report.content(findings)
    assert content.kept == ()
    assert content.exam.overall.category == "1"


@pytest.fixture
def two_studies(mrml_session, monkeypatch):
    """Findings in a CT and in a copy of it that lies lower."""
    mrml_session.clear()
    return with_prior(monkeypatch)


def test_follow_up_pairs_nodules_and_follows_every_later_edit(two_studies):
    current, prior = two_studies
    found = workflow.compare(current, prior, 180.0)
    assert [(pair.current.id, pair.prior.id) for pair in found.pairs] == [(1, 1)]
    assert [one.nodule.id for one in found.new] == [2]
    growth = [(row.growth, row.behaviour) for row in workflow.rows(current)]
    assert growth[0] == (pytest.approx(0.0, abs=1e-6), "stable")
    assert growth[1] == (None, "new")
    pairs = slicer.util.getNode("synthetic chest follow-up")
    assert [pairs.GetCellText(row, 4) for row in range(pairs.GetNumberOfRows())] == ["stable", "new"]
    volume, _ = chest_with_findings()
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        ball(volume, FOUND[0].centre, 10.0).astype(np.uint8), current, "nodule 1", scene.ct_of(current)
    )
    workflow.measure_again(current, 1, "cpu")
    assert workflow.rows(current)[0].growth > 1.0
    workflow.decide(current, 2, Verdict.REJECTED)
    assert workflow.follow_up_of(current).new == ()
    content = workflow_report.content(current)
    assert content.follow_up.days == 180.0
    assert content.prior.name == "before"
    assert content.nodules[0].uid == scene.reading_from_scene(prior)[1].uid


def test_follow_up_comes_back_with_a_saved_scene_and_ends_with_the_prior(two_studies, mrml_session, tmp_path):
    current, prior = two_studies
    workflow.compare(current, prior, 90.0)
    before = workflow.follow_up_of(current)
    mrml_session.save_mrb(tmp_path / "scene.mrb")
    mrml_session.clear()
    mrml_session.load_mrb(tmp_path / "scene.mrb")
    back = slicer.util.getNode("synthetic chest findings")
    after = workflow.follow_up_of(back)
    assert after.sentences == before.sentences
    assert np.allclose(after.registration.to_prior((10, 20, 30)), before.registration.to_prior((10, 20, 30)), atol=0.01)
    slicer.mrmlScene.RemoveNode(scene.prior_of(back))
    assert workflow.follow_up_of(back) is None


def test_prior_of_another_patient_is_refused_by_what_slicer_knows(two_studies):
    current, prior = two_studies
    for findings, patient, day in ((current, "P1", "20240601"), (prior, "P2", "20240101")):
        in_study(scene.ct_of(findings), patient, day)
    exams = tuple(workflow.exam_of(scene.ct_of(one)) for one in two_studies)
    for days in (None, 100.0):
        with pytest.raises(InputError, match="of another patient"):
            workflow.compare(current, prior, days, exams)
    in_study(scene.ct_of(prior), "P1", "20240101")
    exams = tuple(workflow.exam_of(scene.ct_of(one)) for one in two_studies)
    assert workflow.compare(current, prior, None, exams).days == 152
    with pytest.raises(InputError, match="are the current ones"):
        workflow.compare(current, current, 10.0)
