"""python -m benchmarks.gtv_clicks DATA: tumours from simulated clicks against the readers' masks.

The first click goes to the mask's most interior point (or, with --random, to a random one of its inner
half); each later one to the most interior point of the largest error, adding or removing. Boxes of
lidc-vois end where the masks end along z, which helps; cubes and whole CTs do not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import pydicom
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.lung_dice import SCANS, rasterise
from LungNoduleAILib.training.lidc import box_grid, read_cubes
from LungNoduleAILib.training.lidc_vois import read_boxes
from LungNoduleAILib.training.split import read_split
from LungNoduleAILib.tumour_prior import nodule_prior
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.radiotherapy.gtv import Session, start
from SegmentationAILib.radiotherapy.tumour_prior import Prior
from SegmentationAILib.training.tumour_click import inner_point
from SegmentationAILib.volume import Volume

CLICKS = 5
# Share of the mask's neighbours that are soft tissue from which on it counts as touching the wall.
_TOUCHING = 0.1
_SMALLEST_MM3 = 5.0


@dataclass(frozen=True, eq=False)
class Case:
    """A tumour and its mask."""

    set: str
    name: str
    volume: Volume
    mask: NDArray[np.bool_]

    @property
    def diameter_mm(self) -> float:
        return float(np.cbrt(6 * np.count_nonzero(self.mask) * self.volume.grid.voxel_volume / np.pi))

    @property
    def touches(self) -> bool:
        ring = ndimage.binary_dilation(self.mask, iterations=2) & ~self.mask
        return bool((self.volume.array[ring] > -200).mean() > _TOUCHING)


def cases(data: Path, part: str) -> Iterator[Case]:
    """Tumours of one part of the split; whole CTs, which all belong to training, with any part."""
    split = read_split()
    for box in read_boxes(data / "lidc-vois"):
        if box.patient in getattr(split["patients"], part):
            yield Case("lidc-vois", box.name, box.image, box.mask.array > 0)
    for cube in read_cubes(data / "lidc-cubes" / "cubes.npz"):
        if cube.name in getattr(split["cubes"], part):
            yield Case("lidc-cubes", cube.name, Volume(cube.hu, box_grid(cube.hu.shape), cube.name, "CT"), cube.mask)


def whole_cts(data: Path) -> Iterator[Case]:
    for scan, file in SCANS.items():
        volume = load(data / scan / file)
        marks = load(data / scan / "nodules.nii.gz").array
        for value in np.unique(marks[marks > 0]):
            yield Case("whole CTs", f"{scan} {value}", volume, marks == value)
    folder = data / "LUNG1-002" / "dicom"
    volume = load(folder)
    [path] = [one for one in folder.iterdir() if pydicom.dcmread(one, stop_before_pixels=True).Modality == "RTSTRUCT"]
    yield Case("LUNG1-002", "GTV-1", volume, rasterise(pydicom.dcmread(path), "GTV-1", volume.grid))


def simulate(case: Case, prior: Prior | None, lungs: bool, rng: np.random.Generator | None) -> dict:
    """Dice and seconds after each click, and of a box alone."""
    labels = segment_lungs(case.volume) if lungs else None
    row = {"set": case.set, "name": case.name, "diameter_mm": case.diameter_mm, "touches": case.touches}
    scores, seconds = [], []
    session = start(case.volume, labels, prior)
    at, add = inner_point(case.mask, case.volume, rng), True
    for _ in range(CLICKS):
        began = time.perf_counter()
        try:
            mask = session.click(tuple(at), add)
        except InputError as error:
            row["refused"] = str(error)
            mask = np.zeros(case.volume.shape, dtype=bool) if not scores else mask
        seconds.append(time.perf_counter() - began)
        scores.append(dice(mask, case.mask))
        missed, false = case.mask & ~mask, mask & ~case.mask
        if not (missed.any() or false.any()):
            scores += scores[-1:] * (CLICKS - len(scores))
            break
        add = _largest(missed) >= _largest(false)
        at = inner_point(missed if add else false, case.volume)
    return {**row, "box": _box_dice(case, labels, prior), "dice": scores, "seconds": seconds}


def _largest(region: NDArray[np.bool_]) -> int:
    labels, count = ndimage.label(region)
    return int(np.bincount(labels[region]).max()) if count else 0


def _box_dice(case: Case, labels, prior: Prior | None) -> float:
    places = np.argwhere(case.mask)[:, ::-1]
    corners = case.volume.grid.ras([places.min(axis=0) - 0.5, places.max(axis=0) + 0.5])
    session: Session = start(case.volume, labels, prior)
    try:
        return dice(session.box(tuple(corners[0]), tuple(corners[1])), case.mask)
    except InputError:
        return float("nan")


def summary(rows: list[dict], name: str) -> str:
    if not rows:
        return f"{name:28s} none"
    scores = np.array([row["dice"] for row in rows])
    box = np.nanmean([row["box"] for row in rows])
    seconds = [one for row in rows for one in row["seconds"]]
    cells = "  ".join(f"{n}: {scores[:, n - 1].mean():.3f}/{np.median(scores[:, n - 1]):.3f}" for n in (1, 2, 3, 5))
    return f"{name:28s} {len(rows):4d}  box {box:.3f}  {cells}  s {np.mean(seconds):.2f}/{np.max(seconds):.2f}"


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--part", default="test", type=click.Choice(["train", "validation", "test"]))
@click.option("--random", "random_first", is_flag=True, help="First click at a random inner point.")
@click.option("--prior", "use_prior", is_flag=True, help="With the built-in nodule network as a prior.")
@click.option("--whole/--no-whole", default=True, help="Whole CTs too.")
@click.option("--every", default=1, help="Only every so many of the boxes and cubes.")
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(
    data: Path, part: str, random_first: bool, use_prior: bool, whole: bool, every: int, json_path: Path | None
) -> None:
    """Dice (mean/median) after 1, 2, 3 and 5 clicks and of a box; seconds a click (mean/most)."""
    prior = nodule_prior() if use_prior else None
    rows = []
    small = list(cases(data, part))[::every]
    for case in [*small, *(whole_cts(data) if whole else ())]:
        if np.count_nonzero(case.mask) * case.volume.grid.voxel_volume < _SMALLEST_MM3:
            continue
        rng = np.random.default_rng(len(rows)) if random_first else None
        rows.append(simulate(case, prior, case.set in ("whole CTs", "LUNG1-002"), rng))
    for name in dict.fromkeys(row["set"] for row in rows):
        click.echo(summary([row for row in rows if row["set"] == name], name))
    boxes = [row for row in rows if row["set"].startswith("lidc")]
    for low, high in ((0, 6), (6, 10), (10, 20), (20, 60)):
        click.echo(summary([row for row in boxes if low <= row["diameter_mm"] < high], f"  {low} to {high} mm"))
    for touches in (False, True):
        click.echo(summary([row for row in boxes if row["touches"] == touches], f"  touches wall: {touches}"))
    for row in rows:
        if not row["set"].startswith("lidc"):
            click.echo(f"{row['name']}  {row['diameter_mm']:.1f} mm  " + " ".join(f"{one:.3f}" for one in row["dice"]))
    if json_path:
        json_path.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
