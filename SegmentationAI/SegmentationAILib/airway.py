"""Trachea and large bronchi by region growing that detects its own leak into the lung."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Tracheal air is darker than lung, which at full inspiration is about -870 HU.
_SEED_HU = -880.0
# Cross-section of the trachea or a main bronchus, mm²: coronal 13-27 mm, sagittal 13-27 mm in adults
# (Breatnach et al., AJR 1984), with room for children and for the carina.
_SECTION_MM2 = (40.0, 900.0)
# A seed must be a tube at least this long.
_TUBE_MM = 20.0
# Halfway between air and soft tissue, where the edge of a blurred lumen lies.
_EDGE_HU = -480.0
_THRESHOLDS_HU = tuple(range(-980, -690, 20))
# Volume of trachea and bronchi seen in CT; growth past it, or a jump, is a leak into the lung.
_LARGEST_ML = 120.0
_LEAK_JUMP = 1.8
_LEAK_FROM_ML = 15.0


def segment_airway(hu: NDArray[np.float32], body: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.bool_]:
    """The airway's lumen; empty where no trachea or main bronchus is in the field of view.

    The threshold rises step by step; growing stops before the step at which the volume jumps, which
    is where a thin bronchial wall gave way (Mori et al., IEEE TMI 2000).

    Args:
        hu: [k, j, i] on an isotropic grid whose i, j, k run to left, posterior, superior.
        body: the body with what it encloses, as ``segment_body`` gives it.
        spacing_mm: voxel size.
    """
    seed = _find_tube(hu, body, spacing_mm)
    airway = np.zeros(hu.shape, dtype=bool)
    if seed is None:
        return airway
    volume_ml = 0.0
    for threshold in _THRESHOLDS_HU:
        labels, _ = ndimage.label((hu < threshold) & body)
        reached = np.unique(labels[seed])
        reached = reached[reached > 0]
        if len(reached) == 0:
            continue
        grown = np.isin(labels, reached)
        grown_ml = np.count_nonzero(grown) * spacing_mm**3 / 1000.0
        leaked = grown_ml > _LARGEST_ML or (volume_ml > _LEAK_FROM_ML and grown_ml > _LEAK_JUMP * volume_ml)
        if leaked:
            break
        airway, volume_ml = grown, grown_ml
    return ndimage.binary_dilation(airway) & (hu < _EDGE_HU) & body


def _find_tube(hu: NDArray, body: NDArray, spacing_mm: float) -> tuple[NDArray, ...] | None:
    """Indices of the section in which, from the top, a tube of dark air has run for long enough."""
    dark = (hu < _SEED_HU) & body
    length_so_far: list[tuple[int, NDArray]] = []
    for k in range(len(hu) - 1, -1, -1):
        sections = _round_sections(dark[k], body[k], spacing_mm)
        length_so_far = [
            (1 + max((n for n, above in length_so_far if (above & section).any()), default=0), section)
            for section in sections
        ]
        for length, section in length_so_far:
            if length * spacing_mm >= _TUBE_MM:
                j, i = np.nonzero(section)
                return np.full(len(j), k), j, i
    return None


def _round_sections(dark: NDArray, body: NDArray, spacing_mm: float) -> list[NDArray]:
    """Roundish spots of dark air of a trachea's size in the middle third of the body's width."""
    columns = np.flatnonzero(body.any(axis=0))
    if len(columns) == 0:
        return []
    left, width = columns[0], columns[-1] - columns[0]
    labels, _ = ndimage.label(dark)
    found = []
    for value, (rows, cols) in enumerate(ndimage.find_objects(labels), 1):
        spot = labels[rows, cols] == value
        height, across = spot.shape
        area = np.count_nonzero(spot)
        centre = (cols.start + cols.stop) / 2
        if (
            _SECTION_MM2[0] < area * spacing_mm**2 < _SECTION_MM2[1]
            and max(height, across) <= 2.5 * min(height, across)
            and area >= 0.5 * height * across
            and left + 0.3 * width < centre < left + 0.7 * width
        ):
            section = np.zeros_like(dark)
            section[rows, cols] = spot
            found.append(section)
    return found
