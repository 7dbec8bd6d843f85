"""A nodule: where it is, how sure the detector is, its mask and its measurements."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from LungNoduleAILib.character import Character
from LungNoduleAILib.rating import Ratings
from SegmentationAILib.volume import Grid


@dataclass(frozen=True, eq=False)
class NoduleMask:
    """The nodule's voxels in a small box.

    Attributes:
        occupancy: float32 [k, j, i] in 0…1, how much of each voxel is nodule; its 0.5 isosurface
            is the boundary.
        grid: the box's voxels in RAS.
    """

    occupancy: NDArray
    grid: Grid


@dataclass(frozen=True)
class Measurements:
    """Measured on the mask at sub-voxel accuracy.

    Attributes:
        volume_mm3: volume.
        long_axis_mm: longest diameter in an axial section.
        short_axis_mm: longest diameter perpendicular to it in the same section.
        mean_hu: mean attenuation of the voxels that are wholly nodule.
    """

    volume_mm3: float
    long_axis_mm: float
    short_axis_mm: float
    mean_hu: float

    @property
    def mean_diameter_mm(self) -> float:
        """(long + short) / 2, Lung-RADS v2022."""
        return (self.long_axis_mm + self.short_axis_mm) / 2.0


@dataclass(frozen=True)
class Nodule:
    """A finding of a detector.

    Attributes:
        id: 1…n in order of falling score.
        centre_ras: mm.
        diameter_mm: of the sphere that the detector fitted.
        score: 0…1, how much the detector believes in it.
        lung: "left" or "right" (the patient's), "" where it is not known.
        ratings: what radiologists would probably have called it; None where it was not rated.
        character: measured beyond its size; None where it was not.
    """

    id: int
    centre_ras: tuple[float, float, float]
    diameter_mm: float
    score: float
    lung: str
    mask: NoduleMask
    measurements: Measurements
    ratings: Ratings | None = None
    character: Character | None = None

    @property
    def name(self) -> str:
        """Name of its segment and its markup."""
        return nodule_name(self.id)


def nodule_name(nodule_id: int) -> str:
    """Name of the segment and the markup of the nodule with that id."""
    return f"nodule {nodule_id}"
