"""Volume -> centre heat map -> a second look at its peaks -> nodules: the built-in networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.characterization import delineate
from LungNoduleAILib.collection import OutlinedMark, collect
from LungNoduleAILib.heat import HeatMap, heat_map
from LungNoduleAILib.network import HEAT_STRIDE, SPACING_MM, NoduleNetwork, Widths
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.search import SearchSpace, search_space, window_around
from LungNoduleAILib.second_look import SecondLook, look_again, second_look_of
from SegmentationAILib.engine.model_folder import Model, read_model
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.resources import model_path
from SegmentationAILib.volume import Volume

# One false mark in a scan that the search has learnt, several in others (Resources/Models/nodules.md).
THRESHOLD = 0.2
# Of a detector that looks once: about three false marks with the built-in search.
ONE_LOOK_THRESHOLD = 0.05
MAX_NODULES = 50
# Peaks lower than this are noise of the network.
LEAST_HEAT = 0.02
# Dice of mask and edge from which on they are taken to mean the same.
_AGREED = 0.7
# Two centres nearer than this are one nodule's.
_LEAST_GAP_MM = 3.0
# Four of five nodules of the validation patients have a higher peak, and no look would bring up a lower one.
LEAST_LOOKED_AT = 0.1
# Twice what a CT of ordinary lungs has. Two seconds of one processor core for each hundred.
_MOST_LOOKED_AT = 300
_SEARCH_END, _LOOK_END = 0.75, 0.85


@dataclass(frozen=True)
class ScoreScale:
    """A peak's height to the share of such marks that are nodules: 1 / (1 + exp(-(slope · logit + offset))).

    Platt, 1999; the figures come with the weights.
    """

    slope: float = 1.0
    offset: float = 0.0

    def score(self, heat: float) -> float:
        clipped = min(max(heat, 1e-6), 1 - 1e-6)
        return float(1 / (1 + np.exp(-(self.slope * np.log(clipped / (1 - clipped)) + self.offset))))


@dataclass(frozen=True, eq=False)
class Detector:
    """A network and what makes scores of its heat.

    Attributes:
        network: marks nodules.
        scale: of the scores where there is no second look.
        second_look: at each of its peaks; None for a network other than the one that it was taught with.
    """

    network: NoduleNetwork
    scale: ScoreScale
    second_look: SecondLook | None = None

    @property
    def threshold(self) -> float:
        """The lowest score that is shown unless another is asked for."""
        return ONE_LOOK_THRESHOLD if self.second_look is None else THRESHOLD


@dataclass(frozen=True)
class Peak:
    """A maximum of the heat map.

    Attributes:
        kji: voxel of the search space, at half voxels.
        heat: 0…1.
        diameter_mm: as the network sees it there.
    """

    kji: tuple[float, float, float]
    heat: float
    diameter_mm: float


@cache
def built_in() -> Detector:
    """The detector that comes with the extension, which looks twice.

    Raises:
        InputError: its files are missing or damaged.
    """
    search = read_detector(model_path("nodules"))
    return replace(search, second_look=second_look_of(read_model(model_path("nodule-candidates"), "candidate")))


def read_detector(path: Path) -> Detector:
    """A detector from its files, such as a fine-tuned one, without a second look.

    The built-in second look is taught with the marks of the built-in search; what it makes of another's is not known.

    Args:
        path: stem, folder or either file, as ``read_model`` takes it.

    Raises:
        InputError: as ``read_model``.
    """
    model = read_model(path, "nodule")
    scale = model.card.training.get("score_scale", {})
    return Detector(network_of(model).eval(), ScoreScale(**scale))


def network_of(model: Model) -> NoduleNetwork:
    """The network of a model, with its weights.

    Raises:
        InputError: the weights fit no such network.
    """
    network = NoduleNetwork(Widths(**model.card.configuration))
    model.load_into(network)
    return network


def detect(
    volume: Volume,
    lungs: LabelMap,
    *,
    device: str = "auto",
    threshold: float | None = None,
    max_nodules: int = MAX_NODULES,
    progress: Progress | None = None,
    detector: Detector | None = None,
) -> list[Nodule]:
    """Find, outline and measure nodules of 3 to 30 mm.

    Args:
        volume: chest CT, HU.
        lungs: right and left lung on the volume's grid.
        device: where the network runs.
        threshold: lowest score, 0…1; the detector's own if not given.
        max_nodules: the best so many are returned.
        progress: told of each stage; its token cancels.
        detector: another than the built-in one.

    Returns:
        In order of falling score, with ids 1…n.

    Raises:
        InputError: there is no such device, or the built-in model is missing.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    detector = detector or built_in()
    threshold = detector.threshold if threshold is None else threshold
    progress(0.0, "Preparing the search")
    space = search_space(volume, lungs, device)
    found = heat_map(detector.network, space, device, progress.part(0.05, _SEARCH_END))
    scored = scored_peaks(detector, found, space, device, progress.part(_SEARCH_END, _LOOK_END))
    marks = _outlined(found, space, scored, threshold, progress.part(_LOOK_END, 1.0), max_nodules)
    nodules = collect(marks, volume, lungs, space, max_nodules)
    progress(1.0, "Nodules done")
    return nodules


