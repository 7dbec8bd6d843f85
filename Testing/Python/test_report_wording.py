"""What a report says: all that is known of each nodule, what is not known, and what it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report_cases import WARNING, bare_content, empty_content, full_content, sections, words

from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Document, Pictures, Sentences, Table
from LungNoduleAILib.report.wording import document_of
from LungNoduleAILib.report.wording_answers import category, probability, terms_table


@pytest.fixture(scope="module")
def full() -> ReportContent:
    return full_content()


@pytest.fixture(scope="module")
def full_document(full) -> Document:
    return document_of(full)


def test_no_nodule_is_a_report_too():
    summary = document_of(empty_content()).sections[0]
    (lead, lung_rads) = [" ".join(block.items) for block in summary.blocks if isinstance(block, Sentences)]
    assert lead.startswith("No nodule is reported. That none was found does not mean that none is there.")
    assert "the right lung (0.9 litres) and the left lung (0.9 litres), by the detector 'nodules'" in lead
    assert "category of the examination: 1." in lung_rads
    assert "12 months" in lung_rads


def test_summary_tells_how_many_the_most_urgent_category_and_what_is_advised(full, full_document):
    summary = full_document.sections[0]
    lead = " ".join(" ".join(block.items) for block in summary.blocks if isinstance(block, Sentences))
    assert "3 nodules, the largest nodule 1 with a mean diameter of 18.0 mm." in lead
    assert "No reader has reviewed 1 of them yet." in lead
    assert "The reader rejected 1 mark of the detector." in lead
    assert f"category of the examination: {full.exam.label} (nodule 1)." in lead
    assert f"The guideline advises {full.exam.overall.advice}." in lead
    assert "2 on both, 1 new, 1 resolved, 1 where the other CT does not reach" in lead


def test_an_incidental_nodule_is_summed_up_by_the_guideline_made_for_it(full):
    assessed = tuple(
        replace(one, assessment=replace(one.assessment, fleischner=full.nodules[0].assessment.bts))
        for one in full.nodules
    )
    summary = document_of(replace(full, nodules=assessed, patient=Patient(screening=False))).sections[0]
    lead = " ".join(" ".join(block.items) for block in summary.blocks if isinstance(block, Sentences))
    assert "BTS 2015: " in lead
    assert "Lung-RADS v2022 category" not in lead


def test_a_rejected_mark_has_a_row_and_no_section(full_document):
    assert "nodule-4" not in [one.key for one in sections(full_document)]
    (rejected,) = [
        block
        for block in full_document.sections[0].blocks
        if isinstance(block, Table) and block.caption == "Marks that the reader rejected"
    ]
    assert rejected.rows == (("4", "left lung, upper zone", "5.0", "0.24", "2026-11-21 16:31 +01:00"),)


def test_each_nodule_tells_all_that_is_known_of_it(full, full_document):
    by_key = {one.key: one for one in sections(full_document)}
    first, third = full.nodules[0], full.nodules[2]
    text = " ".join(words(Document("", "", "", "", (by_key["nodule-1"],))))
    assessment = first.assessment
    expected = [
        "accepted by the reader, who changed the outline on 2026-11-21 16:31 +01:00",
        "18.4 × 17.6 mm",
        "3054 mm³ (2443 to 3817 mm³)",
        "3176 mg",
        "6.7 mm",
        "7.1 × 6.3 mm",
        "The slices are 3 mm apart.",
        "Voxels or noise do not allow a volume that can be compared",
        full.follow_up.pairs[0].sentence,
        assessment.lung_rads.text,
        *(question.text for question in assessment.herder.missing),
        probability(assessment.brock),
        *first.nodule.ratings.text,
        "falls by up to 2.31 for each ml of orange voxels that is replaced by lung, it rises by up to 0.77",
        "LIDC-IDRI-0002: solid, indeterminate; distance 1.0",
    ]
    assert [one for one in expected if one not in text] == []
    text = " ".join(words(Document("", "", "", "", (by_key["nodule-3"],))))
    assert "No reader has reviewed this nodule yet." in text
    assert category(third.assessment.lung_rads) in text
    assert full.follow_up.new[0].sentence in text


def test_unreviewed_and_unknown_are_said():
    text = " ".join(words(document_of(bare_content())))
    assert "No reader has reviewed any of them yet." in text
    assert "How well it repeats is not known for slices 3 mm apart." in text
    assert "Least urgent: The guideline says" in text
    assert "How old is the patient, in years?" in text
    assert "Not measured: what radiologists would probably have called it." in text


def test_terms_add_up_to_the_risk(full):
    settled = full.nodules[0].assessment.brock
    rows = terms_table(settled).rows
    sums = [float(row[3].replace("−", "-")) for row in rows[:-1]]
    assert sum(sums[:-1]) == pytest.approx(sums[-1], abs=0.006)
    assert rows[-1][3] == probability(settled)
    assert ("female", "yes", "+0.601", "+0.601") in rows
    open_one = full.nodules[2].assessment.brock
    rows = terms_table(open_one).rows
    for column, end in ((2, open_one.low), (4, open_one.high)):
        assert rows[-1][column] == f"{end.probability:.1%}"
        sums = [float(row[column].replace("−", "-")) for row in rows[:-1]]
        assert sum(sums[:-1]) == pytest.approx(sums[-1], abs=0.006)


def test_follow_up_is_shown_as_pairs_at_one_scale(full, full_document):
    by_key = {one.key: one for one in sections(full_document)}
    outlines = {}
    for key in ("nodule-1-follow-up", "nodule-3-follow-up", "follow-up"):
        (block,) = [one for one in by_key[key].blocks if isinstance(one, Pictures)]
        assert [picture.title for picture in block.pictures] == ["Prior CT", "Current CT"]
        assert len({picture.width for picture in block.pictures}) == 1
        outlines[key] = [sum(line.closed for line in picture.lines) for picture in block.pictures]
    # Both show nodule 1; the third is new, and one is gone.
    assert outlines == {"nodule-1-follow-up": [1, 1], "nodule-3-follow-up": [0, 1], "follow-up": [1, 0]}
    without_images = document_of(replace(full, prior=None))
    assert not any(
        picture.title == "Prior CT"
        for section in sections(without_images)
        for block in section.blocks
        if isinstance(block, Pictures)
        for picture in block.pictures
    )


def test_methods_warnings_and_limits_are_told(full_document):
    text = " ".join(words(full_document))
    for expected in (
        WARNING,
        "Both CTs have thick slices.",
        "1 duplicate slice is left out.",
        "80 × 50 × 63 voxels of 3.00 × 3.00 × 3.00 mm; slices 3.00 mm apart",
        "nodules; options: threshold 0.05; device: cpu",
        "ab" * 32,
        "The detector misses nodules and marks what is none.",
    ):
        assert expected in text
