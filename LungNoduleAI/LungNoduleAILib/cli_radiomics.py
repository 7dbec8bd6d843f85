"""``thoraxai radiomics``: IBSI features of the segments of a label map."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
import numpy as np

from LungNoduleAILib.cli_output import one_line
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiomics.settings import Aggregation, Interpolation, RadiomicsSettings

if TYPE_CHECKING:
    from SegmentationAILib.volume import Volume

DEFAULT = RadiomicsSettings()


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("labels", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--label", "wanted", type=click.IntRange(1), multiple=True, help="A value of LABELS  [default: all]")
@click.option("--spacing", type=float, default=DEFAULT.spacing_mm, show_default=True, help="New voxels, mm.")
@click.option("--keep-voxels", is_flag=True, help="No resampling.")
@click.option(
    "--interpolation", type=click.Choice(get_args(Interpolation)), default=DEFAULT.interpolation, show_default=True
)
@click.option(
    "--range", "limits", type=(float, float), default=DEFAULT.intensity_range, show_default=True, help="That count."
)
@click.option("--no-range", is_flag=True, help="All intensities count.")
@click.option("--bin-width", type=float, help=f"Of grey levels  [default: {DEFAULT.bin_width:g}]")
@click.option("--bin-number", type=int, help="Of grey levels, instead of their width.")
@click.option("--aggregation", type=click.Choice(get_args(Aggregation)), default=DEFAULT.aggregation, show_default=True)
@click.option("--modality", help="Of INPUT where the file does not say, such as MR  [default: CT]")
def radiomics(
    source: Path,
    labels: Path,
    output: Path,
    wanted: tuple[int, ...],
    spacing: float,
    keep_voxels: bool,
    interpolation: Interpolation,
    limits: tuple[float, float],
    no_range: bool,
    bin_width: float | None,
    bin_number: int | None,
    aggregation: Aggregation,
    modality: str | None,
) -> None:
    """Compute the radiomics of INPUT in the segments of LABELS and write them to OUT, a CSV file.

    INPUT is a DICOM folder or a NRRD, NIfTI or MHA file; LABELS is such a file on the same grid, in
    which each value is a segment. Needs the package MIRP: pip install "thoraxai[radiomics]".
    """
    with one_line():
        if bin_width is None and bin_number is None:
            bin_width = DEFAULT.bin_width
        settings = RadiomicsSettings(
            spacing_mm=None if keep_voxels else spacing,
            interpolation=interpolation,
            intensity_range=None if no_range else limits,
            bin_width=bin_width,
            bin_number=bin_number,
            aggregation=aggregation,
        )
        count = _radiomics(source, labels, output, wanted, settings, modality)
    click.echo(f"{count} {'segment' if count == 1 else 'segments'}; the table is {output}")


def _radiomics(
    source: Path,
    labels: Path,
    output: Path,
    wanted: tuple[int, ...],
    settings: RadiomicsSettings,
    modality: str | None,
) -> int:
    """The number of segments written."""
    from SegmentationAILib.files import load
    from SegmentationAILib.radiomics.extraction import extract  # imports torch, which takes seconds
    from SegmentationAILib.radiomics.mirp_values import require_mirp
    from SegmentationAILib.radiomics.table import write_csv
    from SegmentationAILib.writing import check_writable

    require_mirp()
    check_writable(output.parent)
    volume = load(source)
    if modality:
        volume = replace(volume, modality=modality.upper())
    held = load(labels)
    values = _segments(held, volume, wanted, labels.name)
    with click.progressbar(values, label="Radiomics", file=sys.stderr) as bar:
        results = [extract(volume, held.array == value, settings, name=str(value)) for value in bar]
    write_csv(results, output)
    return len(results)


def _segments(labels: Volume, volume: Volume, wanted: tuple[int, ...], name: str) -> list[int]:
    """The values whose segments are asked for.

    Raises:
        InputError: the labels are not on the volume's grid or no labels, or one asked for is not there.
    """
    if not labels.grid.same_as(volume.grid, tolerance_mm=0.01):
        raise InputError(f"'{name}' is not on the volume's grid; resample it to the volume with nearest neighbours.")
    values = np.unique(labels.array)
    if values[0] < 0 or not np.array_equal(values, np.round(values)):
        raise InputError(f"'{name}' is no label map, whose values are 0, 1, 2, …; choose another file.")
    there = [int(value) for value in values if value > 0]
    if not there:
        raise InputError(f"'{name}' holds no segment, only the value 0; choose another file.")
    missing = [value for value in wanted if value not in there]
    if missing:
        raise InputError(f"'{name}' has no value {missing[0]}; choose among {', '.join(map(str, there))}.")
    return list(wanted) or there
