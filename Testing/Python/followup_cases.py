"""Two CTs of one patient with nodules of exactly known size that grew, shrank, came and went.

The prior CT is the current one breathed out, turned and shifted by a smooth field that is known everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from phantoms import AIR_HU, Canvas, ball
from scipy import ndimage
from scipy.spatial.transform import Rotation

from LungNoduleAILib.characterization import characterize, nodule_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.files import load
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Grid, Volume

NODULE_HU = 40.0
_SLAB = 16
_AROUND_MM = 18.0
_FROM_WALLS_MM = 12.0


@dataclass(frozen=True, eq=False)
class Breath:
    """Takes points of the prior CT to the current one.

    The diaphragm moves most, the apex not at all; on top lie a turn about the lungs' middle and a shift.
    """

    middle: NDArray
    extent_mm: float
    depth_mm: float
    widening_mm: float
    wave_mm: NDArray
    wave: NDArray
    phase: NDArray
    turn: NDArray
    shift_mm: NDArray

    @classmethod
    def of(cls, lungs: LabelMap, seed: int, depth_mm: float = 16.0) -> Breath:
        rng = np.random.default_rng(seed)
        kji = np.argwhere(lungs.array[::4, ::4, ::4] > 0) * 4
        ras = lungs.grid.ras(kji[:, ::-1])
        middle = ras.mean(axis=0)
        return cls(
            middle,
            float(np.ptp(ras[:, 2])),
            depth_mm * rng.choice([-1, 1]),
            rng.uniform(2, 5),
            rng.uniform(-2.5, 2.5, (3, 3)),
            rng.uniform(-1, 1, (3, 3)) * 2 * np.pi / 160.0,
            rng.uniform(0, 2 * np.pi, 3),
            Rotation.from_euler("xyz", rng.uniform(-6, 6, 3), degrees=True).as_matrix(),
            rng.uniform(-25, 25, 3),
        )

    def __call__(self, points: NDArray) -> NDArray:
        """RAS (..., 3) of the prior CT to RAS of the current one."""
        away = points - self.middle
        height = away[..., 2] / self.extent_mm
        lower = 1 / (1 + np.exp(8 * height))
        moved = away.copy()
        moved[..., 2] += self.depth_mm * lower
        moved[..., :2] += np.sign(self.depth_mm) * self.widening_mm * np.tanh(away[..., :2] / 80.0) * lower[..., None]
        for n in range(3):
            moved += np.sin(away @ self.wave[n] + self.phase[n])[..., None] * self.wave_mm[n]
        return moved @ self.turn.T + self.middle + self.shift_mm

    def back(self, points: NDArray) -> NDArray:
        """The inverse, to 1e-6 mm."""
        found = (points - self.shift_mm - self.middle) @ self.turn + self.middle
        for _ in range(200):
            found = found + (points - self(found)) @ self.turn
        return found


@dataclass(frozen=True)
class Lesion:
    """A ball on both CTs, or on one; diameters in mm, 0 where it is absent."""

    current_ras: tuple[float, float, float]
    prior_ras: tuple[float, float, float]
    current_mm: float
    prior_mm: float


@dataclass(frozen=True, eq=False)
class Case:
    """Both CTs, their lungs, the nodules as the project measures them, and the truth.

    ``current_of[n]`` and ``prior_of[n]`` are the ids of lesion n's nodules, None where it is absent.
    """

    current: Volume
    current_lungs: LabelMap
    current_nodules: tuple[Nodule, ...]
    prior: Volume
    prior_lungs: LabelMap
    prior_nodules: tuple[Nodule, ...]
    lesions: tuple[Lesion, ...]
    current_of: tuple[int | None, ...]
    prior_of: tuple[int | None, ...]
    breath: Breath

    @property
    def arguments(self) -> tuple:
        return (
            self.current,
            self.current_nodules,
            self.current_lungs,
            self.prior,
            self.prior_nodules,
            self.prior_lungs,
        )


@dataclass(frozen=True)
class Outcome:
    """How a follow-up compares with the truth.

    Attributes:
        right: lesions paired with themselves, or found new or resolved as they are; ``total``: all.
        doubling_errors: |found / true - 1| of the doubling times of those that changed and were paired.
    """

    right: int
    total: int
    doubling_errors: tuple[float, ...]


def outcome(case: Case, follow_up: FollowUp) -> Outcome:
    pairs = {(pair.current.id, pair.prior.id): pair for pair in follow_up.pairs}
    new, resolved = ({lone.nodule.id for lone in alone} for alone in (follow_up.new, follow_up.resolved))
    right, errors = 0, []
    for lesion, now, then in zip(case.lesions, case.current_of, case.prior_of, strict=True):
        if now is None or then is None:
            right += then in resolved if now is None else now in new
        elif (now, then) in pairs:
            right += 1
            if lesion.current_mm != lesion.prior_mm:
                true = follow_up.days * np.log(2) / (3 * np.log(lesion.current_mm / lesion.prior_mm))
                errors.append(abs(pairs[now, then].doubling.days / true - 1))
    return Outcome(right, len(case.lesions), tuple(errors))


def lung_ct(data_dir: Path) -> tuple[Volume, LabelMap]:
    """LIDC-IDRI-0314, 1 mm slices, and its lungs."""
    volume = load(data_dir / "LIDC-IDRI-0314" / "ct.nii.gz")
    return volume, segment_lungs(volume, device="cpu")


def breathe(volume: Volume, lungs: LabelMap, breath: Breath) -> tuple[Volume, LabelMap]:
    """The CT and its lungs as the prior CT would show them, on a grid that has gone along with the lungs' middle."""
    matrix = volume.grid.ijk_to_ras.copy()
    matrix[:3, 3] -= breath(breath.middle) - breath.middle
    grid = Grid(volume.shape, matrix)
    hu, labels = np.empty(grid.shape, np.float32), np.empty(grid.shape, lungs.array.dtype)
    for start in range(0, grid.shape[0], _SLAB):
        part = slice(start, min(start + _SLAB, grid.shape[0]))
        k, j, i = np.indices((part.stop - part.start, *grid.shape[1:]))
        there = volume.grid.ijk(breath(grid.ras(np.stack([i, j, k + start], axis=-1))))
        kji = np.moveaxis(there[..., ::-1], -1, 0)
        ndimage.map_coordinates(volume.array, kji, hu[part], order=1, cval=AIR_HU)
        ndimage.map_coordinates(lungs.array, kji, labels[part], order=0)
    return Volume(hu, grid, "prior", "CT"), LabelMap(labels, grid, lungs.structures)


