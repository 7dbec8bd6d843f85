"""Nodules -> label maps on the volume's grid, for the scene and for files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import LEFT, RIGHT, Structure, lung_nodule
from SegmentationAILib.volume import Grid

# Okabe & Ito's palette for all kinds of colour vision, in the order that stands out on grey CT.
_PALETTE = (
    (0.90, 0.62, 0.00),
    (0.34, 0.71, 0.91),
    (0.94, 0.89, 0.26),
    (0.00, 0.62, 0.45),
    (0.84, 0.37, 0.00),
    (0.80, 0.47, 0.65),
)
# In one label map with the lungs, nodule 1 has this value, nodule 2 the next.
FIRST_NODULE_VALUE = 101


def nodule_layers(nodules: Sequence[Nodule], grid: Grid) -> list[LabelMap]:
    """Label maps on the volume's grid that hold the nodules; those that touch go to another layer."""
    layers: list[tuple[np.ndarray, dict]] = []
    for nodule in nodules:
        start, inside = _mask_on(grid, nodule)
        window = tuple(slice(a, a + n) for a, n in zip(start, inside.shape, strict=True))
        layer = next((one for one in layers if not one[0][window][inside].any()), None)
        if layer is None:
            layer = (np.zeros(grid.shape, dtype=np.uint16), {})
            layers.append(layer)
        labels, structures = layer
        labels[window][inside] = nodule.id
        structures[nodule.id] = structure_of(nodule)
    return [LabelMap(labels, grid, structures) for labels, structures in layers]


def structure_of(nodule: Nodule) -> Structure:
    """What a nodule is in a label map."""
    laterality = {"left": LEFT, "right": RIGHT}.get(nodule.lung)
    return lung_nodule(nodule.name, _PALETTE[(nodule.id - 1) % len(_PALETTE)], laterality)


def _mask_on(grid: Grid, nodule: Nodule) -> tuple[tuple[int, int, int], np.ndarray]:
    """The nodule's voxels on the volume's grid: start (k, j, i) of a window, and bool [k, j, i] in it."""
    # A scene whose outlines are drawn already waits for no torch.
    from SegmentationAILib.preprocess import EDGE, resample  # noqa: PLC0415

    box = nodule.mask.grid
    corners = np.array(np.meshgrid(*[(-EDGE, n - 1 + EDGE) for n in box.shape[::-1]])).reshape(3, -1).T
    reach = grid.ijk(box.ras(corners))[:, ::-1]
    start = np.clip(np.floor(reach.min(axis=0)).astype(int), 0, np.array(grid.shape) - 1)
    stop = np.clip(np.ceil(reach.max(axis=0)).astype(int) + 1, start + 1, grid.shape)
    window = grid.crop(start, tuple(stop - start))
    inside = resample(nodule.mask.occupancy, box, window, mode="area") >= 0.5
    if not inside.any():
        # A nodule smaller than a voxel is still shown, as the voxel that holds its centre.
        nearest = np.round(window.ijk(nodule.centre_ras)[::-1]).astype(int)
        inside[tuple(np.clip(nearest, 0, np.array(inside.shape) - 1))] = True
    return tuple(start), inside


def merged(lungs: LabelMap, nodules: Sequence[Nodule]) -> LabelMap:
    """One label map of lungs and nodules, for formats that hold no layers.

    The lungs keep their values; nodule 1 has the value 101. Where nodules touch, the surer one has
    the voxel.
    """
    array = lungs.array.astype(np.uint16)
    structures = dict(lungs.structures)
    for layer in reversed(nodule_layers(nodules, lungs.grid)):
        inside = layer.array > 0
        array[inside] = layer.array[inside] + (FIRST_NODULE_VALUE - 1)
        structures |= {value + FIRST_NODULE_VALUE - 1: structure for value, structure in layer.structures.items()}
    return LabelMap(array, lungs.grid, structures)
