"""Numbers in their ranges, and rounding as guidelines do it."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal

from SegmentationAILib.errors import InputError


def check_number(name: str, value: float | None, low: float, high: float, unit: str = "") -> None:
    """Refuse a number outside low…high; None is not known, and passes.

    Raises:
        InputError: the value is not a number from low to high.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        unit = f" {unit}" if unit else ""
        raise InputError(f"The {name} is {value}; enter a number from {low:g} to {high:g}{unit}.")


def round_half_up(value: float, places: int = 0) -> float:
    """Round to decimal places, halves up: as readers do, and towards the next higher size.

    The binary number is read as its shortest decimal text, so that 5.95 is a half.
    """
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be rounded")
    return float(Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP))
