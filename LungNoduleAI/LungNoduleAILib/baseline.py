"""Volume -> candidates -> nodules: the baseline detector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.candidates import Candidate, find_blobs
from LungNoduleAILib.characterization import SPACING_MM, Delineation, delineate, measure
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.scoring import BASELINE, FEATURES, features
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

THRESHOLD = 0.45
MAX_NODULES = 50
_CANDIDATES = 400
# Bone and contrast agent must not outshine a nodule.
_HU_RANGE = (-1000.0, 150.0)
# Tissue around the lungs that a nodule at the pleura is told from.
_MARGIN_MM = 12
_SEARCH_END = 0.6
# Soft tissue with contrast agent stays below this; what is denser is calcium, or blood full of agent.
_DENSEST_TISSUE_HU = 150.0
# Calcified nodules are compact; branching vessels at the hilum fill little of the ball around them.
_LEAST_COMPACT = 0.35


@dataclass(frozen=True, eq=False)
class SearchSpace:
    """The lungs' box at 1 mm.

    Attributes:
        hu: float32 [k, j, i], clamped to lung and soft tissue.
        lungs: bool [k, j, i].
        grid: the voxels' place.
    """

    hu: NDArray[np.float32]
    lungs: NDArray[np.bool_]
    grid: Grid


@dataclass(frozen=True, eq=False)
class ScoredCandidate:
    """A candidate with its outline in a window of the search space."""

    candidate: Candidate
    found: Delineation
    window: tuple[slice, slice, slice]
    features: NDArray[np.float64]


def detect(
    volume: Volume,
    lungs: LabelMap | None = None,
    *,
    device: str = "auto",
    threshold: float = THRESHOLD,
    max_nodules: int = MAX_NODULES,
    progress: Progress | None = None,
) -> list[Nodule]:
    """Find, outline and measure nodules of 3 to 30 mm.

    Args:
        volume: chest CT, HU.
        lungs: right and left lung on the volume's grid; segmented here if not given.
        device: where the search runs.
        threshold: lowest score, 0…1.
        max_nodules: the best so many are returned.
        progress: told of each stage; its token cancels.

    Returns:
        In order of falling score, with ids 1…n.

    Raises:
        InputError: the CT does not show the lungs, or there is no such device.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    lungs = lungs or segment_lungs(volume, device=device, progress=progress)
    space = search_space(volume, lungs, device)
    scored = [(BASELINE.probability(one.features), one) for one in outlined_candidates(space, device, progress)]
    best = sorted(((score, one) for score, one in scored if score >= threshold), key=lambda pair: -pair[0])
    nodules: list[Nodule] = []
    taken = np.zeros(space.grid.shape, dtype=bool)
    for score, one in best:
        inside = one.found.occupancy >= 0.5
        if not inside.any() or taken[one.window][inside].mean() > 0.2:
            continue
        taken[one.window] |= inside
        nodule = _nodule(len(nodules) + 1, score, one, space.grid, volume, lungs)
        if not _is_contrast_filled(nodule, one):
            nodules.append(nodule)
        if len(nodules) == max_nodules:
            break
    progress(1.0, "Nodules done")
    return nodules


def search_space(volume: Volume, lungs: LabelMap, device: str = "auto") -> SearchSpace:
    """The part of the CT around the lungs, at 1 mm, along the axes nearest to L, P and S."""
    whole = volume.grid.canonical().with_spacing(SPACING_MM)
    tissue = sum(lungs.mask(structure).astype(np.uint8) for structure in (RIGHT_LUNG, LEFT_LUNG))
    box = ndimage.find_objects(resample(tissue, volume.grid, whole, mode="nearest"))[0]
    start = [max(0, side.start - _MARGIN_MM) for side in box]
    stop = [min(n, side.stop + _MARGIN_MM) for side, n in zip(box, whole.shape, strict=True)]
    grid = whole.crop(start, tuple(b - a for a, b in zip(start, stop, strict=True)))
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_HU_RANGE[0], device=device)
    inside = resample(tissue, volume.grid, grid, device=device) > 0.5
    return SearchSpace(np.clip(hu, *_HU_RANGE), inside, grid)


def outlined_candidates(space: SearchSpace, device: str, progress: Progress) -> list[ScoredCandidate]:
    """Candidates with outlines and features, in order of falling answer."""
    place = choose_device(device)
    blobs = find_blobs(
        torch.from_numpy(space.hu).to(place),
        torch.from_numpy(space.lungs).to(place),
        space.grid,
        limit=_CANDIDATES,
        progress=progress.part(0.0, _SEARCH_END),
    )
    outlined = []
    for n, blob in enumerate(blobs):
        progress(_SEARCH_END + (1 - _SEARCH_END) * n / len(blobs), "Outlining nodules")
        reach = int(np.ceil(0.9 * blob.diameter_mm + 8.0) / SPACING_MM)
        centre = blob.ijk[::-1]
        window = tuple(slice(max(0, c - reach), c + reach + 1) for c in centre)
        middle = tuple(c - side.start for c, side in zip(centre, window, strict=True))
        found = delineate(space.hu[window], middle, blob.diameter_mm, space.lungs[window])
        outlined.append(ScoredCandidate(blob, found, window, features(found, blob.answer)))
    return outlined


def _nodule(number: int, score: float, one: ScoredCandidate, grid: Grid, volume: Volume, lungs: LabelMap) -> Nodule:
    occupancy = one.found.occupancy
    box = grid.crop([side.start for side in one.window], occupancy.shape)
    mask = NoduleMask(occupancy, box)
    # Measured on the CT itself: the search saw clamped values.
    hu = resample(volume.array, volume.grid, box, mode="area", fill=_HU_RANGE[0])
    weights = occupancy / occupancy.sum()
    centre_kji = [
        float((np.arange(n) * weights.sum(axis=axes)).sum())
        for n, axes in zip(occupancy.shape, ((1, 2), (0, 2), (0, 1)), strict=True)
    ]
    return Nodule(
        id=number,
        centre_ras=tuple(float(x) for x in box.ras(centre_kji[::-1])),
        diameter_mm=one.candidate.diameter_mm,
        score=score,
        lung=_side(occupancy, box, lungs),
        mask=mask,
        measurements=measure(mask, hu),
    )


def _is_contrast_filled(nodule: Nodule, one: ScoredCandidate) -> bool:
    """Whether it is a fork of vessels full of contrast agent rather than a calcified nodule."""
    compact = float(one.features[FEATURES.index("fill")])
    return nodule.measurements.mean_hu > _DENSEST_TISSUE_HU and compact < _LEAST_COMPACT


def _side(occupancy: NDArray, box: Grid, lungs: LabelMap) -> str:
    labels = resample(lungs.array, lungs.grid, box, mode="nearest")[occupancy >= 0.5]
    counts = {
        name: np.count_nonzero(labels == value)
        for name, structure in (("right", RIGHT_LUNG), ("left", LEFT_LUNG))
        for value, held in lungs.structures.items()
        if held == structure
    }
    return max(counts, key=counts.get) if any(counts.values()) else ""
