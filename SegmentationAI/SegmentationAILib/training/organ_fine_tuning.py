"""Fit the organ network to a user's labelled CTs: from new, or going on from a model."""

from __future__ import annotations

from pathlib import Path

from SegmentationAILib.engine.model_folder import Model
from SegmentationAILib.organ_model import network_of
from SegmentationAILib.training.fit import Fitted, Recipe, Report
from SegmentationAILib.training.kind import learn
from SegmentationAILib.training.organ_patches import OrganPatches
from SegmentationAILib.training.organs import ORGANS, PATCH
from SegmentationAILib.training.user_cases import DrawnPatches, UserCases

# Layers on the way down: they see edges and textures, which other scans share.
ENCODER = ("stem.", "encode.", "down.")
_VALIDATION_PATCHES = 12
_VALIDATION_SEED = 90210


def in_encoder(parameter: str) -> bool:
    """Whether a parameter of that name is of the layers on the way down."""
    return parameter.startswith(ENCODER)


def fine_tune(
    cases: UserCases,
    out: Path,
    recipe: Recipe,
    device: str = "auto",
    *,
    start: Model | None = None,
    freeze_encoder: bool = False,
    report: Report | None = None,
) -> Fitted:
    """Fit to the drawn classes and, where nothing is drawn, to what is certain without a reader.

    Args:
        cases: of at least two patients.
        out: for the checkpoint and the log.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        start: the model to go on from; a new network if not given.
        freeze_encoder: keep the layers on the way down as they are.
        report: told of each validation.

    Raises:
        InputError: the checkpoint in ``out`` is of another recipe or network, or the model's weights fit no
            organ network.
    """
    network = None if start is None else network_of(start)
    patches = DrawnPatches(OrganPatches(cases.train, seed=recipe.seed, shape=PATCH, keep_soft=True), cases.drawn)
    other = DrawnPatches(
        OrganPatches(cases.validation, seed=_VALIDATION_SEED, shape=PATCH, keep_soft=True), cases.drawn
    )
    held = [other[n] for n in range(_VALIDATION_PATCHES)]
    return learn(ORGANS, patches, held, out, recipe, device, network, in_encoder if freeze_encoder else None, report)
