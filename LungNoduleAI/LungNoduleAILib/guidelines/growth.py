"""Growth as the guidelines define it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from LungNoduleAILib.guidelines.findings import Behaviour
from LungNoduleAILib.guidelines.limits import check_number, round_half_up
from SegmentationAILib.errors import InputError

# Lung-RADS v2022, note 6.
LUNG_RADS_GROWTH_MM = 1.5
LUNG_RADS_INTERVAL_MONTHS = 12
# BTS 2015, section on imaging follow-up.
BTS_GROWTH = 0.25
BTS_SUBSOLID_GROWTH_MM = 2.0


def lung_rads_behaviour(mean_diameters_mm: Sequence[float], months: Sequence[float]) -> Behaviour:
    """How a nodule behaved by Lung-RADS v2022, notes 6 to 8.

    Growth is an increase of the mean diameter of more than 1.5 mm within 12 months. Over a longer interval,
    where no CT lies in between, it is such an increase per 12 months. Slow growth is more than 1.5 mm from
    the first to the last CT and on the last one, without growth; the guideline gives no number for it, 1.5 mm is
    what it takes as beyond the error of measurement.

    Args:
        mean_diameters_mm: on two or more CTs, oldest first; rounded here to one decimal.
        months: of each CT, counted from any day.

    Raises:
        InputError: fewer than two CTs, not as many months, or months that do not rise.
    """
    if len(mean_diameters_mm) < 2 or len(mean_diameters_mm) != len(months):
        raise InputError("Growth needs the mean diameter and the month of two or more CTs; enter both for each CT.")
    if any(later <= earlier for earlier, later in pairwise(months)):
        raise InputError("The months of the CTs do not rise; enter the CTs from the oldest to the newest.")
    for size in mean_diameters_mm:
        check_number("mean diameter", size, 0.1, 300, "mm")
    sizes = [round_half_up(size, 1) for size in mean_diameters_mm]
    changes = [round(sizes[-1] - size, 1) for size in sizes[:-1]]
    intervals = [max((months[-1] - month) / LUNG_RADS_INTERVAL_MONTHS, 1.0) for month in months[:-1]]
    if any(change > LUNG_RADS_GROWTH_MM * years for change, years in zip(changes, intervals, strict=True)):
        return Behaviour.GROWING
    if changes[0] > LUNG_RADS_GROWTH_MM and changes[-1] > 0:
        return Behaviour.SLOWLY_GROWING
    return Behaviour.DECREASED if changes[-1] < -LUNG_RADS_GROWTH_MM else Behaviour.STABLE


def volume_change(before_mm3: float, after_mm3: float) -> float:
    """Change of volume as a fraction of the volume before.

    Raises:
        InputError: a volume is not above 0.
    """
    check_number("volume before", before_mm3, 0.01, 1.5e7, "mm³")
    check_number("volume after", after_mm3, 0.01, 1.5e7, "mm³")
    return after_mm3 / before_mm3 - 1


def is_bts_growth(change: float) -> bool:
    """Whether a solid nodule's change of volume (a fraction) is growth: 25 % or more (BTS 2015)."""
    # A quarter survives rounding: 100 to 125 mm³ is growth.
    return round(change, 9) >= BTS_GROWTH


def is_bts_subsolid_growth(before_mm: float, after_mm: float) -> bool:
    """Whether a subsolid nodule grew: 2 mm or more in maximum diameter (BTS 2015)."""
    return round(after_mm - before_mm, 9) >= BTS_SUBSOLID_GROWTH_MM
