"""The scale of the detector's scores: from the height of a peak to the share of such marks that are nodules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression

from LungNoduleAILib.detection import Detector, ScoreScale, read_detector
from LungNoduleAILib.search import SearchSpace
from LungNoduleAILib.training.backgrounds import Background, read_background
from LungNoduleAILib.training.held_out import best_hit, blended, false_marks, network_finder
from LungNoduleAILib.training.lidc import NoduleCrop, read_crops
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.engine.model_folder import read_model, write_model

# Nodules in a CT that has any; the share of marks that are nodules depends on it.
NODULES_PER_SCAN = 3
_SEED = 11


def fit_scale(heats_of_nodules: ArrayLike, heats_of_others: ArrayLike, nodules: int, scans: int) -> ScoreScale:
    """Logistic regression on the logit of the heat (Platt, 1999), nodules weighted to ``NODULES_PER_SCAN``.

    Args:
        heats_of_nodules: of the nodules that were hit.
        heats_of_others: of all other marks of whole scans.
        nodules: how many nodules were shown, hit or not.
        scans: how many whole scans.
    """
    hits, others = np.asarray(heats_of_nodules, dtype=float), np.asarray(heats_of_others, dtype=float)
    heats = np.clip(np.concatenate([hits, others]), 1e-6, 1 - 1e-6)
    logit = np.log(heats / (1 - heats))[:, None]
    labels = np.repeat([1, 0], [len(hits), len(others)])
    weights = np.where(labels == 1, NODULES_PER_SCAN * scans / nodules, 1.0)
    fitted = LogisticRegression(C=1e6).fit(logit, labels, sample_weight=weights)
    return ScoreScale(round(float(fitted.coef_[0, 0]), 4), round(float(fitted.intercept_[0]), 4))


def measured_scale(detector: Detector, crops: Sequence[NoduleCrop], scans: Sequence[Background]) -> ScoreScale:
    """The scale of a detector on nodules that it did not learn, in scans whose other marks are none."""
    find = network_finder(replace(detector, scale=ScoreScale()))
    others: list[float] = []
    for scan in scans:
        marks = find(SearchSpace(scan.hu.astype(np.float32), scan.lungs, scan.grid))
        others += false_marks(marks, scan, np.zeros(scan.hu.shape, dtype=bool))
    cases = list(blended(crops, scans, _SEED))
    hits = [hit.score for hit in (best_hit(find(case.space), case) for case in cases) if hit is not None]
    return fit_scale(hits, others, len(cases), len(scans))


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("prepared", type=click.Path(path_type=Path))
@click.argument("model", type=click.Path(path_type=Path))
def main(data: Path, prepared: Path, model: Path) -> None:
    """Measure the scale on the validation patients and write it into MODEL's card."""
    split = read_split()
    crops = [crop for crop in read_crops(data / "lidc-vois") if crop.patient in split["patients"].validation]
    scans = [read_background(data / name, prepared) for name in sorted(split["scans"].train)]
    detector = read_detector(model)
    scale = measured_scale(detector, crops, scans)
    held = read_model(model, "nodule")
    card = replace(held.card, training={**held.card.training, "score_scale": asdict(scale)})
    write_model(model, card, detector.network)
    click.echo(f"slope {scale.slope}, offset {scale.offset}")


if __name__ == "__main__":
    main()
