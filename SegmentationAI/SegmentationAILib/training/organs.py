"""The recipe of the built-in organ network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.organ_network import OrganNetwork, OrganWidths
from SegmentationAILib.training.fit import Fitted, Patches, Recipe, Report, fit
from SegmentationAILib.training.organ_cases import training_cases
from SegmentationAILib.training.organ_classes import CLASS_NAMES, REST
from SegmentationAILib.training.organ_loss import organ_loss
from SegmentationAILib.training.organ_patches import OrganPatches

RECIPE = Recipe(steps=2000, batch=2, learning_rate=2e-3, warmup=50, average=0.99, check_every=200, seed=5, workers=1)
PATCH = (64, 80, 80)
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
    """Fit the organ network as the shipped one was.

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
    return run(patches, [other[n] for n in range(_VALIDATION_PATCHES)], out, recipe, device, start, report=report)


def run(
    patches: Patches,
    held: Sequence[dict[str, torch.Tensor]],
    out: Path,
    recipe: Recipe,
    device: str = "auto",
    network: OrganNetwork | None = None,
    frozen: Callable[[str], bool] | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit a network to patches; a fresh one, or one that goes on learning."""
    torch.manual_seed(recipe.seed)
    place = choose_device(device)
    return fit(
        network or OrganNetwork(OrganWidths(len(CLASS_NAMES))),
        patches,
        organ_loss,
        recipe,
        out,
        validate=lambda learnt: figures(learnt, held, place),
        device=device,
        frozen=frozen,
        report=report,
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
