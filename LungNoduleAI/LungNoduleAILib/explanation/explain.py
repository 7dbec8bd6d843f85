"""Volume and nodule -> why the detector marked it and what it resembles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.detection import Detector, built_in
from LungNoduleAILib.explanation.occlusion import REACH_MM, Influence, influence
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.explanation.similar import similar_nodules
from LungNoduleAILib.network import SPACING_MM, STRIDE
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.search import SearchSpace, search_window
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# Around what is replaced, so that the network sees its surroundings.
_CONTEXT_MM = 8
_LEAST_SIDE, _LARGEST_SIDE = 3 * STRIDE, 6 * STRIDE
_SIMILAR_END = 0.1


def explain(
    volume: Volume,
    lungs: LabelMap,
    nodule: Nodule,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> Explanation:
    """What moved the detector's search, and the most similar nodules of the training set.

    The score is made of the search's heat and of a second look at the mark; it is the heat that is explained.
    A nodule that the reader added or another detector found is explained as the network sees it.

    Args:
        volume: the CT that the nodule was found in, HU.
        lungs: right and left lung on the volume's grid.
        nodule: with its mask.
        device: where the network runs.
        progress: told of each stage; its token cancels.
        detector: another than the built-in one.

    Raises:
        InputError: the nodule's mask is empty or lies outside the volume, there is no such device, or built-in files
            are missing.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    progress(0.0, "Comparing with nodules of the training set")
    choose_device(device)
    similar = similar_nodules(volume, nodule.mask)
    found, space = influence_at(
        volume, lungs, nodule, device=device, progress=progress.part(_SIMILAR_END, 1.0), detector=detector
    )
    return Explanation(found.values, space.grid, similar)


def influence_at(
    volume: Volume,
    lungs: LabelMap,
    nodule: Nodule,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> tuple[Influence, SearchSpace]:
    """What moved the detector's search, and the window of its search space that was looked at.

    The window's voxels are those that the detector saw, so that its logit is the search's own.

    Args:
        volume: the CT that the nodule was found in, HU.
        lungs: right and left lung on the volume's grid.
        nodule: with its mask.
        device: where the network runs.
        progress: told of each batch of blobs that are replaced; its token cancels between them.
        detector: another than the built-in one.

    Returns:
        The influence on the window's voxels, and the window.

    Raises:
        InputError: as ``explain``.
        Cancelled: the user cancelled.
    """
    detector = detector or built_in()
    inside = np.argwhere(nodule.mask.occupancy >= 0.5)
    if len(inside) == 0:
        raise InputError("The nodule's mask is empty; outline the nodule first.")
    extent = float(np.ptp(nodule.mask.grid.ras(inside[:, ::-1]), axis=0).max())
    space = search_window(volume, lungs, nodule.centre_ras, window_side(extent), STRIDE)
    return influence(
        detector.network, space, _mask_on(nodule.mask, space.grid), device=device, progress=progress
    ), space


def window_side(extent_mm: float) -> int:
    """Voxels of 1 mm along each side of the window for a nodule of that largest extent, a multiple of the network's
    stride.
    """
    wanted = extent_mm + 2 * (REACH_MM + _CONTEXT_MM)
    return int(np.clip(STRIDE * np.ceil(wanted / SPACING_MM / STRIDE), _LEAST_SIDE, _LARGEST_SIDE))


def influence_on(explanation: Explanation, grid: Grid) -> Volume:
    """The influence on another grid, such as the CT's, for an overlay.

    Args:
        explanation: its influence is in logit per ml on a grid of 1 mm.
        grid: in RAS.

    Returns:
        float32, logit per ml, 0 away from the nodule's surroundings; no modality.
    """
    values = resample(explanation.influence, explanation.grid, grid, mode="area", fill=0.0)
    return Volume(values, grid, "influence on the detector's search")


def _mask_on(mask: NoduleMask, grid: Grid) -> NDArray[np.bool_]:
    """The nodule's voxels; of one smaller than a voxel, the voxel that holds most of it."""
    share = resample(mask.occupancy, mask.grid, grid, mode="area", fill=0.0)
    if not share.any():
        raise InputError("The nodule lies outside the lungs' surroundings; choose the volume that it was found in.")
    return share >= min(0.5, float(share.max()))
