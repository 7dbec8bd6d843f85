"""The table of nodules: one definition of its columns for the CSV file, the scene and the terminal."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from LungNoduleAILib.character import Character, SolidPart
from LungNoduleAILib.nodule import Nodule

Row = TypeVar("Row")
Value = float | int | str


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A column: its name (with unit), a row's value as a number or text, and which of the two."""

    name: str
    value: Callable[[Row], Value]
    is_text: bool = False


def _measured(name: str, value: Callable[[Character], float | None], digits: int | None = None) -> Column[Nodule]:
    """A number of a nodule's character; NaN where there is none."""

    def of_nodule(nodule: Nodule) -> float:
        found = value(nodule.character) if nodule.character else None
        return math.nan if found is None else round(found, digits)

    return Column(name, of_nodule)


def _told(name: str, value: Callable[[Character], str]) -> Column[Nodule]:
    """Words of a nodule's character; "" where there are none."""
    return Column(name, lambda nodule: value(nodule.character) if nodule.character else "", is_text=True)


def _solid(name: str, value: Callable[[SolidPart], float | None], digits: int | None = None) -> Column[Nodule]:
    return _measured(name, lambda character: value(character.solid_part) if character.solid_part else None, digits)


# Positions are RAS in mm; numbers are NaN and words empty where a nodule was not rated or has no character.
# The order of the first eight is part of the file format.
COLUMNS: tuple[Column[Nodule], ...] = (
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
    _told("lobe", lambda c: c.lobe.value if c.lobe else ""),
    _told("zone", lambda c: c.zone),
    _measured("best_plane_long_axis_mm", lambda c: c.best_plane.long_axis_mm, 1),
    _measured("best_plane_short_axis_mm", lambda c: c.best_plane.short_axis_mm, 1),
    _measured("volume_95_low_mm3", lambda c: c.volume_95_mm3[0]),
    _measured("volume_95_high_mm3", lambda c: c.volume_95_mm3[1]),
    _told("volume_comparable", lambda c: "yes" if c.reliable else "no"),
    _solid("solid_volume_mm3", lambda s: s.volume_mm3),
    _solid("solid_long_axis_mm", lambda s: s.diameters.long_axis_mm if s.diameters else None, 1),
    _solid("solid_short_axis_mm", lambda s: s.diameters.short_axis_mm if s.diameters else None, 1),
    _measured("mass_mg", lambda c: c.mass_mg),
    _measured("pleura_distance_mm", lambda c: c.pleura_mm, 1),
    _measured("spiculation_index", lambda c: c.spiculation, 2),
    _measured("lobulation_index", lambda c: c.lobulation, 2),
    _told("measured_kind", lambda c: c.kind.value if c.kind else ""),
    Column("kind", lambda n: n.ratings.kind if n.ratings else "", is_text=True),
    Column("suspicion_of_readers_1_to_5", lambda n: round(n.ratings.malignancy.value, 1) if n.ratings else math.nan),
    Column("calcified", lambda n: ("yes" if n.ratings.is_calcified else "no") if n.ratings else "", is_text=True),
    Column("ratings", lambda n: " ".join(n.ratings.text) if n.ratings else "", is_text=True),
)


def rows(nodules: Iterable[Nodule]) -> list[list[Value]]:
    """A row per nodule, in the order of ``COLUMNS``."""
    return [[column.value(nodule) for column in COLUMNS] for nodule in nodules]


def write_csv(nodules: Iterable[Nodule], path: str | Path) -> Path:
    """Write ``nodules.csv``; the file appears whole or not at all. ``reported_table`` has what was said of them too.

    Raises:
        InputError: the folder cannot be written to.
    """
    return write_rows(rows(nodules), path)


def write_rows(values: Iterable[Sequence[Value]], path: str | Path, columns: Sequence[Column] = COLUMNS) -> Path:
    """Write ``nodules.csv`` from rows in the order of the columns, as ``write_csv`` does.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    # A scene that shows a table waits for no image library.
    from SegmentationAILib.writing import atomic_write  # noqa: PLC0415

    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([column.name for column in columns])
        writer.writerows([["" if _is_missing(value) else value for value in row] for row in values])
    return path


def _is_missing(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)
