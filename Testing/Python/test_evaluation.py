"""Counting as LUNA16 does."""

from __future__ import annotations

from LungNoduleAILib.evaluation import Reference, match


def test_the_best_hit_counts_and_the_second_is_ignored():
    result = match([[0, 0, 0], [1, 0, 0], [50, 0, 0]], [0.3, 0.9, 0.5], [Reference((0, 0, 0), 6.0)])
    assert result.found == (1,)
    assert (result.second_hits, result.on_excluded, result.ignored) == ((0,), (), (0,))
    assert result.false_positives == (2,)


def test_a_hit_lies_within_the_radius():
    reference = [Reference((0, 0, 0), 10.0)]
    assert match([[4.9, 0, 0]], [1.0], reference).found == (0,)
    beyond = match([[5.1, 0, 0]], [1.0], reference)
    assert (beyond.found, beyond.false_positives) == ((None,), (0,))
    # "Within" leaves out the surface.
    assert match([[5.0, 0, 0]], [1.0], reference).found == (None,)


def test_excluded_findings_are_neither_right_nor_wrong():
    result = match([[0, 0, 0]], [1.0], [Reference((0, 0, 0), 10.0, counts=False)])
    assert (result.found, result.false_positives, result.on_excluded, result.ignored) == ((None,), (), (0,), (0,))


def test_a_hit_on_a_nodule_amid_an_excluded_finding_counts():
    references = [Reference((0, 0, 0), 30.0, counts=False), Reference((3, 0, 0), 4.0)]
    result = match([[3, 0, 0], [4, 0, 0], [-3, 0, 0]], [0.2, 0.9, 0.5], references)
    assert result.found == (None, 1)
    assert (result.second_hits, result.on_excluded, result.false_positives) == ((0,), (2,), ())


def test_one_detection_may_hit_two_nodules():
    references = [Reference((-1, 0, 0), 6.0), Reference((1, 0, 0), 6.0)]
    assert match([[0, 0, 0]], [1.0], references).found == (0, 0)


def test_nothing_found_and_nothing_to_find():
    assert match([], [], [Reference((0, 0, 0), 5.0)]).found == (None,)
    assert match([[0, 0, 0]], [1.0], []).false_positives == (0,)
