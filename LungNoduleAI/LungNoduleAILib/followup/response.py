"""Response to treatment: RECIST 1.1, and the same by volume.

RECIST 1.1 is Eisenhauer et al., Eur J Cancer 2009. What it asks of lesions outside the lungs and of lymph nodes
is for the reader to enter as non-target disease.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines.limits import check_number
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.errors import InputError

# A target is measurable: 10 mm, or twice the slices' distance where that is over 5 mm.
TARGET_MM = 10.0
_THIN_SLICE_MM = 5.0
# Both lungs are one organ.
TARGETS_IN_THE_LUNGS = 2
MOST_TARGETS = 5


class Category(str, Enum):
    COMPLETE = "complete response"
    PARTIAL = "partial response"
    STABLE = "stable disease"
    PROGRESSIVE = "progressive disease"


class NonTarget(str, Enum):
    """All disease that is not a target."""

    NONE = "none"
    GONE = "gone"
    PRESENT = "present"
    PROGRESSED = "unequivocally progressed"


@dataclass(frozen=True)
class Criterion:
    """When the sum over the targets is a response or a progression.

    Attributes:
        name: of the criterion; ``quantity``: what is summed, with its unit.
        partial: change against the baseline, a fraction, at or below which the response is partial.
        progression: change against the smallest sum so far, at or above which the disease progresses.
        least_increase: by which the sum must have risen as well, in the quantity's unit.
    """

    name: str
    quantity: str
    unit: str
    partial: float
    progression: float
    least_increase: float


RECIST = Criterion("RECIST 1.1", "sum of the long axes", "mm", -0.30, 0.20, 5.0)
# Of balls whose diameters change by RECIST's thresholds: 0.7³ − 1 and 1.2³ − 1. RECIST itself knows no volumes.
VOLUMETRIC = Criterion("volume", "sum of the volumes", "mm³", 0.7**3 - 1, 1.2**3 - 1, 0.0)


@dataclass(frozen=True)
class Response:
    """How the disease answered.

    Attributes:
        targets: category by the targets alone; ``overall``: with non-target and new lesions.
        baseline_sum, current_sum: in the criterion's unit.
        nadir_sum: the smallest sum so far, the baseline included.
        change_from_baseline, change_from_nadir: fractions; the latter None where the nadir is 0.
        sentence: the same for the user.
    """

    criterion: Criterion
    targets: Category
    overall: Category
    baseline_sum: float
    nadir_sum: float
    current_sum: float
    change_from_baseline: float
    change_from_nadir: float | None
    sentence: str


def choose_targets(nodules: Iterable[Nodule], slice_spacing_mm: float) -> tuple[Nodule, ...]:
    """The largest nodules by long axis that RECIST takes as targets in the lungs: two at most.

    Args:
        nodules: of the baseline CT.
        slice_spacing_mm: of that CT.
    """
    least = max(TARGET_MM, 2 * slice_spacing_mm if slice_spacing_mm > _THIN_SLICE_MM else 0.0)
    measurable = [nodule for nodule in nodules if nodule.measurements.long_axis_mm >= least]
    measurable.sort(key=lambda nodule: -nodule.measurements.long_axis_mm)
    return tuple(measurable[:TARGETS_IN_THE_LUNGS])


def assess(
    criterion: Criterion,
    baseline: Sequence[float],
    current: Sequence[float],
    *,
    between: Sequence[Sequence[float]] = (),
    new_lesion: bool = False,
    non_target: NonTarget = NonTarget.NONE,
) -> Response:
    """Category of response at one time.

    Args:
        criterion: ``RECIST`` (long axes in mm) or ``VOLUMETRIC`` (mm³).
        baseline: of each target before treatment.
        current: of the same targets now; 0 where one is gone. RECIST takes 5 mm for one too small to measure.
        between: the same on each CT since the baseline.
        new_lesion: whether there is one that no earlier CT of the study shows.
        non_target: all other disease.

    Raises:
        InputError: no target or more than five, not the same number on each CT, a target that is not measurable at
            the baseline, or a size that is none.
    """
    _check(criterion, baseline, current, between)
    before, now = sum(baseline), sum(current)
    sums = [before, *(sum(sizes) for sizes in between)]
    nadir = min(sums)
    from_baseline = now / before - 1
    from_nadir = now / nadir - 1 if nadir else None
    targets = _of_targets(criterion, now, nadir, from_baseline, from_nadir)
    overall = _overall(targets, new_lesion, non_target)
    return Response(
        criterion,
        targets,
        overall,
        before,
        nadir,
        now,
        from_baseline,
        from_nadir,
        _sentence(criterion, overall, (before, nadir, now), from_baseline, from_nadir, new_lesion, non_target),
    )


def respond(
    follow_up: FollowUp,
    target_ids: Sequence[int],
    criterion: Criterion,
    *,
    new_lesion: bool | None = None,
    non_target: NonTarget | None = None,
) -> Response:
    """Category of response of two CTs, the prior one being the baseline.

    Args:
        follow_up: of the two CTs.
        target_ids: ids of nodules on the prior CT.
        criterion: ``RECIST`` or ``VOLUMETRIC``.
        new_lesion: what the reader says; not given, any new nodule counts.
        non_target: what the reader says; not given, all other nodules of the prior CT count, and are present unless
            all have resolved.

    Raises:
        InputError: an id is no prior nodule's or comes twice, the current CT does not cover a target, or as ``assess``.
    """
    partners: dict[int, Nodule | None] = {pair.prior.id: pair.current for pair in follow_up.pairs}
    partners |= {lone.nodule.id: None for lone in follow_up.resolved}
    nodules = {pair.prior.id: pair.prior for pair in follow_up.pairs}
    nodules |= {lone.nodule.id: lone.nodule for lone in follow_up.resolved}
    for number in target_ids:
        if number not in nodules or list(target_ids).count(number) > 1:
            raise InputError(
                f"Target {number} is not one nodule of the prior CT at a place that the current CT covers; choose the "
                "targets again."
            )
    size = _long_axis if criterion is RECIST else _volume
    others = [partner for number, partner in partners.items() if number not in target_ids]
    found = NonTarget.PRESENT if any(others) else NonTarget.GONE if others else NonTarget.NONE
    return assess(
        criterion,
        [size(nodules[number]) for number in target_ids],
        [size(partners[number]) for number in target_ids],
        new_lesion=bool(follow_up.new) if new_lesion is None else new_lesion,
        non_target=found if non_target is None else non_target,
    )


def _long_axis(nodule: Nodule | None) -> float:
    return nodule.measurements.long_axis_mm if nodule else 0.0


def _volume(nodule: Nodule | None) -> float:
    return nodule.measurements.volume_mm3 if nodule else 0.0


def _check(
    criterion: Criterion, baseline: Sequence[float], current: Sequence[float], between: Sequence[Sequence[float]]
) -> None:
    if not 1 <= len(baseline) <= MOST_TARGETS:
        raise InputError(f"{criterion.name} needs 1 to {MOST_TARGETS} targets, not {len(baseline)}; choose them again.")
    for sizes in (current, *between):
        if len(sizes) != len(baseline):
            raise InputError(
                f"There are {len(baseline)} targets at the baseline and {len(sizes)} later; enter each target on each "
                "CT, 0 where it is gone."
            )
        for size in sizes:
            check_number(f"size of a target ({criterion.unit})", size, 0, 1.5e7)
    for size in baseline:
        check_number(f"size of a target at the baseline ({criterion.unit})", size, 0.01, 1.5e7)
        if criterion is RECIST and size < TARGET_MM:
            raise InputError(
                f"A target of {size:g} mm is not measurable; choose lesions of {TARGET_MM:g} mm or more at the "
                "baseline."
            )


def _of_targets(
    criterion: Criterion, now: float, nadir: float, from_baseline: float, from_nadir: float | None
) -> Category:
    if now == 0:
        return Category.COMPLETE
    # Shares survive rounding: 100 to 70 mm is a partial response.
    risen = from_nadir is None or round(from_nadir - criterion.progression, 9) >= 0
    if risen and round(now - nadir - criterion.least_increase, 9) >= 0:
        return Category.PROGRESSIVE
    # After a complete response a target that is back is progression, whatever its size.
    if nadir == 0:
        return Category.PROGRESSIVE
    return Category.PARTIAL if round(from_baseline - criterion.partial, 9) <= 0 else Category.STABLE


def _overall(targets: Category, new_lesion: bool, non_target: NonTarget) -> Category:
    """RECIST 1.1, table 1."""
    if new_lesion or non_target is NonTarget.PROGRESSED:
        return Category.PROGRESSIVE
    if targets is Category.COMPLETE and non_target is NonTarget.PRESENT:
        return Category.PARTIAL
    return targets


def _sentence(
    criterion: Criterion,
    overall: Category,
    sums: tuple[float, float, float],
    from_baseline: float,
    from_nadir: float | None,
    new_lesion: bool,
    non_target: NonTarget,
) -> str:
    before, nadir, now = sums
    against = f"{from_baseline:+.1%} against the baseline of {before:.4g} {criterion.unit}"
    if nadir < before:
        change = "back after a complete response" if from_nadir is None else f"{from_nadir:+.1%} against the nadir"
        against += f", {change}" + (f" of {nadir:.4g} {criterion.unit}" if from_nadir is not None else "")
    besides = ["a new lesion"] * new_lesion
    if non_target in (NonTarget.PRESENT, NonTarget.PROGRESSED):
        besides.append(f"non-target disease {non_target.value}")
    also = f"; {' and '.join(besides)}" if besides else ""
    head = f"{overall.value.capitalize()} by {criterion.name}"
    return f"{head}: {criterion.quantity} {now:.4g} {criterion.unit}, {against}{also}."
