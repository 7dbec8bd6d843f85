"""What became of each nodule, in numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from LungNoduleAILib.followup.growth import DoublingTime, Repeatability, doubling_interval
from LungNoduleAILib.guidelines.findings import Behaviour, Finding, Kind
from LungNoduleAILib.guidelines.growth import (
    is_bts_growth,
    is_bts_subsolid_growth,
    lung_rads_behaviour,
    volume_change,
)
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.nodule_finding import kind_of, of_nodule

DAYS_PER_MONTH = 365.25 / 12
# Ten years: a number of days beyond says nothing.
_LONGEST_DAYS = 3652


@dataclass(frozen=True)
class Pair:
    """A nodule on both CTs.

    Attributes:
        current, prior: as each CT shows it.
        distance_mm: between the current nodule and where the prior one was expected.
        days: between the CTs.
        volume_change: a fraction, 0.25 is + 25 %.
        mean_diameter_change_mm, long_axis_change_mm: current less prior.
        doubling: of the volume.
        behaviour: by Lung-RADS v2022, from the mean diameters.
        grew_by_bts: by the BTS guideline of 2015: a solid nodule, or one that is not rated, by its volume,
            a subsolid one by its long axis.
        sentence: the same for the user.
    """

    current: Nodule
    prior: Nodule
    distance_mm: float
    days: float
    volume_change: float
    mean_diameter_change_mm: float
    long_axis_change_mm: float
    doubling: DoublingTime
    behaviour: Behaviour
    grew_by_bts: bool
    sentence: str

    def finding(self, nodule_count: int | None = None) -> Finding:
        """What guidelines ask about the current nodule."""
        grows = self.behaviour in (Behaviour.GROWING, Behaviour.SLOWLY_GROWING)
        days = self.doubling.days
        return replace(
            of_nodule(self.current, nodule_count),
            behaviour=self.behaviour,
            months_since_prior=self.days / DAYS_PER_MONTH,
            prior_mean_diameter_mm=self.prior.measurements.mean_diameter_mm,
            volume_change=self.volume_change,
            # Where diameter and volume disagree on the direction, no time says how fast it grows.
            doubling_time_days=None if grows and days is not None and days < 0 else days,
        )


@dataclass(frozen=True)
class Lone:
    """A nodule that only one CT shows.

    Attributes:
        place_ras: where it would lie on the other CT, mm.
        behaviour: new or resolved; None where the other CT does not cover the place, so that nothing can be said.
        sentence: for the user.
    """

    nodule: Nodule
    place_ras: tuple[float, float, float]
    behaviour: Behaviour | None
    sentence: str


def pair_of(
    current: Nodule, prior: Nodule, distance_mm: float, days: float, repeatability: Repeatability | None
) -> Pair:
    """Compare a nodule's measurements on two CTs.

    Raises:
        InputError: a measurement or the number of days is not above 0.
    """
    now, then = current.measurements, prior.measurements
    doubling = doubling_interval(then.volume_mm3, now.volume_mm3, days, repeatability)
    change = volume_change(then.volume_mm3, now.volume_mm3)
    behaviour = lung_rads_behaviour((then.mean_diameter_mm, now.mean_diameter_mm), (0.0, days / DAYS_PER_MONTH))
    subsolid = kind_of(current) not in (None, Kind.SOLID)
    grew = is_bts_subsolid_growth(then.long_axis_mm, now.long_axis_mm) if subsolid else is_bts_growth(change)
    sentence = (
        f"Nodule {current.id} (prior {prior.id}): {then.volume_mm3:.0f} to {now.volume_mm3:.0f} mm³ ({change:+.0%}) "
        f"and {then.mean_diameter_mm:.1f} to {now.mean_diameter_mm:.1f} mm in {days:.0f} days, {_speed(doubling)}; "
        f"{behaviour.value} by Lung-RADS, {'growth' if grew else 'no growth'} by BTS."
    )
    return Pair(
        current,
        prior,
        distance_mm,
        days,
        change,
        now.mean_diameter_mm - then.mean_diameter_mm,
        now.long_axis_mm - then.long_axis_mm,
        doubling,
        behaviour,
        grew,
        sentence,
    )


def lone_of(nodule: Nodule, place_ras: Sequence[float], covered: bool, *, is_current: bool) -> Lone:
    """A nodule without a partner.

    Args:
        place_ras: where it would lie on the other CT.
        covered: whether that CT shows the place.
        is_current: whether the nodule is on the current CT.
    """
    place = tuple(float(x) for x in np.asarray(place_ras))
    measured = nodule.measurements
    name = f"Nodule {nodule.id} of the {'current' if is_current else 'prior'} CT"
    other = "prior" if is_current else "current"
    size = f"{measured.volume_mm3:.0f} mm³, {measured.mean_diameter_mm:.1f} mm"
    if not covered:
        return Lone(nodule, place, None, f"{name} ({size}) lies where the {other} CT does not reach.")
    behaviour = Behaviour.NEW if is_current else Behaviour.RESOLVED
    where = ", ".join(f"{x:.0f}" for x in place)
    return Lone(
        nodule,
        place,
        behaviour,
        f"{name} ({size}) is {behaviour.value}: no nodule was found at its place on the {other} CT (RAS {where} mm); "
        "look there.",
    )


def _speed(doubling: DoublingTime) -> str:
    if doubling.days is None:
        return "no change of volume"
    if abs(doubling.days) > _LONGEST_DAYS:
        return "hardly any change of volume" + _range(doubling)
    if doubling.days < 0:
        return f"halving in {-doubling.days:.0f} days" + _range(doubling)
    return f"doubling in {doubling.days:.0f} days" + _range(doubling)


def _range(doubling: DoublingTime) -> str:
    if not doubling.source:
        return ""
    if doubling.shortest_days is None:
        return " (95 % interval: it shrinks)"
    if doubling.longest_days is None:
        return f" (95 % interval: doubling in {doubling.shortest_days:.0f} days or more, or no growth)"
    return f" (95 % interval {doubling.shortest_days:.0f} to {doubling.longest_days:.0f} days)"
