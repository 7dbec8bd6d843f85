"""Whether a model can run on a volume, and what a user should know before it does; found out without any network."""

from __future__ import annotations

import json
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.catalog.entry import BUILT_IN, LUNGMASK, MONAI_BUNDLE, NNUNET, Entry
from SegmentationAILib.catalog.integrity import BEST, FINAL, checkpoint_of, network_folder
from SegmentationAILib.catalog.store import installed
from SegmentationAILib.checks import looks_like_ct
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

_SEGMENTS = (BUILT_IN, LUNGMASK, MONAI_BUNDLE, NNUNET)
_AXES = ("left to right", "back to front", "feet to head")
# nnU-Net, too, treats an axis apart from a ratio of 3 on (its ANISO_THRESHOLD).
_COARSEST = 3.0
# Of a smaller volume, most of what the network reads is padding.
_SMALLEST_SHARE = 0.5


def check_input(entry: Entry, volume: Volume) -> None:
    """Refuse a model that is not here, or does not read such volumes.

    Raises:
        InputError: it is not installed or reads another modality, or the volume's axes are not at right angles.
    """
    if volume.modality not in ("", entry.input.modality):
        raise InputError(
            f"'{entry.id}' reads {entry.input.modality} and the volume is {volume.modality}; choose another volume."
        )
    if not volume.grid.is_orthogonal:
        raise InputError("The volume's axes are not at right angles; resample it to a regular grid first.")
    if entry.kind != BUILT_IN and installed(entry) is None:
        raise InputError(f"'{entry.id}' is not installed; fetch it with 'thoraxai models fetch {entry.id}'.")


def check_segmentation(entry: Entry, volume: Volume, structures: Collection[str] | None = None) -> None:
    """As ``check_input``, for a model that is to segment.

    Raises:
        InputError: as ``check_input``; or it does not segment, or does not find a wanted structure.
    """
    if entry.task != "segmentation" or entry.kind not in _SEGMENTS or not entry.labels:
        raise InputError(
            f"'{entry.id}' ({entry.kind}, {entry.task}) does not segment; choose a model that does from 'thoraxai "
            "models list'."
        )
    if unknown := set(structures or ()) - set(entry.label_ids.values()):
        raise InputError(
            f"'{entry.id}' does not find {', '.join(sorted(unknown))}; it finds: "
            f"{', '.join(sorted(entry.label_ids.values()))}."
        )
    check_input(entry, volume)


def warnings_for(entry: Entry, volume: Volume) -> list[str]:
    """What a user should know before the model runs on the volume: nothing of it stops the run.

    Args:
        entry: of the catalogue; what its files say of its windows is known where it is installed.
        volume: of the modality that the model reads, or of an unknown one.

    Returns:
        Sentences: of a volume whose modality nobody tells, of values that are no HU, of voxels or slices further apart
        than those that the model works on, of a volume that is small for its windows, of a registration that the
        model expects to have been done, and of networks of nnU-Net whose training has not come to its end. Empty where
        all fits.
    """
    return [
        *_of_values(entry, volume),
        *_of_registration(entry),
        *_of_spacing(entry, volume),
        *_of_extent(entry, volume),
        *_of_checkpoints(entry),
    ]


def _of_values(entry: Entry, volume: Volume) -> list[str]:
    if entry.input.modality == "CT" and not looks_like_ct(volume.array):
        return [
            f"The volume does not look like a CT in HU (air near -1000, soft tissue near 0 to 100), which '{entry.id}' "
            "reads; the result may be wrong."
        ]
    if not volume.modality and entry.input.modality != "CT":
        return [f"The volume does not say how it was made; '{entry.id}' reads {entry.input.modality}."]
    return []


def _of_registration(entry: Entry) -> list[str]:
    if not entry.input.registered:
        return []
    return [
        f"'{entry.id}' reads images that were registered to {entry.input.registered} beforehand; on any other its "
        "labels are wrong."
    ]


def _of_spacing(entry: Entry, volume: Volume) -> list[str]:
    spacing = volume.grid.canonical("RAS").spacing
    found = []
    own = _own_spacing(entry)
    if own is not None and (spacing / own).max() > _COARSEST:
        axis = int((spacing / own).argmax())
        found.append(
            f"The volume's voxels are {spacing[axis]:.3g} mm apart from {_AXES[axis]} and '{entry.id}' works at "
            f"{own[axis]:.3g} mm; small structures may be missed."
        )
    seen = entry.input.slices_mm
    if not found and seen is not None and spacing[2] > seen:
        found.append(
            f"The volume's slices are {spacing[2]:.3g} mm apart and '{entry.id}' was trained on slices of at most "
            f"{seen:.3g} mm; expect more misses and false marks."
        )
    return found


def _of_extent(entry: Entry, volume: Volume) -> list[str]:
    window = _window_mm(entry)
    if window is None:
        return []
    grid = volume.grid.canonical("RAS")
    extent = grid.spacing * grid.shape[::-1]
    axis = int((extent / window).argmin())
    if extent[axis] >= _SMALLEST_SHARE * window[axis]:
        return []
    return [
        f"The volume is {extent[axis]:.0f} mm from {_AXES[axis]} and '{entry.id}' reads {window[axis]:.0f} mm at once; "
        "at the edges of so small a volume it is less reliable."
    ]


def _of_checkpoints(entry: Entry) -> list[str]:
    folder = installed(entry) if entry.kind == NNUNET else None
    if folder is None:
        return []
    found = []
    for part in entry.settings["parts"]:
        with suppress(InputError):
            home = network_folder(folder, part["folder"])
            if not part.get("checkpoint") and checkpoint_of(home, part.get("folds")) == BEST:
                found.append(
                    f"'{home.name}' of '{entry.id}' has no {FINAL}, so its training may not have come to its "
                    f"end; {BEST} is used."
                )
    return found


def _own_spacing(entry: Entry) -> NDArray[np.float64] | None:
    """mm along R, A and S; None where nobody tells."""
    if entry.input.spacing_mm is not None:
        return np.array(entry.input.spacing_mm)
    plan = _plan(entry)
    return None if plan is None else plan[0]


def _window_mm(entry: Entry) -> NDArray[np.float64] | None:
    """What the network reads at once, mm along R, A and S; None where nobody tells."""
    if (voxels := entry.settings.get("window")) and entry.input.spacing_mm is not None:
        return np.array(voxels) * entry.input.spacing_mm
    plan = _plan(entry)
    return None if plan is None else plan[0] * plan[1]


def _plan(entry: Entry) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Spacing in mm and window in voxels along R, A and S, of the first of nnU-Net's networks; None where the model is
    not here, or its plan is not one that can be read, which the run itself tells.
    """
    folder = installed(entry) if entry.kind == NNUNET else None
    if folder is None:
        return None
    try:
        home = network_folder(folder, entry.settings["parts"][0]["folder"])
        return _planned(home)
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return None


def _planned(home: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    plans = json.loads((home / "plans.json").read_text(encoding="utf-8"))
    configuration = plans["configurations"][home.name.rpartition("__")[2]]
    back = np.argsort(plans["transpose_forward"])
    spacing, patch = (np.array(configuration[key], dtype=float)[back][::-1] for key in ("spacing", "patch_size"))
    return spacing, patch
