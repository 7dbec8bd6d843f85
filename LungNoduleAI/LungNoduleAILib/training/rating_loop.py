"""Loss and training loop of the ratings' network."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray

from LungNoduleAILib.appearance import FEATURES
from LungNoduleAILib.rating import GRADES
from LungNoduleAILib.rating_network import SYMMETRIES, RatingNetwork, network_input, symmetry
from LungNoduleAILib.training.rating_examples import Examples

NUMBERS_EPOCHS = 40
BATCH = 16
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
# Readers differ by about a grade; the majority's grade is the middle of what they mean.
GRADE_DEVIATION = 0.6
# Share of each rating in the loss, malignancy first.
RATING_WEIGHT = (1.0, 0.3, 0.3, 0.3, 0.3, 0.3)
CALCIFICATION_WEIGHT = 0.5


def rating_loss(
    output: tuple[torch.Tensor, torch.Tensor], ratings: torch.Tensor, calcified: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy against softened grades, and of calcification.

    Args:
        output: logits [N, rating, 5] and [N].
        ratings: [N, rating], 1…5.
        calcified: bool [N].
    """
    grades = torch.arange(1, GRADES + 1)
    soft = torch.softmax(-((grades - ratings[..., None]) ** 2) / (2 * GRADE_DEVIATION**2), dim=-1)
    each = -(soft * torch.log_softmax(output[0], dim=-1)).sum(dim=-1).mean(dim=0)
    binary = F.binary_cross_entropy_with_logits(output[1], calcified.float())
    return each @ torch.tensor(RATING_WEIGHT) + CALCIFICATION_WEIGHT * binary


def train(
    examples: Examples, rows: NDArray[np.int64], epochs: int, seed: int, *, crops: bool = True, numbers: bool = True
) -> RatingNetwork:
    """A network trained on those rows, each time in another outline, turned and with noise.

    First the numbers' part, for ``NUMBERS_EPOCHS``, then the whole for ``epochs``.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = RatingNetwork(crops, numbers)
    flat = examples.look[rows].reshape(-1, len(FEATURES))
    network.mean.copy_(torch.from_numpy(flat.mean(axis=0)))
    network.deviation.copy_(torch.from_numpy(flat.std(axis=0) + 1e-3))
    if numbers:
        _run(network, examples, rows, NUMBERS_EPOCHS, rng, with_crops=False)
    if crops:
        _run(network, examples, rows, epochs, rng, with_crops=True)
    return network.eval()


def _run(
    network: RatingNetwork,
    examples: Examples,
    rows: NDArray[np.int64],
    epochs: int,
    rng: np.random.Generator,
    with_crops: bool,
) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = epochs * (len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    network.train()
    for _ in range(epochs):
        order = rng.permutation(rows)
        for batch in order[: len(rows) // BATCH * BATCH].reshape(-1, BATCH):
            loss = training_step(network, examples, batch, rng, with_crops)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()


def training_step(
    network: RatingNetwork,
    examples: Examples,
    batch: NDArray[np.int64],
    rng: np.random.Generator,
    with_crops: bool = True,
) -> torch.Tensor:
    """The loss of a batch in outlines, turns, noise and offsets drawn by ``rng``."""
    outline = rng.integers(0, examples.hu.shape[1], len(batch))
    ratings = torch.from_numpy(examples.ratings[batch])
    calcified = torch.from_numpy(examples.calcified[batch])
    look = torch.from_numpy(examples.look[batch, outline])
    if not with_crops:
        return rating_loss(network(None, look), ratings, calcified)
    hu = examples.hu[batch, outline].astype(np.float32)
    level = rng.uniform(0, 30, (len(batch), 1, 1, 1)).astype(np.float32)
    offset = rng.normal(0, 15, (len(batch), 1, 1, 1)).astype(np.float32)
    hu += level * rng.standard_normal(hu.shape, dtype=np.float32) + offset
    occupancy = torch.from_numpy(examples.occupancy[batch, outline]).float() / 255
    crop = network_input(torch.from_numpy(hu), occupancy)
    turns = rng.integers(0, SYMMETRIES, len(batch))
    turned = torch.stack([symmetry(one, int(n)) for one, n in zip(crop, turns, strict=True)])
    return rating_loss(network(turned, look), ratings, calcified)
