"""From a chest CT to its lungs and nodules: the one path that panel, command line and demo take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from LungNoduleAILib import baseline, detection
from LungNoduleAILib.analysis_result import BASELINE, LOBES_OPTION, NODULES, Findings
from LungNoduleAILib.bundle_detection import Detect, detector_of
from LungNoduleAILib.lobes import lobe_model, segment_lobes
from LungNoduleAILib.model_choice import detection_bundles
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.nodule_character import character_of
from LungNoduleAILib.ratings import rate, shipped_networks
from SegmentationAILib.catalog.suitability import check_input
from SegmentationAILib.checks import check_ct
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Volume

DETECTORS = {NODULES: detection.detect, BASELINE: baseline.detect}

# Shares of the run's time, for the progress bar.
_LUNGS_END = 0.4
_DETECTION_END = 0.9
_RATING_END = 0.93
_LOBES_END = 0.95


def analyze(volume: Volume | None, task: Task | None = None, progress: Progress | None = None) -> Findings:
    """Check the CT, segment the lungs, detect, measure, rate and characterise the nodules.

    Args:
        volume: chest CT, HU.
        task: detector, one of ``DETECTORS`` or the id of a detection bundle in the catalogue, device and options;
            ``threshold`` and ``max_nodules`` are passed to the detector, ``lobes`` is the id of the catalogue's model
            that outlines the lobes, which are not known without it.
        progress: told of each stage; its token cancels the run.

    Raises:
        InputError: the volume is not a chest CT that can be read, there is no such detector, or a
            built-in model is missing; raised before any work where the voxels alone tell.
        Cancelled: the user cancelled.
    """
    task = task or Task(NODULES)
    progress = progress or Progress()
    progress(0.0, "Checking the CT")
    check_ct(volume)
    detect = _detector(task.model, volume)
    options = dict(task.options)
    lobes_by = options.pop(LOBES_OPTION, "")
    outlines_lobes = lobe_model(lobes_by, volume) if lobes_by else None
    shipped_networks()  # Told before any work where they are missing.
    lungs = segment_lungs(volume, device=task.device, progress=progress.part(0.02, _LUNGS_END))
    nodules = detect(volume, lungs, device=task.device, progress=progress.part(_LUNGS_END, _DETECTION_END), **options)
    rated = rated_nodules(volume, nodules, task.device, progress.part(_DETECTION_END, _RATING_END))
    lobes = None
    if outlines_lobes is not None and rated:
        outlining = progress.part(_RATING_END, _LOBES_END)
        lobes = segment_lobes(volume, outlines_lobes, device=task.device, progress=outlining)
    characterised = characterised_nodules(volume, lungs, rated, progress.part(_LOBES_END, 1.0), lobes)
    progress(1.0, "Done")
    return Findings(lungs, characterised, task)


def _detector(model: str, volume: Volume) -> Detect:
    """What finds the nodules.

    Raises:
        InputError: there is no such detector, or it is a bundle that is not installed or does not read the volume.
    """
    if model in DETECTORS:
        return DETECTORS[model]
    found = next((one for one in detection_bundles() if one.id == model), None)
    if found is None:
        known = ", ".join([*DETECTORS, *(one.id for one in detection_bundles())])
        raise InputError(f"There is no nodule detector '{model}'; choose one of: {known}.")
    check_input(found, volume)
    return detector_of(found)


def rated_nodules(
    volume: Volume, nodules: Sequence[Nodule], device: str, progress: Progress | None = None
) -> tuple[Nodule, ...]:
    """The nodules with what radiologists would probably have called them.

    Args:
        volume: CT that they were found in, HU.
        nodules: with their masks.
        device: a torch device's name.
        progress: told of each nodule; its token cancels between them.

    Raises:
        InputError: a mask is empty or lies outside the volume, or the weights are missing.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    rated = []
    for n, nodule in enumerate(nodules):
        progress(n / len(nodules), "Comparing with rated nodules")
        rated.append(replace(nodule, ratings=rate(volume, nodule, device=device)))
    return tuple(rated)


def characterised_nodules(
    volume: Volume,
    lungs: LabelMap,
    nodules: Sequence[Nodule],
    progress: Progress | None = None,
    lobes: LabelMap | None = None,
) -> tuple[Nodule, ...]:
    """The nodules with what is measured on them beyond their size.

    Args:
        volume: CT that they were found in, HU.
        lungs: right and left lung on its grid.
        nodules: with their masks.
        progress: told of each nodule; its token cancels between them.
        lobes: of the same CT, where they are known.

    Raises:
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    found = []
    for n, nodule in enumerate(nodules):
        progress(n / len(nodules), "Measuring the nodules' character")
        found.append(replace(nodule, character=character_of(volume, lungs, nodule, lobes)))
    return tuple(found)
