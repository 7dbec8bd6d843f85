"""The baseline detector, without a network: blobs, their outlines, a logistic score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleAILib.candidates import Candidate, find_blobs
from LungNoduleAILib.characterization import Delineation, delineate
from LungNoduleAILib.collection import OutlinedMark, collect
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.scoring import BASELINE, FEATURES, features
from LungNoduleAILib.search import SearchSpace, search_space, window_around
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Volume

THRESHOLD = 0.45
MAX_NODULES = 50
_CANDIDATES = 400
# Bone and contrast agent must not outshine a nodule.
HU_RANGE = (-1000.0, 150.0)
_SEARCH_END = 0.6
# Soft tissue with contrast agent stays below this; what is denser is calcium, or blood full of agent.
_DENSEST_TISSUE_HU = 150.0
# Calcified nodules are compact; branching vessels at the hilum fill little of the ball around them.
_LEAST_COMPACT = 0.35


@dataclass(frozen=True, eq=False)
class ScoredCandidate:
    """A candidate with its outline in a window of the search space."""

    candidate: Candidate
    found: Delineation
    window: tuple[slice, slice, slice]
    features: NDArray[np.float64]


def detect(
    volume: Volume,
    lungs: LabelMap,
    *,
    device: str = "auto",
    threshold: float = THRESHOLD,
    max_nodules: int = MAX_NODULES,
    progress: Progress | None = None,
) -> list[Nodule]:
    """Find, outline and measure nodules of 3 to 30 mm.

    Args:
        volume: chest CT, HU.
        lungs: right and left lung on the volume's grid.
        device: where the search runs.
        threshold: lowest score, 0…1.
        max_nodules: the best so many are returned.
        progress: told of each stage; its token cancels.

    Returns:
        In order of falling score, with ids 1…n.

    Raises:
        InputError: there is no such device.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    space = search_space(volume, lungs, device)
    scored = [(BASELINE.probability(one.features), one) for one in outlined_candidates(space, device, progress)]
    best = sorted(((score, one) for score, one in scored if score >= threshold), key=lambda pair: -pair[0])
    marks = {
        OutlinedMark(score, one.candidate.diameter_mm, one.window, one.found.occupancy): one for score, one in best
    }
    nodules = collect(
        marks, volume, lungs, space, max_nodules, lambda nodule, mark: not _is_contrast_filled(nodule, marks[mark])
    )
    progress(1.0, "Nodules done")
    return nodules


def outlined_candidates(space: SearchSpace, device: str, progress: Progress) -> list[ScoredCandidate]:
    """Candidates with outlines and features, in order of falling answer."""
    place = choose_device(device)
    hu = np.clip(space.hu, *HU_RANGE)
    blobs = find_blobs(
        torch.from_numpy(hu).to(place),
        torch.from_numpy(space.lungs).to(place),
        space.grid,
        limit=_CANDIDATES,
        progress=progress.part(0.0, _SEARCH_END),
    )
    outlined = []
    for n, blob in enumerate(blobs):
        progress(_SEARCH_END + (1 - _SEARCH_END) * n / len(blobs), "Outlining nodules")
        window, middle = window_around(blob.ijk[::-1], blob.diameter_mm, hu.shape)
        found = delineate(hu[window], middle, blob.diameter_mm, space.lungs[window])
        outlined.append(ScoredCandidate(blob, found, window, features(found, blob.answer)))
    return outlined


def _is_contrast_filled(nodule: Nodule, one: ScoredCandidate) -> bool:
    """Whether it is a fork of vessels full of contrast agent rather than a calcified nodule."""
    compact = float(one.features[FEATURES.index("fill")])
    return nodule.measurements.mean_hu > _DENSEST_TISSUE_HU and compact < _LEAST_COMPACT
