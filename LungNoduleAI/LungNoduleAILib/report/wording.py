"""From a report's content to its words, tables and pictures: the one place that all its forms take them from."""

from __future__ import annotations

from LungNoduleAILib.guidelines.answers import Range, Recommendation, most_urgent
from LungNoduleAILib.guidelines.findings import Behaviour
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.document import Block, Document, Pictures, Section, Sentences, Table
from LungNoduleAILib.report.lung_map import lung_map
from LungNoduleAILib.report.wording_answers import (
    QUESTIONS,
    advice,
    category,
    ends,
    exam_category,
    guidelines_of,
    probability,
    questions,
)
from LungNoduleAILib.report.wording_followup import follow_up_section, overview
from LungNoduleAILib.report.wording_measurements import kind, place, whole
from LungNoduleAILib.report.wording_methods import USE, limits_section, methods_section, searched
from LungNoduleAILib.report.wording_nodule import decision_words, key_of, nodule_section, when
from LungNoduleAILib.review import Verdict

TITLE = "Lung nodules on CT"


def document_of(content: ReportContent) -> Document:
    """All that a report says of one CT.

    The same content gives the same document, and nothing in it names the patient.
    """
    return Document(
        TITLE,
        f"Made on {when(content.made_at)} from one chest CT"
        + (" and a prior one." if content.follow_up is not None else "."),
        USE,
        content.made_at.isoformat(),
        (
            _summary(content),
            *(nodule_section(content, reported) for reported in content.kept),
            *follow_up_section(content),
            methods_section(content),
            *_warnings(content),
            limits_section(),
        ),
    )


def _summary(content: ReportContent) -> Section:
    blocks: list[Block] = [Sentences((one,), tone="lead") for one in _lead(content)]
    if content.follow_up is not None:
        blocks.append(Sentences((overview(content),)))
    if content.kept:
        caption = "The lungs in silhouette; discs are the nodules at their size, but not smaller than 6 mm."
        blocks += [Pictures(lung_map(content.lungs, [one.nodule for one in content.kept]), caption, share=0.9)]
        blocks.append(_nodules_table(content.kept))
    rejected = tuple(one for one in content.nodules if one not in content.kept)
    if rejected:
        blocks.append(_rejected_table(rejected))
    return Section("summary", "Summary", tuple(blocks), (_guidelines(content),))


def _lead(content: ReportContent) -> tuple[str, ...]:
    """How many nodules, the examination's category, and what the guideline for it advises."""
    kept, rejected = len(content.kept), len(content.nodules) - len(content.kept)
    is_open = sum(one.decision.verdict is Verdict.OPEN for one in content.kept)
    also = f" The reader rejected {_counted(rejected, 'mark')} of the detector." if rejected else ""
    if not kept:
        return (
            f"No nodule is reported.{also} That none was found does not mean that none is there. Searched: "
            f"{searched(content)}.",
            _lung_rads(content),
        )
    review = f" No reader has reviewed {'any' if is_open == kept else is_open} of them yet." if is_open else ""
    largest = max(content.kept, key=lambda one: one.nodule.measurements.mean_diameter_mm).nodule
    return (
        f"{_counted(kept, 'nodule')}, the largest nodule {largest.id} with a mean diameter of "
        f"{largest.measurements.mean_diameter_mm:.1f} mm.{review}{also}",
        _fleischner(content) if content.patient.screening is False else _lung_rads(content),
    )


def _lung_rads(content: ReportContent) -> str:
    label = exam_category(content.exam)
    low, high = ends(content.exam)
    head = f"Lung-RADS v2022 category of the examination: {label}{_by(content)}"
    return f"{head}. {_advised(low.overall, high.overall)}"


def _fleischner(content: ReportContent) -> str:
    """What counts where the CT is of no screening."""
    low, high = ends(most_urgent([one.assessment.fleischner for one in content.kept]))
    return f"{high.guideline}: {_advised(low, high)}"


