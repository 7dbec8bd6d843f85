"""LIDC nodules in boxes with their readers' ratings, and the outlines that training varies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.characterization import delineate
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.nodule_crop import NoduleCrop, crop_nodule
from LungNoduleAILib.rating import RATINGS
from LungNoduleAILib.training.lidc_vois import read_boxes
from SegmentationAILib.volume import Volume

FOLDS = 5
_LEAST_VOXELS = 8


@dataclass(frozen=True, eq=False)
class RatedNodule:
    """A nodule in its box, with the readers' majority for each rating.

    Attributes:
        ratings: 1…5 in the order of ``RATINGS``.
        calcified: whether the majority saw calcium.
    """

    name: str
    patient: str
    volume: Volume
    mask: NoduleMask
    ratings: NDArray[np.int64]
    calcified: bool

    @property
    def fold(self) -> int:
        """0…4, the same for all nodules of a patient, whatever else is in the set."""
        return int(hashlib.sha256(self.patient.encode()).hexdigest()[:8], 16) % FOLDS


def read_nodules(folder: Path) -> list[RatedNodule]:
    """All nodules of lidc-vois in the order of ``nodules.csv``.

    Raises:
        InputError: as ``read_boxes``.
    """
    return [
        RatedNodule(
            box.name,
            box.patient,
            box.image,
            NoduleMask((box.mask.array > 0).astype(np.float32), box.mask.grid),
            np.array([box.ratings[rating] for rating in RATINGS]),
            box.calcified,
        )
        for box in read_boxes(folder)
    ]


def shifted_outline(crop: NoduleCrop, rng: np.random.Generator) -> NoduleMask:
    """The outline moved in or out by up to 1 mm, unevenly: as another reader might draw it."""
    inside = crop.occupancy >= 0.5
    distance = ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)
    uneven = ndimage.gaussian_filter(rng.normal(size=inside.shape), 3.0)
    uneven *= 0.5 / max(float(uneven.std()), 1e-6)
    moved = np.clip(0.5 - (distance + uneven - rng.uniform(-1.0, 1.0)), 0, 1) * _shown_slices(inside)
    return _or_reader(moved, crop)


def regrown_outline(crop: NoduleCrop, rng: np.random.Generator) -> NoduleMask:
    """The outline as the detector draws it, from a place and a size that are a little off."""
    inside = crop.occupancy >= 0.5
    diameter = float(np.cbrt(6 * crop.occupancy.sum() / np.pi)) * rng.uniform(0.8, 1.25)
    reach = min(2.0, diameter / 5)
    middle = (np.array(inside.shape) - 1) / 2 + rng.uniform(-reach, reach, 3)
    start = tuple(int(n) for n in np.clip(np.round(middle), 0, np.array(inside.shape) - 1))
    shown = _shown_slices(inside)
    found = delineate(crop.hu, start, max(diameter, 4.0), np.broadcast_to(shown > 0, inside.shape))
    return _or_reader(found.occupancy * shown, crop)


def outlines(nodule: RatedNodule, seed: int, shifted: int, regrown: int) -> list[NoduleCrop]:
    """The reader's crop, then ``shifted`` and ``regrown`` ones; the same seed gives the same."""
    first = crop_nodule(nodule.volume, nodule.mask)
    rng = np.random.default_rng([seed, int(hashlib.sha256(nodule.name.encode()).hexdigest()[:8], 16)])
    masks = [shifted_outline(first, rng) for _ in range(shifted)]
    masks += [regrown_outline(first, rng) for _ in range(regrown)]
    return [first] + [crop_nodule(nodule.volume, mask) for mask in masks]


def _shown_slices(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 for the crop's slices that the box shows: those of the reader's mask."""
    return inside.any(axis=(1, 2)).astype(np.float32)[:, None, None]


def _or_reader(occupancy: NDArray, crop: NoduleCrop) -> NoduleMask:
    large_enough = np.count_nonzero(occupancy >= 0.5) >= _LEAST_VOXELS
    return NoduleMask(np.asarray(occupancy if large_enough else crop.occupancy, dtype=np.float32), crop.grid)
