"""LIDC-IDRI's nodules as the folders lidc-vois and lidc-cubes hold them, at 1 mm.

Armato et al., Med Phys 2011 (CC BY 3.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.network import SPACING_MM
from LungNoduleAILib.rating import WORDS
from LungNoduleAILib.training.lidc_vois import read_boxes
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid, Volume

# Room around a nodule in which it is blended into its new surroundings.
MARGIN_MM = 6
# Voxels that are put around a box, enough for the margin at the thinnest slices.
_PAD = 12
_TISSUE_HU = -500.0
_TYPICAL_LUNG_HU = -850.0
# Within this a nodule's edge falls to 1/e.
_BLUR_MM = 0.8


@dataclass(frozen=True, eq=False)
class NoduleCrop:
    """A nodule that readers outlined, cut out of its CT.

    Attributes:
        name: of the nodule.
        patient: whose it is.
        hu: float32 [k, j, i] at 1 mm along L, P and S.
        distance: float32 [k, j, i], mm to the outline, positive inside.
        diameter_mm: of the ball of the same volume.
        texture: the readers' rating, 1 ground glass … 5 solid.
        slice_mm: distance of the CT's slices.
    """

    name: str
    patient: str
    hu: NDArray[np.float32]
    distance: NDArray[np.float32]
    diameter_mm: float
    texture: int
    slice_mm: float

    @property
    def kind(self) -> str:
        """Attenuation type by the readers' texture rating (McNitt-Gray et al., Acad Radiol 2007)."""
        return WORDS["texture"][self.texture - 1]


def read_crops(folder: Path) -> list[NoduleCrop]:
    """All nodules of lidc-vois in the order of ``nodules.csv``.

    Raises:
        InputError: as ``read_boxes``.
    """
    return [make_crop(box.name, box.patient, box.ratings["texture"], box.image, box.mask) for box in read_boxes(folder)]


def make_crop(name: str, patient: str, texture: int, image: Volume, mask: Volume) -> NoduleCrop:
    """A nodule from a box of a CT and the outline in it, on one grid; the outline may touch the box's ends."""
    kept = mask.array > 0
    # The box ends where the outline ends along z: one more slice on each side closes it.
    padded = np.pad(kept, 1)
    step = np.array([mask.grid.spacing[2], mask.grid.spacing[1], mask.grid.spacing[0]])
    inner = ndimage.distance_transform_edt(padded, sampling=step)
    outer = ndimage.distance_transform_edt(~padded, sampling=step)
    # Distances are between voxel centres; the outline lies half a voxel before.
    signed = (np.where(padded, inner, -outer)).astype(np.float32)
    around = mask.grid.crop((-1, -1, -1), padded.shape)
    box = around.canonical().with_spacing(SPACING_MM)
    box = box.crop((-MARGIN_MM,) * 3, tuple(n + 2 * MARGIN_MM for n in box.shape))
    distance = resample(signed, around, box, fill=float(signed.min()))
    padded_grid = image.grid.crop((-_PAD,) * 3, tuple(n + 2 * _PAD for n in image.shape))
    hu = resample(_fading(image, _lung_hu(image.array[~kept])), padded_grid, box)
    volume = float(np.count_nonzero(kept)) * mask.grid.voxel_volume
    return NoduleCrop(
        name=name,
        patient=patient,
        hu=np.asarray(hu, dtype=np.float32),
        distance=np.asarray(distance, dtype=np.float32),
        diameter_mm=float(np.cbrt(6 * volume / np.pi)),
        texture=texture,
        slice_mm=float(step[0]),
    )


def _fading(image: Volume, lung_hu: float) -> NDArray[np.float32]:
    """The box with voxels around it, where its last ones fade into lung.

    The box ends with the outline, so the slices in which the nodule is blurred away are not there: the
    last slice goes on, and falls off as a CT's blur does.
    """
    spread = np.pad(image.array.astype(np.float32), _PAD, mode="edge") - lung_hu
    for axis, step in enumerate(image.grid.spacing[::-1]):
        n = image.shape[axis]
        beyond = step * np.maximum(0, np.abs(np.arange(-_PAD, n + _PAD) - (n - 1) / 2) - (n - 1) / 2)
        spread *= np.exp(-beyond / _BLUR_MM).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
    return spread + np.float32(lung_hu)


def _lung_hu(hu: NDArray) -> float:
    """The middle of what is lung among the voxels around a nodule."""
    lung = hu[hu < _TISSUE_HU]
    return float(np.median(lung)) if lung.size else _TYPICAL_LUNG_HU


@dataclass(frozen=True, eq=False)
class NoduleCube:
    """A nodule in its own surroundings.

    Attributes:
        name: of the nodule; the number before ``_nod`` is the scan's.
        hu: float32 [51, 51, 51] in (k, j, i) at 1 mm; clipped to −1200…400 by its publisher.
        mask: bool [51, 51, 51].
    """

    name: str
    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]

    @property
    def scan(self) -> str:
        return self.name.split("_nod")[0]

    @property
    def diameter_mm(self) -> float:
        return float(np.cbrt(6 * np.count_nonzero(self.mask) / np.pi))


def read_cubes(path: Path) -> list[NoduleCube]:
    """All of lidc-cubes, turned from the file's (row, column, slice) to (k, j, i)."""
    held = np.load(path)
    cubes = []
    for name, hu, mask in zip(held["name"], held["hu"], held["mask"], strict=True):
        # Slices run downwards in the file, as overlaps with lidc-vois show.
        turned = hu.transpose(2, 0, 1)[::-1], mask.transpose(2, 0, 1)[::-1]
        cubes.append(NoduleCube(str(name), turned[0].astype(np.float32), turned[1] > 0))
    return cubes


def box_grid(shape: tuple[int, int, int]) -> Grid:
    """A grid of 1 mm for a crop whose place in the body does not matter."""
    return Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0]))
