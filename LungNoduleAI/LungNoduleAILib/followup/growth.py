"""How much a nodule changed, how fast it doubles, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from LungNoduleAILib.guidelines.limits import check_number
from SegmentationAILib.errors import InputError


@dataclass(frozen=True)
class Repeatability:
    """How far the volumes of one unchanged nodule on two CTs may lie apart.

    Attributes:
        limit: 95 % of the second volumes lie within a factor of 1 + limit of the first, either way. The errors of
            both measurements are in it.
        largest_spacing_mm: between slices; it was not measured on thicker ones.
        source: where it comes from.
    """

    limit: float
    largest_spacing_mm: float
    source: str


# De Hoop et al., table 2: six software packages, two CTs on one day, 12.9 to 25.6 % by size and package. The BTS
# (2015) set its 25 % by such studies. Thin slices are what the Fleischner Society asks for (2017: 1.5 mm or less).
THIN_SLICES = Repeatability(
    0.25, 1.5, "two CTs on one day, de Hoop et al., Eur Radiol 2009; the limit that the BTS guideline of 2015 took over"
)


@dataclass(frozen=True)
class DoublingTime:
    """Time in which a volume doubles, days.

    Attributes:
        days: negative where it shrinks (it then halves in that time), None where it stays the same.
        shortest_days: the fastest growth that the repeatability allows; None where even that shrinks, or where the
            repeatability is not known.
        longest_days: the slowest growth; None where no growth is possible too, or as above.
        source: of the interval's repeatability, "" where it is not known.
    """

    days: float | None
    shortest_days: float | None
    longest_days: float | None
    source: str


def doubling_time(prior_mm3: float, current_mm3: float, days: float) -> float | None:
    """Days in which the volume doubles: t · ln 2 / ln(V₂ / V₁) (Schwartz, Cancer 1961).

    Returns:
        Negative where it shrinks, None where the volumes are equal.

    Raises:
        InputError: a volume or the number of days is not above 0.
    """
    growth = _log_ratio(prior_mm3, current_mm3, days)
    return days * math.log(2) / growth if growth else None


def doubling_interval(
    prior_mm3: float, current_mm3: float, days: float, repeatability: Repeatability | None
) -> DoublingTime:
    """The doubling time with its 95 % confidence interval.

    The logarithm of the ratio of the volumes is taken as normally distributed with 1.96 standard deviations of
    ln(1 + limit); the ends of its interval are turned into doubling times.

    Args:
        prior_mm3, current_mm3: volumes.
        days: between the two CTs.
        repeatability: None where it is not known for these CTs: there is then no interval.

    Raises:
        InputError: a volume or the number of days is not above 0.
    """
    middle = doubling_time(prior_mm3, current_mm3, days)
    if repeatability is None:
        return DoublingTime(middle, None, None, "")
    growth = _log_ratio(prior_mm3, current_mm3, days)
    spread = math.log1p(repeatability.limit)
    shortest, longest = (days * math.log(2) / rate if rate > 0 else None for rate in (growth + spread, growth - spread))
    return DoublingTime(middle, shortest, longest, repeatability.source)


def _log_ratio(prior_mm3: float, current_mm3: float, days: float) -> float:
    check_number("volume on the prior CT", prior_mm3, 0.01, 1.5e7, "mm³")
    check_number("volume on the current CT", current_mm3, 0.01, 1.5e7, "mm³")
    if not (math.isfinite(days) and days > 0):
        raise InputError(
            f"The CTs are {days:g} days apart; enter the prior CT's date, which is before the current one's."
        )
    return math.log(current_mm3 / prior_mm3)
