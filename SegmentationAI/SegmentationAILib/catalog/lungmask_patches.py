"""Small patches of a label map go to the neighbour that they touch most; each label keeps its largest part, filled.

The rules are those of lungmask (Hofmanninger et al., Eur Radiol Exp 2020;4:50), at a cost that grows with the patches
and not with the volume for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.engine.progress import Progress

# Smaller patches vanish instead.
_SMALLEST = 3
# Of a single slice, larger holes are openings rather than errors.
_LARGEST_HOLE = 64
_CORNERS = np.ones((3, 3, 3), dtype=bool)
_REPORTS = 50

Box = tuple[slice, slice, slice]


@dataclass
class Patches:
    """The connected parts of a label map, numbered from 1 in the order of their first voxels.

    Attributes:
        map: [k, j, i]; 0 is background.
        label: of each.
        area: of each, voxels; grows by what is merged into it.
        box: of each; likewise.
    """

    map: NDArray[np.int32]
    label: NDArray[np.uint8]
    area: NDArray[np.int64]
    box: list[Box | None]

    @classmethod
    def of(cls, labels: NDArray[np.uint8]) -> Patches:
        parts = np.zeros(labels.shape, dtype=np.int32)
        of_part = [0]
        for value in np.unique(labels[labels > 0]):
            found, count = ndimage.label(labels == value, structure=_CORNERS)
            np.add(parts, found + len(of_part) - 1, out=parts, where=found > 0)
            of_part += [int(value)] * count
        at = np.flatnonzero(parts)[::-1]
        first = np.zeros(len(of_part), dtype=np.int64)
        first[parts.ravel()[at]] = at
        number = np.zeros(len(of_part), dtype=np.int32)
        number[1:][np.argsort(first[1:])] = np.arange(1, len(of_part))
        parts = number[parts]
        label = np.zeros(len(of_part), dtype=np.uint8)
        label[number] = of_part
        area = np.bincount(parts.ravel(), minlength=len(of_part))
        return cls(parts, label, area, [None, *ndimage.find_objects(parts)])

    def neighbour(self, patch: int) -> int:
        """The one that the patch touches with most voxels; itself where there is none."""
        here = self.map[_wider(self.box[patch])]
        around = here[ndimage.binary_dilation(here == patch)]
        around = around[(around != 0) & (around != patch)]
        return int(np.bincount(around).argmax()) if len(around) else patch

    def merge(self, patch: int, other: int) -> None:
        part = self.map[self.box[patch]]
        part[part == patch] = other
        self.area[other] += self.area[patch]
        self.box[other] = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(self.box[patch], self.box[other], strict=True)
        )


def cleaned(labels: NDArray[np.uint8], progress: Progress | None = None) -> NDArray[np.uint8]:
    """The label map [k, j, i] with one part of each label.

    Args:
        labels: 0 is background.
        progress: told of the patches; its token cancels between them.

    Raises:
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    patches = Patches.of(labels)
    order = 1 + np.argsort(patches.area[1:], kind="stable")
    largest = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    # Of patches of one label and size, only the first may stay.
    kept = np.zeros(len(patches.label), dtype=np.uint8)
    for patch in order:
        label = patches.label[patch]
        if patches.area[patch] > largest[label]:
            largest[label] = patches.area[patch]
            kept[patch] = label
    for n, patch in enumerate(order):
        if n % max(1, len(order) // _REPORTS) == 0:
            progress(n / len(order), "Removing small patches")
        if not _SMALLEST <= patches.area[patch] < largest[patches.label[patch]]:
            continue
        other = patches.neighbour(patch)
        if other == patch:
            continue
        if patches.area[other] == largest[patches.label[other]]:
            largest[patches.label[other]] += patches.area[patch]
        patches.merge(patch, other)
    merged = kept[patches.map]
    result = np.zeros(labels.shape, dtype=np.uint8)
    for value in np.unique(merged[merged > 0]):
        result[_filled(_largest(merged == value))] = value
    return result


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    parts, _ = ndimage.label(mask, structure=_CORNERS)
    return parts == 1 + np.bincount(parts.ravel())[1:].argmax()


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """With what it encloses; of a single slice, with the small holes alone."""
    if len(mask) > 1:
        return ndimage.binary_fill_holes(mask)
    holes, _ = ndimage.label(ndimage.binary_fill_holes(mask[0]) & ~mask[0])
    small = np.bincount(holes.ravel()) < _LARGEST_HOLE
    small[0] = False
    return mask | small[holes]


def _wider(box: Box) -> Box:
    return tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
