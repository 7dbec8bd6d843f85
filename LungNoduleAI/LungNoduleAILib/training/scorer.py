"""Fit the baseline's score: python -m LungNoduleAILib.training.scorer DATA.

Nodules are the LIDC cubes (each in its own surroundings) and the marked nodules of the whole CTs;
what is none are the other candidates of the whole CTs. Prints the model and, for each whole CT, how
it ranks the CT's nodules when fitted without that CT.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize

from LungNoduleAILib.baseline import outlined_candidates
from LungNoduleAILib.candidates import find_blobs
from LungNoduleAILib.characterization import delineate
from LungNoduleAILib.scoring import FEATURES, LogisticModel, features
from LungNoduleAILib.search import search_space
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.files import load
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.volume import Grid

SCANS = {
    "LIDC-IDRI-0002": "ct.nii.gz",
    "LIDC-IDRI-0003": "dicom",
    "LIDC-IDRI-0314": "ct.nii.gz",
    "CMB-CRC-MSB-01068": "ct.nii.gz",
}
# No mask comes with this CT; the one nodule that its description names was found by eye. RAS, mm.
CMB_NODULE = {"label": 1, "readers": 1, "centre_lps_mm": [93.0, -3.0, -113.0], "diameter_mm": 24.0}
CUBES = "cubes"
# Cubes with smaller nodules are outside what the detector seeks.
_LEAST_DIAMETER_MM = 4.0
# Share of the loss that nodules make up, and the weight decay, which few positives need.
_POSITIVE_SHARE = 0.1
_DECAY = 0.003


@dataclass(frozen=True, eq=False)
class Example:
    """A candidate: its features, whether it is a nodule, and the scan it is from."""

    values: NDArray[np.float64]
    is_nodule: bool
    scan: str


def cube_examples(path: Path) -> list[Example]:
    """The strongest candidate inside the mask of each cube."""
    held = np.load(path)
    examples = []
    for hu, mask in zip(held["hu"], held["mask"], strict=True):
        if np.cbrt(6 * np.count_nonzero(mask) / np.pi) < _LEAST_DIAMETER_MM:
            continue
        clamped = np.clip(hu.astype(np.float32), -1000.0, 150.0)
        near = torch.from_numpy(ndimage.binary_dilation(mask > 0))
        blobs = find_blobs(torch.from_numpy(clamped), near, Grid(hu.shape, np.eye(4)), limit=1)
        for blob in blobs:
            found = delineate(clamped, blob.ijk[::-1], blob.diameter_mm)
            examples.append(Example(features(found, blob.answer), True, CUBES))
    return examples


def marks_of(data: Path, scan: str) -> list[dict]:
    """What the readers marked in a whole CT; centres in LPS, mm."""
    if scan.startswith("CMB"):
        return [CMB_NODULE]
    return json.loads((data / scan / "nodules.json").read_text())["nodules"]


def centre_ras(mark: dict) -> NDArray[np.float64]:
    return np.multiply(mark["centre_lps_mm"], [-1.0, -1.0, 1.0])


def scan_examples(data: Path, scan: str) -> list[Example]:
    """All candidates of a whole CT; second hits on a nodule and marks of one reader are left out."""
    volume = load(data / scan / SCANS[scan])
    marks = marks_of(data, scan)
    space = search_space(volume, segment_lungs(volume))
    examples, seen = [], set()
    for one in outlined_candidates(space, "auto", Progress()):
        ras = space.grid.ras(one.candidate.ijk)
        hits = [m for m in marks if np.linalg.norm(ras - centre_ras(m)) <= m["diameter_mm"] / 2]
        mark = hits[0] if hits else None
        if mark is None:
            examples.append(Example(one.features, False, scan))
        elif mark["label"] not in seen and (mark["readers"] > 1 or scan.startswith("CMB")):
            seen.add(mark["label"])
            examples.append(Example(one.features, True, scan))
    return examples


def fit(examples: list[Example]) -> LogisticModel:
    """Logistic regression with weight decay, both classes given fixed shares of the loss."""
    values = np.array([e.values for e in examples])
    target = np.array([e.is_nodule for e in examples], dtype=float)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    design = np.column_stack([(values - mean) / deviation, np.ones(len(values))])
    weight = np.where(target == 1, _POSITIVE_SHARE / target.sum(), (1 - _POSITIVE_SHARE) / (1 - target).sum())

    def loss(b: NDArray) -> tuple[float, NDArray]:
        logit = design @ b
        residual = weight * (1 / (1 + np.exp(-logit)) - target)
        decay = np.append(b[:-1], 0.0)
        value = (weight * (np.logaddexp(0, logit) - target * logit)).sum() + _DECAY / 2 * (decay @ decay)
        return value, design.T @ residual + _DECAY * decay

    b = minimize(loss, np.zeros(design.shape[1]), jac=True).x
    rounded = [tuple(float(x) for x in np.round(row, 4)) for row in (mean, deviation, b[:-1])]
    return LogisticModel(*rounded, bias=round(float(b[-1]), 4))


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
def main(data: Path) -> None:
    """Fit and print the model; DATA is the folder with the sets marked train."""
    examples = cube_examples(data / "lidc-cubes" / "cubes.npz")
    click.echo(f"{len(examples)} cubes with a candidate")
    for scan in SCANS:
        examples += scan_examples(data, scan)
    for scan in SCANS:
        model = fit([e for e in examples if e.scan != scan])
        own = [(model.probability(e.values), e.is_nodule) for e in examples if e.scan == scan]
        others = sorted((p for p, is_nodule in own if not is_nodule), reverse=True)
        marked = sorted((p for p, is_nodule in own if is_nodule), reverse=True)
        click.echo(f"{scan} left out: nodules {np.round(marked, 3)}, best others {np.round(others[:10], 2)}")
    model = fit(examples)
    for name, weight in zip(FEATURES, model.weight, strict=True):
        click.echo(f"{name:24s} {weight:+.2f}")
    click.echo(repr(model))


if __name__ == "__main__":
    main()
