"""Crops that the second look learns from: nodules put into whole CTs, and what the search takes for nodules there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from LungNoduleAILib.detection import peaks
from LungNoduleAILib.heat import heat_map
from LungNoduleAILib.network import NoduleNetwork
from LungNoduleAILib.search import AIR_HU, SearchSpace
from LungNoduleAILib.second_look import crop_at
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.blending import blend
from LungNoduleAILib.training.lidc import NoduleCube
from LungNoduleAILib.training.nodule_patches import LEAST_DIAMETER_MM
from LungNoduleAILib.training.parametric import Insert, vessel_like
from LungNoduleAILib.training.scanners import other_scanner
from SegmentationAILib.engine.progress import Progress

# A crop of 32 mm can be moved by 4 mm in it.
SIDE = 40
# Low marks are looked at again too, but few of them; there are thousands.
_OFTEN_SHOWN, _SHARE_OF_LOWER = 0.07, 0.02
_VESSELS = 12
# Between the middles of nodules that are put in.
_LEAST_GAP = 26
# A nodule of which the chest wall hides more than this is another nodule.
_LEAST_SHOWN = 0.6
_TRIES = 12
_AT_SURFACE = 0.35
_WINDOW = 80
# A mark that near to a nodule's outline says nothing.
_UNSURE_MM = 2.0
_HU = (-1100, 2000)


@dataclass(frozen=True, eq=False)
class Pool:
    """Crops with a mark in the middle.

    Attributes:
        hu: int16 [n, 40, 40, 40] at 1 mm.
        nodule: bool [n].
        heat: float32 [n], of the search's mark; 0 where a nodule's centre was taken instead.
        diameter_mm: float32 [n], of the nodule; 0 for others.
    """

    hu: NDArray[np.int16]
    nodule: NDArray[np.bool_]
    heat: NDArray[np.float32]
    diameter_mm: NDArray[np.float32]

    @classmethod
    def of(cls, rows: Sequence[tuple[NDArray, bool, float, float]]) -> Pool:
        """Of (crop, nodule, heat, diameter in mm)."""
        hu, nodule, heat, diameter = zip(*rows, strict=True)
        small = np.clip(np.round(np.stack(hu)), *_HU).astype(np.int16)
        return cls(small, np.array(nodule), np.array(heat, np.float32), np.array(diameter, np.float32))

    @classmethod
    def joined(cls, parts: Sequence[Pool]) -> Pool:
        return cls(*(np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])))

    def __getitem__(self, rows: NDArray | slice) -> Pool:
        return Pool(*(array[rows] for array in vars(self).values()))


@dataclass(frozen=True, eq=False)
class Planted:
    """A CT with nodules put in.

    Attributes:
        space: the CT.
        nodules: uint16 [k, j, i], number of the nodule, 0 for none.
        ignored: bool [k, j, i], neither right nor wrong.
    """

    space: SearchSpace
    nodules: NDArray[np.uint16]
    ignored: NDArray[np.bool_]

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """[n, 3] in voxels (k, j, i) and diameters [n] in mm of all nodules."""
        numbers = np.unique(self.nodules[self.nodules > 0])
        middles = np.reshape(ndimage.center_of_mass(self.nodules > 0, self.nodules, numbers), (-1, 3))
        return middles, np.cbrt(6 * np.bincount(self.nodules.ravel())[numbers] / np.pi)


def plant(
    background: Background,
    inserts: Sequence[Callable[[np.random.Generator], Insert]],
    rng: np.random.Generator,
    vessels: int = _VESSELS,
) -> Planted:
    """Put nodules, and vessels and plates that are none, at random places of the lungs.

    Args:
        background: stays as it is; its own nodules count as nodules.
        inserts: make the nodules, one each; one that finds no place is left out.
        rng: of places and inserts.
        vessels: how many.
    """
    hu, lungs = background.hu.astype(np.float32), background.lungs.copy()
    nodules = background.nodules.astype(np.uint16)
    taken = (nodules > 0) | background.ignored
    inner = np.argwhere(lungs).astype(np.int16)
    surface = np.argwhere(lungs & ~ndimage.binary_erosion(lungs, iterations=3)).astype(np.int16)
    for _ in range(vessels):
        place = inner[rng.integers(len(inner))].astype(int)
        window, middle = _window(place, hu.shape)
        if not nodules[window].any():
            blend(hu[window], vessel_like(rng, rng.uniform(2, 7)), middle, lungs[window])
    middles: list[NDArray] = []
    grown = []
    for make in inserts:
        for _ in range(_TRIES):
            voxels = surface if rng.random() < _AT_SURFACE else inner
            place = voxels[rng.integers(len(voxels))].astype(int)
            if middles and np.linalg.norm(np.array(middles) - place, axis=1).min() < _LEAST_GAP:
                continue
            window, middle = _window(place, hu.shape)
            if taken[window][middle]:
                continue
            insert, before = make(rng), hu[window].copy()
            inside = blend(hu[window], insert, middle, lungs[window]) >= 0.5
            size = np.count_nonzero(inside)
            least = max(np.pi / 6 * LEAST_DIAMETER_MM**3, _LEAST_SHOWN * np.count_nonzero(insert.occupancy >= 0.5))
            if size < least or (inside & taken[window]).any():
                hu[window] = before
                continue
            nodules[window][inside] = nodules.max() + 1
            taken[window] |= ndimage.binary_dilation(inside, iterations=4)
            grown.append((window, inside))
            middles.append(place)
            break
    # A wall nodule belongs to the lungs, as it does in a real CT's lung mask.
    for window, inside in grown:
        lungs[window] |= inside
    return Planted(SearchSpace(hu, lungs, background.grid), nodules, background.ignored)


def marked(planted: Planted, network: NoduleNetwork, device: str, rng: np.random.Generator) -> Pool:
    """Every mark of the search, and the centres of nodules that got none."""
    hu = planted.space.hu
    centres, diameters = planted.centres()
    unsure = ndimage.binary_dilation(planted.ignored, iterations=3)
    missed = np.ones(len(centres), dtype=bool)
    rows = []
    for peak in peaks(heat_map(network, planted.space, device, Progress())):
        beyond = np.linalg.norm(centres - peak.kji, axis=1) - diameters / 2
        nearest = int(np.argmin(beyond)) if len(beyond) else -1
        if nearest >= 0 and beyond[nearest] < 0:
            missed[nearest] = False
            rows.append((crop_at(hu, peak.kji, SIDE), True, peak.heat, diameters[nearest]))
        elif unsure[tuple(map(int, peak.kji))] or (nearest >= 0 and beyond[nearest] < _UNSURE_MM):
            continue
        elif peak.heat >= _OFTEN_SHOWN or rng.random() < _SHARE_OF_LOWER:
            rows.append((crop_at(hu, peak.kji, SIDE), False, peak.heat, 0.0))
    rows += [(crop_at(hu, c, SIDE), True, 0.0, d) for c, d in zip(centres[missed], diameters[missed], strict=True)]
    return Pool.of(rows)


def centred(planted: Planted) -> Pool:
    """The nodules alone, with their centres in the middle; the search need not run for them."""
    hu = planted.space.hu
    return Pool.of([(crop_at(hu, c, SIDE), True, 0.0, d) for c, d in zip(*planted.centres(), strict=True)])


def in_place(cubes: Sequence[NoduleCube]) -> Pool:
    """Nodules in their own surroundings; what lies beyond a cube is as its side."""
    pad, rows = SIDE // 2, []
    for one in cubes:
        middle = np.argwhere(one.mask).mean(axis=0) + pad
        rows.append((crop_at(np.pad(one.hu, pad, mode="edge"), middle, SIDE), True, 0.0, one.diameter_mm))
    return Pool.of(rows)


def turned(background: Background, rng: np.random.Generator) -> Background:
    """The CT turned by some degrees and stretched; its vessels are as good as another's."""
    matrix = Rotation.from_euler("xyz", rng.normal(0, 15, 3), degrees=True).as_matrix() * np.exp(rng.normal(0, 0.12, 3))
    middle = (np.array(background.hu.shape) - 1) / 2
    offset = middle - matrix @ middle

    def cut(array: NDArray, order: int = 0, fill: float = 0) -> NDArray:
        return ndimage.affine_transform(array, matrix, offset, array.shape, order=order, cval=fill)

    return replace(
        background,
        hu=cut(background.hu, 3, AIR_HU),
        lungs=cut(background.lungs),
        nodules=cut(background.nodules),
        ignored=cut(background.ignored),
    )


def by_another_scanner(planted: Planted, rng: np.random.Generator) -> Planted:
    """The CT degraded as some scanner or protocol would."""
    return replace(planted, space=replace(planted.space, hu=other_scanner(planted.space.hu, rng)))


def _window(place: NDArray, shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[int, ...]]:
    """Voxels around a place, and the place's indices in them."""
    start = np.clip(place - _WINDOW // 2, 0, np.maximum(0, np.array(shape) - _WINDOW))
    window = tuple(slice(int(a), int(min(a + _WINDOW, n))) for a, n in zip(start, shape, strict=True))
    return window, tuple(int(c - a) for c, a in zip(place, start, strict=True))
