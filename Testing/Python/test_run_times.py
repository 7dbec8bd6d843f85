"""How long a run will take, by the runs before it on this computer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from SegmentationAILib import catalog
from SegmentationAILib.catalog import timing
from SegmentationAILib.catalog.tasks import parts_for, task_for, wanted_structures
from SegmentationAILib.engine.task import Task
from SegmentationAILib.volume import Grid

pytestmark = pytest.mark.usefixtures("models")

LITRE = Grid((100, 100, 100), np.eye(4))
FOUR = Grid((50, 100, 100), np.diag([2.0, 2.0, 2.0, 1.0]))
TOTAL = "totalsegmentator-total"


def test_nothing_is_known_before_the_first_run():
    assert timing.estimate(task_for("lungs"), LITRE) is None


def test_time_grows_with_the_litres_not_with_the_voxels():
    timing.note(task_for("lungs", device="cpu"), LITRE, 3.0)
    assert timing.estimate(task_for("lungs", device="cpu"), FOUR) == timing.Estimate(pytest.approx(12.0), 1)
    assert timing.estimate(task_for("lungs", device="cuda:0"), FOUR) is None


def test_the_median_of_the_latest_runs_counts():
    for seconds in (100.0, 1.0, 2.0, 3.0, 4.0, 90.0):
        timing.note(task_for("lungs"), LITRE, seconds)
    assert timing.estimate(task_for("lungs"), LITRE) == timing.Estimate(pytest.approx(3.0), 5)


def test_networks_that_do_not_run_take_no_time():
    timing.note(task_for(TOTAL), LITRE, 50.0)
    assert len(parts_for(catalog.entry(TOTAL), None)) == 5
    assert timing.estimate(task_for(TOTAL, ["aorta"]), LITRE).seconds == pytest.approx(10.0)


@pytest.mark.parametrize("content", ["", "[]", '{"lungs": 3}', '{"lungs": {"auto": ["x"]}}'])
def test_a_damaged_file_is_as_none(models, content):
    models.mkdir()
    (models / "run-times.json").write_text(content)
    assert timing.estimate(task_for("lungs"), LITRE) is None
    timing.note(task_for("lungs"), LITRE, 1.0)
    assert json.loads((models / "run-times.json").read_text()) == {"lungs": {"auto": [pytest.approx(1.0)]}}


def test_where_nothing_can_be_written_nothing_is_kept(models):
    models.write_text("a file in the folder's place")
    timing.note(task_for("lungs"), LITRE, 1.0)
    assert timing.estimate(task_for("lungs"), LITRE) is None


@pytest.mark.parametrize("structures", [None, frozenset({"aorta"}), frozenset({"aorta", "vertebrae_L1"}), frozenset()])
def test_a_task_keeps_the_wanted_structures(structures):
    task = task_for(TOTAL, structures, "cpu")
    assert wanted_structures(Task.from_json(task.to_json())) == structures
