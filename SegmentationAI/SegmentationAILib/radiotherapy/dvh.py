"""Cumulative dose-volume histograms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dvh_sampling import sample
from SegmentationAILib.radiotherapy.structure_set import StructureSet
from SegmentationAILib.volume import Grid, Volume

_BINS = 2**16
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class DVH:
    """How much of a structure gets how much dose.

    Attributes:
        name: the structure's.
        dose_gy: [n] rising, from the lowest to the highest dose in the structure.
        at_least_cc: [n] falling, the volume inside the dose grid that gets at least that dose; linear between.
        mean_inside_gy: over the volume inside the dose grid, 0 where nothing is.
        outside_cc: the volume that lies outside the dose grid.
        outside_gy: the dose it is taken to get.
        outside_limit_gy: the highest dose on the outermost voxels of the dose grid.
    """

    name: str
    dose_gy: NDArray[np.float64]
    at_least_cc: NDArray[np.float64]
    mean_inside_gy: float
    outside_cc: float = 0.0
    outside_gy: float = 0.0
    outside_limit_gy: float = 0.0

    @property
    def volume_cc(self) -> float:
        return float(self.at_least_cc[0]) + self.outside_cc

    @property
    def outside_fraction(self) -> float:
        """Part of the structure that lies outside the dose grid, 0…1."""
        return self.outside_cc / self.volume_cc

    @property
    def mean_gy(self) -> float:
        inside = float(self.at_least_cc[0])
        return (self.mean_inside_gy * inside + self.outside_gy * self.outside_cc) / self.volume_cc

    @property
    def min_gy(self) -> float:
        return self.dose_at(self.volume_cc)

    @property
    def max_gy(self) -> float:
        return self.dose_at(0.0)

    @property
    def warning(self) -> str:
        """A sentence for the user where part of the structure has no dose, else ""."""
        if self.outside_fraction < 1e-6:
            return ""
        return (
            f"{100 * self.outside_fraction:.2g} % of '{self.name}' ({self.outside_cc:.3g} cc) lies outside the dose "
            f"grid and is taken to get {self.outside_gy:g} Gy."
        )

    def volume_at(self, dose_gy: ArrayLike) -> NDArray[np.float64]:
        """Volume in cc that gets at least each dose."""
        dose_gy = np.asarray(dose_gy, dtype=np.float64)
        inside = np.interp(dose_gy, self.dose_gy, self.at_least_cc, right=0.0)
        return inside + self.outside_cc * (dose_gy <= self.outside_gy)

    def dose_at(self, volume_cc: float) -> float:
        """The dose in Gy that at least the hottest ``volume_cc`` gets.

        Raises:
            InputError: the structure is smaller than that.
        """
        if volume_cc > self.volume_cc * (1 + _ROUNDING):
            raise InputError(f"'{self.name}' has {self.volume_cc:.3g} cc, less than the {volume_cc:g} cc asked for.")
        return max(
            self._inside_dose_at(volume_cc), min(self.outside_gy, self._inside_dose_at(volume_cc - self.outside_cc))
        )

    def geud_gy(self, a: float) -> float:
        """Generalised equivalent uniform dose (Niemierko, Med Phys 1999;26:1100): (Σ v·D^a)^(1/a).

        Args:
            a: 1 is the mean; large for serial organs, negative for targets.

        Raises:
            InputError: ``a`` is 0.
        """
        if a == 0 or not np.isfinite(a):
            raise InputError("The parameter a of gEUD cannot be 0; give 1 for the mean, more for a serial organ.")
        dose = np.append((self.dose_gy[:-1] + self.dose_gy[1:]) / 2, self.outside_gy)
        part = np.append(-np.diff(self.at_least_cc), self.outside_cc) / self.volume_cc
        dose, part = dose[part > 0], part[part > 0]
        highest = dose.max() if a > 0 else dose.min()
        if highest <= 0:
            return 0.0
        # Relative to the dose that counts most, so that no power overflows.
        return float(highest * np.sum(part * (dose / highest) ** a) ** (1 / a))

    def taking_outside_at(self, dose_gy: float) -> DVH:
        """The same where what lies outside the dose grid gets another dose."""
        return replace(self, outside_gy=dose_gy)

    def _inside_dose_at(self, volume_cc: float) -> float:
        if volume_cc > self.at_least_cc[0] * (1 + _ROUNDING):
            return -np.inf
        return float(np.interp(volume_cc, self.at_least_cc[::-1], self.dose_gy[::-1]))


def compute_dvh(dose: Volume, occupancy: NDArray, grid: Grid, *, name: str = "") -> DVH:
    """The DVH of one structure; ``dvh_sampling`` says how.

    Args:
        dose: in Gy, on any grid.
        occupancy: [k, j, i] on ``grid``: a mask, or the part of each voxel that is inside, 0…1.
        grid: the structure's.

    Raises:
        InputError: the structure is empty.
    """
    histogram = _Histogram(float(dose.array.min()), float(dose.array.max()))
    outside_cc = weighted = 0.0
    for samples in sample(dose, occupancy, grid):
        inside = np.isfinite(samples.dose_gy)
        outside_cc += float(samples.volume_cc[~inside].sum(dtype=np.float64))
        value, half, volume = (a[inside].astype(np.float64) for a in samples)
        weighted += float(value @ volume)
        histogram.add(value, half, volume)
    edges, at_least = histogram.cumulative()
    if at_least[0] + outside_cc == 0:
        raise InputError(f"The structure '{name}' is empty; draw it, or leave it out.")
    faces = [dose.array.take(end, axis) for axis in range(3) for end in (0, -1)]
    limit = float(max(face.max() for face in faces))
    mean = weighted / at_least[0] if at_least[0] else 0.0
    return DVH(name, edges, at_least, mean, outside_cc, 0.0, limit)


def structure_dvhs(
    dose: Volume,
    structures: StructureSet,
    *,
    names: Iterable[str] | None = None,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> tuple[DVH, ...]:
    """The DVHs of structures that are not empty, in the set's order.

    Args:
        names: which, all where not given.

    Raises:
        InputError: dose and structures have different frames of reference, or there is no structure of a name.
    """
    here, there = (s.frame_of_reference_uid if s else "" for s in (dose.source, structures.source))
    if here and there and here != there:
        raise InputError(
            "The dose and the structures have different frames of reference; choose the dose of this CT, "
            "or register them."
        )
    chosen = [structures[name] for name in names] if names is not None else list(structures)
    found = []
    for n, one in enumerate(chosen):
        progress(n / len(chosen), f"Dose of {one.name}")
        if one.mask.any():
            found.append(compute_dvh(dose, one.mask, structures.grid, name=one.name))
    return tuple(found)


def dose_grid_dvh(dose: Volume) -> DVH:
    """The DVH of the whole dose grid: where its isodose volumes are read."""
    return compute_dvh(dose, np.ones(dose.shape, dtype=bool), dose.grid, name="dose grid")


class _Histogram:
    """Volume by dose, of samples that are each even over a span of doses."""

    def __init__(self, lowest: float, highest: float) -> None:
        self._lowest, self._highest = lowest, highest
        self._width = max((highest - lowest) / _BINS, 1e-6)
        # A bin on each side for samples in the outermost bins.
        self._start = lowest - self._width
        self._steps = np.zeros(_BINS + 3)
        self._late = np.zeros(_BINS + 3)

    def add(self, value: NDArray[np.float64], half: NDArray[np.float64], volume: NDArray[np.float64]) -> None:
        """Count samples in Gy and cc that are even over value ± half."""
        start, end = np.maximum(value - half, self._lowest), np.minimum(value + half, self._highest)
        # No narrower than a bin, where the height would be infinite.
        narrow = end - start < self._width
        start[narrow], end[narrow] = value[narrow] - self._width / 2, value[narrow] + self._width / 2
        height = volume / (end - start)
        for at, step in ((start, height), (end, -height)):
            place = (at - self._start) / self._width
            index = np.clip(place.astype(np.intp), 0, _BINS + 2)
            self._steps += np.bincount(index, step, minlength=_BINS + 3)
            # What of the step its bin's beginning misses.
            self._late += np.bincount(index, step * (place - index), minlength=_BINS + 3)

    def cumulative(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Doses [n] from the lowest to the highest that occurs, and the volume [n] in cc that gets at least each."""
        per_bin = np.maximum(self._width * (np.cumsum(self._steps) - self._late), 0.0)
        filled = np.flatnonzero(per_bin > 1e-9 * per_bin.sum())
        if not len(filled):
            return np.zeros(2), np.zeros(2)
        held = per_bin[filled[0] : filled[-1] + 1]
        edges = self._start + self._width * np.arange(filled[0], filled[-1] + 2)
        return edges, np.append(np.cumsum(held[::-1])[::-1], 0.0)
