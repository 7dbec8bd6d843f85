"""Counting as LUNA16 does."""

from __future__ import annotations

import csv
from collections import defaultdict

from LungNoduleAILib.evaluation import Reference, match


def test_the_best_hit_counts_and_the_second_is_ignored():
    result = match([[0, 0, 0], [1, 0, 0], [50, 0, 0]], [0.3, 0.9, 0.5], [Reference((0, 0, 0), 6.0)])
    assert result.found == (1,)
    assert result.ignored == (0,)
    assert result.false_positives == (2,)


def test_a_hit_lies_within_the_radius():
    reference = [Reference((0, 0, 0), 10.0)]
    assert match([[4.9, 0, 0]], [1.0], reference).found == (0,)
    beyond = match([[5.1, 0, 0]], [1.0], reference)
    assert (beyond.found, beyond.false_positives) == ((None,), (0,))


def test_excluded_findings_are_neither_right_nor_wrong():
    result = match([[0, 0, 0]], [1.0], [Reference((0, 0, 0), 10.0, counts=False)])
    assert (result.found, result.false_positives, result.ignored) == ((None,), (), (0,))


def test_nothing_found_and_nothing_to_find():
    assert match([], [], [Reference((0, 0, 0), 5.0)]).found == (None,)
    assert match([[0, 0, 0]], [1.0], []).false_positives == (0,)


def test_official_counts_of_a_real_detector(data_dir):
    """LUNA16's own evaluation of DeepLung's candidates, as published with the data."""
    folder = data_dir / "luna16"
    references = defaultdict(list)
    for name, counts in (("annotations.csv", True), ("annotations_excluded.csv", False)):
        for row in rows(folder / name):
            # LUNA16 counts an excluded finding of unknown size as 10 mm across.
            diameter = float(row["diameter_mm"])
            references[row["seriesuid"]].append(Reference(point(row), diameter if diameter >= 0 else 10.0, counts))
    detections = defaultdict(list)
    for row in rows(folder / "candidates_dpn26.csv"):
        detections[row["seriesuid"]].append((point(row), float(row["probability"])))
    found = missed = false_positives = 0
    scans = (folder / "seriesuids.csv").read_text().split()
    for scan in scans:
        # The official evaluation reads a detector's 100 best marks in each scan.
        marks = sorted(detections[scan], key=lambda mark: -mark[1])[:100]
        centres, scores = zip(*marks, strict=True) if marks else ((), ())
        result = match(centres, scores, references[scan])
        counted = [hit for hit, reference in zip(result.found, references[scan], strict=True) if reference.counts]
        found += sum(hit is not None for hit in counted)
        missed += sum(hit is None for hit in counted)
        false_positives += len(result.false_positives)
    assert (found, missed, false_positives) == (1136, 50, 46078)


def rows(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def point(row):
    return tuple(float(row[name]) for name in ("coordX", "coordY", "coordZ"))