def planted(volume: Volume, balls: list[tuple[NDArray, float]], noise_hu: float, seed: int) -> Volume:
    """The CT with balls of soft tissue of exactly known size, and noise."""
    canvas = Canvas(volume.grid)
    canvas.hu = volume.array.astype(np.float32)
    for centre, diameter in balls:
        radius = diameter / 2
        canvas.paint(lambda p, c=centre, r=radius: ball(p, c, r), NODULE_HU, near=(centre, centre, radius))
    noise = np.random.default_rng(seed).normal(0, noise_hu, volume.shape) if noise_hu else 0
    return Volume(np.round(canvas.hu + noise).astype(np.int16), volume.grid, volume.name, "CT")


def places(volume: Volume, lungs: LabelMap, count: int, apart_mm: float, vessels: float, rng) -> NDArray:
    """RAS [count, 3] of places in the lungs, clear of walls; at most that share of what is around may be dense."""
    step = np.maximum(1, np.round(3.0 / volume.spacing[::-1])).astype(int)
    coarse = tuple(slice(None, None, n) for n in step)
    inside = np.isin(lungs.array[coarse], (1, 2))
    dense = (volume.array[coarse] > -600).astype(np.float32)
    spacing = volume.spacing[::-1] * step
    depth = ndimage.distance_transform_edt(inside, sampling=spacing)
    around = ndimage.uniform_filter(dense, np.maximum(3, np.round(_AROUND_MM / spacing)).astype(int))
    candidates = rng.permutation(np.argwhere((depth > _FROM_WALLS_MM) & (around <= vessels)) * step)
    chosen: list[NDArray] = []
    for point in volume.grid.ras(candidates[:, ::-1]):
        if all(np.linalg.norm(point - other) > apart_mm for other in chosen):
            chosen.append(point)
            if len(chosen) == count:
                return np.array(chosen)
    raise ValueError(f"the lungs have room for {len(chosen)} of {count} nodules")


def follow_up_case(
    volume: Volume,
    lungs: LabelMap,
    seed: int,
    *,
    count: int = 12,
    smallest_mm: float = 6.0,
    depth_mm: float = 16.0,
    apart_mm: float = 26.0,
    noise_hu: float = 12.0,
    vessels: float = 0.005,
) -> Case:
    """A third of the nodules grow, a sixth shrink, a sixth stay, a sixth are new and a sixth went away."""
    rng = np.random.default_rng(seed)
    breath = Breath.of(lungs, seed, depth_mm)
    prior, prior_lungs = breathe(volume, lungs, breath)
    centres = places(volume, lungs, count, apart_mm, vessels, rng)
    lesions = []
    for n, centre in enumerate(centres):
        size = rng.uniform(smallest_mm, 14.0)
        factor = (rng.uniform(1.3, 2.0), rng.uniform(1.15, 1.5), 1 / rng.uniform(1.3, 1.6), 1.0, 0.0, 0.0)[n % 6]
        before, after = (size, size * factor) if factor >= 1 else (size / factor, size) if factor else (size, 0.0)
        if n % 6 == 4:
            before, after = 0.0, size
        lesions.append(Lesion(tuple(centre), tuple(breath.back(centre)), after, before))
    now = planted(volume, [(x.current_ras, x.current_mm) for x in lesions if x.current_mm], noise_hu, seed)
    then = planted(prior, [(x.prior_ras, x.prior_mm) for x in lesions if x.prior_mm], noise_hu, seed + 1000)
    found_now, current_of = _measured(now, lungs, [(x.current_ras, x.current_mm) for x in lesions], rng)
    found_then, prior_of = _measured(then, prior_lungs, [(x.prior_ras, x.prior_mm) for x in lesions], rng)
    return Case(now, lungs, found_now, then, prior_lungs, found_then, tuple(lesions), current_of, prior_of, breath)


def _measured(volume, lungs, balls, rng) -> tuple[tuple[Nodule, ...], tuple[int | None, ...]]:
    """Nodules as a detector would hand them on, a little off in place and size, numbered in no order."""
    inside = np.isin(lungs.array, (1, 2))
    present = [n for n, (_, diameter) in enumerate(balls) if diameter]
    ids: list[int | None] = [None] * len(balls)
    nodules = []
    for number, n in enumerate(rng.permutation(present), start=1):
        centre, diameter = balls[n]
        near = tuple(np.asarray(centre) + rng.normal(0, 0.5, 3))
        expected = diameter * rng.uniform(0.9, 1.15)
        mask, _ = characterize(volume, near, expected, inside)
        nodules.append(nodule_of(volume, lungs, mask, number, expected, 0.9))
        ids[n] = number
    return tuple(nodules), tuple(ids)
