"""Train the ratings' network: python -m LungNoduleAILib.training.ratings DATA OUT.

DATA holds nodules.csv, image/ and mask/ (LIDC-IDRI nodules in boxes). Patients are split into five
folds by a hash of their id. Each nodule is seen in its readers' outline, in outlines drawn a little
tighter or wider, and as the detector outlines it, since that is the outline in use.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from LungNoduleAILib.appearance import FEATURES
from LungNoduleAILib.nodule_crop import SPACING_MM
from LungNoduleAILib.rating import GRADES, RATINGS
from LungNoduleAILib.rating_network import HU_RANGE, RatingNetwork, predict
from LungNoduleAILib.training.lidc_nodules import FOLDS, read_nodules
from LungNoduleAILib.training.rating_baselines import out_of_fold_scores, random_forest, support_vectors
from LungNoduleAILib.training.rating_examples import MEASURED, Examples, make_examples
from LungNoduleAILib.training.rating_figures import (
    Figure,
    calcification_auc,
    kappa,
    malignancy_auc,
    spearman,
    with_interval,
)
from LungNoduleAILib.training.rating_loop import train
from SegmentationAILib.engine.model_folder import ModelCard, write_model

# Malignancy that is neither suspicious nor unlikely.
UNSURE = 3
EPOCHS = 10
# As in each fold, so that the figures are of what ships.
NETWORKS = 1


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of the grades [outline, nodule, rating, 5] and of calcification [outline, nodule]."""

    grades: NDArray[np.float64]
    calcification: NDArray[np.float64]


def predict_outlines(
    networks: Sequence[RatingNetwork], examples: Examples, rows: NDArray[np.int64], symmetries: int
) -> Predictions:
    """What networks say of those rows in every measured outline."""
    found = [
        predict(
            networks,
            examples.hu[rows, v],
            examples.occupancy[rows, v] / np.float32(255),
            examples.look[rows, v],
            symmetries=symmetries,
        )
        for v in MEASURED.values()
    ]
    return Predictions(np.stack([f[0] for f in found]), np.stack([f[1] for f in found]))


def cross_validate(
    examples: Examples, epochs: int, seed: int, *, crops: bool = True, numbers: bool = True
) -> Predictions:
    """What a network says of each nodule that was trained without the nodule's fold."""
    count = len(examples.fold)
    found = Predictions(np.zeros((len(MEASURED), count, len(RATINGS), GRADES)), np.zeros((len(MEASURED), count)))
    for fold in range(FOLDS):
        network = train(examples, np.flatnonzero(examples.fold != fold), epochs, seed, crops=crops, numbers=numbers)
        rows = np.flatnonzero(examples.fold == fold)
        part = predict_outlines([network], examples, rows, symmetries=4 if crops else 1)
        found.grades[:, rows], found.calcification[:, rows] = part.grades, part.calcification
        click.echo(f"fold {fold}: {len(rows)} nodules, {time.process_time():.0f} s of processor time")
    return found


def figures(examples: Examples, found: Predictions) -> dict[str, dict]:
    """By outline: AUC of malignancy and calcification; agreement with the readers for each rating."""
    value = found.grades @ np.arange(1, GRADES + 1)
    result = {}
    for v, outline in enumerate(MEASURED):
        result[outline] = binary_figures(examples, value[v, :, 0], found.calcification[v])
        for n, rating in enumerate(RATINGS):
            read, expected = examples.ratings[:, n], value[v, :, n]
            result[outline][rating] = {
                "quadratic_kappa": with_interval(kappa, read, expected, examples.patient),
                "spearman": with_interval(spearman, read, expected, examples.patient),
                "within_one_grade": round(float((np.abs(np.round(expected) - read) <= 1).mean()), 4),
            }
    return result


def binary_figures(examples: Examples, malignancy: NDArray, calcification: NDArray) -> dict[str, Figure]:
    """AUC of malignancy and of calcification from scores [nodule]."""
    return {
        "malignancy_auc": malignancy_auc(examples.ratings[:, 0], malignancy, examples.patient),
        "calcification_auc": calcification_auc(examples.calcified, calcification, examples.patient),
    }


