"""What a kind of network needs to learn: how it begins, what it is told, how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.training.fit import Batch, Fitted, Loss, Patches, Recipe, Report, fit

Judge = Callable[[nn.Module, Sequence[Mapping[str, torch.Tensor]], torch.device], dict[str, float]]


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        new: makes an untrained one.
        loss: of a batch.
        figures: of held patches on a device; their ``score`` decides which weights are kept.
    """

    new: Callable[[], nn.Module]
    loss: Loss
    figures: Judge


def learn(
    kind: Kind,
    patches: Patches,
    held: Sequence[Batch],
    out: Path,
    recipe: Recipe,
    device: str = "auto",
    network: nn.Module | None = None,
    frozen: Callable[[str], bool] | None = None,
    report: Report | None = None,
) -> Fitted:
    """Fit a network of this kind to patches; a fresh one, or one that goes on learning.

    Args:
        kind: of the network.
        patches: to learn from.
        held: to judge by, at every validation the same.
        out: for the checkpoint and the log.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        network: the one to go on from.
        frozen: whether a parameter of that name keeps its value.
        report: told of each validation.

    Raises:
        InputError: the checkpoint in ``out`` is of another recipe or network, or there is no such device.
    """
    torch.manual_seed(recipe.seed)
    place = choose_device(device)
    return fit(
        network or kind.new(),
        patches,
        kind.loss,
        recipe,
        out,
        validate=lambda learnt: kind.figures(learnt, held, place),
        device=device,
        frozen=frozen,
        report=report,
    )
