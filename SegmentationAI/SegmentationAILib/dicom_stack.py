"""How the slices of a DICOM series lie to each other, from their headers alone.

Positions and directions are LPS in mm.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.dicom_series import Series, Slice
from SegmentationAILib.errors import InputError

# Direction cosines are written with about six digits; 1e-3 is 0.06°, half a pixel across 512 pixels.
_DIRECTION_TOLERANCE = 1e-3
_SAME_PLACE_MM = 0.01
# Writers round slice positions to 0.1 mm (1.2, 2.5, 3.7 for slices 1.25 mm apart).
_POSITION_TOLERANCE_MM = 0.1
_POSITION_TOLERANCE_FRACTION = 0.05
_SIDEWAYS_TOLERANCE_PIXELS = 0.25
_HOUNSFIELD_UNITS = {"HU", "HU_MOD", "US"}  # "US" is "unspecified" (PS3.3 C.11.1.1.2)


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in order along the normal.

    Attributes:
        slices: one for each place, n of them.
        duplicates: index of a slice -> others at its place.
        axes: 3×3, rows are the unit vectors of i, j and the normal i × j in LPS.
        spacing: mm along the normal between slices of the regular grid.
        drift: LPS, mm across the normal for each mm along it; zero unless the gantry was tilted.
        samples: [m] fractional slice index of each slice of the regular grid where slices are
            missing or unevenly spaced; None where the slices are the regular grid.
    """

    slices: tuple[Slice, ...]
    duplicates: dict[int, tuple[Slice, ...]]
    axes: NDArray[np.float64]
    spacing: float
    drift: NDArray[np.float64]
    samples: NDArray[np.float64] | None

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal and the line through the slices' first voxels, degrees."""
        return float(np.degrees(np.arctan(np.linalg.norm(self.drift))))

    def ijk_to_lps(self, *, upright: bool) -> NDArray[np.float64]:
        """4×4 of the regular grid as acquired, or with the k axis along the normal."""
        spacing = self.slices[0].spacing_ij
        matrix = np.eye(4)
        matrix[:3, 0] = self.axes[0] * spacing[0]
        matrix[:3, 1] = self.axes[1] * spacing[1]
        matrix[:3, 2] = (self.axes[2] if upright else self.axes[2] + self.drift) * self.spacing
        matrix[:3, 3] = self.slices[0].position
        return matrix


def stack_slices(series: Series, *, interpolate_missing: bool) -> Stack:
    """Order a series' slices by position along their normal and find the regular grid they lie on.

    Raises:
        InputError: geometry is missing or differs between slices, the values are not HU, slices are
            shifted sideways, or (unless ``interpolate_missing``) missing or unevenly spaced.
    """
    _check_headers(series)
    axes = _axes(series)
    slices, duplicates = _ordered(series, axes[2])
    if len(slices) == 1:
        return Stack(slices, duplicates, axes, slices[0].thickness or 1.0, np.zeros(3), None)
    positions = np.array([s.position for s in slices]) - slices[0].position
    distance = positions @ axes[2]
    samples = _regular_samples(distance, series.name, interpolate_missing)
    count = len(slices) if samples is None else len(samples)
    drift = _sideways_drift(positions, distance, slices[0], axes[2], series.name)
    return Stack(slices, duplicates, axes, float(distance[-1]) / (count - 1), drift, samples)


def _check_headers(series: Series) -> None:
    slices, name = series.slices, series.name
    if not slices:
        raise InputError(f"The series '{name}' holds only localizers; choose the CT series.")
    if any(s.position is None or s.directions is None or s.spacing_ij is None for s in slices):
        raise InputError(
            f"The series '{name}' does not say where its images lie (position, orientation or pixel spacing is "
            "missing); export it again with complete headers."
        )
    other_units = {s.unit for s in slices} - _HOUNSFIELD_UNITS
    if series.modality == "CT" and other_units:
        raise InputError(
            f"The series '{name}' holds values in '{min(other_units)}', not Hounsfield units; choose a plain CT series."
        )
    first = slices[0]
    if any(s.size_ij != first.size_ij for s in slices):
        raise InputError(f"The images of the series '{name}' differ in size; export one reconstruction at a time.")
    if not all(np.allclose(s.spacing_ij, first.spacing_ij, rtol=1e-4) for s in slices):
        raise InputError(
            f"The images of the series '{name}' differ in pixel size; export one reconstruction at a time."
        )
    if not all(np.allclose(s.directions, first.directions, rtol=0, atol=_DIRECTION_TOLERANCE) for s in slices):
        raise InputError(
            f"The images of the series '{name}' lie in different directions; export the axial images alone, "
            "without localizers and reformats."
        )


