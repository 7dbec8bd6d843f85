"""Rules of derived structures: one line of text, and what it says.

A rule is made of structure names, operators and functions::

    Lungs - GTVp                    subtraction; + is union, & is intersection and binds tighter
    expand(CTVp, 5, superior=8)     mm in every direction, some of them otherwise; negative shrinks
    union(Lung_L, Lung_R)           and intersection(A, B, ...)
    outside(PTVp, SpinalCord, gap=2)    what of PTVp is more than 2 mm away from SpinalCord
    inside(PTVp, External, gap=5)       what of PTVp is more than 5 mm below the surface of External
    ctv(GTVp, 8, within=Lungs, barriers=Bone + Heart, invaded=Heart)

A CTV is the GTV grown by 8 mm that stays within the lungs and out of bone; the heart, named in
``barriers``, would stop it too, but the tumour has invaded it. ``invaded=Lungs`` would open the
lungs' border.

A name of letters, digits and ``_ ^ ~ . !`` stands as it is. AAPM TG-263 also has names with "-" and
"+", which are operators here: such a name is quoted, ``"Lungs-GTV"``, and a quote in it doubled.
Left, right, superior and so on are the patient's.

``A?`` is A where the set holds it and nothing where it does not: barriers=Bone + A_Aorta? builds without
an aorta, and is built again with one as soon as it is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Union

from SegmentationAILib.radiotherapy.margin_recipes import Margins

SIDES = tuple(Margins().as_sides())
BARE_NAME = re.compile(r"[^\W\d][\w^~.!]*")


@dataclass(frozen=True)
class Source:
    """A structure by its name; an ``optional`` one stands for nothing where the set does not hold it."""

    name: str
    optional: bool = False

    def __str__(self) -> str:
        written = self.name if BARE_NAME.fullmatch(self.name) else '"' + self.name.replace('"', '""') + '"'
        return f"{written}?" if self.optional else written


@dataclass(frozen=True)
class Combination:
    """Two rules joined by ``+`` (union), ``-`` (subtraction) or ``&`` (intersection)."""

    operator: str
    left: Rule
    right: Rule

    def __str__(self) -> str:
        # Operators of equal rank are read from left to right.
        rank = _rank(self)
        left = f"({self.left})" if _rank(self.left) < rank else str(self.left)
        right = f"({self.right})" if _rank(self.right) <= rank else str(self.right)
        return f"{left} {self.operator} {right}"


@dataclass(frozen=True)
class Call:
    """A function with its arguments; ``options`` are those given by name."""

    function: str
    arguments: tuple[Rule | float, ...]
    options: tuple[tuple[str, Rule | float], ...] = ()

    def __str__(self) -> str:
        given = [_value(one) for one in self.arguments]
        given += [f"{name}={_value(value)}" for name, value in self.options]
        return f"{self.function}({', '.join(given)})"


Rule = Union[Source, Combination, Call]  # noqa: UP007 - names above are not yet defined for |


@dataclass(frozen=True)
class Signature:
    """What a function takes.

    Attributes:
        structures: least and most number of structures that come first; None for no limit.
        distance: whether one distance in mm may follow.
        distances: options in mm.
        rules: options that are rules.
    """

    structures: tuple[int, int | None]
    distance: bool = False
    distances: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    @property
    def options(self) -> tuple[str, ...]:
        return self.distances + self.rules


FUNCTIONS: Mapping[str, Signature] = {
    "expand": Signature((1, 1), True, SIDES),
    "union": Signature((1, None)),
    "intersection": Signature((1, None)),
    "outside": Signature((2, 2), False, ("gap",)),
    "inside": Signature((2, 2), False, ("gap",)),
    "ctv": Signature((1, 1), True, SIDES, ("within", "barriers", "invaded")),
}


def sources(rule: Rule, *, required: bool = False) -> tuple[str, ...]:
    """The names in a rule, each once (case aside), in the order in which they stand.

    Args:
        required: only those without which it cannot be built.
    """
    seen: dict[str, str] = {}
    for one in _walk(rule):
        if isinstance(one, Source) and not (required and one.optional):
            seen.setdefault(one.name.lower(), one.name)
    return tuple(seen.values())


def renamed(rule: Rule, old: str, new: str) -> Rule:
    """The rule with a structure's name (case aside) put in the place of another."""

    def rename(one: Source) -> Source:
        return replace(one, name=new) if one.name.lower() == old.lower() else one

    return _mapped(rule, rename)


def terms(rule: Rule) -> tuple[Rule, ...]:
    """The members of a union, written with + or ``union``; the rule itself where it is none."""
    if isinstance(rule, Combination) and rule.operator == "+":
        return terms(rule.left) + terms(rule.right)
    if isinstance(rule, Call) and rule.function == "union":
        return tuple(term for one in rule.arguments if not isinstance(one, float) for term in terms(one))
    return (rule,)


def key(rule: Rule) -> str:
    """What a term of ``barriers`` is called in ``invaded``."""
    return (rule.name if isinstance(rule, Source) else str(rule)).lower()


def _rank(rule: Rule) -> int:
    if isinstance(rule, Combination):
        return 2 if rule.operator == "&" else 1
    return 3


def _value(value: Rule | float) -> str:
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    return str(value)


def _walk(rule: Rule) -> Iterator[Rule]:
    yield rule
    if isinstance(rule, Combination):
        yield from _walk(rule.left)
        yield from _walk(rule.right)
    elif isinstance(rule, Call):
        for value in (*rule.arguments, *(value for _, value in rule.options)):
            if not isinstance(value, float):
                yield from _walk(value)


def _mapped(rule: Rule, change: Callable[[Source], Source]) -> Rule:
    def value(one: Rule | float) -> Rule | float:
        return one if isinstance(one, float) else _mapped(one, change)

    if isinstance(rule, Source):
        return change(rule)
    if isinstance(rule, Combination):
        return replace(rule, left=_mapped(rule.left, change), right=_mapped(rule.right, change))
    return replace(
        rule,
        arguments=tuple(value(one) for one in rule.arguments),
        options=tuple((name, value(one)) for name, one in rule.options),
    )
