"""A dose goal of a protocol, as data: which structure, which DVH metric, how much."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from SegmentationAILib.errors import InputError

Comparison = Literal["<=", ">="]

# AAPM TG-263 (Mayo et al. 2018), section 8, "DVH nomenclature": D and DC are the least dose to the hottest
# and the largest to the coldest part of a volume, V and CV the volume that gets at least and less
# than a dose. "%" is of the structure's volume, or of the prescribed dose.
METRIC = re.compile(
    r"(?:Mean|Median|Min|Max)\[(?:Gy|%)\]"
    r"|(?:D|DC)(?:\d+(?:\.\d+)?)(?:cc|%)\[(?:Gy|%)\]"
    r"|(?:V|CV)(?:\d+(?:\.\d+)?)(?:Gy|%)\[(?:cc|%)\]"
)


@dataclass(frozen=True)
class Goal:
    """What the dose to one structure should be.

    Attributes:
        structure: the structure's name.
        metric: ``D95%[Gy]``, ``V20Gy[%]``, ``D0.03cc[Gy]``, ``Mean[Gy]``, ``V100%[%]``, ``CV11Gy[cc]`` and the
            like: what ``METRIC`` matches. A "%" of dose is of the prescription.
        comparison: ``<=`` or ``>=``.
        value: the limit, in the unit in the metric's brackets.
        priority: 1 for what must be met, larger for less.
        source: where the number was published.

    Raises:
        InputError: the metric or the comparison is none of these.
    """

    structure: str
    metric: str
    comparison: Comparison
    value: float
    priority: int = 1
    source: str = ""

    def __post_init__(self) -> None:
        if not METRIC.fullmatch(self.metric):
            raise InputError(
                f"The goal of '{self.structure}' has the metric '{self.metric}'; write it as in D95%[Gy], V20Gy[%], "
                "D0.03cc[Gy], Mean[Gy] or V100%[%]."
            )
        if self.comparison not in get_args(Comparison):
            raise InputError(
                f"The goal {self.metric} of '{self.structure}' has the comparison '{self.comparison}'; write <= or >=."
            )

    def __str__(self) -> str:
        unit = self.metric[self.metric.index("[") + 1 : -1]
        return f"{self.structure} {self.metric.split('[')[0]} {self.comparison} {self.value:g} {unit}"
