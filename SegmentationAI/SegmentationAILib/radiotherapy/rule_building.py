"""From a rule and the structures that it names to a mask."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.radiotherapy.clinical_target import Barrier, clinical_target
from SegmentationAILib.radiotherapy.cropping import inside, outside
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.margins import expand
from SegmentationAILib.radiotherapy.rules import SIDES, Call, Combination, Rule, Source, key, terms
from SegmentationAILib.radiotherapy.structure_set import StructureSet

Mask = NDArray[np.bool_]


def build(rule: Rule, structure_set: StructureSet) -> Mask:
    """The voxels that a rule stands for.

    Returns:
        bool [k, j, i] on the set's grid.

    Raises:
        InputError: the set holds no structure of a name in the rule, or a margin is refused.
    """
    if isinstance(rule, Source):
        if rule.optional and rule.name not in structure_set:
            return np.zeros(structure_set.grid.shape, dtype=bool)
        return np.asarray(structure_set[rule.name].mask, dtype=bool)
    if isinstance(rule, Combination):
        left, right = build(rule.left, structure_set), build(rule.right, structure_set)
        return left & ~right if rule.operator == "-" else left & right if rule.operator == "&" else left | right
    return _BUILDERS[rule.function](rule, structure_set)


def _masks(call: Call, structure_set: StructureSet) -> list[Mask]:
    return [build(one, structure_set) for one in call.arguments if not isinstance(one, float)]


def _margins(call: Call) -> Margins:
    """The distance after the structure is for all sides, the options for theirs."""
    everywhere = next((one for one in call.arguments if isinstance(one, float)), 0.0)
    given = {name: value for name, value in call.options if isinstance(value, float)}
    return Margins(**{side: given.get(side, everywhere) for side in SIDES})


def _gap(call: Call) -> float:
    return next((value for name, value in call.options if name == "gap" and isinstance(value, float)), 0.0)


def _barriers(call: Call, structure_set: StructureSet) -> list[Barrier]:
    options = {name: value for name, value in call.options if not isinstance(value, float)}
    invaded = {key(term) for term in terms(options["invaded"])} if "invaded" in options else set()
    barriers = []
    if "within" in options:
        # One border around the union: where two lungs meet, tumour of one does not stop at the other.
        border = options["within"]
        crossed = any(key(term) in invaded for term in terms(border))
        barriers.append(Barrier(str(border), build(border, structure_set), crossed, encloses=True))
    for term in terms(options["barriers"]) if "barriers" in options else ():
        barriers.append(Barrier(str(term), build(term, structure_set), key(term) in invaded))
    return barriers


def _expand(call: Call, structure_set: StructureSet) -> Mask:
    return expand(_masks(call, structure_set)[0], structure_set.grid.ijk_to_ras, **_margins(call).as_sides())


def _ctv(call: Call, structure_set: StructureSet) -> Mask:
    gtv = _masks(call, structure_set)[0]
    return clinical_target(gtv, structure_set.grid.ijk_to_ras, _margins(call), _barriers(call, structure_set))


_BUILDERS: Mapping[str, Callable[[Call, StructureSet], Mask]] = {
    "expand": _expand,
    "union": lambda call, held: reduce(operator.or_, _masks(call, held)),
    "intersection": lambda call, held: reduce(operator.and_, _masks(call, held)),
    "outside": lambda call, held: outside(*_masks(call, held), held.grid.ijk_to_ras, _gap(call)),
    "inside": lambda call, held: inside(*_masks(call, held), held.grid.ijk_to_ras, _gap(call)),
    "ctv": _ctv,
}
