"""A dose goal of a protocol, as data: which structure, which DVH metric, how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dose_metrics import parse_metric

Comparison = Literal["<=", ">="]


@dataclass(frozen=True)
class Goal:
    """What the dose to one structure should be.

    Attributes:
        structure: the structure's name.
        metric: what ``parse_metric`` reads, such as ``D95%[Gy]``, ``V20Gy[%]``, ``Mean[Gy]`` or ``CV11Gy[cc]``.
            A "%" of dose is of the prescription.
        comparison: ``<=`` or ``>=``.
        value: the limit, in the unit in the metric's brackets.
        priority: 1 for what must be met, larger for less.
        source: where the number was published.

    Raises:
        InputError: the metric or the comparison is none.
    """

    structure: str
    metric: str
    comparison: Comparison
    value: float
    priority: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        parse_metric(self.metric)
        if self.comparison not in get_args(Comparison):
            raise InputError(
                f"The goal {self.metric} of '{self.structure}' has the comparison '{self.comparison}'; write <= or >=."
            )

    def __str__(self) -> str:
        metric, _, unit = self.metric.removesuffix("]").partition("[")
        return f"{self.structure} {metric} {self.comparison} {self.value:g} {unit}".rstrip()
