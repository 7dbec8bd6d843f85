"""Risk by logistic regression, with every term in sight."""

from __future__ import annotations

import math
from dataclasses import dataclass

from LungNoduleAILib.guidelines.limits import check_number


@dataclass(frozen=True)
class Term:
    """A term of the logit.

    Attributes:
        name: of the input.
        value: that it has in the model; 1 or 0 where it is present or absent, 1 for the constant.
        coefficient: of the value as the model transforms it.
        contribution: to the logit.
    """

    name: str
    value: float | str
    coefficient: float
    contribution: float


@dataclass(frozen=True)
class Risk:
    """Probability that a nodule is malignant, as a published model estimates it. It is no diagnosis.

    Attributes:
        model: its name.
        source: the publication.
        terms: of the logit, the constant first.
        notes: what the model was made on, where the case differs.
    """

    model: str
    source: str
    terms: tuple[Term, ...]
    notes: tuple[str, ...] = ()

    @property
    def logit(self) -> float:
        return math.fsum(term.contribution for term in self.terms)

    @property
    def probability(self) -> float:
        """0…1."""
        return probability_of(self.logit)

    @property
    def text(self) -> str:
        """One sentence for the user."""
        return f"The {self.model} estimates a risk of malignancy of {self.probability:.1%} ({self.source})."


def probability_of(logit: float) -> float:
    """0…1."""
    return 1 / (1 + math.exp(-logit))


def linear(name: str, value: float, coefficient: float) -> Term:
    """A term that is the value times the coefficient."""
    return Term(name, value, coefficient, coefficient * value)


def check_risk_inputs(age: float, diameter_mm: float, count: int = 1) -> None:
    """Refuse what no model takes.

    Raises:
        InputError: age outside 18–110, a diameter outside 0.1–300 mm, or less than one nodule.
    """
    check_number("age", age, 18, 110, "years")
    check_number("diameter", diameter_mm, 0.1, 300, "mm")
    check_number("number of nodules", count, 1, 1000)
