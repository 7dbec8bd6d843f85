"""What drove an estimated risk, in sentences."""

from __future__ import annotations

import math

from LungNoduleAILib.guidelines.logistic import Risk, Term

# Less than this is no difference in any sentence.
_NOTHING = 0.005
_CONSTANT = "constant"


def sentences(risk: Risk) -> tuple[str, ...]:
    """What each term does to the log odds: the constant, then the others by how much they do, then what does nothing.

    Values that a model centres, such as the age, add against the model's own middle.
    """
    others = sorted((term for term in risk.terms if term.name != _CONSTANT), key=lambda term: -abs(term.contribution))
    moving = [term for term in others if abs(term.contribution) >= _NOTHING]
    still = [term for term in others if abs(term.contribution) < _NOTHING]
    start = [
        f"The {risk.model} starts at {term.contribution:.2f} log odds ({_odds(term.contribution):.2%})."
        for term in risk.terms
        if term.name == _CONSTANT
    ]
    told = [f"{_of(term)} {'adds' if term.contribution > 0 else 'takes'} {_amount(term)}." for term in moving]
    if still:
        told.append(f"No effect: {', '.join(_of(term, capital=False) for term in still)}.")
    return (*start, *told, f"Together: {risk.logit:.2f} log odds, a risk of {risk.probability:.1%}.")


def _of(term: Term, capital: bool = True) -> str:
    """The input with its value, such as "Diameter 14.2 mm", "Emphysema: no"."""
    name, _, unit = term.name.partition(" (")
    if isinstance(term.value, str):
        text = f"{name}: {term.value}"
    elif _is_yes_or_no(term):
        text = f"{name}: {'yes' if term.value else 'no'}"
    else:
        text = f"{name} {term.value:.4g}{' ' + unit.rstrip(')') if unit else ''}"
    return text[0].upper() + text[1:] if capital else text


def _is_yes_or_no(term: Term) -> bool:
    """Terms that are present or absent come as 1 or 0 times their coefficient; counts are centred, sizes have units."""
    return term.value in (0, 1) and isinstance(term.value, int) and term.contribution == term.value * term.coefficient


def _amount(term: Term) -> str:
    return f"{abs(term.contribution):.2f} {'to' if term.contribution > 0 else 'from'} the log odds"


def _odds(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
