"""Random walker with priors: a probability map smoothed along edges, with voxels that are certain.

Grady, IEEE PAMI 2006 (seeds); Grady, CVPR 2005 (priors): the minimum of
Σ w_ij (x_i - x_j)² + γ Σ (x_i - p_i)², which is one sparse positive definite system.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import cg

# Of the residual's norm; the 0.5 surface moves by less than a hundredth of a voxel below it.
_TOLERANCE = 1e-3
_MOST_ITERATIONS = 300
# Neighbours across the strongest edge still feel each other, so that the system is well conditioned.
_LEAST_WEIGHT = 0.01
# A voxel as certain as this, among neighbours that are, is left as it is.
_CERTAIN = 0.01


def random_walker(
    prior: NDArray[np.float32], guides: list[NDArray[np.float32]], seeds: NDArray[np.int8], gamma: float
) -> NDArray[np.float32]:
    """Probability that a walker from each voxel ends in the object.

    Args:
        prior: [k, j, i], probability of the object in 0…1 by each voxel alone.
        guides: maps [k, j, i] in units of their own contrast; a step of 1 in any is an edge.
        seeds: [k, j, i], 1 object, -1 background, 0 open.
        gamma: weight of the prior against that of the neighbours; 1/√gamma is the reach of smoothing in voxels.

    Returns:
        float32 [k, j, i] in 0…1.
    """
    fixed = np.where(seeds > 0, 1.0, np.where(seeds < 0, 0.0, prior)).astype(np.float64)
    active = _open_voxels(prior, seeds)
    number = np.full(prior.shape, -1, dtype=np.int32)
    count = int(np.count_nonzero(active))
    if count == 0:
        return fixed.astype(np.float32)
    number[active] = np.arange(count, dtype=np.int32)
    diagonal = np.full(count, float(gamma))
    right = gamma * prior[active].astype(np.float64)
    rows, columns, values = [], [], []
    for axis in range(3):
        here, there = _neighbours(axis)
        difference = sum((guide[here] - guide[there]) ** 2 for guide in guides)
        weight = np.maximum(np.exp(-difference), _LEAST_WEIGHT)
        first, second = number[here], number[there]
        both = (first >= 0) & (second >= 0)
        a, b, w = first[both], second[both], weight[both]
        rows += [a, b]
        columns += [b, a]
        values += [-w, -w]
        diagonal += np.bincount(a, w, count) + np.bincount(b, w, count)
        for inner, outer, outside in ((first, second, fixed[there]), (second, first, fixed[here])):
            edge = (inner >= 0) & (outer < 0)
            at, w = inner[edge], weight[edge]
            diagonal += np.bincount(at, w, count)
            right += np.bincount(at, w * outside[edge], count)
    matrix = sparse.csr_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count)
    ) + sparse.diags(diagonal)
    solution, _ = cg(
        matrix, right, x0=fixed[active], rtol=_TOLERANCE, maxiter=_MOST_ITERATIONS, M=sparse.diags(1 / diagonal)
    )
    fixed[active] = np.clip(solution, 0.0, 1.0)
    return fixed.astype(np.float32)


def _open_voxels(prior: NDArray, seeds: NDArray) -> NDArray[np.bool_]:
    """Voxels that are neither seeds nor beyond doubt together with their neighbours."""
    doubtful = (prior > _CERTAIN) & (prior < 1 - _CERTAIN)
    doubtful |= (seeds != 0) & (np.abs(prior - (seeds > 0)) > _CERTAIN)
    grown = doubtful.copy()
    for axis in range(3):
        here, there = _neighbours(axis)
        grown[here] |= doubtful[there]
        grown[there] |= doubtful[here]
    return grown & (seeds == 0)


def _neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices of all voxels that have a next one along an axis, and of that next one."""
    here, there = [slice(None)] * 3, [slice(None)] * 3
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    return tuple(here), tuple(there)
