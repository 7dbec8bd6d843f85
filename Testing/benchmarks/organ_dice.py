"""python -m benchmarks.organ_dice DATA OUT: the built-in organ network on patients that training never saw."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pydicom
from numpy.typing import NDArray

from benchmarks.lung_dice import rasterise
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice, hd95
from SegmentationAILib.organ_model import OrganModel, built_in, read_organ_model, segment_organs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.training.organ_classes import CLASS_NAMES, class_table
from SegmentationAILib.volume import Volume

# Names in LUNG1-002's structure set, drawn by clinicians.
LUNG1 = {
    "lung_right": "Lung R",
    "lung_left": "Lung L",
    "heart": "Heart",
    "oesophagus": "Esophagus",
    "spinal_cord": "Spinal cord",
}
# Less of an organ than this in view is no measure of it.
_SMALLEST_ML = 3.0
Reference = dict[str, NDArray[np.bool_]]


def held_out(data: Path) -> Iterator[tuple[str, Volume, Reference]]:
    """Name, CT and masks of each held-out patient."""
    folder = data / "LUNG1-002" / "dicom"
    volume = load(folder)
    datasets = (pydicom.dcmread(one, stop_before_pixels=True) for one in folder.iterdir())
    structures = next(one for one in datasets if one.Modality == "RTSTRUCT")
    yield (
        "LUNG1-002",
        volume,
        {name: rasterise(structures, roi, volume.grid) for name, roi in LUNG1.items()},
    )
    folder = data / "totalsegmentator"
    volume = load(folder / "example_ct" / "ct.nii.gz")
    classes = class_table()[load(folder / "example_ct" / "seg.nii.gz").array.astype(int)]
    yield "example_ct", volume, {name: classes == value for value, name in enumerate(CLASS_NAMES) if value > 1}
    # Both folders are of one patient.
    volume = load(folder / "aorta" / "ct.nii.gz")
    heart = load(folder / "pulmonary" / "heart.nii.gz")
    yield (
        "aorta",
        volume,
        {
            "aorta": load(folder / "aorta" / "aorta.nii.gz").array > 0,
            "heart": resample((heart.array > 0).astype(np.uint8), heart.grid, volume.grid, mode="nearest") > 0,
        },
    )


def measure(model: OrganModel, data: Path) -> list[dict]:
    """A row for each structure of each held-out patient."""
    rows = []
    for name, volume, reference in held_out(data):
        start = time.perf_counter()
        labels = segment_organs(volume, model=model)
        seconds = time.perf_counter() - start
        step = volume.grid.spacing[::-1]
        for structure, truth in reference.items():
            if truth.sum() * volume.grid.voxel_volume / 1000 < _SMALLEST_ML:
                continue
            found = labels.array == CLASS_NAMES.index(structure)
            rows.append(
                {
                    "case": name,
                    "structure": structure,
                    "dice": dice(found, truth),
                    "hd95_mm": hd95(found, truth, step),
                    "ml": float(truth.sum() * volume.grid.voxel_volume / 1000),
                    "seconds": seconds,
                }
            )
            click.echo(
                "{case:34s} {structure:12s} {dice:.3f} {hd95_mm:6.1f} mm {ml:7.0f} ml {seconds:.0f} s".format(
                    **rows[-1]
                )
            )
    return rows


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="another than the built-in one")
def main(data: Path, out: Path, model: Path | None) -> None:
    """Write OUT/organs.json."""
    out.mkdir(parents=True, exist_ok=True)
    held = read_organ_model(model) if model else built_in()
    (out / "organs.json").write_text(
        json.dumps(measure(OrganModel(held.network, held.classes, CLASS_NAMES[2:]), data), indent=1)
    )


if __name__ == "__main__":
    main()
