"""What a prior report tells of its nodules, apart from where it was read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.guidelines.findings import Kind, Lobe
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from SegmentationAILib.errors import InputError


@dataclass(frozen=True, eq=False)
class PriorNodule:
    """A nodule as a prior report tells it; None is "does not say".

    Attributes:
        id: 1…n in the order of the report.
        uid: tracking unique identifier, "" where it has none.
        name: tracking identifier.
        centre_ras: mm, in the frame of the prior CT.
        lung: "left" or "right", "" where it is not known.
        category: of Lung-RADS, "" where it has none.
        mask: from the SEG.
    """

    id: int
    uid: str
    name: str
    centre_ras: tuple[float, float, float] | None
    volume_mm3: float | None
    long_axis_mm: float | None
    short_axis_mm: float | None
    mean_diameter_mm: float | None
    mean_hu: float | None
    score: float | None
    lung: str
    lobe: Lobe | None
    kind: Kind | None
    category: str
    mask: NoduleMask | None


@dataclass(frozen=True, eq=False)
class PriorReport:
    """What a prior report tells.

    Attributes:
        exam: whose CT it is and of which day; ``followup.exam.days_between`` compares it with the current one.
        series_uid: of the prior CT's images, "" where the report does not name one series.
        nodules: in the order of the report.
        notes: sentences for the user on what could not be used.
    """

    exam: Exam
    series_uid: str
    nodules: tuple[PriorNodule, ...]
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every nodule has an outline and a volume."""
        return all(one.mask is not None and one.volume_mm3 for one in self.nodules)

    @property
    def comparable(self) -> tuple[Nodule, ...]:
        """The nodules as ``followup.comparison.compare`` takes them; ids are the report's.

        Raises:
            InputError: one has no outline or no volume: left out, it would make its partner look new.
        """
        if not self.complete:
            raise InputError(
                "Some nodules of the prior report have no outline or no volume; put its DICOM SEG into its folder, or "
                "compare with the prior CT without the report."
            )
        return tuple(_nodule(one) for one in self.nodules)

    @property
    def uids(self) -> dict[int, str]:
        """Tracking identifiers by the nodules' ids."""
        return {one.id: one.uid for one in self.nodules if one.uid}


def _nodule(one: PriorNodule) -> Nodule:
    """Where the report lacks a diameter, the other one, the mean, or that of the ball with the volume."""
    ball = (6 * one.volume_mm3 / math.pi) ** (1 / 3)
    mean = one.mean_diameter_mm or ball
    long_axis = one.long_axis_mm or max(mean, one.short_axis_mm or mean)
    short_axis = one.short_axis_mm or min(mean, long_axis)
    return Nodule(
        id=one.id,
        centre_ras=one.centre_ras,
        diameter_mm=ball,
        score=math.nan if one.score is None else one.score,
        lung=one.lung,
        mask=one.mask,
        measurements=Measurements(
            one.volume_mm3, long_axis, short_axis, math.nan if one.mean_hu is None else one.mean_hu
        ),
    )
