"""Places of whole CTs where a network sees nodules that are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from LungNoduleAILib.detection import peaks
from LungNoduleAILib.heat import heat_map
from LungNoduleAILib.network import NoduleNetwork
from LungNoduleAILib.search import SearchSpace
from LungNoduleAILib.training.backgrounds import Background
from SegmentationAILib.engine.progress import Progress

# Low peaks of today are the false marks of tomorrow's network.
_LEAST_HEAT = 0.1
_BESIDE_NODULE = 5
# A false mark is worth this many of the blob filter's places.
_WEIGHT = 3


def with_false_marks(background: Background, network: NoduleNetwork, device: str = "auto") -> Background:
    """The background with the network's false marks, several times each, among its ``spots``."""
    space = SearchSpace(background.hu.astype(np.float32), background.lungs, background.grid)
    found = heat_map(network, space, device, Progress())
    known = ndimage.binary_dilation((background.nodules > 0) | background.ignored, iterations=_BESIDE_NODULE)
    places = np.array([peak.kji for peak in peaks(found, _LEAST_HEAT)], dtype=np.int64).reshape(-1, 3)
    false = places[~known[tuple(places.T)]]
    return replace(background, spots=np.concatenate([background.spots, np.repeat(false, _WEIGHT, axis=0)]))
