"""What the nodule network takes for a nodule, as an opinion for the tool that outlines tumours from clicks."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleAILib.detection import built_in
from LungNoduleAILib.network import SPACING_MM, STRIDE, normalized
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.tumour_prior import Prior
from SegmentationAILib.volume import Volume

# Voxels of the edge's own values around, so that the edge does not look like one of the lung.
_BORDER = 16


def nodule_prior() -> Prior:
    """The mask of the built-in nodule network, at its own voxel size.

    Raises:
        InputError: its weights are missing or damaged.
    """
    network = built_in().network

    def prior(part: Volume) -> NDArray[np.float32]:
        fine = part.grid.with_spacing(SPACING_MM)
        hu = resample(part.array, part.grid, fine, mode="area")
        padded = np.pad(hu, [(_BORDER, _BORDER + (-n) % STRIDE) for n in hu.shape], mode="edge")
        with torch.inference_mode():
            answer = network(normalized(torch.from_numpy(padded))[None, None])
        share = torch.sigmoid(answer.mask[0, 0]).numpy()
        inner = tuple(slice(_BORDER, _BORDER + n) for n in hu.shape)
        return resample(share[inner], fine, part.grid)

    return prior
