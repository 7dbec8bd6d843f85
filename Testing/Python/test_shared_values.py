"""Values that cross to another process: whole, without code, and freed."""

from __future__ import annotations

import math
import subprocess
import sys
import textwrap
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import hypothesis.extra.numpy as npst
import numpy as np
import pytest
import shared_memory
from hypothesis import given, settings
from report_cases import ball_nodule, character_of, chest_ct, whole_grid

from LungNoduleAILib import worker_tasks as nodule_tasks
from LungNoduleAILib.analysis import DETECTORS
from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.guidelines.findings import Kind, Lobe
from LungNoduleAILib.rating import RATINGS, Grade, Ratings
from SegmentationAILib import worker_tasks
from SegmentationAILib.engine.task import Task
from SegmentationAILib.engine.worker import launching
from SegmentationAILib.engine.worker.registry import load
from SegmentationAILib.engine.worker.shared_arrays import Segment, attach, discard, new_name
from SegmentationAILib.engine.worker.shared_value import receive, share

DTYPES = npst.boolean_dtypes() | npst.integer_dtypes() | npst.floating_dtypes(sizes=(32, 64))


def crossed(kind: Any, value: Any) -> Any:
    segment, shared = share(value, new_name())
    segment.fill()
    back = receive(kind, shared)
    segment.release()
    return back


def assert_same(there: Any, here: Any) -> None:
    assert type(there) is type(here)
    if isinstance(here, np.ndarray):
        assert there.dtype == here.dtype
        np.testing.assert_array_equal(there, here)
    elif is_dataclass(here):
        for one in fields(here):
            assert_same(getattr(there, one.name), getattr(here, one.name))
    elif isinstance(here, dict):
        assert list(there) == list(here)
        for key, value in here.items():
            assert_same(there[key], value)
    elif isinstance(here, (tuple, list)):
        assert len(there) == len(here)
        for one, other in zip(there, here, strict=True):
            assert_same(one, other)
    else:
        assert there == here


@pytest.fixture(scope="module")
def findings() -> Findings:
    grid = whole_grid()
    plain = replace(ball_nodule(1, (70.0, 5.0, 3.0), 9.0, grid), ratings=None)
    ratings = Ratings(tuple(Grade(name, (0.1, 0.2, 0.4, 0.2, 0.1)) for name in RATINGS), 1 / 3)
    rated = replace(plain, id=2, ratings=ratings, character=character_of(plain, Kind.SOLID, None))
    placed = replace(rated, id=3, character=character_of(plain, Kind.PART_SOLID, Lobe.LEFT_LOWER))
    nodules = (plain, rated, placed)
    task = Task("nodules", {"threshold": 0.3, "max_nodules": None}, "cpu")
    return Findings(chest_ct(grid, nodules)[1], nodules, task)


def test_findings_cross_whole(findings):
    assert_same(crossed(Findings, findings), findings)


@settings(max_examples=60, deadline=None)
@given(npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)))
def test_arrays_cross_bit_by_bit(array):
    segment = Segment(new_name(), [array, array.T])
    segment.fill()
    one, turned = attach(segment.name, segment.layout)
    segment.release()
    assert one.dtype == array.dtype
    assert one.tobytes() == array.tobytes()
    assert turned.tobytes() == array.T.tobytes()


def test_untyped_results_cross_with_their_arrays():
    value = {"dice": 0.5, "none": None, "inf": math.inf, "lists": [[1, 2], {"deep": np.arange(3)}], "empty": {}}
    assert_same(crossed(dict, value), value)


def test_memory_lives_as_long_as_an_array_on_it_and_no_longer():
    segment = Segment(new_name(), [np.arange(1000), np.ones(10)])
    segment.fill()
    first, second = attach(segment.name, segment.layout)
    segment.release()
    mapped = Path("/proc/self/maps")
    if not mapped.is_file():
        pytest.skip("the system does not list a process's memory")
    part = first[990:]
    del first, second
    assert part.sum() == sum(range(990, 1000))
    assert segment.name in mapped.read_text()
    del part
    assert segment.name not in mapped.read_text()


@pytest.mark.skipif(not shared_memory.FOLDER.is_dir(), reason="the system does not list shared memory")
def test_copying_ends_where_the_other_side_took_the_name_away():
    array = np.ones((10, 4_000_000), np.int8)
    segment = Segment(new_name(), [array])
    segment.fill(most_bytes=1)
    assert not segment.whole
    discard(segment.name)
    segment.fill()
    assert segment.whole
    segment.release()


def test_a_name_is_good_for_one():
    segment = Segment(new_name(), [np.arange(3)])
    attach(segment.name, segment.layout)
    with pytest.raises(FileNotFoundError):
        attach(segment.name, segment.layout)
    discard(segment.name)
    segment.release()


def test_code_does_not_cross():
    with pytest.raises(TypeError, match="cannot be written"):
        share({"run": print}, new_name())
    with pytest.raises(TypeError, match="cannot be shared"):
        Segment(new_name(), [np.array([print])])


def test_every_task_is_there_and_is_found():
    assert DETECTORS.keys() < nodule_tasks.TASKS.keys()
    for entry in {*worker_tasks.TASKS.values(), *nodule_tasks.TASKS.values()}:
        assert callable(load(entry.run))
        assert is_dataclass(load(entry.takes))
        # A worker takes dataclasses over, and plain dictionaries as answers.
        assert is_dataclass(load(entry.result)) or load(entry.result) is dict


def test_caller_of_a_worker_does_not_wait_for_torch():
    script = textwrap.dedent("""
        import sys
        from LungNoduleAILib import worker_tasks as nodules
        from SegmentationAILib import worker_tasks
        from SegmentationAILib.engine.worker import client, registry
        for entry in (*nodules.TASKS.values(), *worker_tasks.TASKS.values()):
            registry.load(entry.takes)
            registry.load(entry.result)
        sys.exit("torch" in sys.modules)
    """)
    environment = launching.environment(["LungNoduleAILib.worker_tasks"])
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
