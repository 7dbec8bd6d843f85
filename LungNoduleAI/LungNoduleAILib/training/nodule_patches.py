"""Patches that the nodule network learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from LungNoduleAILib.network import HEAT_STRIDE, normalized
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.blending import blend, real_insert
from LungNoduleAILib.training.lidc import NoduleCrop, NoduleCube
from LungNoduleAILib.training.parametric import Insert, parametric_nodule, vessel_like
from LungNoduleAILib.training.scanners import other_scanner

SIDE = 48
# Nodules under 3 mm are no findings (Fleischner 2017), and a voxel of 1 mm shows little of them.
LEAST_DIAMETER_MM = 3.0
_AIR_HU = -1000.0
# Share of backgrounds that are turned and stretched.
_TURNED = 0.6


@dataclass(frozen=True, eq=False)
class Scene:
    """A patch before it becomes tensors; arrays are [k, j, i] at 1 mm.

    Attributes:
        hu: float32.
        nodules: uint8, number of the nodule, 0 for none.
        ignored: bool, neither right nor wrong.
        rough: bool, where a nodule is no better known than as a ball; None where all have outlines.
    """

    hu: NDArray[np.float32]
    nodules: NDArray[np.uint8]
    ignored: NDArray[np.bool_]
    rough: NDArray[np.bool_] | None = None


class NodulePatches:
    """Lungs with nodules blended in, and nodules in place; patch n is a function of seed and n.

    Args:
        backgrounds: whole CTs.
        crops: readers' nodules to blend into them.
        cubes: nodules in their own surroundings.
        seed: of all patches.
        at_nodules: share of patches around a nodule of a background, for backgrounds with many.
        blended: whether nodules and vessels are put in; if not, patches show the CTs alone.
    """

    def __init__(
        self,
        backgrounds: Sequence[Background],
        crops: Sequence[NoduleCrop],
        cubes: Sequence[NoduleCube],
        seed: int,
        *,
        at_nodules: float = 0.0,
        blended: bool = True,
    ) -> None:
        self._backgrounds, self._crops, self._cubes, self._seed = backgrounds, crops, cubes, seed
        self._at_nodules, self._blend = at_nodules, blended
        self._voxels = [_lung_voxels(one.lungs) for one in backgrounds]
        self._centres = [
            (which, centre) for which, one in enumerate(backgrounds) for centre in (_centres(one) if at_nodules else ())
        ]
        # All patches of a run have the same keys.
        self._rough = any(one.rough is not None for one in backgrounds)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """One patch: image [1, k, j, i], nodules, weight, heat, log_diameter; see ``tensors``.

        ``mask_weight`` is there too where a background has nodules without outline.
        """
        rng = np.random.default_rng((self._seed, index))
        scene = self._in_place(rng) if self._cubes and rng.random() < 0.25 else self._blended(rng)
        scene = _turned(scene, rng)
        return tensors(replace(scene, hu=other_scanner(scene.hu, rng)))

    def _in_place(self, rng: np.random.Generator) -> Scene:
        cube = self._cubes[rng.integers(len(self._cubes))]
        room = cube.hu.shape[0] - SIDE
        start = rng.integers(0, room + 1, 3)
        window = tuple(slice(a, a + SIDE) for a in start)
        nothing = np.zeros((SIDE,) * 3, dtype=bool)
        rough = nothing if self._rough else None
        return Scene(cube.hu[window].copy(), cube.mask[window].astype(np.uint8), nothing, rough)

    def _blended(self, rng: np.random.Generator) -> Scene:
        which, centre = self._place(rng)
        background = self._backgrounds[which]
        place = _Window.turned(centre, rng) if rng.random() < _TURNED else _Window(centre)
        hu = place.cut(background.hu, _AIR_HU).astype(np.float32)
        lungs, nodules, ignored = (
            place.cut(array) for array in (background.lungs, background.nodules, background.ignored)
        )
        rough = None
        if self._rough:
            nowhere = np.zeros((1, 1, 1), dtype=bool)
            rough = place.cut(nowhere if background.rough is None else background.rough)
        if not self._blend:
            return Scene(hu, nodules, ignored, rough)
        taken = (nodules > 0) | ignored
        if rng.random() < 0.3:
            self._insert_vessel(rng, hu, lungs, taken)
        number = int(nodules.max())
        for _ in range(int(rng.choice([0, 1, 2, 3], p=[0.3, 0.4, 0.2, 0.1]))):
            place = _place(rng, lungs, taken)
            if place is None:
                continue
            insert = self.nodule(rng)
            inside = blend(hu, insert, place, lungs) >= 0.5
            size = np.count_nonzero(inside)
            if size < np.pi / 6 * LEAST_DIAMETER_MM**3 or size < 0.35 * np.count_nonzero(insert.occupancy >= 0.5):
                ignored |= ndimage.binary_dilation(inside, iterations=2)
                continue
            number += 1
            nodules[inside] = number
            taken |= ndimage.binary_dilation(inside, iterations=6)
        return Scene(hu, nodules, ignored, rough)

    def _place(self, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
        """Number of a background and the voxel (k, j, i) in it that a patch is centred on."""
        if self._centres and rng.random() < self._at_nodules:
            which, centre = self._centres[rng.integers(len(self._centres))]
            return which, centre + rng.integers(-SIDE // 4, SIDE // 4 + 1, 3)
        which = int(rng.integers(len(self._backgrounds)))
        spots = self._backgrounds[which].spots
        if rng.random() < 0.4 and len(spots):
            return which, spots[rng.integers(len(spots))] + rng.integers(-8, 9, 3)
        return which, self._voxels[which][rng.integers(len(self._voxels[which]))]

    def nodule(self, rng: np.random.Generator) -> Insert:
        """Two of three times a reader's nodule where there are any, else one from a formula."""
        if rng.random() < 0.65 and self._crops:
            crop = self._crops[rng.integers(len(self._crops))]
            least, most = LEAST_DIAMETER_MM / crop.diameter_mm, 30.0 / crop.diameter_mm
            return real_insert(crop, rng, float(np.clip(np.exp(rng.normal(0, 0.15)), least, max(most, 1.0))))
        kind = rng.choice(["solid", "part-solid", "ground glass", "calcified"], p=[0.5, 0.15, 0.27, 0.08])
        # Small ones are the most frequent in patients, and ground glass is seldom small.
        least = 5.0 if kind in ("part-solid", "ground glass") else LEAST_DIAMETER_MM
        diameter = float(np.exp(rng.uniform(np.log(least), np.log(30.0))))
        return parametric_nodule(rng, diameter, str(kind))

    def _insert_vessel(self, rng: np.random.Generator, hu: NDArray, lungs: NDArray, taken: NDArray) -> None:
        place = _place(rng, lungs, taken)
        if place is not None:
            blend(hu, vessel_like(rng, rng.uniform(2, 7)), place, lungs)


