"""Whole chest CTs as a training run takes them: the lungs' box at 1 mm, with what is known of its nodules."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from LungNoduleAILib.candidates import find_blobs
from LungNoduleAILib.search import search_space
from SegmentationAILib.files import load
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# Places where the blob filter answers most: vessel forks, hila, scars, the ends of ribs.
_SPOTS = 400
# Bone and contrast agent must not outshine the rest.
_BLOB_HU = (-1000.0, 150.0)
# A scan's folder names what its readers marked; this CT's has no masks, and its nodule was found by eye.
_UNMASKED = {"CMB-CRC-MSB-01068": [{"centre_lps_mm": [93.0, -3.0, -113.0], "diameter_mm": 30.0}]}


@dataclass(frozen=True, eq=False)
class Background:
    """A chest CT around its lungs.

    Attributes:
        name: of the scan.
        hu: int16 [k, j, i] at 1 mm.
        lungs: bool [k, j, i], both lungs.
        nodules: uint8 [k, j, i], 0 or the number of a nodule that several readers outlined.
        ignored: bool [k, j, i], neither nodule nor none: marks of one reader, nodules without outline.
        spots: [n, 3] voxels (k, j, i) that look like nodules to a blob filter.
        grid: the voxels' place.
        rough: bool [k, j, i], around nodules of which centre and diameter are all that is known, and which
            ``nodules`` holds as balls; None where all have outlines.
    """

    name: str
    hu: NDArray[np.int16]
    lungs: NDArray[np.bool_]
    nodules: NDArray[np.uint8]
    ignored: NDArray[np.bool_]
    spots: NDArray[np.int64]
    grid: Grid
    rough: NDArray[np.bool_] | None = None


def read_background(folder: Path, cache: Path) -> Background:
    """The scan of a data folder (``dicom/`` or ``ct.nii.gz``, and ``nodules.*`` where readers marked some).

    Args:
        folder: of the scan.
        cache: where the prepared arrays are kept, since preparing takes half a minute.
    """
    kept = cache / f"{folder.name}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _prepare(folder, kept)
    held = np.load(kept)
    grid = Grid(held["hu"].shape, held["ijk_to_ras"])
    return Background(folder.name, *(held[k] for k in ("hu", "lungs", "nodules", "ignored", "spots")), grid)


def _prepare(folder: Path, kept: Path) -> None:
    volume = load(folder / "dicom" if (folder / "dicom").exists() else folder / "ct.nii.gz")
    bare = without_marks(volume)
    nodules, ignored = _marks(folder, bare.grid)
    np.savez_compressed(
        kept,
        hu=bare.hu,
        lungs=bare.lungs,
        nodules=nodules,
        ignored=ignored,
        spots=bare.spots,
        ijk_to_ras=bare.grid.ijk_to_ras,
    )


def without_marks(volume: Volume) -> Background:
    """A CT as a background of whose nodules nothing is said.

    Raises:
        InputError: the CT does not show the lungs.
    """
    space = search_space(volume, segment_lungs(volume))
    clamped = torch.from_numpy(np.clip(space.hu, *_BLOB_HU))
    blobs = find_blobs(clamped, torch.from_numpy(space.lungs), space.grid, limit=_SPOTS)
    return Background(
        volume.name,
        np.round(space.hu).astype(np.int16),
        space.lungs,
        np.zeros(space.grid.shape, dtype=np.uint8),
        np.zeros(space.grid.shape, dtype=bool),
        np.array([blob.ijk[::-1] for blob in blobs], dtype=np.int64).reshape(-1, 3),
        space.grid,
    )


def _marks(folder: Path, grid: Grid) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    nodules = np.zeros(grid.shape, dtype=np.uint8)
    ignored = np.zeros(grid.shape, dtype=bool)
    for mark in _UNMASKED.get(folder.name, []):
        ignored |= _around(grid, mark)
    if (folder / "nodules.json").exists():
        outlines = load(folder / "nodules.nii.gz")
        for mark in json.loads((folder / "nodules.json").read_text())["nodules"]:
            own = resample((outlines.array == mark["label"]).astype(np.float32), outlines.grid, grid) >= 0.5
            if mark["readers"] > 1:
                nodules[own] = mark["label"]
            else:
                ignored |= ndimage.binary_dilation(own, iterations=2) | _around(grid, mark)
    return nodules, ignored


def _around(grid: Grid, mark: dict) -> NDArray[np.bool_]:
    centre = np.multiply(mark["centre_lps_mm"], [-1.0, -1.0, 1.0])
    return ball(grid, centre, mark["diameter_mm"] + 4)


def ball(grid: Grid, centre_ras: ArrayLike, diameter_mm: float) -> NDArray[np.bool_]:
    """[k, j, i] voxels of a grid of 1 mm whose centres lie in a ball."""
    centre = grid.ijk(centre_ras)[::-1]
    axes = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= (diameter_mm / 2) ** 2
