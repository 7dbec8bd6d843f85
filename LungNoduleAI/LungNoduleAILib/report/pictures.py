"""Key images of a nodule: sections along the patient's axes in the lung window, with outline, ruler and directions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from LungNoduleAILib.character import Diameters
from LungNoduleAILib.explanation.result import Explanation, Similar
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.picture import Label, Line, Picture
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.contours import isolines
from SegmentationAILib.volume import Grid, Volume

# Lung window as radiology uses it.
LEVEL_HU, WINDOW_HU = -600.0, 1500.0
_AIR_HU = -1024.0
# Okabe & Ito's palette, for all kinds of colour vision.
OUTLINE = "#f5a623"
AXES = "#56b4e9"
_FOR, _AGAINST = np.array([230.0, 120.0, 0.0]), np.array([0.0, 114.0, 178.0])
_STRONGEST_ALPHA = 0.8

_PIXELS = 288
_LEAST_SIDE_MM = 40.0
# Around the nodule, on each side.
_AROUND_MM = 12.0
_RULERS_MM = (10.0, 20.0, 50.0, 100.0)
# A diameter that lies farther from a section is not drawn in it.
_SAME_PLANE_MM = 1.0


@dataclass(frozen=True)
class Plane:
    """How a section is shown: what runs right and down in RAS, and the letters at its edges."""

    title: str
    across: tuple[float, float, float]
    down: tuple[float, float, float]
    letters: str

    @property
    def matrix(self) -> NDArray[np.float64]:
        """3×3, columns are right, down and away from the viewer, RAS."""
        return np.column_stack([self.across, self.down, np.cross(self.across, self.down)])


# As radiologists look at it: the patient's right is on the left, front or head is up. Letters: left, right, up, down.
AXIAL = Plane("Axial", (-1, 0, 0), (0, -1, 0), "RLAP")
CORONAL = Plane("Coronal", (-1, 0, 0), (0, 0, -1), "RLSI")
SAGITTAL = Plane("Sagittal", (0, -1, 0), (0, 0, -1), "APSI")


def key_pictures(volume: Volume, nodule: Nodule) -> tuple[Picture, Picture, Picture]:
    """Axial, coronal and sagittal section through a nodule.

    The axial one lies where the longest axial diameter was measured, and shows it, where that is known.

    Args:
        volume: CT that the nodule was found in, HU.
    """
    side = side_mm(nodule)
    axes = nodule.character.axial if nodule.character else None
    centre = np.array(nodule.centre_ras, dtype=float)
    axial = centre.copy()
    if axes is not None:
        axial[2] = float(np.mean([end[2] for end in axes.long_axis_ras]))
    return (
        section(volume, axial, side, AXIAL, nodule, axes),
        section(volume, centre, side, CORONAL, nodule),
        section(volume, centre, side, SAGITTAL, nodule),
    )


def side_mm(*nodules: Nodule) -> float:
    """Length of the sides of a square section that shows each of the nodules with what is around it."""
    reach = [_reach(nodule) for nodule in nodules]
    return max(_LEAST_SIDE_MM, math.ceil(2 * (max(reach) + _AROUND_MM) / 10.0) * 10.0)


def section(
    volume: Volume,
    centre_ras: ArrayLike,
    side: float,
    plane: Plane,
    nodule: Nodule | None = None,
    axes: Diameters | None = None,
    title: str = "",
) -> Picture:
    """A square section of a CT, 1 unit of the picture being 1 mm.

    Args:
        volume: CT, HU.
        centre_ras: its middle, mm.
        side: mm.
        nodule: to outline at the 0.5 isoline of its occupancy; as a dashed circle where the section shows no voxel
            that is half nodule.
        axes: diameters to draw where they lie in the section.
        title: the plane's where it is not given.
    """
    centre = np.asarray(centre_ras, dtype=float)
    grid = _grid(centre, side, plane)
    hu = resample(volume.array, volume.grid, grid, fill=_AIR_HU)[0]
    lines: list[Line] = []
    if axes is not None:
        lines += _axes(axes, centre, side, plane)
    if nodule is not None:
        lines += _outline(nodule, grid, centre, side, plane)
    ruler, ruler_label = _ruler(side)
    shown = f" with nodule {nodule.id} outlined" if nodule is not None else ""
    title = title or plane.title
    return Picture(
        side,
        side,
        np.uint8(np.round(255 * np.clip((hu - LEVEL_HU) / WINDOW_HU + 0.5, 0, 1))),
        (*lines, *ruler),
        (*_letters(plane, side), ruler_label),
        title,
        f"{title}: {plane.title.lower()} section{shown}, {side:.0f} by {side:.0f} mm, lung window.",
    )


def influence_picture(volume: Volume, nodule: Nodule, explanation: Explanation) -> Picture:
    """The axial section with what the score depends on: orange speaks for a nodule, blue against.

    The colour is full where the influence in this section is strongest.
    """
    side = side_mm(nodule)
    picture = section(volume, nodule.centre_ras, side, AXIAL, nodule)
    grid = _grid(np.array(nodule.centre_ras, dtype=float), side, AXIAL)
    influence = resample(explanation.influence, explanation.grid, grid)[0]
    strongest = float(np.abs(influence).max()) or 1.0
    alpha = _STRONGEST_ALPHA * np.clip(np.abs(influence) / strongest, 0, 1)[..., None]
    colour = np.where(influence[..., None] > 0, _FOR, _AGAINST)
    blended = (1 - alpha) * picture.pixels[..., None] + alpha * colour
    text = f"{picture.text[:-1]}; orange where the voxels speak for a nodule, blue where they speak against it."
    return replace(picture, pixels=np.uint8(np.round(blended)), title="Influence on the score", text=text)


def similar_picture(similar: Similar) -> Picture:
    """The middle of a nodule of the training set."""
    height, width = similar.picture.shape
    text = f"Axial section through {similar.name}, {similar.diameter_mm:.0f} mm; {similar.readers}."
    return Picture(width, height, similar.picture, (), (), f"{similar.diameter_mm:.0f} mm", text)


def _reach(nodule: Nodule) -> float:
    """How far the nodule reaches from its centre along any axis of the patient, mm."""
    kji = np.argwhere(nodule.mask.occupancy >= 0.5)
    if not len(kji):
        return nodule.diameter_mm / 2
    return float(np.abs(nodule.mask.grid.ras(kji[:, ::-1]) - nodule.centre_ras).max())


def _grid(centre: NDArray[np.float64], side: float, plane: Plane) -> Grid:
    """Pixels of a section, one deep."""
    matrix = np.eye(4)
    matrix[:3, :3] = plane.matrix * (side / _PIXELS)
    matrix[:3, 3] = centre - matrix[:3, :2] @ np.full(2, (_PIXELS - 1) / 2)
    return Grid((1, _PIXELS, _PIXELS), matrix)


def _outline(nodule: Nodule, grid: Grid, centre: NDArray, side: float, plane: Plane) -> list[Line]:
    mask = nodule.mask
    rings = isolines(resample(mask.occupancy, mask.grid, grid)[0])
    if rings:
        step = side / _PIXELS
        return [Line((ring + 0.5) * step, OUTLINE, 0.008 * side, closed=True) for ring in rings]
    middle, _ = _on_picture(nodule.centre_ras, centre, side, plane)
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    circle = middle + max(nodule.diameter_mm, 3.0) / 2 * np.column_stack([np.cos(angle), np.sin(angle)])
    return [Line(circle, OUTLINE, 0.008 * side, closed=True, dashed=True)]


def _axes(axes: Diameters, centre: NDArray, side: float, plane: Plane) -> list[Line]:
    lines = []
    for ends in (axes.long_axis_ras, axes.short_axis_ras):
        points, away = zip(*(_on_picture(end, centre, side, plane) for end in ends), strict=True)
        if max(map(abs, away)) <= _SAME_PLANE_MM:
            lines.append(Line(np.array(points), AXES, 0.006 * side))
    return lines


def _on_picture(ras: ArrayLike, centre: NDArray, side: float, plane: Plane) -> tuple[NDArray[np.float64], float]:
    """(x, y) of a point in the section, and how far it lies behind it, mm."""
    x, y, away = (np.asarray(ras, dtype=float) - centre) @ plane.matrix
    return np.array([x, y]) + side / 2, float(away)


def _letters(plane: Plane, side: float) -> list[Label]:
    margin = 0.045 * side
    places = ((margin, side / 2), (side - margin, side / 2), (side / 2, margin), (side / 2, side - margin))
    return [
        Label(letter, x, y, 0.055 * side, "#ffffff", behind="#000000", bold=True)
        for letter, (x, y) in zip(plane.letters, places, strict=True)
    ]


def _ruler(side: float) -> tuple[list[Line], Label]:
    """A bar at the lower left with its length."""
    length = max((mm for mm in _RULERS_MM if mm <= side / 4), default=_RULERS_MM[0])
    left, bottom, tick = 0.04 * side, 0.955 * side, 0.02 * side
    x = np.array([left, left + length])
    points = np.column_stack([x[[0, 0, 1, 1]], [bottom - tick, bottom, bottom, bottom - tick]])
    ruler = [Line(points, "#000000", 0.018 * side), Line(points, "#ffffff", 0.008 * side)]
    middle = Label(f"{length:.0f} mm", left, bottom - 0.055 * side, 0.05 * side, "#ffffff", "start", "#000000")
    return ruler, middle
