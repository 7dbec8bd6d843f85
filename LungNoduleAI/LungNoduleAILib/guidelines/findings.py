"""What guidelines and risk models ask about a nodule.

None means "not known": a guideline then says what it would need, or gives its answer for every
plausible value. What is rare (an airway nodule, a cyst, calcium, fat) is absent unless it is stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from LungNoduleAILib.guidelines.limits import check_number
from SegmentationAILib.errors import InputError


class Kind(str, Enum):
    """Attenuation type; the words are those of ``Ratings.kind``."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground glass"


class Behaviour(str, Enum):
    """Against earlier CTs. ``BASELINE`` is the first CT; ``NEW`` was absent on an earlier one."""

    BASELINE = "baseline"
    NEW = "new"
    STABLE = "stable"
    DECREASED = "decreased"
    SLOWLY_GROWING = "slowly growing"
    GROWING = "growing"
    RESOLVED = "resolved"


class Lobe(str, Enum):
    """Lobe of the lung; the lingula belongs to the left upper lobe."""

    RIGHT_UPPER = "right upper"
    RIGHT_MIDDLE = "right middle"
    RIGHT_LOWER = "right lower"
    LEFT_UPPER = "left upper"
    LEFT_LOWER = "left lower"


class Shape(str, Enum):
    OVAL = "oval"
    LENTIFORM = "lentiform"
    TRIANGULAR = "triangular"
    OTHER = "other"


class Calcification(str, Enum):
    """Pattern; the first four after ``NONE`` are those that guidelines call benign."""

    NONE = "none"
    COMPLETE = "complete"
    CENTRAL = "central"
    POPCORN = "popcorn"
    CONCENTRIC_RINGS = "concentric rings"
    OTHER = "other"


class Airway(str, Enum):
    """Where in the airways an endotracheal or endobronchial nodule lies."""

    NONE = "none"
    SUBSEGMENTAL = "subsegmental"
    SEGMENTAL_OR_PROXIMAL = "segmental or more proximal"


class Cyst(str, Enum):
    """Lung-RADS v2022, note 12; a wall of 2 mm or more is thick."""

    NONE = "none"
    THIN_WALLED = "thin-walled"
    THICK_WALLED = "thick-walled"
    MULTILOCULAR = "multilocular"
    FLUID_CONTAINING = "fluid-containing"
    ONE_OF_MANY = "one of many cysts"
    CAVITARY_NODULE = "cavitary nodule"


class CystChange(str, Enum):
    """What changed in a cyst since the prior CT."""

    NONE = "none"
    GROWING_CYST = "cystic component grew"
    GROWING_WALL = "wall or nodularity grew"
    BECAME_MULTILOCULAR = "became multilocular"
    MORE_LOCULATION_OR_OPACITY = "more loculation, or new or increased opacity"


class Uptake(str, Enum):
    """FDG uptake on the scale of the BTS guideline (2015) against background lung and mediastinal blood pool."""

    NONE = "none"
    FAINT = "faint"
    MODERATE = "moderate"
    INTENSE = "intense"


BENIGN_CALCIFICATION = frozenset(
    {Calcification.COMPLETE, Calcification.CENTRAL, Calcification.POPCORN, Calcification.CONCENTRIC_RINGS}
)


