"""Structures in layers: there and back, in shared label maps, and what changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.layered_set import Layer, LayeredSet, changes, layered
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import DicomSource, Grid

MATRIX = np.array([[-0.7, 0.1, 0, 50], [0.1, 0.7, 0, -20], [0, 0.2, 2.5, 1 / 3], [0, 0, 0, 1]])
SHAPE = (5, 6, 7)
GRID = Grid(SHAPE, MATRIX)
HEART = Code("80891009", "SCT", "Heart")


def structure(name: str, mask: np.ndarray) -> RTStructure:
    return RTStructure(name, Role.GTV, mask, (0.1, 0.2, 0.3), Origin.AUTOMATIC, "expand(GTVp, 5)", HEART, "net 1a2b")


def some_masks(count: int = 3) -> list[np.ndarray]:
    generator = np.random.default_rng(7)
    return [generator.random(SHAPE) < share for share in np.linspace(0.0, 0.3, count)]


@given(st.data())
def test_a_set_comes_back_from_its_layers(data):
    masks = []
    for _ in range(data.draw(st.integers(0, 3))):
        mask = np.zeros(SHAPE, bool)
        for _ in range(data.draw(st.integers(0, 3))):
            mask[tuple(data.draw(st.integers(0, n - 1)) for n in SHAPE)] = True
        masks.append(mask)
    source = DicomSource("1.2", "1.3", "1.4")
    held = StructureSet(GRID, tuple(structure(f"S{n}", one) for n, one in enumerate(masks)), "plan", source)
    found = layered(held, held)
    assert len(found.layers) == sum(mask.any() for mask in masks)
    back = found.unlayered()
    assert (back.name, back.source) == ("plan", source)
    assert back.grid.same_as(GRID)
    for one, other in zip(held, back, strict=True):
        np.testing.assert_array_equal(one.mask, other.mask)
        kept = [(vars(each) | {"mask": None}) for each in (one, other)]
        assert kept[0] == kept[1]


def test_structures_that_share_a_layer_are_told_apart_by_their_values():
    labels = np.random.default_rng(3).integers(0, 4, SHAPE).astype(np.int16)
    empty = StructureSet(GRID, tuple(structure(f"S{n}", np.zeros(SHAPE, bool)) for n in (1, 3)))
    two = tuple(
        replace(one, layer=0, value=value) for one, value in zip(layered(empty, empty).structures, (1, 3), strict=True)
    )
    found = LayeredSet(GRID, (Layer(labels, GRID),), two).unlayered()
    np.testing.assert_array_equal(found["S1"].mask, labels == 1)
    np.testing.assert_array_equal(found["S3"].mask, labels == 3)


def test_only_what_is_another_object_has_changed():
    first, second, third = (structure(f"S{n}", mask) for n, mask in enumerate(some_masks()))
    before = StructureSet(GRID, (first, second))
    after = StructureSet(GRID, (first, replace(second, rule=""), third))
    assert [one.name for one in changes(before, after).structures] == ["S1", "S2"]
    assert changes(before, before).structures == ()


def test_two_of_a_name_are_refused():
    one = structure("S", some_masks()[-1])
    held = layered([one, replace(one, name="s")], StructureSet(GRID))
    with pytest.raises(InputError, match="Two structures are named"):
        held.unlayered()