def baseline_figures(examples: Examples, seed: int) -> dict[str, dict]:
    """Of the diameter alone, and of radiomics with a forest or an SVM, on the same folds."""
    everyone = np.ones(len(examples.fold), dtype=bool)
    sure = examples.ratings[:, 0] != UNSURE
    malignant = examples.ratings[:, 0] > UNSURE
    diameter = examples.look[:, :, FEATURES.index("log diameter")].T
    scores = {"diameter": (diameter, -diameter)}
    for name, make in (("radiomics, random forest", random_forest), ("radiomics, SVM", support_vectors)):
        for learned, label in ((1, "readers' outlines"), (examples.look.shape[1], "all outlines")):
            scores[f"{name}, learned in {label}"] = tuple(
                out_of_fold_scores(make, examples.radiomics, positive, rows, examples.fold, seed, learned)
                for positive, rows in ((malignant, sure), (examples.calcified, everyone))
            )
    return {
        name: {outline: binary_figures(examples, both[0][v], both[1][v]) for outline, v in MEASURED.items()}
        for name, both in scores.items()
    }


def write_out_of_fold(examples: Examples, found: Predictions, path: Path) -> None:
    """A row for each nodule and outline: the readers' grades beside the expected ones."""
    value = found.grades @ np.arange(1, GRADES + 1)
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        read, expected = [f"{r} read" for r in RATINGS], [f"{r} expected" for r in RATINGS]
        table.writerow(["name", "fold", "outline", *read, *expected, "calcium read", "calcium probability"])
        for v, outline in enumerate(MEASURED):
            for n, name in enumerate(examples.name):
                calcium = [int(examples.calcified[n]), f"{found.calcification[v, n]:.3f}"]
                values = [f"{x:.2f}" for x in value[v, n]]
                table.writerow([name, examples.fold[n], outline, *examples.ratings[n], *values, *calcium])


def card_of(examples: Examples, epochs: int, seed: int, count: int) -> ModelCard:
    """What the networks trained on all nodules are and how they were made."""
    return ModelCard(
        kind="ratings",
        configuration={"networks": count},
        spacing_mm=SPACING_MM,
        hu_range=HU_RANGE,
        classes=(*RATINGS, "calcification"),
        recipe={"epochs": epochs},
        seed=seed,
        step=epochs,
        # Of networks that did not see the nodule; there are none of the networks that ship.
        figures={},
        training={
            "set": "LIDC-IDRI, doi 10.7937/K9/TCIA.2015.LO9QL9SX",
            "license": "CC BY 3.0",
            "nodules": len(examples.fold),
            "patients": len(np.unique(examples.patient)),
            "numbers": list(FEATURES),
        },
    )


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--epochs", default=EPOCHS, show_default=True)
@click.option("--networks", "count", default=NETWORKS, show_default=True, help="Networks trained on all nodules.")
def main(data: Path, out: Path, seed: int, epochs: int, count: int) -> None:
    """Cross-validate, then train on all nodules; DATA is the folder of nodules, OUT takes the files."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    examples = make_examples(read_nodules(data), seed)
    click.echo(f"{len(examples.fold)} nodules of {len(np.unique(examples.patient))} patients")
    result = baseline_figures(examples, seed)
    numbers = cross_validate(examples, 0, seed, crops=False)
    both = cross_validate(examples, epochs, seed)
    result["network on the numbers alone"] = figures(examples, numbers)
    result["network"] = figures(examples, both)
    (out / "nodule-ratings-figures.json").write_text(json.dumps(result, indent=1) + "\n")
    write_out_of_fold(examples, both, out / "nodule-ratings-out-of-fold.csv")
    everything = np.arange(len(examples.fold))
    networks = [train(examples, everything, epochs, seed + 1 + n) for n in range(count)]
    write_model(out / "nodule-ratings", card_of(examples, epochs, seed, count), nn.ModuleList(networks))
    malignancy = result["network"]["readers"]["malignancy_auc"]
    click.echo(f"AUC of malignancy {malignancy['value']:.3f}, 95 % interval {malignancy['interval_95']}")


if __name__ == "__main__":
    main()
