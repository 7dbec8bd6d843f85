"""An explanation, apart from what computes it."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import NDArray

from SegmentationAILib.volume import Grid


@dataclass(frozen=True, eq=False)
class Similar:
    """A nodule of the training set that resembles the one explained.

    Attributes:
        name: in the LIDC-IDRI collection.
        distance: root mean square over standardised features, 0 where they are equal.
        diameter_mm: of the ball with its volume.
        readers: what the radiologists called it, such as "part-solid, highly suspicious".
        picture: uint8 [48, 48], its largest axial section in the lung window, 0.75 mm a pixel, as radiologists look
            at it; black where the data end.
    """

    name: str
    distance: float
    diameter_mm: float
    readers: str
    picture: NDArray


@dataclass(frozen=True, eq=False)
class Explanation:
    """Of one nodule.

    Attributes:
        influence: float32 [k, j, i], how much the logit of the detector's search falls for each ml of voxels that is
            replaced by lung; above 0 where they speak for a nodule, below where they speak against it.
        grid: of ``influence``, in RAS.
        similar: the most similar first.
    """

    influence: NDArray
    grid: Grid
    similar: tuple[Similar, ...]