@dataclass(frozen=True)
class Finding:
    """A nodule as a guideline sees it.

    Attributes:
        id: the nodule's number, 0 where it has none.
        long_axis_mm, short_axis_mm: perpendicular to each other in one plane; the long axis is the
            longest diameter.
        mean_diameter_mm: where a report gives only the mean of the two.
        solid_…: the same of the solid part of a part-solid nodule.
        behaviour: of the whole nodule; ``solid_behaviour``: of its solid part.
        months_since_prior: between the prior CT and this one.
        prior_category: of this nodule on the prior CT, by Lung-RADS.
        volume_change: since the prior CT as a fraction, 0.25 is + 25 %.
        doubling_time_days: of the volume; negative where it shrinks.
        doubled_in_a_year: a ground-glass nodule that did.
        juxtapleural: at the costal, mediastinal or diaphragmatic pleura; ``perifissural``: at a fissure.
        secretions: the airway finding is tubular, multiple or holds air, so that it favours secretions.
        proven_benign: by diagnostic work-up.
        nodule_count: of all nodules on this CT.
        pet_uptake: FDG uptake where PET-CT was done.

    Raises:
        InputError: a number is outside its range, or two measurements contradict each other.
    """

    id: int = 0
    kind: Kind | None = None
    long_axis_mm: float | None = None
    short_axis_mm: float | None = None
    mean_diameter_mm: float | None = None
    volume_mm3: float | None = None
    solid_long_axis_mm: float | None = None
    solid_short_axis_mm: float | None = None
    solid_mean_diameter_mm: float | None = None
    solid_volume_mm3: float | None = None
    lobe: Lobe | None = None
    spiculation: bool | None = None
    juxtapleural: bool | None = None
    perifissural: bool | None = None
    smooth_margin: bool | None = None
    shape: Shape | None = None
    calcification: Calcification = Calcification.NONE
    fat: bool = False
    airway: Airway = Airway.NONE
    secretions: bool = False
    cyst: Cyst = Cyst.NONE
    cyst_change: CystChange = CystChange.NONE
    behaviour: Behaviour | None = None
    solid_behaviour: Behaviour | None = None
    months_since_prior: float | None = None
    prior_category: str | None = None
    prior_mean_diameter_mm: float | None = None
    volume_change: float | None = None
    doubling_time_days: float | None = None
    doubled_in_a_year: bool = False
    lymphadenopathy: bool = False
    metastasis: bool = False
    proven_benign: bool = False
    nodule_count: int | None = None
    pet_uptake: Uptake | None = None

    def __post_init__(self) -> None:
        for part, name in (("", "nodule"), ("solid_", "solid part")):
            fields = ("long_axis_mm", "short_axis_mm", "mean_diameter_mm")
            long, short, mean = (getattr(self, part + field) for field in fields)
            for label, size in (("long axis", long), ("short axis", short), ("mean diameter", mean)):
                check_number(f"{label} of the {name}", size, 0.1, 300, "mm")
            check_number(f"volume of the {name}", getattr(self, part + "volume_mm3"), 0.01, 1.5e7, "mm³")
            if None not in (long, short, mean):
                raise InputError(f"The {name} has both axes and a mean diameter; leave the mean out, it follows.")
            _in_order(f"{name}'s short axis", short, f"{name}'s long axis", long)
            _in_order(f"{name}'s mean diameter", mean, f"{name}'s long axis", long)
            _in_order(f"{name}'s short axis", short, f"{name}'s mean diameter", mean)
        _in_order("solid part's mean diameter", self.solid_mean_mm, "nodule's mean diameter", self.mean_mm)
        _in_order("solid part's long axis", self.solid_long_axis_mm, "nodule's long axis", self.long_axis_mm)
        _in_order("solid part's volume", self.solid_volume_mm3, "nodule's volume", self.volume_mm3)
        check_number("prior mean diameter", self.prior_mean_diameter_mm, 0.1, 300, "mm")
        check_number("number of months since the prior CT", self.months_since_prior, 0, 600)
        check_number("change of volume", self.volume_change, -1, 1e4)
        check_number("number of nodules", self.nodule_count, 1, 1000)
        check_number("doubling time", self.doubling_time_days, -math.inf, math.inf, "days")
        if self.doubling_time_days == 0:
            raise InputError("The doubling time is 0 days; leave it empty where it is not known.")
        grew = (self.volume_change or 0) > 0 or self.behaviour in (Behaviour.GROWING, Behaviour.SLOWLY_GROWING)
        if grew and (self.doubling_time_days or 1) < 0:
            raise InputError("The nodule grew but its doubling time is negative; correct one of the two.")

    @property
    def mean_mm(self) -> float | None:
        """Mean of the long and the short axis, or the mean that was reported; not rounded."""
        if self.long_axis_mm is not None and self.short_axis_mm is not None:
            return (self.long_axis_mm + self.short_axis_mm) / 2
        return self.mean_diameter_mm

    @property
    def solid_mean_mm(self) -> float | None:
        """The same of the solid part."""
        if self.solid_long_axis_mm is not None and self.solid_short_axis_mm is not None:
            return (self.solid_long_axis_mm + self.solid_short_axis_mm) / 2
        return self.solid_mean_diameter_mm

    @property
    def longest_mm(self) -> float | None:
        """The long axis; where that is not known the mean diameter, or of the ball with the same volume."""
        if self.long_axis_mm is not None or self.mean_mm is not None:
            return self.long_axis_mm if self.long_axis_mm is not None else self.mean_mm
        return None if self.volume_mm3 is None else (6 * self.volume_mm3 / math.pi) ** (1 / 3)

    @property
    def in_upper_lobe(self) -> bool | None:
        return None if self.lobe is None else self.lobe in (Lobe.RIGHT_UPPER, Lobe.LEFT_UPPER)

    @property
    def has_benign_pattern(self) -> bool:
        """Calcium in a pattern that guidelines call benign, or fat."""
        return self.fat or self.calcification in BENIGN_CALCIFICATION


def _in_order(small_name: str, small: float | None, large_name: str, large: float | None) -> None:
    if small is not None and large is not None and small > large:
        raise InputError(f"The {small_name} ({small:g}) exceeds the {large_name} ({large:g}); correct one of the two.")
