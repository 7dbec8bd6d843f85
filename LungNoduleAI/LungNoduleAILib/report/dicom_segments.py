"""Segments of a DICOM SEG as masks in RAS."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import highdicom as hd
import numpy as np
from scipy import ndimage

from LungNoduleAILib.nodule import NoduleMask
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

# Voxels around the mask, so that its surface is whole.
_MARGIN = 1


def read_segments(path: str | Path, numbers: Iterable[int]) -> dict[int, NoduleMask]:
    """The masks of some segments, on the SEG's own voxels.

    Args:
        numbers: of segments; those that are empty or not there are left out.

    Raises:
        InputError: the file is no SEG, or its frames are not evenly spaced parallel planes.
    """
    try:
        seg = hd.seg.segread(path)
        wanted = [number for number in numbers if number in seg.segment_numbers]
        if not wanted:
            return {}
        volume = seg.get_volume(segment_numbers=wanted, dtype=np.float32)
    except Exception as error:  # highdicom raises many kinds; the file is the cause of all
        raise InputError(
            f"The DICOM SEG '{Path(path).name}' cannot be read as evenly spaced planes; give the prior CT instead."
        ) from error
    # highdicom's axes are k, j, i.
    matrix = LPS_FROM_RAS @ volume.affine[:, [2, 1, 0, 3]]
    grid = Grid(volume.array.shape[:3], matrix)
    masks = {}
    for n, number in enumerate(wanted):
        occupancy = volume.array[..., n]
        box = ndimage.find_objects((occupancy > 0).astype(np.uint8))
        if box:
            start = [side.start - _MARGIN for side in box[0]]
            shape = tuple(side.stop - side.start + 2 * _MARGIN for side in box[0])
            masks[number] = NoduleMask(np.pad(occupancy[box[0]], _MARGIN), grid.crop(start, shape))
    return masks
