"""python -m LungNoduleAILib.training.tumour_click DATA STEM: makes the tumour-from-clicks network.

Learns from the patients and cubes of training (``split.json``) and from large tumours planted into three whole CTs
of training; a fourth one's and the patients of validation measure.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray

from LungNoduleAILib.training.lidc import box_grid, read_cubes
from LungNoduleAILib.training.lidc_vois import read_boxes
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.engine.model_folder import ModelCard, write_model
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.tumour_features import NAMES, features
from SegmentationAILib.radiotherapy.tumour_model import THRESHOLD, log_odds
from SegmentationAILib.radiotherapy.tumour_window import window_around
from SegmentationAILib.training.planted_tumours import planted_tumours
from SegmentationAILib.training.tumour_click import BATCH_CASES, DECAY, EPOCHS, RATE, Samples, draw, fit, inner_point
from SegmentationAILib.volume import Volume

# Whole CTs of training into which large tumours are planted, and how many each.
_PLANTED_IN = {
    "train": ("LIDC-IDRI-0002/ct.nii.gz", "LIDC-IDRI-0003/dicom", "CMB-CRC-MSB-01068/ct.nii.gz"),
    "validation": ("LIDC-IDRI-0314/ct.nii.gz",),
}
_PLANTED_EACH = 14
SMALLEST_MM3 = 5.0

Tumour = tuple[str, Volume, NDArray[np.bool_]]


def outlined(data: Path, part: str) -> Iterator[Tumour]:
    """Set, CT and mask of the readers' tumours of at least 5 mm³ in one part of the split.

    Args:
        data: folder with lidc-vois and lidc-cubes.
        part: train, validation or test.
    """
    split = read_split()
    for box in read_boxes(data / "lidc-vois"):
        mask = box.mask.array > 0
        if box.patient in getattr(split["patients"], part) and _large_enough(mask, box.image):
            yield "lidc-vois", Volume(box.image.array, box.image.grid, box.name, "CT"), mask
    for cube in read_cubes(data / "lidc-cubes" / "cubes.npz"):
        volume = Volume(cube.hu, box_grid(cube.hu.shape), cube.name, "CT")
        if cube.name in getattr(split["cubes"], part) and _large_enough(cube.mask, volume):
            yield "lidc-cubes", volume, cube.mask


def planted(data: Path, part: str, seed: int) -> Iterator[Tumour]:
    """Large tumours planted into the whole CTs of a part, train or validation."""
    for scan in _PLANTED_IN[part]:
        volume = load(data / scan)
        for part_of_ct, mask in planted_tumours(
            volume, segment_lungs(volume), _PLANTED_EACH, np.random.default_rng([seed, *scan.encode()])
        ):
            yield "planted", part_of_ct, mask


def samples(data: Path, seed: int) -> Iterator[Samples]:
    """Of each tumour of training twice: clicked at its most interior and at a random inner point."""
    rng = np.random.default_rng(seed)
    for source in (outlined(data, "train"), planted(data, "train", seed)):
        for _, volume, mask in source:
            for random_click in (False, True):
                drawn = draw(volume, mask, rng, random_click=random_click)
                if drawn is not None:
                    yield drawn


def _large_enough(mask: NDArray[np.bool_], volume: Volume) -> bool:
    return np.count_nonzero(mask) * volume.grid.voxel_volume >= SMALLEST_MM3


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("stem", type=click.Path(path_type=Path))
@click.option("--seed", default=0, show_default=True)
def main(data: Path, stem: Path, seed: int) -> None:
    """Fit on DATA, the folder with lidc-vois, lidc-cubes and the whole CTs, and write STEM's two files."""
    # Sums in another order would give other weights.
    torch.set_num_threads(1)
    drawn = list(samples(data, seed))
    network, course = fit(drawn, seed)
    click.echo(f"{len(drawn)} clicked tumours, loss {course[0]:.3f} to {course[-1]:.3f}")
    figures: dict[str, list[float]] = {}
    for source in (outlined(data, "validation"), planted(data, "validation", seed)):
        for name, volume, mask in source:
            window = window_around(volume, inner_point(mask, volume))
            truth = resample(mask.astype(np.float32), volume.grid, window.grid) >= 0.5
            odds = log_odds(features(window), network)
            figures.setdefault(name, []).append(dice(odds > np.log(THRESHOLD / (1 - THRESHOLD)), truth))
    means = {f"validation_dice_{name}": round(float(np.mean(of)), 4) for name, of in figures.items()}
    click.echo(means)
    card = ModelCard(
        kind="tumour",
        configuration=network.configuration(),
        spacing_mm=0.6,
        hu_range=(-1000.0, 400.0),
        classes=["tumour"],
        recipe={
            "command": "python -m LungNoduleAILib.training.tumour_click",
            "optimiser": "AdamW, cosine schedule",
            "rate": RATE,
            "weight_decay": DECAY,
            "epochs": EPOCHS,
            "tumours_a_batch": BATCH_CASES,
            "loss": "cross-entropy and soft Dice of each tumour",
        },
        seed=seed,
        step=EPOCHS * -(-len(drawn) // BATCH_CASES),
        figures=means,
        training={
            "features": list(NAMES),
            "clicked_tumours": len(drawn),
            "sets": [
                "lidc-vois, all patients of training, and lidc-cubes, all cubes of training",
                f"{_PLANTED_EACH} tumours planted into each of " + ", ".join(_PLANTED_IN["train"]),
            ],
            "licence": "CC BY 3.0 and CC BY 4.0",
        },
    )
    write_model(stem, card, network, half=False)


if __name__ == "__main__":
    main()
