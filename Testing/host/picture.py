"""A picture of the findings without OpenGL: three sections with outlines and a projection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Grid, Volume

# Lung window as radiology uses it: 1500 HU wide around -600 HU.
WINDOW_HU, LEVEL_HU = 1500.0, -600.0


@dataclass(frozen=True)
class Section:
    """A plane of the canonical grid: which array axis it cuts, and what runs across and down."""

    title: str
    axis: int
    across: int
    down: int
    flip_down: bool


# Radiological display: the patient's right is on the left of the image, head or front is up.
SECTIONS = (
    Section("Axial", axis=0, across=2, down=1, flip_down=False),
    Section("Coronal", axis=1, across=2, down=0, flip_down=True),
    Section("Sagittal", axis=2, across=1, down=0, flip_down=True),
)


def draw(volume: Volume, layers: Sequence[LabelMap], through_ras: tuple[float, float, float], path: Path) -> None:
    """Write a PNG with axial, coronal and sagittal sections through a point and a coronal projection.

    Args:
        volume: CT, HU.
        layers: what to outline, each on the volume's grid, in the structures' colours.
        through_ras: the point that the sections go through, mm.
        path: the PNG to write.
    """
    grid = volume.grid.canonical()
    hu = reorient(volume.array, volume.grid, grid)
    labels = [(layer, reorient(layer.array, volume.grid, grid)) for layer in layers]
    at = np.clip(np.round(grid.ijk(through_ras)[::-1]).astype(int), 0, np.array(grid.shape) - 1)
    figure = Figure(figsize=(10, 10), dpi=96, facecolor="black", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2).ravel()
    for place, section in zip((axes[0], axes[2], axes[3]), SECTIONS, strict=True):
        _show(place, section, np.take(hu, at[section.axis], axis=section.axis), grid)
        for layer, array in labels:
            _outline(place, np.take(array, at[section.axis], axis=section.axis), layer)
    coronal = SECTIONS[1]
    _show(axes[1], coronal, hu.mean(axis=coronal.axis), grid, window=700.0, level=-500.0)
    axes[1].set_title("Coronal projection", color="white")
    for layer, array in labels:
        _outline(axes[1], array.max(axis=coronal.axis), layer)
    figure.savefig(path)


def _show(
    axes: Axes, section: Section, plane: NDArray, grid: Grid, window: float = WINDOW_HU, level: float = LEVEL_HU
) -> None:
    axes.imshow(
        plane,
        cmap="gray",
        vmin=level - window / 2,
        vmax=level + window / 2,
        aspect=grid.spacing[2 - section.down] / grid.spacing[2 - section.across],
        origin="lower" if section.flip_down else "upper",
    )
    axes.set_title(section.title, color="white")
    axes.set_axis_off()


def _outline(axes: Axes, plane: NDArray, layer: LabelMap) -> None:
    for value, structure in layer.structures.items():
        inside = plane == value
        if inside.any():
            axes.contour(inside, levels=[0.5], colors=[structure.colour], linewidths=1.2)
