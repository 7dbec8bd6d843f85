"""Fit the nodule network to a user's scans: from new, or going on from a model."""

from __future__ import annotations

from pathlib import Path

from LungNoduleAILib.detection import network_of
from LungNoduleAILib.training.nodule_patches import NodulePatches
from LungNoduleAILib.training.nodules import NODULE
from LungNoduleAILib.training.user_scans import UserScans, own_crops
from SegmentationAILib.engine.model_folder import Model
from SegmentationAILib.training.fit import Fitted, Recipe, Report
from SegmentationAILib.training.kind import learn

# Layers on the way down: they see edges and textures, which other scans share.
ENCODER = (
    "stem.",
    "at_half.",
    "down_quarter.",
    "at_quarter.",
    "down_eighth.",
    "at_eighth.",
    "down_sixteenth.",
    "at_sixteenth.",
)
_AT_NODULES = 0.6
_VALIDATION_PATCHES = 48
_VALIDATION_SEED = 90210


def in_encoder(parameter: str) -> bool:
    """Whether a parameter of that name is of the layers on the way down."""
    return parameter.startswith(ENCODER)


def fine_tune(
    scans: UserScans,
    out: Path,
    recipe: Recipe,
    device: str = "auto",
    *,
    start: Model | None = None,
    freeze_encoder: bool = False,
    blended: bool = True,
    report: Report | None = None,
) -> Fitted:
    """Fit to nodules where they are and, if ``blended``, to the scans' own and made-up ones put elsewhere.

    Args:
        scans: of at least two patients.
        out: for the checkpoint and the log.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        start: the model to go on from; a new network if not given.
        freeze_encoder: keep the layers on the way down as they are.
        blended: whether nodules are put in.
        report: told of each validation.

    Raises:
        InputError: the checkpoint in ``out`` is of another recipe or network, or the model's weights fit no
            nodule network.
    """
    network = None if start is None else network_of(start)
    crops = own_crops(scans.train) if blended else ()
    patches = NodulePatches(scans.train, crops, (), recipe.seed, at_nodules=_AT_NODULES, blended=blended)
    other = NodulePatches(scans.validation, (), (), _VALIDATION_SEED, at_nodules=_AT_NODULES, blended=False)
    held = [other[n] for n in range(_VALIDATION_PATCHES)]
    frozen = in_encoder if freeze_encoder else None
    return learn(NODULE, patches, held, out, recipe, device, network, frozen, report)
