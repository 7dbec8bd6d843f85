"""The cases that the organ network learns from, at its spacing, kept in a folder once they are made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SegmentationAILib.body import segment_body
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.training.organ_anchors import anchors
from SegmentationAILib.training.organ_classes import AORTA, BACKGROUND, HEART, SOFT, STRUCTURES, UNKNOWN, class_table
from SegmentationAILib.volume import Grid, Volume

SPACING_MM = 2.0
_AIR_HU = -1024.0
# A cache of another make-up is made again.
_FORMAT = 2
# Gaps between ribs, shoulder and pelvis that the outline of the labelled structures bridges.
_BRIDGED_MM = 30.0
_FARTHEST_MM = 120
_WALL_VOXELS = 6
_WALL_HU = 40

# Label maps without their CT, and CTs without labels, of those that may be trained on.
LABEL_MAPS = ("totalsegmentator/TS-labels-s0011", "totalsegmentator/TS-labels-caseB")
UNLABELLED = {
    "LIDC-IDRI-0002": "ct.nii.gz",
    "LIDC-IDRI-0003": "dicom",
    "LIDC-IDRI-0314": "ct.nii.gz",
    "CMB-CRC-MSB-01068": "ct.nii.gz",
}
# Its right upper lobe is solid, and so looks like soft tissue outside the lung.
_OPAQUE = ("LIDC-IDRI-0314",)
LABELLED = "totalsegmentator/example_ct"
# One patient: the CT with the aorta; the heart, drawn with the pulmonary artery, is on another grid.
PARTLY_LABELLED = {AORTA: "totalsegmentator/aorta/aorta.nii.gz", HEART: "totalsegmentator/pulmonary/heart.nii.gz"}


@dataclass(frozen=True, eq=False)
class LabelCase:
    """A label map to synthesise CTs from; [k, j, i] at 2 mm, i, j, k to left, posterior, superior.

    Attributes:
        structures: uint8, values of ``organ_classes.STRUCTURES``.
        depth: int8, mm from the outline of all structures; negative inside.
        inner: uint8, mm from the nearest other structure.
        root: uint8, mm from the heart and the great vessels, where the vessels of the lung come from.
    """

    name: str
    structures: NDArray[np.uint8]
    depth: NDArray[np.int8]
    inner: NDArray[np.uint8]
    root: NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ScanCase:
    """A CT with what is known of it; [k, j, i] at 2 mm, i, j, k to left, posterior, superior.

    Attributes:
        hu: int16.
        classes: uint8, classes, ``SOFT`` or ``UNKNOWN``.
    """

    name: str
    hu: NDArray[np.int16]
    classes: NDArray[np.uint8]


Case = LabelCase | ScanCase


def training_cases(data: Path, cache: Path) -> list[Case]:
    """All cases, read from the cache or made and put there.

    Args:
        data: folder of the data sets.
        cache: folder for the cases at 2 mm; made where it is absent.

    Raises:
        InputError: a data set is missing or damaged.
    """
    cache.mkdir(parents=True, exist_ok=True)
    makers = {Path(name).name: (lambda n=name: _label_case(data / n)) for name in LABEL_MAPS}
    makers |= {name: (lambda n=name, f=file: _unlabelled(data / n / f, n)) for name, file in UNLABELLED.items()}
    makers["example_ct"] = lambda: _labelled(data / LABELLED)
    makers["aorta"] = lambda: _partly_labelled(data)
    return [_cached(cache / f"{name}.npz", make) for name, make in makers.items()]


def label_case(name: str, structures: NDArray[np.uint8]) -> LabelCase:
    """A case from structures [k, j, i] at 2 mm, i, j, k to left, posterior, superior.

    Raises:
        InputError: no structure is there.
    """
    if not structures.any():
        raise InputError(f"The label map '{name}' is empty; give one with structures.")
    outline = structures > 0
    margin = int(np.ceil(_BRIDGED_MM / SPACING_MM)) + 1
    # What the scan's end cuts goes on beyond it; the sides are air.
    padded = np.pad(
        np.pad(outline, ((margin, margin), (0, 0), (0, 0)), mode="edge"), ((0, 0), (margin,) * 2, (margin,) * 2)
    )
    grown = _distance_mm(padded) <= _BRIDGED_MM
    closed = -_distance_mm(~grown) < -_BRIDGED_MM
    closed = closed[margin:-margin, margin:-margin, margin:-margin] | outline
    depth = np.where(closed, -_distance_mm(~closed), _distance_mm(closed))
    root = np.isin(structures, [STRUCTURES.index(n) for n in ("heart", "pulmonary_vein", "trachea")])
    far = np.full(structures.shape, _FARTHEST_MM, dtype=np.float32)
    return LabelCase(
        name,
        structures,
        np.clip(np.round(depth), -_FARTHEST_MM, _FARTHEST_MM).astype(np.int8),
        np.clip(np.round(_distance_mm(_borders(structures))), 0, _FARTHEST_MM).astype(np.uint8),
        np.clip(np.round(_distance_mm(root) if root.any() else far), 0, _FARTHEST_MM).astype(np.uint8),
    )


def _label_case(folder: Path) -> LabelCase:
    volume = load(folder / "labels.nii.gz")
    named = json.loads((folder / "labels.json").read_text())
    table = np.zeros(256, dtype=np.uint8)
    for name, entry in named.items():
        table[entry["label"]] = STRUCTURES.index(name)
    grid = working_grid(volume)
    return label_case(folder.name, table[resample(volume.array.astype(np.uint8), volume.grid, grid, mode="nearest")])


def unlabelled_case(volume: Volume, name: str) -> ScanCase:
    """A CT with what classical segmentation is sure of, on ``working_grid(volume)``.

    Raises:
        InputError: the CT does not show the lungs.
    """
    grid = working_grid(volume)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_AIR_HU)
    return ScanCase(name, _rounded(hu), anchors(hu, _lungs(volume, grid), SPACING_MM))


def _unlabelled(path: Path, name: str) -> ScanCase:
    case = unlabelled_case(load(path), name)
    if name in _OPAQUE:
        case.classes[case.classes == SOFT] = UNKNOWN
    return case


def _labelled(folder: Path) -> ScanCase:
    volume, labels = load(folder / "ct.nii.gz"), load(folder / "seg.nii.gz")
    grid = working_grid(volume)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_AIR_HU)
    structures = resample(labels.array.astype(np.uint8), labels.grid, grid, mode="nearest")
    classes = class_table()[structures]
    classes[(structures == 0) & ~segment_body(hu, SPACING_MM)] = BACKGROUND
    return ScanCase(folder.name, _rounded(hu), classes)


def _partly_labelled(data: Path) -> ScanCase:
    volume = load((data / PARTLY_LABELLED[AORTA]).with_name("ct.nii.gz"))
    grid = working_grid(volume)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=_AIR_HU)
    classes = anchors(hu, _lungs(_walled(volume), grid), SPACING_MM)
    for value, file in PARTLY_LABELLED.items():
        drawn = load(data / file)
        share = resample((drawn.array > 0).astype(np.float32), drawn.grid, grid, mode="area")
        classes[share > 0.5] = value
    return ScanCase("aorta", _rounded(hu), classes)


def _lungs(volume: Volume, grid: Grid) -> NDArray[np.uint8]:
    found = segment_lungs(volume)
    lungs = np.zeros(grid.shape, dtype=np.uint8)
    for value in found.structures:
        share = resample((found.array == value).astype(np.float32), found.grid, grid, mode="area")
        lungs[share > 0.5] = value
    return lungs


def _walled(volume: Volume) -> Volume:
    """With tissue around each slice, so that lungs that the field of view cuts are enclosed."""
    wide = ((0, 0), (_WALL_VOXELS,) * 2, (_WALL_VOXELS,) * 2)
    array = np.pad(volume.array, wide, constant_values=_WALL_HU)
    return Volume(array, volume.grid.crop((0, -_WALL_VOXELS, -_WALL_VOXELS), array.shape), volume.name)


def working_grid(volume: Volume) -> Grid:
    """Voxels of ``SPACING_MM`` over the volume; i, j, k to left, posterior, superior."""
    return volume.grid.canonical().with_spacing(SPACING_MM)


def _rounded(hu: NDArray) -> NDArray[np.int16]:
    return np.clip(np.round(hu), -1024, 3071).astype(np.int16)


def _borders(structures: NDArray) -> NDArray[np.bool_]:
    """Voxels with another structure at one of their six faces."""
    border = np.zeros(structures.shape, dtype=bool)
    for axis in range(3):
        step = np.diff(structures.astype(np.int16), axis=axis) != 0
        low, high = [slice(None)] * 3, [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        border[tuple(low)] |= step
        border[tuple(high)] |= step
    return border


def _distance_mm(mask: NDArray) -> NDArray[np.float32]:
    """Distance in mm to the mask; 0 within it."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((SPACING_MM,) * 3)
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    return np.maximum(sitk.GetArrayFromImage(distance), 0.0)


def _cached(path: Path, make) -> Case:
    if path.exists():
        with np.load(path) as held:
            if int(held["format"]) == _FORMAT:
                return _from_arrays(path.stem, {key: held[key] for key in held.files if key != "format"})
    case = make()
    arrays = {key: value for key, value in vars(case).items() if key != "name"}
    partial = path.with_suffix(".partial.npz")
    np.savez_compressed(partial, format=_FORMAT, **arrays)
    partial.replace(path)
    return case


def _from_arrays(name: str, arrays: Mapping[str, NDArray]) -> Case:
    return ScanCase(name, **arrays) if "hu" in arrays else LabelCase(name, **arrays)
