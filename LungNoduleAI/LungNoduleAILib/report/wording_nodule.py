"""The section of one nodule in a report."""

from __future__ import annotations

from datetime import datetime

from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.document import Block, Pictures, Section, Sentences, Table
from LungNoduleAILib.report.pictures import LEVEL_HU, WINDOW_HU, influence_picture, key_pictures, similar_picture
from LungNoduleAILib.report.wording_answers import (
    QUESTIONS,
    advice,
    category,
    estimate_sentences,
    guidelines_of,
    models_of,
    probability,
    questions,
    terms_table,
)
from LungNoduleAILib.report.wording_followup import nodule_follow_up
from LungNoduleAILib.report.wording_measurements import (
    character_table,
    doubts,
    kind,
    place,
    position,
    size_table,
    whole,
)
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib.volume import Volume

# Shown in one row with the influence, which is that much wider than each.
_MOST_SIMILAR = 5
_INFLUENCE_WEIGHT = 1.8


def key_of(reported: ReportedNodule) -> str:
    """Key of the nodule's section."""
    return f"nodule-{reported.nodule.id}"


def when(at: datetime) -> str:
    """Such as "2026-11-21 16:31 +00:00"; without the offset where the time zone is not known."""
    offset = at.strftime("%z")
    return at.strftime("%Y-%m-%d %H:%M") + (f" {offset[:3]}:{offset[3:5]}" if offset else "")


def decision_words(decision: Decision) -> str:
    """Such as "accepted, outline edited"."""
    also = ["outline edited"] * decision.edited + ["added by the reader"] * decision.added
    return ", ".join([decision.verdict.value, *also])


def nodule_section(content: ReportContent, reported: ReportedNodule) -> Section:
    """Pictures, measurements, what guidelines and models say, ratings, explanation, follow-up, decision."""
    nodule = reported.nodule
    caption = (
        f"Lung window (width {whole(WINDOW_HU)} HU, level {whole(LEVEL_HU)} HU). The line is the outline that was "
        "measured, where half of a voxel is nodule."
    )
    if nodule.character is not None:
        caption += " In the axial section, the two axes."
    blocks: list[Block] = [
        Sentences((_decision_sentence(reported.decision), _found_sentence(reported))),
        Pictures(key_pictures(content.volume, nodule), caption),
    ]
    if doubts(nodule):
        blocks.append(Sentences(doubts(nodule), tone="warning"))
    blocks += [size_table(content.volume, nodule), character_table(reported)]
    sections = [
        *nodule_follow_up(content, nodule),
        _advice(reported),
        *_ratings(nodule),
        *_explanation(content.volume, nodule, reported.explanation),
    ]
    mean = f"{nodule.measurements.mean_diameter_mm:.1f} mm"
    title = f"Nodule {nodule.id}: {place(reported)}, {kind(reported)}, {mean}"
    return Section(key_of(reported), title, tuple(blocks), tuple(sections), new_page=True)


def _decision_sentence(decision: Decision) -> str:
    if decision.verdict is Verdict.OPEN:
        return "No reader has reviewed this nodule yet."
    at = f" on {when(decision.at)}" if decision.at else ""
    found = "was found by the reader and" if decision.added else "was marked by the detector and"
    edited = ", who changed the outline" if decision.edited else ""
    return f"The nodule {found} {decision.verdict.value} by the reader{edited}{at}."


def _found_sentence(reported: ReportedNodule) -> str:
    nodule = reported.nodule
    score = "" if reported.decision.added else f" The detector's score is {nodule.score:.2f} of 1."
    return f"Its centre lies at {position(nodule)} from the origin of the scanner's coordinates.{score}"


def _advice(reported: ReportedNodule) -> Section:
    guidelines, models = guidelines_of(reported.assessment), models_of(reported.assessment)
    open_questions = questions((*guidelines, *models))
    blocks: list[Block] = [
        Table(
            f"What guidelines say of nodule {reported.nodule.id}",
            ("Guideline", "Category", "What it says"),
            tuple((name, category(answer) or "–", "\n".join(advice(answer))) for name, answer in guidelines),
            (2.2, 1.6, 8),
        ),
        Table(
            f"What risk models estimate for nodule {reported.nodule.id}",
            ("Model", "Risk of malignancy", "What it says"),
            tuple((name, probability(one), "\n".join(estimate_sentences(one))) for name, one in models),
            (2.2, 2.2, 7.4),
        ),
        terms_table(reported.assessment.brock),
    ]
    if open_questions:
        blocks.append(Sentences(open_questions, listed=True, before=QUESTIONS))
    return Section(f"{key_of(reported)}-advice", "Guidelines and risk", tuple(blocks))


def _ratings(nodule: Nodule) -> list[Section]:
    if nodule.ratings is None:
        return []
    blocks = (
        Sentences(nodule.ratings.text, listed=True),
        Sentences(
            ("Impressions of a picture, compared by a program: no finding in tissue, no probability of cancer.",),
            tone="note",
        ),
    )
    return [Section(f"nodule-{nodule.id}-ratings", "What radiologists would probably have called it", blocks)]


def _explanation(volume: Volume, nodule: Nodule, explanation: Explanation | None) -> list[Section]:
    if explanation is None:
        return []
    falls, rises = float(explanation.influence.max()), float(-explanation.influence.min())
    found = [f"its logit falls by up to {falls:.2f} for each ml of orange voxels that is replaced by lung"] * (
        falls > 0
    )
    found += [f"it rises by up to {rises:.2f} for each ml of blue ones"] * (rises > 0)
    caption = f"What the detector's search depends on: {', '.join(found) or 'no voxel changes it'}."
    similar = explanation.similar[:_MOST_SIMILAR]
    if similar:
        caption += " Beside it, nodules of the training set that it resembles most, and the readers' words for them."
    notes = ("", *(f"{one.name}: {one.readers}; distance {one.distance:.1f}" for one in similar))
    shown = (influence_picture(volume, nodule, explanation), *map(similar_picture, similar))
    weights = (_INFLUENCE_WEIGHT, *(1.0 for _ in similar))
    share = sum(weights) / (_INFLUENCE_WEIGHT + _MOST_SIMILAR)
    title = "Why it was marked, and what it resembles"
    return [Section(f"nodule-{nodule.id}-explanation", title, (Pictures(shown, caption, notes, share, weights),))]
