"""What guidelines and risk models answered, in the words of a report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from LungNoduleAILib.assessment import Assessment
from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.logistic import Risk, Term
from LungNoduleAILib.guidelines.lung_rads_exam import ExamAssessment
from LungNoduleAILib.report.document import Table

Answer = Recommendation | Range[Recommendation]
Estimate = Risk | Range[Risk]
T = TypeVar("T")

QUESTIONS = "Answers to these questions would narrow or settle what is left open:"

# Terms whose whole values are numbers; in the others 1 is present and 0 is absent.
_NUMBERS = ("constant", "age", "diameter (mm)", "number of nodules")


def category(answer: Answer) -> str:
    """Such as "4A" or "2 to 4A"; "" where the guideline has no categories."""
    low, high = ends(answer)
    return low.category if low.category == high.category else f"{low.category} to {high.category}"


def exam_category(exam: ExamAssessment | Range[ExamAssessment]) -> str:
    """The same of a whole examination, with its modifier."""
    low, high = ends(exam)
    return low.label if low.label == high.label else f"{low.label} to {high.label}"


def percent(probability: float) -> str:
    """As ``Risk.text`` writes it."""
    return f"{probability:.1%}"


def probability(estimate: Estimate) -> str:
    """Such as "12.3%" or "1.2% to 14.0%"."""
    low, high = (percent(end.probability) for end in ends(estimate))
    return low if low == high else f"{low} to {high}"


def advice(answer: Answer) -> tuple[str, ...]:
    """Sentences on what a guideline says, each end of a range with its own."""
    low, high = ends(answer)
    if low is high:
        return (low.text, *_notes(low.notes))
    return (
        "What it says depends on what is not known.",
        f"Least urgent: {low.text}",
        f"Most urgent: {high.text}",
        *_notes((*low.notes, *high.notes)),
    )


def estimate_sentences(estimate: Estimate) -> tuple[str, ...]:
    """Sentences on what a risk model estimates."""
    low, high = ends(estimate)
    if low is high:
        return (low.text, *_notes(low.notes))
    return (
        f"The {low.model} estimates a risk of malignancy between {percent(low.probability)} and "
        f"{percent(high.probability)}, depending on what is not known ({low.source}).",
        *_notes((*low.notes, *high.notes)),
    )


def guidelines_of(assessment: Assessment) -> tuple[tuple[str, Answer], ...]:
    """Each guideline's name and what it says of the nodule."""
    answers = (assessment.lung_rads, assessment.fleischner, assessment.bts)
    return tuple((ends(answer)[0].guideline, answer) for answer in answers)


def models_of(assessment: Assessment) -> tuple[tuple[str, Estimate], ...]:
    """Each risk model's name and what it estimates of the nodule."""
    estimates = (assessment.brock, assessment.mayo, assessment.herder)
    return tuple((ends(estimate)[0].model, estimate) for estimate in estimates)


def questions(answers: Iterable[tuple[str, object]]) -> tuple[str, ...]:
    """What to ask, each question once, with the names of what it would settle.

    Args:
        answers: names and answers, ranges or not.
    """
    asked: dict[str, list[str]] = {}
    for name, answer in answers:
        for question in answer.missing if isinstance(answer, Range) else ():
            asked.setdefault(question.text, []).append(name)
    return tuple(f"{text} ({', '.join(dict.fromkeys(names))})" for text, names in asked.items())


def terms_table(estimate: Estimate) -> Table:
    """How much each term of a risk model adds to its logit; at both ends of a range."""
    low, high = ends(estimate)
    if low is high:
        rows = [(term.name, _value(term), _signed(term.coefficient), _signed(term.contribution)) for term in low.terms]
        rows.append(("sum (logit)", "", "", _signed(low.logit)))
        rows.append(("risk of malignancy", "", "", percent(low.probability)))
        header = ("Term", "Value", "Coefficient", "Adds to the logit")
        return Table(f"Terms of the {low.model}", header, tuple(rows), (4, 2, 2, 2), numbers=(1, 2, 3))
    rows = list(_bothends(low, high))
    rows.append(("sum (logit)", "", _signed(low.logit), "", _signed(high.logit)))
    rows.append(("risk of malignancy", "", percent(low.probability), "", percent(high.probability)))
    header = ("Term", "Lowest: value", "adds to the logit", "Highest: value", "adds to the logit")
    caption = f"Terms of the {low.model}, where its risk is lowest and highest"
    return Table(caption, header, tuple(rows), (4, 2, 2, 2, 2), numbers=(1, 2, 3, 4))


def _bothends(low: Risk, high: Risk) -> Iterator[tuple[str, ...]]:
    for first, second in zip(low.terms, high.terms, strict=True):
        yield first.name, *(cell for term in (first, second) for cell in (_value(term), _signed(term.contribution)))


def _value(term: Term) -> str:
    if term.name == "constant":
        return ""
    if isinstance(term.value, str):
        return term.value
    if term.name in _NUMBERS or not isinstance(term.value, int):
        return f"{term.value:.4g}"
    return "yes" if term.value else "no"


def _notes(notes: Iterable[str]) -> tuple[str, ...]:
    """Each once, as a sentence."""
    return tuple(f"Note: {note.rstrip('.')}." for note in dict.fromkeys(notes))


def _signed(value: float) -> str:
    # No "−0.000".
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


def ends(answer: T | Range[T]) -> tuple[T, T]:
    """Low and high of a range; the answer twice where it is settled."""
    return (answer.low, answer.high) if isinstance(answer, Range) else (answer, answer)
