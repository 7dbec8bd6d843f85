"""Nodules that were found get ratings, in the results and in every table."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest
from panels import findings_in, small_ct
from test_ratings import drawn

from LungNoduleAILib import analysis, ratings
from LungNoduleAILib.characterization import measure
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.table import COLUMNS, rows, write_csv
from SegmentationAILib import resources
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError

NAMES = [column.name for column in COLUMNS]


@pytest.fixture(scope="module")
def volume():
    return drawn(9.0)[0]


@pytest.fixture(scope="module")
def nodules():
    volume, mask = drawn(9.0)
    found = Nodule(1, (0.0, 0.0, 0.0), 9.0, 0.9, "left", mask, measure(mask, volume.array))
    return [replace(found, id=n) for n in (1, 2)]


def test_each_nodule_is_rated_and_nothing_else_changes(volume, nodules):
    seen = []
    rated = analysis.rated_nodules(volume, nodules, "cpu", Progress(lambda *told: seen.append(told)))
    assert [one.ratings for one in rated] == [ratings.rate(volume, nodules[0])] * 2
    assert [replace(one, ratings=None) for one in rated] == nodules
    assert seen == [(0.0, "Comparing with rated nodules"), (0.5, "Comparing with rated nodules")]


def test_cancelling_between_nodules(volume, nodules, monkeypatch):
    token = CancelToken()
    rated = []

    def rate(_volume, nodule, *, device):
        rated.append(nodule.id)
        token.cancel()

    monkeypatch.setattr(analysis, "rate", rate)
    with pytest.raises(Cancelled):
        analysis.rated_nodules(volume, nodules, "cpu", Progress(cancel=token))
    assert rated == [1]


def test_analysis_rates_what_the_detector_found_on_the_tasks_device(nodules, monkeypatch):
    ct = small_ct()
    devices = []
    monkeypatch.setitem(analysis.DETECTORS, analysis.BASELINE, lambda *_arguments, **_options: nodules)
    monkeypatch.setattr(analysis, "segment_lungs", lambda *_arguments, **_options: findings_in(ct).lungs)
    monkeypatch.setattr(analysis, "rate", lambda _volume, nodule, *, device: devices.append(device) or nodule.id)
    found = analysis.analyze(ct, Task(analysis.BASELINE, device="cpu"))
    assert [one.ratings for one in found.nodules] == [1, 2]
    assert devices == ["cpu", "cpu"]


def test_missing_weights_are_told_before_any_work(monkeypatch):
    told = []
    monkeypatch.setattr(resources, "resource", lambda _name: None)
    ratings.shipped_networks.cache_clear()
    with pytest.raises(InputError, match="built-in model 'nodule-ratings' is missing"):
        analysis.analyze(small_ct(), Task(analysis.BASELINE), Progress(lambda _fraction, text: told.append(text)))
    assert told == ["Checking the CT"]


def test_table_tells_ratings_in_words_and_numbers():
    found = rows(findings_in(small_ct()).nodules)
    told = [[row[NAMES.index(name)] for name in NAMES[-4:-1]] for row in found]
    assert NAMES[-4:] == ["kind", "suspicion_of_readers_1_to_5", "calcified", "ratings"]
    assert told == [["solid", 3.0, "no"], ["ground glass", 4.0, "no"], ["part-solid", 2.0, "yes"]]
    assert all(row[-1].count("esembles what radiologists called") == 7 for row in found)


def test_file_has_empty_cells_for_a_nodule_that_was_not_rated(nodules, tmp_path):
    path = write_csv(nodules[:1], tmp_path / "nodules.csv")
    with path.open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert [row[name] for name in NAMES[-4:]] == ["", "", "", ""]
    assert row["lung"] == "left"
