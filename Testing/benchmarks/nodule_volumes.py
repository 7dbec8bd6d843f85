"""python -m benchmarks.nodule_volumes [OUT]: volumes of digital nodules against the truth, as a markdown table.

Each nodule is rendered at every slice thickness, kernel and noise, outlined half a millimetre too large and half a
millimetre off, and refined. Errors are shares of the true volume; a cell has the mean size of the error, and the
worst, over noise levels and draws of the noise.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.nodule_ct import SHARP, SOFT, Kernel, NoduleCt, Shape, ball, ellipsoid, render
from LungNoduleAILib.attenuation_type import solid_part
from LungNoduleAILib.characterization import box_around
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.refinement import refine
from SegmentationAILib.preprocess import resample

SLICES_MM = (0.5, 1.0, 1.25, 2.5, 5.0)
NOISE_HU = (15.0, 30.0, 60.0)
DIAMETERS_MM = (4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
KERNELS = (SOFT, SHARP)
SHAPES: dict[str, Callable[[float], Shape]] = {
    "sphere": ball,
    "ellipsoid": ellipsoid,
    "part-solid": lambda d: ball(d, solid_share=0.6),
    "on a vessel of 0.3 d": lambda d: ball(d, vessel_mm=0.3 * d),
    "on a vessel of 0.5 d": lambda d: ball(d, vessel_mm=0.5 * d),
    "on the wall": lambda d: ball(d, wall=True),
}
_OFF_MM = (0.3, -0.3, 0.3)
_TOO_LARGE_MM = 0.5


@dataclass(frozen=True)
class Row:
    """One nodule on one CT; ``error`` and ``solid_error`` are shares of the true volumes."""

    shape: str
    diameter_mm: float
    slice_mm: float
    kernel: str
    noise_hu: float
    error: float
    solid_error: float | None


def rough_outline(shape: Shape, ct: NoduleCt) -> NoduleMask:
    """The shape half a millimetre too large and half a millimetre off, as a detector's mask may be."""
    box = box_around(ct.volume.grid, (0.0, 0.0, 0.0), 2.2 * max(shape.radii_mm))
    k, j, i = np.indices(box.shape)
    x, y, z = (
        np.moveaxis(box.ras(np.stack([i, j, k], axis=-1)) - _OFF_MM, -1, 0) * np.array([-1, -1, 1])[:, None, None, None]
    )
    u, v = x * 0.866 + y * 0.5, y * 0.866 - x * 0.5
    radii = np.array(shape.radii_mm) + _TOO_LARGE_MM
    level = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (z / radii[2]) ** 2)
    return NoduleMask(np.clip(0.5 - (level - 1) * radii.mean(), 0, 1).astype(np.float32), box)


def measured(name: str, diameter_mm: float, slice_mm: float, kernel: Kernel, noise_hu: float, seed: int = 0) -> Row:
    """Refine and measure one nodule."""
    shape = SHAPES[name](diameter_mm)
    ct = render(shape, slice_mm=slice_mm, kernel=kernel, noise_hu=noise_hu, seed=seed)
    mask = refine(ct.volume, rough_outline(shape, ct), ct.lungs)
    volume = float(mask.occupancy.sum()) * mask.grid.voxel_volume
    solid_error = None
    if shape.solid_share < 1:
        hu = resample(ct.volume.array, ct.volume.grid, mask.grid, mode="area")
        solid_error = solid_part(mask, hu).volume_mm3 / ct.solid_mm3 - 1
    return Row(name, diameter_mm, slice_mm, kernel.name, noise_hu, volume / ct.volume_mm3 - 1, solid_error)


def rows(draws: int) -> Iterator[Row]:
    for name in SHAPES:
        for diameter in DIAMETERS_MM:
            for kernel in KERNELS:
                for slice_mm in SLICES_MM:
                    for level, noise in enumerate(NOISE_HU):
                        for draw in range(draws):
                            yield measured(name, diameter, slice_mm, kernel, noise, level + 100 * draw)


def markdown(table: list[Row]) -> str:
    """Mean size of the error, and the worst, by shape, diameter and slice, both kernels side by side."""
    lines = [
        "| nodule | mm | " + " | ".join(f"{k.name} {s:g} mm" for k in KERNELS for s in SLICES_MM) + " |",
        "|---|---|" + "---|" * (len(KERNELS) * len(SLICES_MM)),
    ]
    for part in ("error", "solid_error"):
        for name in SHAPES:
            for diameter in DIAMETERS_MM:
                of_nodule = [row for row in table if row.shape == name and row.diameter_mm == diameter]
                if not of_nodule or getattr(of_nodule[0], part) is None:
                    continue
                cells = []
                for kernel in KERNELS:
                    for slice_mm in SLICES_MM:
                        errors = [
                            getattr(r, part) for r in of_nodule if r.kernel == kernel.name and r.slice_mm == slice_mm
                        ]
                        worst = max(errors, key=abs, default=float("nan"))
                        cells.append(f"{np.mean(np.abs(errors)):.1%} ({worst:+.1%})")
                label = name if part == "error" else f"{name}: solid part"
                lines.append(f"| {label} | {diameter:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


@click.command()
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--draws", default=1, show_default=True, help="Draws of the noise at each of its levels.")
def main(out: Path | None, draws: int) -> None:
    """Print the table; with OUT, write every row to OUT/nodule_volumes.json too."""
    table = list(rows(draws))
    click.echo(markdown(table))
    if out:
        out.mkdir(parents=True, exist_ok=True)
        (out / "nodule_volumes.json").write_text(json.dumps([asdict(row) for row in table], indent=1))


if __name__ == "__main__":
    main()
