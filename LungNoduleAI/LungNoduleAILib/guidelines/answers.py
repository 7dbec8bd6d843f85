"""Answers of guidelines and models: with the rule that led to them, or as a range where inputs are not known."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.guidelines.questions import QUESTIONS, Question
from SegmentationAILib.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Rule:
    """A rule of a guideline.

    Attributes:
        id: unique among all guidelines.
        text: what it says, in short.
        source: table, figure or section it is from.
    """

    id: str
    text: str
    source: str


@dataclass(frozen=True)
class Recommendation:
    """What a guideline says. It is no diagnosis: the clinician decides.

    Attributes:
        guideline: its name.
        advice: what it advises.
        rule: which of its rules led there.
        rank: order among the guideline's recommendations, larger is more urgent.
        category: Lung-RADS category, "" for others.
        risk: of malignancy, as the guideline gives it for the category; "" where it gives none.
        applies: False where the guideline says that it is not made for the case.
        notes: what else the guideline, or this reading of it, says of the case.
    """

    guideline: str
    advice: str
    rule: Rule
    rank: int
    category: str = ""
    risk: str = ""
    applies: bool = True
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """For the user: what it advises, and by which rule."""
        if not self.applies:
            return f"The guideline says that it does not apply here: {self.advice} ({self.guideline})."
        category = f"category {self.category}; " if self.category else ""
        where = f"{self.guideline}, {self.rule.source}"
        risk = f" It gives a risk of malignancy of {self.risk}." if self.risk else ""
        return f"The guideline says: {category}{self.advice}. Its rule: {self.rule.text} ({where}).{risk}"


@dataclass(frozen=True)
class Range(Generic[T]):
    """What comes out for the plausible values of inputs that are not known.

    Attributes:
        low, high: the least and the most urgent answer, or the lowest and the highest risk.
        missing: what to ask, in the order in which it was needed.
        possible: every answer that differs, from low to high.
    """

    low: T
    high: T
    missing: tuple[Question, ...]
    possible: tuple[T, ...]


class Unknown(Exception):
    """An input is needed and not known."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def known(inputs: Finding | Patient, name: str) -> Any:
    """An attribute's value.

    Raises:
        Unknown: it is None.
    """
    value = getattr(inputs, name)
    if value is None:
        raise Unknown(name)
    return value


def settle(
    decide: Callable[[Finding, Patient], T],
    finding: Finding,
    patient: Patient,
    order: Callable[[T], float],
    same: Callable[[T], Hashable],
) -> T | Range[T]:
    """Decide, or decide for every plausible value of what is needed and not known.

    Only what changes the answer is asked: where all plausible values lead to the same, that is the answer.

    Args:
        decide: reads its inputs with ``known``.
        order: of answers.
        same: equal for answers that are the same to the user.
    """
    found, missing = _explore(decide, finding, patient, same)
    answers = sorted(found, key=order)
    distinct: dict[Hashable, T] = {}
    for answer in answers:
        distinct.setdefault(same(answer), answer)
    if len(distinct) == 1:
        return answers[0]
    return Range(answers[0], answers[-1], tuple(missing.values()), tuple(distinct.values()))


def most_urgent(answers: Sequence[Recommendation | Range[Recommendation]]) -> Recommendation | Range[Recommendation]:
    """The most urgent of several nodules' recommendations; a range where that hangs on what is not known.

    Args:
        answers: one or more.
    """
    low = max((one.low if isinstance(one, Range) else one for one in answers), key=lambda one: one.rank)
    high = max((one.high if isinstance(one, Range) else one for one in answers), key=lambda one: one.rank)
    if low.rank == high.rank:
        return high
    missing: dict[str, Question] = {q.name: q for one in answers if isinstance(one, Range) for q in one.missing}
    return Range(low, high, tuple(missing.values()), (low, high))


def _explore(
    decide: Callable[[Finding, Patient], T], finding: Finding, patient: Patient, same: Callable[[T], Hashable]
) -> tuple[list[T], dict[str, Question]]:
    """Every answer, and the questions that make a difference between them."""
    try:
        return [decide(finding, patient)], {}
    except Unknown as unknown:
        question = QUESTIONS[unknown.name]
    answers: list[T] = []
    deeper: dict[str, Question] = {}
    branches = set()
    refused: InputError | None = None
    for value in question.plausible:
        try:
            if hasattr(patient, question.name):
                changed = (finding, replace(patient, **{question.name: value}))
            else:
                changed = (replace(finding, **{question.name: value}), patient)
        except InputError as error:
            # What contradicts a known measurement is not plausible.
            refused = error
            continue
        further, also_missing = _explore(decide, *changed, same)
        answers += further
        deeper |= also_missing
        branches.add((tuple(also_missing), *(same(answer) for answer in further)))
    if not answers:
        raise refused
    matters = len(branches) > 1 and len({same(answer) for answer in answers}) > 1
    return answers, {question.name: question, **deeper} if matters else deeper
