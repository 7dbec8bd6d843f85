"""The nodules that similar ones are chosen from: python -m LungNoduleAILib.training.similar_nodules DATA OUT.

DATA holds lidc-vois. Nodules of the training part go into the file; those of the test part tell how far the readers'
ratings of the most similar ones agree with theirs, beside those of nodules drawn at random.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.appearance import appearance
from LungNoduleAILib.evaluation.bootstrap import grouped
from LungNoduleAILib.explanation.similar import PICTURE_MM, PICTURE_SIDE, Gallery, distances, write_gallery
from LungNoduleAILib.nodule_crop import NoduleCrop
from LungNoduleAILib.rating import RATINGS, WORDS
from LungNoduleAILib.training.lidc_nodules import RatedNodule, outlines, read_nodules
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Grid
from SegmentationAILib.writing import atomic_write

NEAREST = 5
# Lung window: centre -500, width 1400 HU.
_WINDOW_HU = (-1200.0, 200.0)
# LIDC's scale from which on a nodule is called spiculated.
_SPICULATED_FROM = 4
# Readers' outlines, and as the detector outlines from a place and a size that are off.
_OUTLINES = ("readers", "regrown")


def make_gallery(nodules: Sequence[RatedNodule], seed: int = 0) -> Gallery:
    """Of all nodules, in their order and in their readers' outlines."""
    crops = [outlines(nodule, seed, 0, 0)[0] for nodule in nodules]
    return Gallery(
        look=np.array([appearance(crop) for crop in crops], dtype=np.float32),
        name=np.array([in_words(nodule.name) for nodule in nodules]),
        readers=np.array([readers_words(nodule) for nodule in nodules]),
        diameter_mm=np.array([np.cbrt(6 * crop.occupancy.sum() / np.pi) for crop in crops], dtype=np.float32),
        picture=np.array([picture(nodule, crop) for nodule, crop in zip(nodules, crops, strict=True)]),
    )


def in_words(name: str) -> str:
    """Of lidc-vois, for the user: "LIDC-IDRI-0001_R_2" is the second nodule of that patient."""
    patient, number = name.split("_R_")
    return f"{patient}, nodule {number}"


def readers_words(nodule: RatedNodule) -> str:
    """What the majority of the radiologists called it."""
    grades = dict(zip(RATINGS, nodule.ratings, strict=True))
    said = [WORDS[rating][grades[rating] - 1] for rating in ("texture", "malignancy")]
    if grades["spiculation"] >= _SPICULATED_FROM:
        said.append(WORDS["spiculation"][grades["spiculation"] - 1])
    return ", ".join([*said, "calcified"] if nodule.calcified else said)


def picture(nodule: RatedNodule, crop: NoduleCrop) -> NDArray[np.uint8]:
    """Its largest axial section in the lung window, the patient's right at the left; black beyond the box."""
    section = int(np.argmax(crop.occupancy.sum(axis=(1, 2))))
    middle = crop.grid.ras([(crop.grid.shape[2] - 1) / 2, (crop.grid.shape[1] - 1) / 2, section])
    matrix = np.eye(4)
    matrix[:3, :3] = crop.grid.directions * [PICTURE_MM, PICTURE_MM, 1.0]
    matrix[:3, 3] = middle - matrix[:3, :2] @ np.full(2, (PICTURE_SIDE - 1) / 2)
    grid = Grid((1, PICTURE_SIDE, PICTURE_SIDE), matrix)
    hu = resample(nodule.volume.array, nodule.volume.grid, grid, mode="area", fill=_WINDOW_HU[0])[0]
    low, high = _WINDOW_HU
    return np.round(255 * np.clip((hu - low) / (high - low), 0, 1)).astype(np.uint8)


def figures(among: Sequence[RatedNodule], asked: Sequence[RatedNodule], seed: int = 0) -> dict[str, dict]:
    """Mean difference in grades to the five nearest, and to all, with 95 % intervals by patient.

    Returns:
        By outline, then by rating.
    """
    gallery = make_gallery(among, seed)
    ratings = np.array([nodule.ratings for nodule in among])
    looks = [[appearance(crop) for crop in outlines(nodule, seed, 0, 1)] for nodule in asked]
    patients = [nodule.patient for nodule in asked]
    result: dict[str, dict] = {}
    for n, outline in enumerate(_OUTLINES):
        order = [np.argsort(distances(gallery.look, look[n]), kind="stable")[:NEAREST] for look in looks]
        for r, rating in enumerate(RATINGS):
            near = [np.abs(ratings[o, r] - q.ratings[r]).mean() for o, q in zip(order, asked, strict=True)]
            all_of = [np.abs(ratings[:, r] - q.ratings[r]).mean() for q in asked]
            result.setdefault(outline, {})[rating] = {
                "five nearest": _mean(near, patients),
                "random": _mean(all_of, patients),
                "less": _mean(np.subtract(all_of, near), patients),
            }
    return result


def _mean(values: Sequence[float], patients: Sequence[str]) -> dict[str, float]:
    found = grouped(np.mean, patients, np.asarray(values))
    return asdict(found)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True, help="Of the regrown outlines.")
def main(data: Path, out: Path, seed: int) -> None:
    """Write similar-nodules.npz and similar-nodules-figures.json to OUT."""
    patients = read_split()["patients"]
    nodules = read_nodules(data / "lidc-vois")
    training = [nodule for nodule in nodules if nodule.patient in patients.train]
    asked = [nodule for nodule in nodules if nodule.patient in patients.test]
    path = write_gallery(make_gallery(training, seed), out / "similar-nodules.npz")
    click.echo(f"{len(training)} nodules, {path.stat().st_size / 1e6:.2f} MB; {len(asked)} ask")
    found = figures(training, asked, seed)
    with atomic_write(out / "similar-nodules-figures.json") as partial:
        partial.write_text(json.dumps(found, indent=1) + "\n")
    for outline, by_rating in found.items():
        for rating, one in by_rating.items():
            near, chance = (
                f"{one[k]['value']:.2f} ({one[k]['low']:.2f}–{one[k]['high']:.2f})" for k in ("five nearest", "random")
            )
            click.echo(f"{outline:8s} {rating:12s} five nearest {near}, random {chance}")


if __name__ == "__main__":
    main()
