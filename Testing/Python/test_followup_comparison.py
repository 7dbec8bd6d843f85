"""Two CTs of a patient with known nodules and a known breath between them."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from dicom_writer import Identity, write_series
from followup_cases import Case, follow_up_case, lung_ct, outcome
from phantoms import chest
from planted import lungs_of

from LungNoduleAILib.followup.comparison import FollowUp, compare
from LungNoduleAILib.followup.exam import Exam, days_between, read_exam
from LungNoduleAILib.followup.growth import Repeatability
from LungNoduleAILib.followup.registration import register_lungs
from LungNoduleAILib.followup.response import RECIST, VOLUMETRIC, Category, NonTarget, choose_targets, respond
from LungNoduleAILib.guidelines.findings import Behaviour
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.files import load
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import DicomSource, Grid, Volume

DAYS = 120.0
SPACING_MM = 3.0


@pytest.fixture(scope="module")
def case() -> Case:
    bare = chest(spacing=SPACING_MM, seed=3, noise_hu=0)
    return follow_up_case(bare.volume, lungs_of(bare), seed=0, smallest_mm=9.0)


@pytest.fixture(scope="module")
def follow_up(case) -> FollowUp:
    return compare(*case.arguments, DAYS)


def test_every_nodule_finds_its_partner_or_none(case, follow_up):
    found = outcome(case, follow_up)
    assert found.right == found.total == 12
    assert not follow_up.unseen
    assert {lone.behaviour for lone in follow_up.new} == {Behaviour.NEW}
    assert {lone.behaviour for lone in follow_up.resolved} == {Behaviour.RESOLVED}
    assert len(follow_up.sentences) == 12


def test_places_are_found_through_breath_turn_and_shift(case, follow_up):
    registration = follow_up.registration
    prior = np.array([lesion.prior_ras for lesion in case.lesions])
    current = np.array([lesion.current_ras for lesion in case.lesions])
    assert np.linalg.norm(prior - current, axis=1).min() > 20
    away = np.linalg.norm(registration.to_current(prior) - current, axis=1)
    assert away.mean() < 3
    assert away.max() < 5
    assert np.allclose(registration.to_prior(registration.to_current(prior)), prior, atol=0.01)
    assert np.allclose(registration.to_prior(current[0]), registration.to_prior(current)[0])


def test_the_quality_says_that_it_fits(follow_up):
    registration = follow_up.registration
    assert registration.overlap > 0.97 > registration.overlap_before
    assert registration.residual_mm < 1
    assert registration.correlation > 0.8
    assert registration.folded_share == 0
    assert 0.8 < registration.stretch[0] < registration.stretch[1] < 1.25
    assert registration.sides == ("right", "left")


def test_doubling_times_are_those_of_the_balls(case, follow_up):
    found = outcome(case, follow_up)
    assert len(found.doubling_errors) == 6
    assert np.median(found.doubling_errors) < 0.05


def test_thick_slices_are_told_and_leave_out_the_interval(case, follow_up):
    assert [w for w in follow_up.warnings if "3 mm apart" in w and "Fleischner" in w] == list(follow_up.warnings)
    assert len(follow_up.warnings) == 2
    assert all(pair.doubling.shortest_days is None and not pair.doubling.source for pair in follow_up.pairs)


def test_response_of_chosen_targets(case, follow_up):
    prior = {nodule.id: nodule for nodule in case.prior_nodules}
    targets = choose_targets(case.prior_nodules, SPACING_MM)
    largest = sorted((n.measurements.long_axis_mm for n in case.prior_nodules), reverse=True)
    assert [n.measurements.long_axis_mm for n in targets] == largest[:2]
    assert not choose_targets(case.prior_nodules, largest[0])
    measurable = [pair for pair in follow_up.pairs if pair.prior.measurements.long_axis_mm >= 10]
    growing = max(measurable, key=lambda pair: pair.long_axis_change_mm)
    found = respond(follow_up, [growing.prior.id], RECIST, new_lesion=False)
    assert found.overall is Category.PROGRESSIVE
    assert found.current_sum == growing.current.measurements.long_axis_mm
    gone = follow_up.resolved[0].nodule.id
    assert respond(follow_up, [gone], VOLUMETRIC, new_lesion=False).targets is Category.COMPLETE
    assert respond(follow_up, [gone], VOLUMETRIC, new_lesion=False).overall is Category.PARTIAL
    assert respond(follow_up, [gone], VOLUMETRIC).overall is Category.PROGRESSIVE
    told = respond(follow_up, [gone], VOLUMETRIC, new_lesion=False, non_target=NonTarget.GONE)
    assert told.overall is Category.COMPLETE
    for wrong in ([max(prior) + 1], [gone, gone]):
        with pytest.raises(InputError, match="choose the targets again"):
            respond(follow_up, wrong, RECIST)


def test_where_the_prior_ct_ends_nothing_is_new(case, follow_up):
    """The prior CT's left side is cut off, after its lungs were found."""
    lost = replace_structures(case.prior_lungs, keep=(1, 3))
    found = compare(
        case.current,
        case.current_nodules,
        case.current_lungs,
        case.prior,
        (),
        lost,
        DAYS,
        repeatability=Repeatability(0.3, 3.0, "measured here"),
    )
    left = {nodule.id for nodule in case.current_nodules if nodule.lung == "left"}
    assert left
    assert {lone.nodule.id for lone in found.unseen} == left
    assert found.registration.sides == ("right",)
    assert found.warnings == ("Only the right lung is on both CTs; nodules of the other are not compared.",)


