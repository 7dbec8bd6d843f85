"""Volume -> boxes, by any detection model of the catalogue that is installed."""

from __future__ import annotations

from SegmentationAILib.catalog.entry import MONAI_BUNDLE, Entry
from SegmentationAILib.catalog.monai_detector import Detections, detect
from SegmentationAILib.catalog.monai_retinanet import read_detector
from SegmentationAILib.catalog.store import installed
from SegmentationAILib.catalog.suitability import check_input
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume


def run(entry: Entry, volume: Volume, *, device: str = "auto", progress: Progress | None = None) -> Detections:
    """The boxes of a model in a volume.

    Args:
        entry: of the catalogue; installed.
        volume: of the modality that the model reads; HU for CT.
        device: a torch device's name.
        progress: told of each step; its token cancels between them.

    Raises:
        InputError: the model does not detect, is not installed, reads another modality, is damaged or cannot be run
            here; raised before any work.
        Cancelled: the user cancelled.
    """
    if entry.task != "detection" or entry.kind != MONAI_BUNDLE:
        raise InputError(f"'{entry.id}' ({entry.kind}, {entry.task}) does not detect; choose a MONAI detection bundle.")
    check_input(entry, volume)
    folder, settings = installed(entry), entry.settings
    detector = read_detector(folder / settings["bundle"], weights=folder / settings["weights"])
    return detect(detector, volume, spacing=entry.input.spacing_mm, device=device, progress=progress)
