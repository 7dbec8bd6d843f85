"""Nodules of patients that training never saw, as both detectors meet them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.baseline import outlined_candidates
from LungNoduleAILib.detection import Detector, outline, scored_peaks
from LungNoduleAILib.heat import heat_map
from LungNoduleAILib.scoring import BASELINE
from LungNoduleAILib.search import AIR_HU, SearchSpace
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.blending import blend, real_insert
from LungNoduleAILib.training.lidc import NoduleCrop, NoduleCube, box_grid
from SegmentationAILib.engine.progress import Progress

SIDE = 96
# A nodule of which the chest wall hides more than this is another nodule.
_LEAST_SHOWN = 0.6
_TRIES = 40
# Vessels up to twice this are lung.
_CLOSING = 3


@dataclass(frozen=True, eq=False)
class Case:
    """A window with one known nodule.

    Attributes:
        name: of the nodule.
        patient: whose it is.
        kind: "solid", "part-solid", "ground glass", or "" where no rating came with it.
        space: the window.
        mask: bool [k, j, i].
    """

    name: str
    patient: str
    kind: str
    space: SearchSpace
    mask: NDArray[np.bool_]

    @property
    def diameter_mm(self) -> float:
        return float(np.cbrt(6 * np.count_nonzero(self.mask) / np.pi))


@dataclass(frozen=True, eq=False)
class Mark:
    """What a detector marks.

    Attributes:
        kji: voxel of the search space.
        score: 0…1.
        outline: makes the mask, bool over the whole search space.
    """

    kji: tuple[float, float, float]
    score: float
    outline: Callable[[], NDArray[np.bool_]]


Finder = Callable[[SearchSpace], list[Mark]]


def network_finder(detector: Detector) -> Finder:
    """The built-in networks; scores are on their calibrated scale."""

    def find(space: SearchSpace) -> list[Mark]:
        found = heat_map(detector.network, space, "auto", Progress())
        return [
            Mark(peak.kji, score, lambda peak=peak: _placed(*outline(found, space, peak), space))
            for score, peak in scored_peaks(detector, found, space, "auto", Progress())
        ]

    return find


def baseline_finder(space: SearchSpace) -> list[Mark]:
    """Blobs, outlines and the logistic score."""
    return [
        Mark(
            one.candidate.ijk[::-1],
            float(BASELINE.probability(one.features)),
            lambda one=one: _placed(one.window, one.found.occupancy, space),
        )
        for one in outlined_candidates(space, "auto", Progress())
    ]


def blended(crops: Sequence[NoduleCrop], backgrounds: Sequence[Background], seed: int) -> Iterator[Case]:
    """Each nodule once in each scan, at a random place, one in three at the lung's surface."""
    rng = np.random.default_rng(seed)
    for background in backgrounds:
        voxels = np.argwhere(background.lungs)
        surface = np.argwhere(background.lungs & ~ndimage.binary_erosion(background.lungs, iterations=3))
        for crop in crops:
            case = _blended_once(crop, background, voxels, surface, rng)
            if case is not None:
                yield case


def _blended_once(
    crop: NoduleCrop, background: Background, voxels: NDArray, surface: NDArray, rng: np.random.Generator
) -> Case | None:
    insert = real_insert(crop, rng)
    for _ in range(_TRIES):
        among = surface if rng.random() < 0.35 else voxels
        centre = among[rng.integers(len(among))]
        window = tuple(slice(max(0, c - SIDE // 2), c + SIDE // 2) for c in centre)
        if (background.nodules[window] > 0).any() or background.ignored[window].any():
            continue
        hu = background.hu[window].astype(np.float32)
        lungs = background.lungs[window]
        place = tuple(int(c - side.start) for c, side in zip(centre, window, strict=True))
        mask = blend(hu, insert, place, lungs) >= 0.5
        if np.count_nonzero(mask) < _LEAST_SHOWN * np.count_nonzero(insert.occupancy >= 0.5):
            continue
        # A wall nodule belongs to the lungs, as it does in a real CT's lung mask.
        space = SearchSpace(hu, lungs | mask, background.grid.crop([side.start for side in window], hu.shape))
        return Case(crop.name, crop.patient, crop.kind, space, mask)
    return None


def in_place(cubes: Sequence[NoduleCube]) -> Iterator[Case]:
    """Nodules in their own surroundings, with what a threshold calls lung."""
    for cube in cubes:
        hu = np.maximum(cube.hu, AIR_HU)
        air = np.pad(ndimage.gaussian_filter(hu, 1.5) < -500, _CLOSING, mode="edge")
        closed = ndimage.binary_closing(air, iterations=_CLOSING)[(slice(_CLOSING, -_CLOSING),) * 3]
        lungs = closed | cube.mask
        yield Case(cube.name, cube.scan, "", SearchSpace(hu, lungs, box_grid(hu.shape)), cube.mask)


def best_hit(marks: Sequence[Mark], case: Case) -> Mark | None:
    """The highest mark within the nodule's radius (LUNA16)."""
    centre = np.argwhere(case.mask).mean(axis=0)
    hits = [mark for mark in marks if np.linalg.norm(np.array(mark.kji) - centre) < case.diameter_mm / 2]
    return max(hits, key=lambda mark: mark.score, default=None)


def false_marks(marks: Sequence[Mark], background: Background, around: NDArray[np.bool_]) -> list[float]:
    """Scores of the marks of a whole scan that are on nothing that anybody marked.

    Args:
        marks: of the scan.
        background: the scan.
        around: bool [k, j, i], where marks count neither way.
    """
    known = ndimage.binary_dilation(background.nodules > 0, iterations=3) | background.ignored | around
    return [mark.score for mark in marks if not known[tuple(int(c) for c in mark.kji)]]


def _placed(window: tuple[slice, ...], occupancy: NDArray, space: SearchSpace) -> NDArray[np.bool_]:
    mask = np.zeros(space.hu.shape, dtype=bool)
    mask[window] = occupancy >= 0.5
    return mask