def tensors(scene: Scene) -> dict[str, torch.Tensor]:
    """What the network and its loss read.

    Returns:
        image: [1, k, j, i], normalized.
        nodules: float32 [1, k, j, i], 1 in a nodule.
        weight: float32 [1, k, j, i], 0 where the answer does not matter.
        heat: float32 [1, k/2, j/2, i/2], 1 at a nodule's centre, falling off as a Gaussian.
        log_diameter: float32 [1, k/2, j/2, i/2] around centres, 0 elsewhere.
        mask_weight: float32 [1, k, j, i], only where the scene says what is rough: the weight without that.
    """
    coarse = tuple(n // HEAT_STRIDE for n in scene.hu.shape)
    heat, log_diameter = np.zeros(coarse, dtype=np.float32), np.zeros(coarse, dtype=np.float32)
    axes = np.ogrid[tuple(slice(0, n) for n in coarse)]
    for number in np.unique(scene.nodules[scene.nodules > 0]):
        voxels = np.argwhere(scene.nodules == number)
        diameter = np.cbrt(6 * len(voxels) / np.pi)
        centre = (voxels.mean(axis=0) + 0.5) / HEAT_STRIDE - 0.5
        # On the grid the peak is one whole voxel: a centre between voxels belongs to the nearest.
        peak = np.clip(np.round(centre), 0, np.array(coarse) - 1)
        square = sum((axis - c) ** 2 for axis, c in zip(axes, peak, strict=True))
        bell = np.exp(-square / (2 * max(diameter / 6 / HEAT_STRIDE, 0.6) ** 2))
        nearer = bell > heat
        heat[nearer] = bell[nearer]
        log_diameter[nearer & (bell > 0.3)] = np.log(diameter)
    held = {
        "image": torch.from_numpy(normalized(scene.hu))[None],
        "nodules": torch.from_numpy((scene.nodules > 0).astype(np.float32))[None],
        "weight": torch.from_numpy((~scene.ignored).astype(np.float32))[None],
        "heat": torch.from_numpy(heat)[None],
        "log_diameter": torch.from_numpy(log_diameter)[None],
    }
    if scene.rough is not None:
        held["mask_weight"] = torch.from_numpy((~scene.ignored & ~scene.rough).astype(np.float32))[None]
    return held


def _turned(scene: Scene, rng: np.random.Generator) -> Scene:
    """Flipped along any axis, and the plane's axes swapped: lungs have no handedness that matters here."""
    flips = tuple(slice(None, None, step) for step in rng.choice([-1, 1], 3))
    axes = (0, 2, 1) if rng.random() < 0.5 else (0, 1, 2)
    turned = {
        name: np.ascontiguousarray(array[flips].transpose(axes))
        for name, array in vars(scene).items()
        if array is not None
    }
    return Scene(**turned)


def _centres(background: Background) -> NDArray[np.int64]:
    """[n, 3] voxels (k, j, i) in the middle of the background's nodules."""
    numbers = np.unique(background.nodules[background.nodules > 0])
    middles = ndimage.center_of_mass(background.nodules > 0, background.nodules, numbers)
    return np.round(np.reshape(middles, (-1, 3))).astype(np.int64)


def _lung_voxels(lungs: NDArray[np.bool_]) -> NDArray[np.int16]:
    return np.argwhere(lungs).astype(np.int16)


def _place(rng: np.random.Generator, lungs: NDArray[np.bool_], taken: NDArray[np.bool_]) -> tuple[int, ...] | None:
    """A free voxel of the lungs; one time in three at their surface, where nodules are often missed."""
    free = lungs & ~taken
    if rng.random() < 0.35:
        free &= ~ndimage.binary_erosion(lungs, iterations=3, border_value=1)
    voxels = np.flatnonzero(free)
    if len(voxels) == 0:
        return None
    return tuple(int(n) for n in np.unravel_index(voxels[rng.integers(len(voxels))], lungs.shape))


@dataclass(frozen=True, eq=False)
class _Window:
    """A cube of ``SIDE`` voxels around one voxel (k, j, i) of a CT, turned and stretched by ``matrix``.

    A few CTs hold a few vessels; turned and stretched ones are as good as others to learn from.
    """

    centre: NDArray[np.int64]
    matrix: NDArray[np.float64] | None = None

    @classmethod
    def turned(cls, centre: NDArray[np.int64], rng: np.random.Generator) -> _Window:
        angles = np.radians(rng.normal(0, 15, 3))
        return cls(centre, Rotation.from_euler("xyz", angles).as_matrix() * np.exp(rng.normal(0, 0.12, 3)))

    def cut(self, array: NDArray, fill: float = 0) -> NDArray:
        """The cube's voxels, filled where it goes beyond the array."""
        if self.matrix is None:
            return _cut(array, self.centre - SIDE // 2, SIDE, fill)
        corners = np.abs(self.matrix).sum(axis=1) * SIDE / 2
        side = 2 * int(np.ceil(corners.max())) + 4
        near = _cut(array, self.centre - side // 2, side, fill)
        middle = np.full(3, side // 2) - self.matrix @ np.full(3, SIDE // 2)
        order = 3 if array.dtype == np.int16 else 0
        return ndimage.affine_transform(near, self.matrix, middle, (SIDE,) * 3, order=order, mode="nearest")


def _cut(array: NDArray, start: NDArray, side: int, fill: float) -> NDArray:
    cube = np.full((side,) * 3, fill, dtype=array.dtype)
    low = np.maximum(start, 0)
    high = np.minimum(start + side, array.shape)
    if (high > low).all():
        there = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        cube[there] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    return cube
