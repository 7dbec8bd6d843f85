"""python -m benchmarks.lung_dice DATA: lungs against every reference that the data folder holds."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np
import pydicom
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from SegmentationAILib.files import load
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

SCANS = {"LIDC-IDRI-0002": "ct.nii.gz", "LIDC-IDRI-0003": "dicom", "LIDC-IDRI-0314": "ct.nii.gz"}


def rasterise(dataset: pydicom.Dataset, name: str, grid: Grid) -> NDArray[np.bool_]:
    """[k, j, i] voxels whose centre lies in a structure's closed planar contours (LPS, mm); holes by XOR."""
    number = next(roi.ROINumber for roi in dataset.StructureSetROISequence if roi.ROIName == name)
    item = next(one for one in dataset.ROIContourSequence if one.ReferencedROINumber == number)
    mask = np.zeros(grid.shape, dtype=bool)
    j, i = np.indices(grid.shape[1:])
    centres = np.column_stack([i.ravel(), j.ravel()])
    for contour in item.ContourSequence:
        lps = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
        ijk = grid.ijk(lps * [-1, -1, 1])
        k = round(float(ijk[:, 2].mean()))
        if 0 <= k < grid.shape[0]:
            mask[k] ^= Outline(ijk[:, :2]).contains_points(centres).reshape(grid.shape[1:])
    return mask


def rtstruct_rows(folder: Path) -> list[dict]:
    """LUNG1-002: lungs drawn by clinicians, with the tumour (GTV-1) outside them and added."""
    volume, labels, seconds = segmented(folder)
    [path] = [one for one in folder.iterdir() if pydicom.dcmread(one, stop_before_pixels=True).Modality == "RTSTRUCT"]
    dataset = pydicom.dcmread(path)
    gtv = rasterise(dataset, "GTV-1", volume.grid)
    truth = {
        RIGHT_LUNG: rasterise(dataset, "Lung R", volume.grid),
        LEFT_LUNG: rasterise(dataset, "Lung L", volume.grid),
    }
    rows = [row("LUNG1-002", "clinicians' contours", labels, truth, seconds)]
    with_gtv = dict(truth)
    side = max(truth, key=lambda structure: np.count_nonzero(labels.mask(structure) & gtv))
    with_gtv[side] = truth[side] | gtv
    return [*rows, row("LUNG1-002", "the same with the tumour", labels, with_gtv, seconds)]


def segmented(path: Path) -> tuple[Volume, LabelMap, float]:
    volume = load(path)
    start = time.perf_counter()
    labels = segment_lungs(volume)
    return volume, labels, time.perf_counter() - start


def row(scan: str, reference: str, labels: LabelMap, truth: dict, seconds: float) -> dict:
    scores = {side: dice(labels.mask(structure), truth[structure]) for side, structure in sides()}
    both = dice(labels.mask(RIGHT_LUNG) | labels.mask(LEFT_LUNG), truth[RIGHT_LUNG] | truth[LEFT_LUNG])
    return {"scan": scan, "reference": reference, **scores, "both": both, "seconds": seconds}


def sides() -> tuple:
    return (("right", RIGHT_LUNG), ("left", LEFT_LUNG))


def nodule_row(data: Path, scan: str) -> dict:
    """Volumes, and how much of the readers' nodules lies inside the lungs."""
    _, labels, seconds = segmented(data / scan / SCANS[scan])
    marks = load(data / scan / "nodules.nii.gz").array > 0
    inside = float((labels.array[marks] > 0).mean())
    volumes = {f"{side}_ml": labels.volume_ml(structure) for side, structure in sides()}
    return {"scan": scan, "nodule_voxels_inside": inside, **volumes, "seconds": seconds}


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(data: Path, json_path: Path | None) -> None:
    """Print the tables; DATA is the folder of real CTs."""
    rows = rtstruct_rows(data / "LUNG1-002" / "dicom")
    rows += [nodule_row(data, scan) for scan in SCANS]
    for one in rows:
        click.echo(
            "  ".join(f"{key} {value:.3f}" if isinstance(value, float) else str(value) for key, value in one.items())
        )
    if json_path:
        json_path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
