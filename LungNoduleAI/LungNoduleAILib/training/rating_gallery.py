"""Draw the nodules rated worst: python -m LungNoduleAILib.training.rating_gallery DATA TABLE PNG.

TABLE is nodule-ratings-out-of-fold.csv of training/ratings.py.
"""

from __future__ import annotations

import csv
from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from LungNoduleAILib.nodule_crop import crop_nodule, cube
from LungNoduleAILib.training.lidc_nodules import RatedNodule, read_nodules

COLUMNS = 5
SIDE = 32
# Lung window: centre -500, width 1400 HU.
WINDOW_HU = (-1200.0, 200.0)


def worst(table: Path, rating: str = "malignancy") -> tuple[list[dict], list[dict]]:
    """Rows, in the readers' outline, of the nodules rated most too high and most too low."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["outline"] == "readers"]
    rows.sort(key=lambda row: float(row[f"{rating} expected"]) - float(row[f"{rating} read"]))
    return rows[: -COLUMNS - 1 : -1], rows[:COLUMNS]


def draw(axes: Axes, nodule: RatedNodule, row: dict) -> None:
    """The section through the middle in the lung window, with the outline."""
    crop = crop_nodule(nodule.volume, nodule.mask)
    hu, occupancy = cube(crop.hu, SIDE), cube(crop.occupancy, SIDE, fill=0.0)
    section = int(np.argmax(occupancy.sum(axis=(1, 2))))
    axes.imshow(hu[section], cmap="gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
    axes.contour(occupancy[section], [0.5], colors="tab:orange", linewidths=0.8)
    axes.set_title(f"readers {row['malignancy read']}, network {float(row['malignancy expected']):.1f}", fontsize=7)
    axes.set_xlabel(nodule.name.replace("LIDC-IDRI-", "").replace("_R_", ", nodule "), fontsize=6)
    axes.set(xticks=[], yticks=[])


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("table", type=click.Path(exists=True, path_type=Path))
@click.argument("png", type=click.Path(path_type=Path))
def main(data: Path, table: Path, png: Path) -> None:
    """Draw the nodules of DATA whose malignancy was rated most too high (above) and too low (below)."""
    nodules = {nodule.name: nodule for nodule in read_nodules(data)}
    figure, axes = plt.subplots(2, COLUMNS, figsize=(7.2, 3.4), layout="constrained")
    for line, rows in zip(axes, worst(table), strict=True):
        for one, row in zip(line, rows, strict=True):
            draw(one, nodules[row["name"]], row)
    figure.savefig(png, dpi=100)


if __name__ == "__main__":
    main()
