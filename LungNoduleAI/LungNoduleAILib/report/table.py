"""The table of nodules: one definition of its columns for the CSV file, the scene and the terminal."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.files import atomic_write


@dataclass(frozen=True)
class Column:
    """A column: its name (with unit), a nodule's value as a number or text, and which of the two."""

    name: str
    value: Callable[[Nodule], float | int | str]
    is_text: bool = False


# Positions are RAS in mm; suspicion is NaN and what is in words empty where a nodule was not rated.
# The order of the first eight is part of the file format.
COLUMNS = (
    Column("id", lambda n: n.id),
    Column("r", lambda n: round(n.centre_ras[0], 2)),
    Column("a", lambda n: round(n.centre_ras[1], 2)),
    Column("s", lambda n: round(n.centre_ras[2], 2)),
    Column("mean_diameter_mm", lambda n: round(n.measurements.mean_diameter_mm, 1)),
    Column("volume_mm3", lambda n: round(n.measurements.volume_mm3)),
    Column("mean_hu", lambda n: round(n.measurements.mean_hu)),
    Column("score", lambda n: round(n.score, 3)),
    Column("long_axis_mm", lambda n: round(n.measurements.long_axis_mm, 1)),
    Column("short_axis_mm", lambda n: round(n.measurements.short_axis_mm, 1)),
    Column("lung", lambda n: n.lung, is_text=True),
    Column("kind", lambda n: n.ratings.kind if n.ratings else "", is_text=True),
    Column("suspicion_of_readers_1_to_5", lambda n: round(n.ratings.malignancy.value, 1) if n.ratings else math.nan),
    Column("calcified", lambda n: ("yes" if n.ratings.is_calcified else "no") if n.ratings else "", is_text=True),
    Column("ratings", lambda n: " ".join(n.ratings.text) if n.ratings else "", is_text=True),
)


def rows(nodules: Iterable[Nodule]) -> list[list[float | int | str]]:
    """A row per nodule, in the order of ``COLUMNS``."""
    return [[column.value(nodule) for column in COLUMNS] for nodule in nodules]


def write_csv(nodules: Iterable[Nodule], path: str | Path) -> Path:
    """Write ``nodules.csv``; the file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
    """
    return write_rows(rows(nodules), path)


def write_rows(values: Iterable[Sequence[float | int | str]], path: str | Path) -> Path:
    """Write ``nodules.csv`` from rows in the order of ``COLUMNS``, as ``write_csv`` does.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows([["" if _is_missing(value) else value for value in row] for row in values])
    return path


def _is_missing(value: float | int | str) -> bool:
    return isinstance(value, float) and math.isnan(value)
