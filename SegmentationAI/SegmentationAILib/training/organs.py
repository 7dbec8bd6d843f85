"""The recipe of the built-in organ network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from SegmentationAILib.organ_network import OrganNetwork, OrganWidths
from SegmentationAILib.training.fit import Fitted, Recipe, Report
from SegmentationAILib.training.kind import Kind, learn
from SegmentationAILib.training.organ_cases import training_cases
from SegmentationAILib.training.organ_classes import CLASS_NAMES, REST
from SegmentationAILib.training.organ_loss import organ_loss
from SegmentationAILib.training.organ_patches import OrganPatches

# The last of the runs that made the shipped weights; it went on from the one before (Resources/Models/organs.md).
RECIPE = Recipe(steps=850, batch=1, learning_rate=1.5e-3, warmup=20, average=0.99, check_every=170, seed=5, workers=1)
PATCH = (80, 96, 96)
# Patients whom the figures are measured on; never learnt from.
HELD_OUT = ("example_ct", "aorta", "pulmonary", "LUNG1-002")
_VALIDATION_PATCHES = 12
_VALIDATION_SEED = 90210


def train(
    data: Path,
    out: Path,
    recipe: Recipe = RECIPE,
    device: str = "auto",
    *,
    start: OrganNetwork | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit the organ network on the public sets.

    Args:
        data: folder with the label maps and the CTs.
        out: for the checkpoint, the log and prepared cases.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        start: the network to go on from; a new one if not given.
        report: told of each validation.

    Raises:
        InputError: a set is missing.
    """
    cases = [case for case in training_cases(data, out / "prepared") if case.name not in HELD_OUT]
    patches = OrganPatches(cases, seed=recipe.seed, shape=PATCH, keep_soft=True)
    other = OrganPatches(cases, seed=_VALIDATION_SEED, shape=PATCH, keep_soft=True)
    return learn(
        ORGANS, patches, [other[n] for n in range(_VALIDATION_PATCHES)], out, recipe, device, start, report=report
    )


@torch.inference_mode()
def figures(network: nn.Module, held: Sequence[dict[str, torch.Tensor]], place: torch.device) -> dict[str, float]:
    """Dice of each class over the held patches' voxels of a known class; ``score`` is their mean.

    A class that a reader drew is wrong where the reader drew none.
    """
    classes = len(CLASS_NAMES)
    overlap, total = torch.zeros(classes), torch.zeros(classes)
    for patch in held:
        label = patch["label"].long()
        known = label < classes
        found = network(patch["image"][None].to(place))[0].argmax(dim=0).cpu()
        overlap += torch.bincount(label[known & (found == label)], minlength=classes)
        total += torch.bincount(label[known], minlength=classes) + torch.bincount(found[known], minlength=classes)
        if "drawn" in patch:
            elsewhere = found[label == REST]
            total += torch.bincount(elsewhere[patch["drawn"][elsewhere]], minlength=classes)
    dice = {
        name: float(2 * part / whole)
        for name, part, whole in zip(CLASS_NAMES, overlap, total, strict=True)
        if whole > 0 and name != CLASS_NAMES[0]
    }
    return {"score": sum(dice.values()) / len(dice), **dice}


ORGANS = Kind(lambda: OrganNetwork(OrganWidths(len(CLASS_NAMES))), organ_loss, figures)
