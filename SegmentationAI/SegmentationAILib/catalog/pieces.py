"""Which connected pieces of a structure are kept after a model has run, as the model's own program does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

LARGEST = "largest"


def keep_pieces(labels: NDArray[np.uint8], kept: Mapping[str, Any], voxel_ml: float) -> None:
    """Clear the pieces that are not kept, in place. Voxels that share a face are one piece.

    TotalSegmentator does so on the network's voxels, before it resamples the labels to the volume's; here it is done
    on the volume's, which moves the limit by what resampling changes of a piece's volume.

    Args:
        labels: [k, j, i].
        kept: value, as text -> "largest", for the largest piece alone, or a number, for the pieces of more than so
            many ml.
        voxel_ml: volume of a voxel.
    """
    boxes = ndimage.find_objects(labels)
    for value, rule in kept.items():
        box = boxes[int(value) - 1] if int(value) <= len(boxes) else None
        if box is None:
            continue
        here = labels[box]
        pieces, _ = ndimage.label(here == int(value))
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        stay = np.arange(len(sizes)) == sizes.argmax() if rule == LARGEST else sizes * voxel_ml > float(rule)
        here[~stay[pieces] & (pieces > 0)] = 0
