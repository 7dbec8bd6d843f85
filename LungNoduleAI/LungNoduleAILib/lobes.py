"""The lobes of a lung, by a model of the catalogue that outlines them; none comes with the extension."""

from __future__ import annotations

from LungNoduleAILib.model_choice import LOBES, lobe_models
from SegmentationAILib.catalog import running
from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.suitability import check_segmentation
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Volume


def lobe_model(model_id: str, volume: Volume) -> Entry:
    """The model of that id.

    Raises:
        InputError: it outlines no lobes, is not installed, or does not read the volume.
    """
    known = lobe_models()
    for one in known:
        if one.id == model_id:
            check_segmentation(one, volume, LOBES)
            return one
    raise InputError(f"'{model_id}' outlines no lobes; choose one of: {', '.join(one.id for one in known)}.")


def segment_lobes(volume: Volume, entry: Entry, *, device: str = "auto", progress: Progress | None = None) -> LabelMap:
    """The five lobes on the volume's grid.

    Args:
        volume: chest CT, HU.
        entry: of ``lobe_model``.
        device: a torch device's name.
        progress: told of each step; its token cancels between them.

    Raises:
        InputError: as ``running.run``.
        Cancelled: the user cancelled.
    """
    return running.run(entry, volume, structures=LOBES, device=device, progress=progress)