def scored_peaks(
    detector: Detector, found: HeatMap, space: SearchSpace, device: str, progress: Progress
) -> list[tuple[float, Peak]]:
    """The peaks with their scores, 0…1, in order of falling score.

    Raises:
        Cancelled: the user cancelled, between batches of the second look.
    """
    look = detector.second_look
    if look is None:
        return [(detector.scale.score(peak.heat), peak) for peak in peaks(found)]
    worth = peaks(found, LEAST_LOOKED_AT)[:_MOST_LOOKED_AT]
    logits = look_again(look.network, space, [peak.kji for peak in worth], device, progress)
    scores = look.scale.scores([peak.heat for peak in worth], logits)
    return [(float(scores[n]), worth[n]) for n in np.argsort(-scores, kind="stable")]


def _outlined(
    found: HeatMap,
    space: SearchSpace,
    scored: Sequence[tuple[float, Peak]],
    threshold: float,
    progress: Progress,
    expected: int,
) -> Iterator[OutlinedMark]:
    """The peaks of at least the threshold, outlined one by one."""
    for n, (score, peak) in enumerate(scored):
        if score < threshold:
            return
        progress(min(1.0, n / expected), "Outlining nodules")
        yield OutlinedMark(score, peak.diameter_mm, *outline(found, space, peak))


def peaks(found: HeatMap, least: float = LEAST_HEAT) -> list[Peak]:
    """Maxima of the heat map in order of falling height; none lies within another, higher one's radius."""
    highest = found.centre == ndimage.maximum_filter(found.centre, 3)
    places = np.argwhere(highest & (found.centre >= least))
    heats = found.centre[tuple(places.T)]
    order = np.lexsort((*places.T[::-1], -heats))
    places, heats = places[order], heats[order]
    diameters = found.diameter_mm[tuple(places.T)]
    centres = HEAT_STRIDE * places + (HEAT_STRIDE - 1) / 2
    reach = np.maximum(diameters / 2, _LEAST_GAP_MM) / SPACING_MM
    open_to_choice = np.ones(len(places), dtype=bool)
    kept: list[Peak] = []
    for n in range(len(places)):
        if open_to_choice[n]:
            kept.append(Peak(tuple(map(float, centres[n])), float(heats[n]), float(diameters[n])))
            open_to_choice &= np.linalg.norm(centres - centres[n], axis=1) >= reach[n]
    return kept


def outline(found: HeatMap, space: SearchSpace, peak: Peak) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """Window of the search space around a peak, and how much of each of its voxels is the nodule.

    Where the network's mask and the CT's own edge agree on the nodule, the edge is the better measure of
    its volume. Where they do not, as in ground glass and at walls, each misses a part: both count.
    """
    window, middle = window_around(tuple(int(c) for c in peak.kji), peak.diameter_mm, space.hu.shape)
    edge_found = delineate(space.hu[window], middle, peak.diameter_mm, space.lungs[window]).occupancy
    learnt = _mask_at(found.mask[window], middle)
    if learnt is None or dice(learnt >= 0.5, edge_found >= 0.5) >= _AGREED:
        return window, edge_found
    return window, np.maximum(learnt, edge_found)


def _mask_at(share: NDArray[np.float32], middle: tuple[int, ...]) -> NDArray[np.float32] | None:
    """The part of the network's mask at a voxel, with its edge; None where there is none."""
    labels, _ = ndimage.label(share >= 0.5)
    near = tuple(slice(max(0, c - 1), c + 3) for c in middle)
    hit = labels[near][labels[near] > 0]
    if hit.size == 0:
        return None
    own = labels == np.bincount(hit).argmax()
    # The edge's voxels are partly nodule; beyond one voxel another nodule may begin.
    edge = ndimage.binary_dilation(own) & (labels == 0)
    return np.where(own | edge, share, 0.0).astype(np.float32)