def _axes(series: Series) -> NDArray[np.float64]:
    i, j = series.slices[0].directions
    lengths = np.linalg.norm([i, j], axis=1)
    if np.any(np.abs(lengths - 1) > 0.01) or abs(i @ j) > _DIRECTION_TOLERANCE:
        raise InputError(f"The series '{series.name}' has an invalid image orientation; export it again.")
    i = i / lengths[0]
    j = j - (j @ i) * i
    j /= np.linalg.norm(j)
    return np.array([i, j, np.cross(i, j)])


def _ordered(series: Series, normal: NDArray[np.float64]) -> tuple[tuple[Slice, ...], dict[int, tuple[Slice, ...]]]:
    """A slice for each place, in order, and the others at the same place."""
    # The order of files in a folder must not decide which of two duplicates is kept.
    by_place = sorted(
        series.slices, key=lambda s: (float(s.position @ normal), s.sop_instance_uid, str(s.path), s.frame)
    )
    ordered: list[Slice] = []
    duplicates: dict[int, list[Slice]] = defaultdict(list)
    for current in by_place:
        if ordered and (current.position - ordered[-1].position) @ normal < _SAME_PLACE_MM:
            duplicates[len(ordered) - 1].append(current)
        else:
            ordered.append(current)
    return tuple(ordered), {k: tuple(others) for k, others in duplicates.items()}


def _regular_samples(distance: NDArray[np.float64], name: str, interpolate: bool) -> NDArray[np.float64] | None:
    gaps = np.diff(distance)
    usual = float(np.sort(gaps)[(len(gaps) - 1) // 2])  # the median, but always one of the gaps
    tolerance = max(_POSITION_TOLERANCE_MM, _POSITION_TOLERANCE_FRACTION * usual)
    regular = np.linspace(0, distance[-1], len(distance))
    if np.all(np.abs(distance - regular) <= tolerance) and np.all(np.abs(gaps - usual) <= 2 * tolerance):
        return None
    if not interpolate:
        raise InputError(_irregularity(name, gaps, usual, 2 * tolerance))
    count = max(2, round(distance[-1] / usual) + 1)
    return np.interp(np.linspace(0, distance[-1], count), distance, np.arange(len(distance), dtype=np.float64))


def _irregularity(name: str, gaps: NDArray[np.float64], usual: float, tolerance: float) -> str:
    remedy = "export it again, or load it with interpolate_missing=True"
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    where = ", ".join(f"{k + 1} and {k + 2}" for k in odd[:3]) + (" and elsewhere" if len(odd) > 3 else "")
    steps = np.round(gaps[odd] / usual)
    if len(odd) and np.all(steps >= 2) and np.all(np.abs(gaps[odd] - steps * usual) <= tolerance * steps):
        missing = int(np.sum(steps - 1))
        amount = "1 slice is" if missing == 1 else f"{missing} slices are"
        return f"{amount} missing from the series '{name}', between slices {where}; {remedy}."
    place = f", as between slices {where}" if len(odd) else ""
    return (
        f"The slices of the series '{name}' are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm, usually "
        f"{usual:.2f} mm{place}); {remedy}."
    )


def _sideways_drift(
    positions: NDArray[np.float64],
    distance: NDArray[np.float64],
    first: Slice,
    normal: NDArray[np.float64],
    name: str,
) -> NDArray[np.float64]:
    """``Stack.drift`` of positions relative to the first slice's, by least squares."""
    aside = positions - np.outer(distance, normal)
    drift = distance @ aside / (distance @ distance)
    tolerance = max(_POSITION_TOLERANCE_MM, _SIDEWAYS_TOLERANCE_PIXELS * min(first.spacing_ij))
    if np.any(np.linalg.norm(aside - np.outer(distance, drift), axis=1) > tolerance):
        raise InputError(
            f"The slices of the series '{name}' are shifted sideways against each other; "
            "export one acquisition at a time."
        )
    return drift if np.linalg.norm(drift) * distance[-1] > _POSITION_TOLERANCE_MM else np.zeros(3)
