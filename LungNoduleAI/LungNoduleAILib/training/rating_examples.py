"""Nodules as the ratings' network takes them, each in several outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.appearance import appearance
from LungNoduleAILib.nodule_crop import cube
from LungNoduleAILib.rating_network import SIDE
from LungNoduleAILib.training.lidc_nodules import RatedNodule, outlines
from LungNoduleAILib.training.radiomics import radiomics

# Outlines of each nodule: the readers', shifted ones, regrown ones.
SHIFTED, REGROWN = 3, 3
# Outlines that figures are given for, one of each kind.
MEASURED = {"readers": 0, "shifted": 1, "regrown": 1 + SHIFTED}


@dataclass(frozen=True, eq=False)
class Examples:
    """Nodules in several outlines.

    Attributes:
        hu: int16 [nodule, outline, 32, 32, 32].
        occupancy: uint8 [nodule, outline, 32, 32, 32], of 255.
        look: float32 [nodule, outline, feature].
        radiomics: float32 [nodule, outline, feature], for the forests and machines to compare with.
        ratings: int64 [nodule, rating], 1…5.
        calcified: bool [nodule].
        name: [nodule].
        patient: [nodule].
        fold: int [nodule].
    """

    hu: NDArray[np.int16]
    occupancy: NDArray[np.uint8]
    look: NDArray[np.float32]
    radiomics: NDArray[np.float32]
    ratings: NDArray[np.int64]
    calcified: NDArray[np.bool_]
    name: NDArray[np.str_]
    patient: NDArray[np.str_]
    fold: NDArray[np.int64]


def make_examples(nodules: list[RatedNodule], seed: int) -> Examples:
    """Crops and numbers of all nodules in all outlines."""
    count = 1 + SHIFTED + REGROWN
    hu = np.empty((len(nodules), count, SIDE, SIDE, SIDE), dtype=np.int16)
    occupancy = np.empty(hu.shape, dtype=np.uint8)
    look, compared = [], []
    for n, nodule in enumerate(nodules):
        crops = outlines(nodule, seed, SHIFTED, REGROWN)
        for v, crop in enumerate(crops):
            hu[n, v] = np.round(np.clip(cube(crop.hu, SIDE), -1024, 3071))
            occupancy[n, v] = np.round(255 * cube(crop.occupancy, SIDE, fill=0.0))
        look.append([appearance(crop) for crop in crops])
        compared.append([radiomics(crop) for crop in crops])
    return Examples(
        hu,
        occupancy,
        np.array(look, dtype=np.float32),
        np.array(compared, dtype=np.float32),
        np.array([n.ratings for n in nodules]),
        np.array([n.calcified for n in nodules]),
        np.array([n.name for n in nodules]),
        np.array([n.patient for n in nodules]),
        np.array([n.fold for n in nodules]),
    )