def test_a_cut_off_apex_does_not_pull_the_rest(case):
    """The prior CT ends 60 mm below the top of the lungs."""
    top = case.prior_lungs.grid.ras(np.argwhere(case.prior_lungs.array)[:, ::-1])[:, 2].max()
    kept = int(case.prior.grid.ijk([0, 0, top - 60.0])[2])
    grid = case.prior.grid.crop((0, 0, 0), (kept, *case.prior.shape[1:]))
    prior = Volume(case.prior.array[:kept], grid, "prior", "CT")
    lungs = LabelMap(case.prior_lungs.array[:kept], grid, case.prior_lungs.structures)
    found = register_lungs(case.current, case.current_lungs, prior, lungs)
    lesions = [x for x in case.lesions if grid.ijk(x.prior_ras)[2] < kept]
    moved = found.to_current([x.prior_ras for x in lesions])
    away = np.linalg.norm(moved - [x.current_ras for x in lesions], axis=1)
    assert 6 <= len(lesions) < len(case.lesions)
    assert np.median(away) < 3.5
    assert found.stretch[1] < 1.25


def test_a_part_of_the_lungs_does_not_fit(case):
    labels = case.prior_lungs.array.copy()
    below = np.cumsum((labels > 0).sum(axis=(1, 2)))
    labels[np.searchsorted(below, 0.4 * below[-1]) :] = 0
    with pytest.raises(InputError, match="that shows the whole lungs"):
        register_lungs(case.current, case.current_lungs, case.prior, replace(case.prior_lungs, array=labels))


def replace_structures(lungs: LabelMap, keep: tuple[int, ...]) -> LabelMap:
    return replace(lungs, array=np.where(np.isin(lungs.array, keep), lungs.array, 0).astype(np.uint8))


