"""Volume -> labels, by any segmentation model of the catalogue that is installed: the one way to run one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.catalog import lungmask_runner, monai_runner
from SegmentationAILib.catalog.cropping import surroundings
from SegmentationAILib.catalog.entry import BUILT_IN, LUNGMASK, MONAI_BUNDLE, Entry
from SegmentationAILib.catalog.integrity import network_folder
from SegmentationAILib.catalog.listing import entry as entry_of
from SegmentationAILib.catalog.lungmask_network import read_lungmask
from SegmentationAILib.catalog.monai_folder import read_bundle
from SegmentationAILib.catalog.nnunet_folder import read_nnunet
from SegmentationAILib.catalog.nnunet_runner import Options, segment
from SegmentationAILib.catalog.pieces import keep_pieces
from SegmentationAILib.catalog.store import installed
from SegmentationAILib.catalog.suitability import check_segmentation
from SegmentationAILib.catalog.tasks import parts_for
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.segmentation import METHODS
from SegmentationAILib.volume import Volume

# Share of the time that finding what to crop to takes.
_CROP_END = 0.3


def run(
    entry: Entry,
    volume: Volume,
    *,
    structures: Collection[str] | None = None,
    options: Options | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> LabelMap:
    """The structures of a model in a volume.

    Args:
        entry: of the catalogue; installed.
        volume: of the modality that the model reads; HU for CT.
        structures: ids (``Entry.label_ids``) of those that are wanted, all if not given; networks of a model of
            several that find none of them do not run.
        options: how nnU-Net's networks are run; of them, "batch" alone means something to MONAI's.
        device: a torch device's name.
        progress: told of each step; its token cancels between them.

    Returns:
        Labels on the volume's grid.

    Raises:
        InputError: the model is not installed, reads another modality, is of a kind that cannot be run here, is
            damaged, or lacks a wanted structure; raised before any work.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    check_segmentation(entry, volume, structures)
    if entry.kind == BUILT_IN:
        found = METHODS[entry.id](volume, device=device, progress=progress)
        return _only(found.array, volume, replace(entry, labels=found.structures), structures)
    if entry.kind == MONAI_BUNDLE:
        return _only(_by_monai(entry, volume, options, device, progress), volume, entry, structures)
    if entry.kind == LUNGMASK:
        network = read_lungmask(installed(entry) / entry.settings["weights"], entry.settings["classes"])
        labels = lungmask_runner.segment(network, volume, device=device, progress=progress)
        return _only(labels, volume, entry, structures)
    return _only(_by_nnunet(entry, volume, structures, options, device, progress), volume, entry, structures)


def _by_monai(
    entry: Entry, volume: Volume, options: Options | None, device: str, progress: Progress
) -> NDArray[np.integer]:
    folder, settings = installed(entry), entry.settings
    bundle = read_bundle(folder / settings["bundle"], weights=folder / settings["weights"])
    # The weights of other resolutions lie in the same bundle, whose configuration names one of them.
    spacing = entry.input.spacing_mm
    batch = options.batch if options else None
    return monai_runner.segment(bundle, volume, spacing=spacing, device=device, batch=batch, progress=progress)


def _by_nnunet(
    entry: Entry,
    volume: Volume,
    structures: Collection[str] | None,
    options: Options | None,
    device: str,
    progress: Progress,
) -> NDArray[np.uint8]:
    array, grid = volume.array, volume.grid
    if orientation := entry.settings.get("orientation"):
        grid = grid.canonical(orientation)
        array = reorient(array, volume.grid, grid)
    window, within = (slice(None),) * 3, None
    crop = entry.settings.get("crop")
    if crop is not None:
        wanted = {*crop["structures"], *crop.get("within", {}).get("structures", ())}
        rough = Volume(array, grid, volume.name, volume.modality)
        part = progress.part(0.0, _CROP_END)
        found = run(entry_of(crop["model"]), rough, structures=wanted, device=device, progress=part)
        window, within = surroundings(found, entry_of(crop["model"]).label_ids, crop)
    labels = np.zeros(array.shape, dtype=np.uint8)
    parts = parts_for(entry, structures)
    running = progress.part(_CROP_END if crop is not None else 0.0, 1.0)
    for n, part in enumerate(parts):
        home = network_folder(installed(entry), part["folder"])
        model = read_nnunet(home, folds=part.get("folds"), checkpoint=part.get("checkpoint"))
        step = running.part(n / len(parts), (n + 1) / len(parts))
        spacing = tuple(float(mm) for mm in grid.spacing[::-1])
        found = segment(model, array[window][None], spacing, options, device=device, progress=step)
        # Later networks have the last word, as in TotalSegmentator.
        here = labels[window]
        for value, label in part["labels"].items():
            here[found == int(value)] = label
    if within is not None:
        labels[window][~within] = 0
    keep_pieces(labels, entry.settings.get("pieces", {}), float(np.prod(grid.spacing)) / 1000)
    return np.ascontiguousarray(reorient(labels, grid, volume.grid)) if orientation else labels


def _only(array: NDArray, volume: Volume, entry: Entry, structures: Collection[str] | None) -> LabelMap:
    """What is wanted and there."""
    held = {
        value: structure
        for value, structure in entry.labels.items()
        if structures is None or entry.label_ids[value] in structures
    }
    present = set(np.unique(array).tolist())
    kept = {value: structure for value, structure in held.items() if value in present}
    return LabelMap(np.where(np.isin(array, list(kept)), array, 0).astype(np.uint8), volume.grid, kept)
