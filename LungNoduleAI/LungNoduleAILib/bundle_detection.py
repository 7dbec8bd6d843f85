"""Boxes of a MONAI detection bundle -> nodules, outlined and measured like those of the built-in network."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Protocol

import numpy as np

from LungNoduleAILib.characterization import delineate
from LungNoduleAILib.collection import OutlinedMark, collect
from LungNoduleAILib.model_choice import detection_bundles
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.search import SearchSpace, search_space, window_around
from SegmentationAILib.catalog import detecting
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.monai_detector import Detections
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Volume

# No publisher names a score to cut at; at a half, the network itself holds a box rather for a nodule.
THRESHOLD = 0.5
MAX_NODULES = 50
_BOXES_END = 0.8
# Of a box that shows no nodule, an outline may be left that has no thickness to measure.
_THINNEST_MM = 1.0


class Detect(Protocol):
    """What finds the nodules of a CT: ``threshold`` and ``max_nodules`` may be given too."""

    def __call__(
        self, volume: Volume, lungs: LabelMap, *, device: str = ..., progress: Progress | None = ...
    ) -> list[Nodule]: ...


def bundle_called(name: str) -> Entry:
    """The bundle of that id, or of that name in MONAI's model zoo.

    Raises:
        InputError: there is none.
    """
    known = detection_bundles()
    for one in known:
        if name in (one.id, one.settings["bundle"]):
            return one
    raise InputError(f"There is no detection bundle '{name}'; choose one of: {', '.join(one.id for one in known)}.")


def detector_of(entry: Entry) -> Detect:
    """What detects with a bundle."""
    return partial(detect, entry)


def detect(
    entry: Entry,
    volume: Volume,
    lungs: LabelMap,
    *,
    device: str = "auto",
    threshold: float = THRESHOLD,
    max_nodules: int = MAX_NODULES,
    progress: Progress | None = None,
) -> list[Nodule]:
    """Find nodules with a bundle, outline and measure them.

    Args:
        entry: of the catalogue; installed.
        volume: chest CT, HU.
        lungs: right and left lung on the volume's grid; boxes that touch neither are left out.
        device: where the network runs.
        threshold: lowest score, 0…1.
        max_nodules: the best so many are returned.
        progress: told of each stage; its token cancels.

    Returns:
        In order of falling score, with ids 1…n.

    Raises:
        InputError: as ``detecting.run``.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    found = detecting.run(entry, volume, device=device, progress=progress.part(0.0, _BOXES_END))
    progress(_BOXES_END, "Outlining nodules")
    space = search_space(volume, lungs, device)
    # A bundle of one class calls it 0.
    nodule = entry.settings.get("box_class", 0)
    marks = _outlined(found, nodule, threshold, space)
    nodules = collect(marks, volume, lungs, space, max_nodules, _has_thickness)
    progress(1.0, "Nodules done")
    return nodules


def _has_thickness(nodule: Nodule, _: OutlinedMark) -> bool:
    return nodule.measurements.short_axis_mm >= _THINNEST_MM


def _outlined(found: Detections, nodule: int, threshold: float, space: SearchSpace) -> Iterator[OutlinedMark]:
    for centre, size, score, kind in zip(found.centres, found.sizes, found.scores, found.classes, strict=True):
        if kind != nodule or score < threshold:
            continue
        # Of the ball as large as the ellipsoid that fills the box.
        diameter = float(np.prod(size) ** (1 / 3))
        middle = tuple(int(n) for n in np.round(space.grid.ijk(centre)[::-1]))
        window, centre_in_it = window_around(middle, diameter, space.hu.shape)
        lungs = space.lungs[window]
        if not _touched(lungs, centre_in_it, diameter):
            continue
        occupancy = delineate(space.hu[window], centre_in_it, diameter, lungs).occupancy
        yield OutlinedMark(float(score), diameter, window, occupancy)


def _touched(lungs: np.ndarray, centre: tuple[int, ...], diameter: float) -> bool:
    """Whether lung lies within the radius of a point that itself lies within the window."""
    if not all(0 <= c < n for c, n in zip(centre, lungs.shape, strict=True)):
        return False
    axes = np.ogrid[tuple(map(slice, lungs.shape))]
    squared = sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True))
    return bool(lungs[squared <= (diameter / 2) ** 2].any())
