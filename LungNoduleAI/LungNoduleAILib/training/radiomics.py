"""First-order, shape and co-occurrence features, to compare the ratings' network with.

Names and definitions are those of the Image Biomarker Standardisation Initiative (Zwanenburg et al.,
Radiology 2020), whose digital phantom the tests check them on.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from LungNoduleAILib.appearance import shape_features
from LungNoduleAILib.nodule_crop import NoduleCrop

BIN_HU = 25.0
_RANGE_HU = (-1000.0, 1000.0)
# One of each pair of opposite directions to the 26 neighbours.
_DIRECTIONS = [d for d in product((-1, 0, 1), repeat=3) if d > (0, 0, 0)]


def radiomics(crop: NoduleCrop) -> NDArray[np.float32]:
    """First-order, co-occurrence (bins of 25 HU, 3-D, merged) and shape features of the mask."""
    inside = crop.occupancy >= min(0.5, 0.5 * float(crop.occupancy.max()))
    hu = np.clip(crop.hu, *_RANGE_HU)
    levels = np.floor((hu - _RANGE_HU[0]) / BIN_HU).astype(np.intp) + 1
    matrix = cooccurrence(levels, inside)
    found = {**first_order(hu[inside]), **cooccurrence_features(matrix)}
    return np.nan_to_num(np.array([*found.values(), *shape_features(inside, crop.occupancy)], dtype=np.float32))


def first_order(values: NDArray) -> dict[str, float]:
    """IBSI's statistics of the values in a mask."""
    values = values.astype(np.float64)
    p10, p25, p50, p75, p90 = np.percentile(values, [10, 25, 50, 75, 90])
    robust = values[(values >= p10) & (values <= p90)]
    spread = values.std() > 1e-6
    return {
        "stat_mean": values.mean(),
        "stat_var": values.var(),
        "stat_skew": stats.skew(values) if spread else 0.0,
        "stat_kurt": stats.kurtosis(values) if spread else 0.0,
        "stat_median": p50,
        "stat_min": values.min(),
        "stat_p10": p10,
        "stat_p90": p90,
        "stat_max": values.max(),
        "stat_iqr": p75 - p25,
        "stat_mad": np.abs(values - values.mean()).mean(),
        "stat_rmad": np.abs(robust - robust.mean()).mean(),
        "stat_energy": (values**2).sum(),
        "stat_rms": np.sqrt((values**2).mean()),
    }


def cooccurrence(levels: NDArray[np.intp], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How often levels 1…n are neighbours in the mask, over 13 directions, symmetric, sum 1."""
    count = int(levels[inside].max())
    matrix = np.zeros((count, count))
    for direction in _DIRECTIONS:
        here = tuple(slice(max(0, -d), n - max(0, d)) for d, n in zip(direction, levels.shape, strict=True))
        there = tuple(slice(max(0, d), n - max(0, -d)) for d, n in zip(direction, levels.shape, strict=True))
        both = inside[here] & inside[there]
        np.add.at(matrix, (levels[here][both] - 1, levels[there][both] - 1), 1)
    matrix += matrix.T
    return matrix / max(matrix.sum(), 1.0)


def cooccurrence_features(p: NDArray[np.float64]) -> dict[str, float]:
    """IBSI's features of a co-occurrence matrix whose sum is 1."""
    i, j = np.indices(p.shape) + 1.0
    marginal = p.sum(axis=1)
    level = np.arange(1, len(p) + 1)
    mean = float(marginal @ level)
    variance = float(marginal @ (level - mean) ** 2)
    difference = np.bincount(np.abs(i - j).astype(int).ravel(), p.ravel())
    steps = np.arange(len(difference))
    total = np.bincount((i + j).astype(int).ravel(), p.ravel())
    apart = i != j
    return {
        "cm_joint_max": p.max(),
        "cm_joint_avg": mean,
        "cm_joint_var": variance,
        "cm_joint_entr": _entropy(p),
        "cm_diff_avg": float(difference @ steps),
        "cm_diff_var": float(difference @ (steps - difference @ steps) ** 2),
        "cm_diff_entr": _entropy(difference),
        "cm_sum_entr": _entropy(total),
        "cm_energy": (p**2).sum(),
        "cm_contrast": (p * (i - j) ** 2).sum(),
        "cm_inv_diff": (p / (1 + np.abs(i - j))).sum(),
        "cm_inv_diff_mom": (p / (1 + (i - j) ** 2)).sum(),
        "cm_inv_var": (p[apart] / (i - j)[apart] ** 2).sum(),
        "cm_corr": (float((p * i * j).sum()) - mean**2) / variance if variance > 1e-9 else 1.0,
        "cm_clust_tend": (p * (i + j - 2 * mean) ** 2).sum(),
        "cm_clust_shade": (p * (i + j - 2 * mean) ** 3).sum(),
        "cm_clust_prom": (p * (i + j - 2 * mean) ** 4).sum(),
    }


def _entropy(p: NDArray[np.float64]) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())
