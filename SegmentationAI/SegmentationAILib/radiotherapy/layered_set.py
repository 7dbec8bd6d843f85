"""Structures as the scene holds them, in label maps that several may share; so they cross to a worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.labels import content_box, placed
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import DicomSource, Grid


@dataclass(frozen=True, eq=False)
class Layer:
    """A label map.

    Attributes:
        array: integer [k, j, i].
        grid: the voxels' place in RAS.
    """

    array: NDArray
    grid: Grid


@dataclass(frozen=True, eq=False)
class LayeredStructure:
    """An ``RTStructure`` that has its voxels in a layer.

    Attributes:
        layer: its number; None of a structure without voxels.
        value: of the structure's voxels in the layer.
    """

    name: str
    role: Role
    layer: int | None
    value: int
    colour: tuple[float, float, float]
    origin: Origin
    rule: str
    code: Code | None
    model: str


@dataclass(frozen=True, eq=False)
class LayeredSet:
    """A ``StructureSet`` in layers.

    Attributes:
        grid: that the set is on; the layers may be on others.
    """

    grid: Grid
    layers: tuple[Layer, ...] = ()
    structures: tuple[LayeredStructure, ...] = ()
    name: str = ""
    source: DicomSource | None = None

    def unlayered(self) -> StructureSet:
        """The set with a mask of its own for each structure.

        Raises:
            InputError: two structures share a name.
        """
        structures = [
            RTStructure(one.name, one.role, self._mask(one), one.colour, one.origin, one.rule, one.code, one.model)
            for one in self.structures
        ]
        return StructureSet(self.grid, tuple(structures), self.name, self.source)

    def _mask(self, one: LayeredStructure) -> NDArray[np.bool_]:
        if one.layer is None:
            return np.zeros(self.grid.shape, dtype=bool)
        layer = self.layers[one.layer]
        return placed(layer.array == one.value, layer.grid, self.grid)


def layered(structures: Iterable[RTStructure], held_by: StructureSet) -> LayeredSet:
    """Structures of a set, each in a layer around it."""
    layers: list[Layer] = []
    made = []
    for one in structures:
        start, stop = content_box(one.mask)
        window = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        inside = one.mask[window].astype(np.uint8)
        number = None
        if inside.any():
            number = len(layers)
            layers.append(Layer(inside, held_by.grid.crop(start, inside.shape)))
        made.append(
            LayeredStructure(one.name, one.role, number, 1, one.colour, one.origin, one.rule, one.code, one.model)
        )
    return LayeredSet(held_by.grid, tuple(layers), tuple(made), held_by.name, held_by.source)


def changes(before: StructureSet, after: StructureSet) -> LayeredSet:
    """What is not the same object in both sets."""
    kept = {id(one) for one in before}
    return layered([one for one in after if id(one) not in kept], after)
