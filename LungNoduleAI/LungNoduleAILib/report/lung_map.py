"""A map of the lungs: their silhouettes from in front and from below with the nodules by their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.picture import Label, Line, Picture
from LungNoduleAILib.report.pictures import AXIAL, CORONAL, Plane
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.contours import plane_contours
from SegmentationAILib.terminology import AIRWAY
from SegmentationAILib.volume import Grid

_SPACING_MM = 2.0
_MARGIN_MM = 16.0
_LETTER_MM = 11.0
_NUMBER_MM = 12.0
_SMALLEST_RADIUS_MM = 3.0
_LUNG, _LUNG_EDGE = "#e3e9ef", "#74879a"
_AIRWAY, _AIRWAY_EDGE = "#f7f9fb", "#a9b8c6"
_NODULE, _NUMBER, _PAPER = "#d5600a", "#1c2733", "#ffffff"


@dataclass(frozen=True, eq=False)
class _View:
    """A silhouette: the plane it is seen in, and the RAS of the picture's top left corner."""

    plane: Plane
    corner: NDArray[np.float64]
    size: tuple[float, float]

    def on_picture(self, ras: ArrayLike) -> NDArray[np.float64]:
        """(x, y) of a point, mm."""
        return ((np.asarray(ras, dtype=float) - self.corner) @ self.plane.matrix)[:2]


def lung_map(lungs: LabelMap, nodules: Sequence[Nodule]) -> tuple[Picture, Picture]:
    """The lungs from in front and from below, 1 unit of the pictures being 1 mm; the patient's right is on the left.

    Args:
        lungs: right and left lung, and the airway where it is there.
        nodules: to mark at their places, with a circle of their size and their number.
    """
    low, high = _box(lungs)
    grid = _grid(low, high)
    labels = resample(lungs.array, lungs.grid, grid, mode="nearest")
    return (
        _picture(lungs, labels, nodules, CORONAL, low, high, "From in front (coronal)"),
        _picture(lungs, labels, nodules, AXIAL, low, high, "From below (axial)"),
    )


def _box(lungs: LabelMap) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest RAS of what the label map holds, mm; of all its voxels where it holds nothing."""
    held = lungs.array > 0
    ends = []
    for axis in range(3):
        found = np.flatnonzero(held.any(axis=tuple(n for n in range(3) if n != axis)))
        ends.append((found[0], found[-1]) if len(found) else (0, lungs.grid.shape[axis] - 1))
    kji = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    ras = lungs.grid.ras(kji[:, ::-1])
    return ras.min(axis=0) - _SPACING_MM, ras.max(axis=0) + _SPACING_MM


def _grid(low: NDArray, high: NDArray) -> Grid:
    """Voxels along L, P and S over the box, the first at the right, in front and below."""
    matrix = np.diag([-_SPACING_MM, -_SPACING_MM, _SPACING_MM, 1.0])
    matrix[:3, 3] = high[0], high[1], low[2]
    size = np.ceil((high - low) / _SPACING_MM).astype(int) + 1
    return Grid(tuple(size[::-1]), matrix)


def _picture(
    lungs: LabelMap,
    labels: NDArray,
    nodules: Sequence[Nodule],
    plane: Plane,
    low: NDArray,
    high: NDArray,
    title: str,
) -> Picture:
    # The corner from where the plane runs right and down.
    corner = np.where(plane.matrix[:, :2].sum(axis=1) < 0, high, low)
    extent = np.abs(plane.matrix[:, :2].T @ (high - low))
    size = tuple(float(mm) for mm in extent + 2 * _MARGIN_MM)
    view = _View(plane, corner - plane.matrix[:, :2] @ np.full(2, _MARGIN_MM), size)
    lines = _silhouettes(lungs, labels, plane)
    marks, numbers = _nodules(nodules, view)
    ids = ", ".join(str(nodule.id) for nodule in nodules)
    told = f"nodules {ids} at their places" if nodules else "no nodule marked"
    return Picture(*size, None, (*lines, *marks), (*_letters(view), *numbers), title, f"Map of the lungs, {told}.")


def _silhouettes(lungs: LabelMap, labels: NDArray, plane: Plane) -> list[Line]:
    lines = []
    for value, structure in sorted(lungs.structures.items()):
        mask = labels == value
        # The grid runs to L, P and S, so that a view from in front has the head at the end.
        flat = mask.any(axis=1)[::-1] if plane is CORONAL else mask.any(axis=0)
        is_airway = structure == AIRWAY
        for ring in plane_contours(flat, (_SPACING_MM, _SPACING_MM), tolerance_mm=0.3):
            lines.append(
                Line(
                    ring * _SPACING_MM + _MARGIN_MM,
                    _AIRWAY_EDGE if is_airway else _LUNG_EDGE,
                    0.8 if is_airway else 1.2,
                    closed=True,
                    fill=_AIRWAY if is_airway else _LUNG,
                )
            )
    return lines


def _letters(view: _View) -> list[Label]:
    width, height = view.size
    places = ((7.0, height / 2), (width - 7.0, height / 2), (width / 2, 7.0), (width / 2, height - 7.0))
    return [
        Label(letter, *place, _LETTER_MM, _LUNG_EDGE, bold=True)
        for letter, place in zip(view.plane.letters, places, strict=True)
    ]


def _nodules(nodules: Sequence[Nodule], view: _View) -> tuple[list[Line], list[Label]]:
    """A disc for each nodule, and its number where it covers no disc and no other number, if there is such a place."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    centres = [view.on_picture(nodule.centre_ras) for nodule in nodules]
    radii = [max(nodule.measurements.mean_diameter_mm / 2, _SMALLEST_RADIUS_MM) for nodule in nodules]
    discs = [
        Line(centre + radius * circle, _PAPER, 0.8, closed=True, fill=_NODULE)
        for centre, radius in zip(centres, radii, strict=True)
    ]
    taken: list[tuple[NDArray, float]] = list(zip(centres, radii, strict=True))
    taken += [(np.array([letter.x, letter.y]), 0.5 * _LETTER_MM) for letter in _letters(view)]
    labels = []
    for nodule, centre, radius in zip(nodules, centres, radii, strict=True):
        place = _free_place(centre, radius, taken, view.size)
        taken.append((place, 0.45 * _NUMBER_MM))
        labels.append(Label(str(nodule.id), *map(float, place), _NUMBER_MM, _NUMBER, behind=_PAPER, bold=True))
    return discs, labels


def _free_place(
    centre: NDArray, radius: float, taken: Sequence[tuple[NDArray, float]], size: tuple[float, float]
) -> NDArray[np.float64]:
    """Beside a disc, the nearest of the places around it that leaves most room to what is there."""
    reach = 0.45 * _NUMBER_MM
    best, most = centre, -np.inf
    for rounds in (1.0, 1.8, 2.6):
        for angle in np.radians(np.arange(0, 360, 30)):
            place = centre + (radius + rounds * reach + 1.0) * np.array([np.cos(angle), -np.sin(angle)])
            inside = min(*place, *(np.array(size) - place)) - reach
            room = min(float(np.linalg.norm(place - other)) - reach - away for other, away in taken)
            # More than a little room is no better, so that the number stays by its nodule.
            room = min(room, inside, 1.0)
            if room > most + 1e-6:
                best, most = place, room
        if most >= 0:
            break
    return best
