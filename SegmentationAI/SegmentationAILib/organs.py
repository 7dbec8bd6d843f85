"""Volume -> labels with names and codes, by the built-in methods."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.airway import segment_airway
from SegmentationAILib.body import segment_body
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.lungs import segment_lung_fields
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

LUNG_STRUCTURES = {1: RIGHT_LUNG, 2: LEFT_LUNG, 3: AIRWAY}

_WORKING_SPACING_MM = 1.5


def segment_lungs(volume: Volume, *, device: str = "auto", progress: Progress | None = None) -> LabelMap:
    """Right lung, left lung, and airway outside the lungs, without a network.

    Vessels, nodules and small consolidations belong to the lungs.

    Args:
        volume: chest CT, HU.
        device: where resampling runs.
        progress: told of each stage.

    Returns:
        Labels on the volume's grid: 1 right lung, 2 left lung, 3 airway; the patient's sides.

    Raises:
        InputError: the CT does not show the lungs.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    progress(0.0, "Resampling the CT")
    grid = volume.grid.canonical().with_spacing(_WORKING_SPACING_MM)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=-1024.0, device=device)
    progress(0.15, "Finding the body")
    body = segment_body(hu, _WORKING_SPACING_MM)
    progress(0.3, "Following the airway")
    airway = segment_airway(hu, body, _WORKING_SPACING_MM)
    progress(0.45, "Separating the lungs")
    right, left = segment_lung_fields(hu, body, airway, _WORKING_SPACING_MM)
    if not (right.any() or left.any()):
        raise InputError(
            f"The CT '{volume.name}' does not show the lungs; choose a chest CT that contains at least part of them."
        )
    progress(0.8, "Drawing the lungs at full resolution")
    labels = np.zeros(volume.shape, dtype=np.uint8)
    for value, mask in ((3, airway & ~right & ~left), (1, right), (2, left)):
        if mask.any():
            labels[_at_full_resolution(mask, grid, volume.grid, device)] = value
    progress(1.0, "Lungs done")
    return LabelMap(labels, volume.grid, LUNG_STRUCTURES)


def segment_external(volume: Volume, *, device: str = "auto") -> NDArray[np.bool_]:
    """The body to its surface, without table and clothes.

    Args:
        volume: CT, HU.
        device: where resampling runs.

    Returns:
        bool [k, j, i] on the volume's grid.

    Raises:
        InputError: the CT shows no body.
    """
    grid = volume.grid.canonical().with_spacing(_WORKING_SPACING_MM)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=-1024.0, device=device)
    body = segment_body(hu, _WORKING_SPACING_MM)
    if not body.any():
        raise InputError(f"The CT '{volume.name}' shows no body; choose a CT of a patient.")
    return _at_full_resolution(body, grid, volume.grid, device)


def _at_full_resolution(mask: NDArray, grid: Grid, target: Grid, device: str) -> NDArray[np.bool_]:
    return resample(mask.astype(np.float32), grid, target, device=device) > 0.5
