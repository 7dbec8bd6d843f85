"""Crops that the second look learns from, one by one, and how it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from scipy.spatial.transform import Rotation
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from LungNoduleAILib.candidate_network import SIDE, CandidateNetwork
from LungNoduleAILib.detection import LEAST_LOOKED_AT
from LungNoduleAILib.network import normalized
from LungNoduleAILib.training.candidate_pool import SIDE as ROOMY_SIDE
from LungNoduleAILib.training.candidate_pool import Pool
from LungNoduleAILib.training.scanners import other_scanner
from SegmentationAILib.training.kind import Kind

_OTHER_SCANNER, _TURNED = 0.6, 0.5
_TURN_DEGREES, _STRETCH = 20.0, 0.1
# How far marks lie from a nodule's middle, standard deviation: the search's, and that of centres taken instead.
_OFF_MARK_MM, _OFF_CENTRE_MM = 0.8, 1.2
_SMOOTHING = 0.02


class CandidatePatches:
    """Crops with nodules and without, in turn; crop n is a function of seed and n."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self._pool, self._seed = pool, seed
        self._rows = [np.flatnonzero(~pool.nodule), np.flatnonzero(pool.nodule)]

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """crop [1, 32, 32, 32], normalized, and nodule, 0 or 1."""
        rng = np.random.default_rng((self._seed, index))
        rows = self._rows[index % 2]
        row = rows[rng.integers(len(rows))]
        hu = self._pool.hu[row].astype(np.float32)
        if rng.random() < _OTHER_SCANNER:
            hu = other_scanner(hu, rng)
        hu = hu[tuple(slice(a, a + SIDE) for a in self._corner(row, rng))]
        hu = hu[tuple(slice(None, None, step) for step in rng.choice([-1, 1], 3))]
        hu = hu.transpose(0, 2, 1) if rng.random() < 0.5 else hu
        crop = torch.from_numpy(np.ascontiguousarray(hu))[None]
        if rng.random() < _TURNED:
            crop = _turned(crop, rng)
        return {
            "crop": normalized(crop + float(rng.normal(0, 20))),
            "nodule": torch.tensor(float(self._pool.nodule[row])),
        }

    def _corner(self, row: int, rng: np.random.Generator) -> np.ndarray:
        """Of the crop in the roomier one: a mark is seldom quite in a nodule's middle."""
        room = (ROOMY_SIDE - SIDE) // 2
        nodule, heat, diameter = (getattr(self._pool, name)[row] for name in ("nodule", "heat", "diameter_mm"))
        off = rng.normal(0, _OFF_MARK_MM if nodule and heat > 0 else _OFF_CENTRE_MM, 3)
        most = min(room, max(1.0, diameter / 4)) if nodule else room
        return room + np.clip(np.round(off), -most, most).astype(int)


def held_crops(pool: Pool, least_heat: float = LEAST_LOOKED_AT, batch: int = 64) -> list[dict[str, torch.Tensor]]:
    """The pool's marks of at least a heat, in batches."""
    room = (ROOMY_SIDE - SIDE) // 2
    inner = slice(room, room + SIDE)
    rows = np.flatnonzero(pool.heat >= least_heat)
    return [
        {
            "crop": normalized(torch.from_numpy(pool.hu[part, inner, inner, inner].astype(np.float32)))[:, None],
            "nodule": torch.from_numpy(pool.nodule[part].astype(np.float32)),
        }
        for part in np.array_split(rows, max(1, -(-len(rows) // batch)))
    ]


def loss(network: nn.Module, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Cross-entropy; no crop is quite certain."""
    target = batch["nodule"] * (1 - 2 * _SMOOTHING) + _SMOOTHING
    return {"nodule": F.binary_cross_entropy_with_logits(network(batch["crop"]).float(), target)}


@torch.inference_mode()
def figures(network: nn.Module, held: Sequence[Mapping[str, torch.Tensor]], place: torch.device) -> dict[str, float]:
    """Of marks: ``score``, which decides, is the average precision."""
    logits = np.concatenate([network(batch["crop"].to(place)).float().cpu().numpy() for batch in held])
    nodule = np.concatenate([batch["nodule"].numpy() for batch in held])
    return {
        "score": float(average_precision_score(nodule, logits)),
        "area under the curve": float(roc_auc_score(nodule, logits)),
    }


CANDIDATE = Kind(CandidateNetwork, loss, figures)


def _turned(crop: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """[1, k, j, i] turned by some degrees about any axis, and stretched."""
    angles = rng.normal(0, _TURN_DEGREES, 3)
    matrix = Rotation.from_rotvec(angles, degrees=True).as_matrix() * np.exp(rng.normal(0, _STRETCH, 3))
    affine = torch.from_numpy(np.c_[matrix, np.zeros(3)].astype(np.float32))[None]
    grid = F.affine_grid(affine, [1, *crop.shape], align_corners=False)
    return F.grid_sample(crop[None], grid, padding_mode="border", align_corners=False)[0]
