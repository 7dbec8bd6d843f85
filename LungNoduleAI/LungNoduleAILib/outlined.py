"""From an outline on the CT's voxels, drawn or clicked by the reader, to a nodule with all measurements."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.characterization import box_around, nodule_of
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.nodule_character import character_of
from LungNoduleAILib.ratings import rate
from LungNoduleAILib.tumour_prior import nodule_prior
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.gtv import start
from SegmentationAILib.volume import Volume

# The detector did not mark what the reader adds.
SCORE_OF_ADDED = 0.0
# Longer than any nodule, which has 30 mm at most, or mass that is to be followed.
_LARGEST_EXTENT_MM = 150.0


def nodule_from_outline(
    volume: Volume,
    lungs: LabelMap,
    inside: NDArray[np.bool_],
    number: int,
    *,
    score: float = SCORE_OF_ADDED,
    device: str = "auto",
    progress: Progress | None = None,
) -> Nodule:
    """Measure, rate and characterise what is outlined.

    Args:
        volume: CT, HU.
        lungs: right and left lung on its grid.
        inside: bool [k, j, i] on the volume's grid.
        number: the nodule's id.
        score: of the detector.
        device: a torch device's name, for the ratings.
        progress: told of each stage; its token cancels between them.

    Raises:
        InputError: the outline is empty or larger than 150 mm.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    progress(0.0, "Measuring the nodule")
    mask, diameter = _on_isotropic_voxels(volume, inside)
    nodule = nodule_of(volume, lungs, mask, number, diameter, score)
    progress(0.3, "Comparing with rated nodules")
    nodule = replace(nodule, ratings=rate(volume, nodule, device=device))
    progress(0.6, "Measuring its character")
    nodule = replace(nodule, character=character_of(volume, lungs, nodule))
    progress(1.0, "Nodule measured")
    return nodule


def nodule_at(
    volume: Volume,
    lungs: LabelMap,
    ras: tuple[float, float, float],
    number: int,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> tuple[Nodule, NDArray[np.bool_]]:
    """Outline the nodule that was clicked on, and measure it.

    Args:
        ras: near its middle, mm.
        number, device, progress: as for ``nodule_from_outline``.

    Returns:
        the nodule, and its voxels: bool [k, j, i] on the volume's grid.

    Raises:
        InputError: the click lies outside the CT or the body, or nothing can be outlined there.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    progress(0.0, "Outlining what was clicked on")
    inside = start(volume, lungs, nodule_prior()).click(ras)
    if not inside.any():
        raise InputError("Nothing could be outlined there; click nearer to the nodule's middle.")
    return nodule_from_outline(volume, lungs, inside, number, device=device, progress=progress.part(0.4, 1.0)), inside


def _on_isotropic_voxels(volume: Volume, inside: NDArray[np.bool_]) -> tuple[NoduleMask, float]:
    """The mask on the voxels that nodules are measured on, and the diameter of the ball with its volume, mm."""
    voxels = np.argwhere(inside)
    if len(voxels) == 0:
        raise InputError("The nodule's outline is empty; draw the nodule, or undo.")
    points = volume.grid.ras(voxels[:, ::-1])
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max() + volume.spacing.max())
    if extent > _LARGEST_EXTENT_MM:
        raise InputError(f"The outline is {extent:.0f} mm long, which is no nodule; take away what is not part of it.")
    box = box_around(volume.grid, tuple((low + high) / 2), extent)
    occupancy = resample(inside.astype(np.float32), volume.grid, box, mode="area")
    if not (occupancy >= 0.5).any():
        # Thinner than a voxel of the box: the CT's own voxels, as they are.
        occupancy = resample(inside.astype(np.uint8), volume.grid, box, mode="nearest").astype(np.float32)
    diameter = (6 * len(voxels) * volume.grid.voxel_volume / np.pi) ** (1 / 3)
    return NoduleMask(np.clip(occupancy, 0.0, 1.0), box), float(diameter)
