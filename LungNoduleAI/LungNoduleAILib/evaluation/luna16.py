"""Detections and references in LUNA16's CSV files, and their evaluation as LUNA16 does it.

``seriesuid, coordX, coordY, coordZ`` (LPS, mm) and ``diameter_mm`` or ``probability``; other columns are ignored.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from LungNoduleAILib.evaluation.froc import MISSED, Detections, of_scans
from LungNoduleAILib.evaluation.matching import Reference, match
from SegmentationAILib.errors import InputError

MARKS_PER_SCAN = 100
# Findings of unknown size have a negative diameter in annotations_excluded.csv.
UNKNOWN_DIAMETER_MM = 10.0

_SERIES = "seriesuid"
_POSITION = ("coordX", "coordY", "coordZ")
_DIAMETER = "diameter_mm"
_SCORE = "probability"

Row = tuple[str, tuple[float, float, float], float]


@dataclass(frozen=True)
class Counts:
    """Every nodule is found or missed; every mark is a best hit, a false positive or ignored."""

    scans: int
    found: int
    missed: int
    false_positives: int
    on_excluded: int
    second_hits: int


@dataclass(frozen=True)
class Study:
    """A detector's marks and what readers marked, by series.

    Attributes:
        series: the scans that were evaluated.
        centres_ras: each [n, 3], mm, of the marks of a series.
        scores: each [n].
        references: of a series.
    """

    series: tuple[str, ...]
    centres_ras: dict[str, NDArray[np.float64]]
    scores: dict[str, NDArray[np.float64]]
    references: dict[str, list[Reference]]


def read(candidates: Path, references: Path, excluded: Path | None = None, series: Path | None = None) -> Study:
    """Read the files of an evaluation.

    Args:
        candidates: the detector's marks with their ``probability``.
        references: the nodules with their ``diameter_mm``.
        excluded: findings that are neither right nor wrong; a negative diameter is unknown.
        series: the scans that count, one in a line, so that those with neither marks nor nodules count
            too. References elsewhere are left out. Without it, the scans that any file names.

    Raises:
        InputError: a file cannot be read, is empty, lacks a column or holds what is no number, a mark
            is in a series that is not listed, or no nodule is in any that is.
    """
    listed = None if series is None else _read_series(series)
    marks = list(_read_rows(candidates, _SCORE))
    findings = read_references(references)
    if excluded is not None:
        findings += [_excluded(row) for row in _read_rows(excluded, _DIAMETER)]
    names = listed or list(dict.fromkeys(name for name, *_ in [*findings, *marks]))
    known = set(names)
    unknown = next((name for name, *_ in marks if name not in known), None)
    if unknown is not None:
        raise InputError(
            f"'{candidates.name}' has marks in the {_SERIES} '{unknown}', which '{series.name}' does not list; "
            "list it or leave the marks out."
        )
    if not any(reference.counts and name in known for name, reference in findings):
        raise InputError(f"No {_SERIES} of '{references.name}' is listed in '{series.name}'; list the scans evaluated.")

    of_series = defaultdict(list)
    for name, point, score in marks:
        of_series[name].append((*point, score))
    arrays = {name: np.array(of_series[name]).reshape(-1, 4) for name in names}
    nodules: dict[str, list[Reference]] = {name: [] for name in names}
    for name, reference in findings:
        if name in known:
            nodules[name].append(reference)
    return Study(
        tuple(names),
        {name: array[:, :3] for name, array in arrays.items()},
        {name: array[:, 3] for name, array in arrays.items()},
        nodules,
    )


def read_references(path: Path) -> list[tuple[str, Reference]]:
    """Series and nodule of each row of a file of nodules.

    Raises:
        InputError: it cannot be read, is empty, lacks a column, or holds what is no number or no diameter.
    """
    return [_reference(path, row) for row in _read_rows(path, _DIAMETER)]


def count(study: Study) -> tuple[Detections, Counts]:
    """Match marks and nodules scan by scan.

    Raises:
        InputError: there is no nodule to find.
    """
    nodule_scores, false_positive_scores = [], []
    found = missed = false_positives = on_excluded = second_hits = 0
    for name in study.series:
        best = best_marks(study.scores[name])
        scores = study.scores[name][best]
        references = study.references[name]
        result = match(study.centres_ras[name][best], scores, references)
        of_nodules = [
            MISSED if hit is None else scores[hit]
            for hit, reference in zip(result.found, references, strict=True)
            if reference.counts
        ]
        nodule_scores.append(of_nodules)
        false_positive_scores.append(scores[list(result.false_positives)])
        missed += of_nodules.count(MISSED)
        found += len(of_nodules) - of_nodules.count(MISSED)
        false_positives += len(result.false_positives)
        on_excluded += len(result.on_excluded)
        second_hits += len(result.second_hits)
    counts = Counts(len(study.series), found, missed, false_positives, on_excluded, second_hits)
    return of_scans(nodule_scores, false_positive_scores), counts


def best_marks(scores: NDArray[np.float64], most: int = MARKS_PER_SCAN) -> NDArray[np.bool_]:
    """Which marks of a scan count: all, or where there are too many those above the first one too many.

    Marks that tie with that one go with it, as in the official script, so that their order in the file
    does not matter.

    Args:
        scores: [n].
        most: how many marks count at most.
    """
    if len(scores) <= most:
        return np.ones(len(scores), dtype=bool)
    return scores > -np.partition(-scores, most)[most]


def _reference(path: Path, row: Row) -> tuple[str, Reference]:
    name, point, diameter = row
    if diameter <= 0:
        raise InputError(f"'{path.name}' has a {_DIAMETER} of {diameter:g}; give each nodule a diameter above 0.")
    return name, Reference(point, diameter)


def _excluded(row: Row) -> tuple[str, Reference]:
    name, point, diameter = row
    return name, Reference(point, diameter if diameter >= 0 else UNKNOWN_DIAMETER_MM, counts=False)


def _read_rows(path: Path, value: str) -> Iterator[Row]:
    """Series, position (RAS) and value of each row."""
    (_, first), *lines = _read_lines(path)
    header = [name.strip() for name in first]
    columns = (_SERIES, *_POSITION, value)
    missing = [name for name in columns if name not in header]
    if missing:
        raise InputError(f"'{path.name}' has no column {' nor '.join(missing)}; it needs {', '.join(columns)}.")
    if not lines:
        raise InputError(f"'{path.name}' has a header and no rows; give a file with at least one row.")
    places = [header.index(name) for name in columns]
    for number, line in lines:
        series, *fields = (line[place].strip() if place < len(line) else "" for place in places)
        if not series:
            raise InputError(f"'{path.name}' has no {_SERIES} in line {number}; name the scan of each row.")
        x, y, z, read_value = (
            _number(field, path, name, number) for field, name in zip(fields, columns[1:], strict=True)
        )
        yield series, (-x, -y, z), read_value


def _number(text: str, path: Path, column: str, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"'{path.name}' has '{text}' in column {column} of line {line}, where a number is needed.")
    return number


def _read_series(path: Path) -> list[str]:
    names = [fields[0].strip() for _, fields in _read_lines(path)]
    if names[0] == _SERIES:
        del names[0]
    if not all([names, *names]):
        raise InputError(
            f"'{path.name}' has a line without a {_SERIES} or none but the header; write one in each line."
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"'{path.name}' lists the {_SERIES} '{name}' twice; list each scan once.")
        seen.add(name)
    return names


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """The numbers and fields of a CSV file's lines that are not blank."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            lines = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path.name}' cannot be read as a CSV file; give one as LUNA16 has them.") from error
    if not lines:
        raise InputError(f"'{path.name}' is empty; give a file with at least one row.")
    return lines
