"""The recipe of the built-in nodule network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from LungNoduleAILib.network import HEAT_STRIDE, NoduleNetwork
from LungNoduleAILib.training.backgrounds import Background, read_background
from LungNoduleAILib.training.hard_negatives import with_false_marks
from LungNoduleAILib.training.lidc import read_crops, read_cubes
from LungNoduleAILib.training.nodule_loss import nodule_loss
from LungNoduleAILib.training.nodule_patches import NodulePatches
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.training.fit import Fitted, Recipe, Report
from SegmentationAILib.training.kind import Kind, learn

RECIPE = Recipe(steps=3200, batch=4, learning_rate=1.5e-3, warmup=100, average=0.995, check_every=200, seed=3)
_VALIDATION_PATCHES = 96
_VALIDATION_SEED = 90210
# A peak within this of a centre, or within the nodule's radius, is a hit.
_HIT_MM = 3.0


def train(
    data: Path,
    out: Path,
    recipe: Recipe = RECIPE,
    device: str = "auto",
    *,
    start: NoduleNetwork | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit the nodule network as the shipped one was.

    Args:
        data: folder with lidc-vois, lidc-cubes and the whole CTs of ``split.json``.
        out: for the checkpoint, the log and prepared data.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        start: the network to go on from, which is shown where it was wrong; a new one if not given.
        report: told of each validation.

    Raises:
        InputError: a set is missing.
    """
    split = read_split()
    backgrounds = [read_background(data / name, out / "prepared") for name in sorted(split["scans"].train)]
    if start is not None:
        backgrounds = [with_false_marks(one, start, device) for one in backgrounds]
    crops = read_crops(data / "lidc-vois")
    cubes = read_cubes(data / "lidc-cubes" / "cubes.npz")
    patches = NodulePatches(
        backgrounds,
        [crop for crop in crops if crop.patient in split["patients"].train],
        [cube for cube in cubes if cube.name in split["cubes"].train],
        recipe.seed,
    )
    held = [crop for crop in crops if crop.patient in split["patients"].validation]
    return learn(NODULE, patches, validation_patches(backgrounds, held), out, recipe, device, start, report=report)


def validation_patches(backgrounds: Sequence[Background], crops: Sequence) -> list[dict[str, torch.Tensor]]:
    """Nodules of patients that are not learnt from, the same ones at every validation."""
    patches = NodulePatches(backgrounds, crops, (), _VALIDATION_SEED)
    return [patches[n] for n in range(_VALIDATION_PATCHES)]


@torch.inference_mode()
def figures(network: nn.Module, held: Sequence[dict[str, torch.Tensor]], place: torch.device) -> dict[str, float]:
    """Average precision of peaks, Dice of masks and error of the size on held patches.

    Returns:
        ``score``, which decides, is the mean of average precision and Dice; where no held nodule has an
        outline there is no Dice, and average precision decides.
    """
    marks: list[tuple[float, bool]] = []
    overlap = total = 0.0
    outlined = False
    centres, errors = 0, []
    for patch in held:
        answer = network(patch["image"][None].to(place))
        heat, weight = torch.sigmoid(answer.heat[0, 0]).cpu(), patch["weight"][0]
        counts = patch.get("mask_weight", patch["weight"])
        mask = (answer.mask[0] > 0).float().cpu() * counts
        nodules = patch["nodules"] * counts if "mask_weight" in patch else patch["nodules"]
        overlap += 2 * float((mask * nodules).sum())
        total += float((mask + nodules).sum())
        outlined |= bool(nodules.any())
        true = (patch["heat"][0] == 1).nonzero()
        centres += len(true)
        diameters = patch["log_diameter"][0].exp()
        free = np.ones(len(true), dtype=bool)
        for score, peak in peaks(heat):
            distance = HEAT_STRIDE * (true - torch.tensor(peak)).float().norm(dim=1).numpy()
            reach = np.array([max(_HIT_MM, float(diameters[tuple(at)]) / 2) for at in true])
            hits = np.flatnonzero((distance <= reach) & free) if len(true) else []
            if len(hits):
                free[hits[0]] = False
                marks.append((score, True))
                at = tuple(true[hits[0]])
                errors.append(abs(float(answer.log_diameter[0, 0][at]) - float(patch["log_diameter"][0][at])))
            elif weight[tuple(slice(HEAT_STRIDE * n, HEAT_STRIDE * (n + 1)) for n in peak)].min() > 0:
                marks.append((score, False))
    precision = _average_precision(marks, centres)
    dice = overlap / max(total, 1.0) if outlined else float("nan")
    error = float(np.mean(errors)) if errors else float("nan")
    score = (precision + dice) / 2 if outlined else precision
    return {"score": score, "average precision": precision, "dice": dice, "log diameter error": error}


def peaks(heat: torch.Tensor, least: float = 0.02) -> list[tuple[float, tuple[int, int, int]]]:
    """Local maxima of a heat map [k, j, i] above a value, as (value, (k, j, i))."""
    highest = nn.functional.max_pool3d(heat[None, None], 3, stride=1, padding=1)[0, 0]
    places = ((heat == highest) & (heat > least)).nonzero()
    return [(float(heat[tuple(at)]), tuple(int(n) for n in at)) for at in places]


def _average_precision(marks: list[tuple[float, bool]], centres: int) -> float:
    """Area under precision over recall; nodules without a mark count as missed."""
    hits = np.array([hit for _, hit in sorted(marks, key=lambda mark: -mark[0])], dtype=float)
    if not centres or not hits.size:
        return 0.0
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float((precision * hits).sum() / centres)


NODULE = Kind(NoduleNetwork, nodule_loss, figures)