def _advised(low: Recommendation, high: Recommendation) -> str:
    if low.advice == high.advice:
        return f"The guideline advises {high.advice}." if high.applies else high.text
    return (
        f"It depends on what is not known. If least urgent, the guideline advises {low.advice}. If most urgent, "
        f"{high.advice}. The questions below would settle it."
    )


def _by(content: ReportContent) -> str:
    """Which nodules have the examination's category."""
    wanted = [end.overall.category for end in ends(content.exam)]
    has = [one for one in content.kept if [end.category for end in ends(one.assessment.lung_rads)] == wanted]
    ids = [str(one.nodule.id) for one in has]
    return f" (nodule{'s' * (len(ids) > 1)} {', '.join(ids)})" if ids else ""


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _guidelines(content: ReportContent) -> Section:
    """What each guideline says of the whole CT: of its most urgent nodule."""
    exam = content.exam
    is_open = isinstance(exam, Range)
    overall = Range(exam.low.overall, exam.high.overall, exam.missing, ()) if is_open else exam.overall
    answers = [("Lung-RADS v2022", overall, exam_category(exam))]
    by_guideline = zip(*(guidelines_of(one.assessment) for one in content.kept), strict=True)
    for named in list(by_guideline)[1:]:
        answer = most_urgent([answer for _, answer in named])
        answers.append((named[0][0], answer, category(answer) or "–"))
    by = ", by its most urgent nodule" if content.kept else ""
    rows = tuple((name, shown, "\n".join(advice(answer))) for name, answer, shown in answers)
    table = Table(
        f"What guidelines say of this CT{by}", ("Guideline", "Category", "What it says"), rows,
        (2.2, 1.6, 8),
    )  # fmt: skip
    asked = questions((name, answer) for name, answer, _ in answers)
    blocks = (table, Sentences(asked, listed=True, before=QUESTIONS)) if asked else (table,)
    return Section("guidelines", "What the guidelines advise", blocks)


def _nodules_table(kept: tuple[ReportedNodule, ...]) -> Table:
    header = (
        "No.", "Where", "Kind", "Mean Ø, mm", "Volume, mm³", "Lung-RADS", "Brock risk", "Since prior CT", "Reader",
    )  # fmt: skip
    rows = tuple(
        (
            str(one.nodule.id),
            place(one),
            kind(one),
            f"{one.nodule.measurements.mean_diameter_mm:.1f}",
            whole(one.nodule.measurements.volume_mm3),
            category(one.assessment.lung_rads),
            probability(one.assessment.brock),
            _behaviour(one),
            decision_words(one.decision),
        )
        for one in kept
    )
    links = tuple(key_of(one) for one in kept)
    return Table("Nodules", header, rows, (0.7, 2.3, 1.6, 1.6, 1.5, 1.8, 2.1, 1.8, 2.1), (3, 4), links)


def _behaviour(reported: ReportedNodule) -> str:
    found = reported.assessment.finding.behaviour
    if found is None:
        return "not known"
    return "no prior CT" if found is Behaviour.BASELINE else found.value


def _rejected_table(rejected: tuple[ReportedNodule, ...]) -> Table:
    rows = tuple(
        (
            str(one.nodule.id),
            place(one),
            f"{one.nodule.measurements.mean_diameter_mm:.1f}",
            f"{one.nodule.score:.2f}",
            when(one.decision.at) if one.decision.at else "",
        )
        for one in rejected
    )
    header = ("No.", "Where", "Mean Ø, mm", "Detector's score", "When")
    return Table("Marks that the reader rejected", header, rows, (0.8, 3, 1.6, 1.8, 2.6), (2, 3))


def _warnings(content: ReportContent) -> list[Section]:
    found = (*content.warnings, *(content.follow_up.warnings if content.follow_up else ()))
    told = tuple(dict.fromkeys(found))
    return [Section("warnings", "Warnings", (Sentences(told, listed=True, tone="warning"),))] if told else []
