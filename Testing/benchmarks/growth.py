"""How time and memory of our engine grow with the volume, from 128³ to 512×512×1000 voxels, on one plot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.measure import DidNotFitError, measure
from benchmarks.network_pairs import Case, nnunet_ours
from benchmarks.random_models import nnunet_folder
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

SHAPES = ((128, 128, 128), (128, 256, 256), (256, 256, 256), (150, 512, 512), (300, 512, 512), (1000, 512, 512))
SPACING = (0.8, 0.8, 1.0)
# A light network: the question is the growth.
FEATURES = (8, 16, 32, 64)
CLASSES = 117


def light() -> Path:
    return nnunet_folder("nnunet-light-3mm", FEATURES, 3.0, CLASSES)


def case(shape: tuple[int, int, int], folder: Callable[[], Path] = light) -> Case:
    """A body-like cylinder of smooth densities in air, for a model."""
    k, j, i = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    body = np.hypot(j[:, None], i[None]) < 0.8
    plane = 300 * np.sin(9 * j)[:, None] * np.cos(7 * i)[None] - 200
    array = np.full(shape, -1000, dtype=np.int16)
    for n, height in enumerate(k):
        array[n][body] = (plane + 300 * np.sin(11 * height))[body]
    matrix = LPS_FROM_RAS @ np.diag([*SPACING, 1.0])
    return Case(folder(), Volume(array, Grid(shape, matrix), "", "CT"))


def table(output: Path) -> Iterator[str]:
    """Measure; write growth.json and growth.png; the lines of a table, each when it is known."""
    rows = []
    yield f"{'voxels':>20s} {'seconds':>9s} {'peak MiB':>9s} {'ns per voxel':>13s}"
    for shape in SHAPES:
        try:
            found = measure(partial(case, shape), nnunet_ours, 1)
        except (DidNotFitError, RuntimeError) as error:
            yield f"{size(shape):>20s} {error}"
            continue
        count = int(np.prod(shape))
        rows.append({"shape": shape, "voxels": count, "seconds": found.seconds, "peak_mb": found.peak_bytes / 2**20})
        (output / "growth.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        draw(rows, output / "growth.png")
        each = found.seconds / count * 1e9
        yield f"{size(shape):>20s} {found.seconds:9.2f} {found.peak_bytes / 2**20:9.0f} {each:13.1f}"
    if rows:
        yield f"Written: {output / 'growth.png'}"


def size(shape: Sequence[int]) -> str:
    """As radiologists say it, slices last."""
    return "×".join(str(n) for n in shape[::-1])


def draw(rows: list[dict], path: Path) -> None:
    """Seconds and peak memory over voxels, both with a straight line through the largest for comparison."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    voxels = np.array([row["voxels"] for row in rows]) / 1e6
    for axes, key, label in zip(
        figure.subplots(1, 2), ("seconds", "peak_mb"), ("Time (s)", "Peak memory (MiB)"), strict=True
    ):
        values = np.array([row[key] for row in rows])
        axes.plot(voxels, values, "o-", label="Measured")
        axes.plot(voxels, values[-1] * voxels / voxels[-1], "--", color="0.6", label="In proportion to the voxels")
        axes.set(xlabel="Million voxels", ylabel=label, xscale="log", yscale="log")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_locator(NullLocator())
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(frameon=False, loc="upper left")
    ends = " to ".join(size(row["shape"]) for row in (rows[0], rows[-1]))
    figure.suptitle(f"nnU-Net model of 3 mm, {CLASSES} classes: {ends} voxels")
    figure.savefig(path, dpi=150)
