"""The CSV file of radiomics."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

from SegmentationAILib.radiomics.extraction import Radiomics
from SegmentationAILib.radiomics.ibsi import ibsi_features
from SegmentationAILib.writing import atomic_write

COLUMNS = (
    "volume",
    "segment",
    "family",
    "feature",
    "ibsi_code",
    "ibsi_tag",
    "value",
    "voxels",
    "voxels_in_range",
    "spacing_mm",
    "interpolation",
    "intensity_low",
    "intensity_high",
    "bin_width",
    "bin_number",
    "aggregation",
    "software",
)


def write_csv(results: Iterable[Radiomics], path: str | Path) -> Path:
    """Write a row per segment and feature, each with its settings; the file is whole or not there.

    A feature that is not defined and a setting that is not used are empty.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for result in results:
            writer.writerows(_rows(result))
    return path


def _rows(result: Radiomics) -> Iterator[list[str | float | None]]:
    settings = result.settings
    low, high = settings.intensity_range or (None, None)
    for feature in ibsi_features():
        tag = feature.tag_with(settings)
        value = result.values[tag]
        yield [
            result.volume,
            result.name,
            feature.family,
            feature.name,
            feature.code,
            tag,
            None if math.isnan(value) else value,
            result.voxels,
            result.voxels_in_range,
            settings.spacing_mm,
            settings.interpolation,
            low,
            high,
            settings.bin_width,
            settings.bin_number,
            settings.aggregation,
            result.software,
        ]
