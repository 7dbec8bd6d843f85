"""A chest phantom with known nodules, as every detector meets it."""

from __future__ import annotations

import numpy as np
from phantoms import ChestPhantom, PhantomNodule, chest, slab_grid

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organs import LUNG_STRUCTURES

PLANTED = (
    PhantomNodule((75.0, 30.0, 40.0), 8.0),
    PhantomNodule((80.0, -30.0, -10.0), 22.0),
    PhantomNodule((-75.0, 35.0, 30.0), 14.0),
    PhantomNodule((-85.0, -25.0, 45.0), 18.0, hu=-450.0),
)


def planted_chest() -> ChestPhantom:
    """128 mm of the chest, with all nodules; what is said of places holds as on the whole."""
    return chest(slab_grid(2.0, bottom=-48, height=128), nodules=PLANTED, seed=5)


def lungs_of(phantom: ChestPhantom) -> LabelMap:
    labels = np.zeros(phantom.volume.shape, dtype=np.uint8)
    for value, mask in ((1, phantom.right_lung), (2, phantom.left_lung), (3, phantom.airway)):
        labels[mask] = value
    return LabelMap(labels, phantom.volume.grid, LUNG_STRUCTURES)


def hits(nodules, planted, within_mm=2.5):
    return [n for n in nodules if np.linalg.norm(np.subtract(n.centre_ras, planted.centre_ras)) < within_mm]
