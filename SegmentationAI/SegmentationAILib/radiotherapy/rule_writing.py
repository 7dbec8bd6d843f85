"""Rules from values, as a margin calculator or a form with switches has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.rules import Call, Combination, Rule, Source


def expansion(source: str, margins: Margins) -> Call:
    """A structure grown by six margins: ``expand(CTVp, 5)``, or by side where they differ.

    Args:
        source: the structure's name.
        margins: direct, or by a recipe such as ``per_axis(van_herk, systematic, random)``.
    """
    return _with_margins("expand", source, margins)


def clinical(
    gtv: str, margins: Margins, *, within: str = "", barriers: Sequence[str] = (), invaded: Sequence[str] = ()
) -> Call:
    """A CTV: ``ctv(GTVp, 8, within=Lungs, barriers=Bone + Heart, invaded=Heart)``.

    Args:
        gtv: the GTV's name.
        margins: of the microscopic spread.
        within: the structure that growth does not leave, "" for none.
        barriers: structures that growth does not enter.
        invaded: which of these the tumour has gone through.

    Raises:
        InputError: an invaded structure is neither ``within`` nor among the barriers.
    """
    known = {name.lower() for name in (within, *barriers)}
    for name in invaded:
        if name.lower() not in known:
            raise InputError(f"'{name}' is invaded but is no barrier of the CTV; add it to the barriers.")
    call = _with_margins("ctv", gtv, margins)
    options = {"within": (within,) if within else (), "barriers": barriers, "invaded": invaded}
    named = tuple((option, _union(names)) for option, names in options.items() if names)
    return Call(call.function, call.arguments, call.options + named)


def _with_margins(function: str, source: str, margins: Margins) -> Call:
    sides = margins.as_sides()
    values = set(sides.values())
    if len(values) == 1:
        return Call(function, (Source(source), float(values.pop())))
    return Call(function, (Source(source),), tuple((side, float(mm)) for side, mm in sides.items() if mm))


def _union(names: Sequence[str]) -> Rule:
    first, *others = (Source(name) for name in names)
    return reduce(lambda left, right: Combination("+", left, right), others, first)