@pytest.mark.parametrize(
    ("prior", "told"),
    [
        (
            lambda c: (c.prior, c.prior_nodules, replace_structures(c.prior_lungs, (3,)), DAYS),
            "does not show the lungs",
        ),
        (lambda c: (c.prior, c.prior_nodules, c.prior_lungs, 0.0), "number of days above 0"),
        (lambda c: (c.prior, c.prior_nodules, c.prior_lungs, -30), "number of days above 0"),
        (lambda c: (c.prior, c.prior_nodules, c.current_lungs, DAYS), "segment them on it again"),
        (lambda c: (c.current, c.current_nodules, c.current_lungs, DAYS), "the same series"),
        (lambda c: (replace(c.prior, modality="MR"), c.prior_nodules, c.prior_lungs, DAYS), "not CT"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(case, prior, told):
    with pytest.raises(InputError, match=told) as refused:
        compare(case.current, case.current_nodules, case.current_lungs, *prior(case))
    assert str(refused.value).count(".") - str(refused.value).count("0.") <= 1


def test_the_same_series_loaded_twice_is_refused(case):
    source = DicomSource(series_instance_uid="1.2.3")
    current, prior = (replace(volume, source=source) for volume in (case.current, case.prior))
    with pytest.raises(InputError, match="the same series"):
        compare(current, (), case.current_lungs, prior, (), case.prior_lungs, DAYS)


@pytest.mark.slow
def test_another_patients_lungs_do_not_fit(data_dir, case):
    with pytest.raises(InputError, match="of the same patient"):
        register_lungs(*lung_ct(data_dir), case.prior, case.prior_lungs)


def test_lungs_of_different_sides_share_nothing(case):
    right, left = replace_structures(case.current_lungs, (1,)), replace_structures(case.prior_lungs, (2,))
    with pytest.raises(InputError, match="the same lung"):
        register_lungs(case.current, right, case.prior, left)


def test_cancelling_stops_before_the_registration(case):
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        compare(*case.arguments, DAYS, progress=Progress(cancel=token))


@pytest.mark.parametrize(
    ("current", "prior", "told"),
    [
        (Exam("A-17", date(2021, 5, 1)), Exam("B-99", date(2020, 5, 1)), "another patient"),
        (Exam("A-17", date(2021, 5, 1)), Exam("A-17"), "prior CT has no date"),
        (Exam("A-17"), Exam("A-17", date(2021, 5, 1)), "current CT has no date"),
        (Exam("A-17", date(2020, 5, 1)), Exam("A-17", date(2020, 5, 31)), "30 days after the current one"),
        (Exam("A-17", date(2020, 5, 1)), Exam("", date(2020, 5, 1)), "same day"),
    ],
)
def test_exams_that_do_not_belong_together(current, prior, told):
    with pytest.raises(InputError, match=told) as refused:
        days_between(current, prior)
    assert "A-17" not in str(refused.value) + repr(current)
    assert "B-99" not in str(refused.value)


def test_days_between_exams():
    assert days_between(Exam("A", date(2020, 3, 1)), Exam("A", date(2020, 2, 1))) == 29
    assert days_between(Exam("", date(2021, 1, 1)), Exam("A", date(2020, 1, 1))) == 366


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"AcquisitionDate": "20200302", "StudyDate": "20200301"}, date(2020, 3, 2)),
        ({"StudyDate": "20200301"}, date(2020, 3, 1)),
        ({"AcquisitionDate": "", "StudyDate": "20200301"}, date(2020, 3, 1)),
        ({}, None),
    ],
)
def test_the_exam_is_read_from_the_header(tmp_path, extra, expected):
    grid = Grid((8, 6, 6), np.diag([-1.0, -1.0, 2.0, 1.0]))
    write_series(tmp_path, np.zeros(grid.shape), grid, identity=Identity(extra=extra))
    volume = load(tmp_path)
    exam = read_exam(tmp_path, volume)
    assert exam == Exam("SECRET", expected)
    with pytest.raises(InputError, match="does not hold the series"):
        read_exam(tmp_path, Volume(volume.array, volume.grid, "another"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_real_lungs_breathed_and_moved(data_dir, seed):
    """LIDC-IDRI-0314 at 1 mm; doubling times of nodules of 6 mm and more."""
    case = follow_up_case(*lung_ct(data_dir), seed=seed)
    follow_up = compare(*case.arguments, DAYS)
    found = outcome(case, follow_up)
    assert found.right == found.total == 12
    assert len(found.doubling_errors) == 6
    assert max(found.doubling_errors) < 0.1
    assert follow_up.registration.overlap > 0.97
    assert not follow_up.warnings
    assert all(pair.doubling.source for pair in follow_up.pairs)
