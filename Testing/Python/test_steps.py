"""Long work written once: driven to its end here, failing where it must, and as a share of longer work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.steps import Call, finish, finish_alone, part
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.labels import LabelMap, cropped, on_grid
from SegmentationAILib.terminology import LEFT_LUNG
from SegmentationAILib.volume import Grid


def adding(first: int):
    """Two numbers that are computed elsewhere, with a breath between."""
    one = yield Call("twice", Task("t"), first, 0.0, 0.5)
    yield
    two = yield Call("twice", Task("t"), one, 0.5, 1.0)
    return one + two


def twice(call: Call, progress: Progress) -> int:
    progress(0.0, call.name)
    progress(1.0, call.name)
    return 2 * call.value


def test_answers_go_back_into_the_work_and_progress_is_that_of_the_whole():
    reports = []
    assert finish(adding(3), twice, Progress(lambda *report: reports.append(report))) == 6 + 12
    assert [fraction for fraction, _ in reports] == [0.0, 0.5, 0.5, 1.0]


def test_part_has_its_share_of_the_time():
    reports = []

    def whole():
        first = yield from part(adding(1), 0.0, 0.5)
        return (yield from part(adding(first), 0.5, 1.0))

    assert finish(whole(), twice, Progress(lambda *report: reports.append(report))) == 36
    assert [fraction for fraction, _ in reports] == [0.0, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 1.0]


@pytest.mark.parametrize("wrap", [lambda steps: steps, lambda steps: part(steps, 0.2, 0.4)])
def test_what_goes_wrong_elsewhere_goes_wrong_in_the_work(wrap):
    cleaned = []

    def careful():
        try:
            yield Call("refuse", Task("t"), None)
        except InputError:
            return "told"
        finally:
            cleaned.append(True)

    def refuse(_call, _progress):
        raise InputError("The volume is too small; choose a larger one.")

    assert finish(wrap(careful()), refuse) == "told"
    with pytest.raises(InputError, match="too small"):
        finish(wrap(adding(1)), refuse)
    abandoned = wrap(careful())
    next(abandoned)
    abandoned.close()
    assert len(cleaned) == 2


def test_work_that_computes_nothing_elsewhere_needs_nobody():
    def breathing():
        yield
        return 3

    assert finish_alone(breathing()) == 3
    with pytest.raises(TypeError, match="nobody is there to compute 'twice'"):
        finish_alone(adding(1))


def test_cancelling_ends_the_work():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        finish(adding(1), twice, Progress(cancel=token))


@given(st.data())
def test_labels_are_the_same_around_their_content_and_back(data):
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(3))
    array = np.zeros(shape, np.uint8)
    for _ in range(data.draw(st.integers(0, 4))):
        array[tuple(data.draw(st.integers(0, n - 1)) for n in shape)] = data.draw(st.integers(1, 200))
    matrix = np.array([[-0.7, 0.1, 0, 50], [0.1, 0.7, 0, -20], [0, 0.2, 2.5, 1 / 3], [0, 0, 0, 1]])
    labels = LabelMap(array, Grid(shape, matrix), {1: LEFT_LUNG})
    around = cropped(labels)
    np.testing.assert_array_equal(on_grid(around, labels.grid).array, array)
    if array.any():
        assert all(np.moveaxis(around.array, axis, 0)[end].any() for axis in range(3) for end in (0, -1))
    else:
        assert around.array.shape == (1, 1, 1)


def test_labels_of_other_voxels_are_refused():
    grid = Grid((4, 4, 4), np.eye(4))
    between = np.eye(4)
    between[:3, 3] = 0.5
    with pytest.raises(ValueError, match="none of the grid's"):
        on_grid(LabelMap(np.ones((2, 2, 2), np.uint8), Grid((2, 2, 2), between), {}), grid)
