"""Masks to contours and back: the area stays, nothing appears or vanishes, no edge crosses another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage

from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.contours import plane_contours
from SegmentationAILib.radiotherapy.polygons import area, contains, cross, keyhole, simplify, with_area
from SegmentationAILib.radiotherapy.rasterise import coverage, rasterise

SQUARE = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])


def disc(radius: float, centre: tuple[float, float] = (40.3, 39.8), size: int = 81) -> np.ndarray:
    j, i = np.indices((size, size))
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 <= radius**2


def islands() -> np.ndarray:
    """A disc in a ring in a ring."""
    return (disc(36) & ~disc(28)) | (disc(20) & ~disc(12)) | disc(4)


def filled(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    return coverage(rings, shape) >= 0.5


planes = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
holes = st.sampled_from(["keyhole", "xor"])


@given(planes, st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.sampled_from([0.0, 0.1, 0.5]), holes)
@settings(deadline=None, max_examples=50)
def test_any_mask_keeps_its_area_and_no_edges_cross(mask, spacing_i, spacing_j, tolerance, kind):
    rings = plane_contours(mask, (spacing_i, spacing_j), tolerance_mm=tolerance, holes=kind)
    assert sum(area(ring) for ring in rings) == pytest.approx(mask.sum(), rel=1e-6, abs=1e-9)
    assert all(len(ring) >= 3 for ring in rings)
    if kind == "xor" and rings:
        assert not cross(rings)


@given(planes)
@settings(deadline=None, max_examples=50)
def test_outlines_and_holes_are_as_many_as_in_the_mask(mask):
    rings = plane_contours(mask, (1, 1), holes="xor")
    outlines = ndimage.label(mask, structure=np.ones((3, 3)))[1]
    gaps = ndimage.label(~np.pad(mask, 1))[1] - 1
    assert sum(area(ring) > 0 for ring in rings) == outlines
    assert sum(area(ring) < 0 for ring in rings) == gaps
    assert len(plane_contours(mask, (1, 1), holes="keyhole")) == outlines


@pytest.mark.parametrize("kind", ["keyhole", "xor"])
@pytest.mark.parametrize("mask", [islands(), disc(30) & ~disc(10, (50, 40)) & ~disc(6, (25, 40)), disc(3.3)])
def test_masks_come_back(mask, kind):
    rings = plane_contours(mask, (0.9, 0.9), holes=kind)
    assert dice(filled(rings, mask.shape), mask) > 0.99


def test_a_circle_is_smooth():
    """Voxels' corners lie up to 0.7 voxels from the circle they sample, 0.3 on average."""
    (ring,) = plane_contours(disc(20.0), (1, 1))
    edges = np.roll(ring, -1, axis=0) - ring
    points = (ring[:, None] + edges[:, None] * np.linspace(0, 1, 10)[:, None]).reshape(-1, 2)
    errors = np.hypot(*(points - (40.3, 39.8)).T) - 20.0
    assert np.sqrt(np.mean(errors**2)) < 0.2
    assert len(ring) < 60


def test_one_voxel_is_a_contour_of_its_area():
    mask = np.zeros((5, 7), dtype=bool)
    mask[0, 6] = True
    (ring,) = plane_contours(mask, (0.5, 2.0))
    assert area(ring) == pytest.approx(1.0)
    assert np.allclose(ring.mean(axis=0), [6, 0])
    assert np.array_equal(filled([ring], mask.shape), mask)


def test_a_mask_up_to_the_edge_is_closed_there():
    mask = np.ones((6, 9), dtype=bool)
    (ring,) = plane_contours(mask, (1, 1))
    assert area(ring) == pytest.approx(54)
    assert filled([ring], mask.shape).all()


def test_area_turns_from_x_to_y():
    assert area(SQUARE) == 16
    assert area(SQUARE[::-1] + 100) == -16


def test_simplifying_keeps_to_its_tolerance():
    angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    circle = 30 * np.column_stack([np.cos(angle), np.sin(angle)])
    simple = simplify(circle, 0.1)
    ahead = np.roll(simple, -1, axis=0)
    middles = np.linalg.norm((simple + ahead) / 2, axis=1)
    assert len(simple) < 70
    assert middles.min() > 30 - 0.1 - 1e-3
    assert area(with_area(simple, area(circle))) == pytest.approx(area(circle))


def test_no_distance_gives_an_area_that_cannot_be():
    line = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert with_area(line, 5.0) is None


def test_crossing_edges_are_found():
    bow = SQUARE[[0, 2, 1, 3]]
    assert cross([bow])
    assert not cross([SQUARE])
    assert not cross([SQUARE, SQUARE / 4 + 1])
    assert cross([SQUARE, SQUARE + 2])


def test_a_keyhole_leaves_out_its_holes():
    wanted = [(SQUARE / 8 + shift)[::-1] for shift in ((0.5, 0.5), (2.0, 3.0), (3.2, 1.0))]
    ring = keyhole(SQUARE, wanted)
    assert area(ring) == pytest.approx(16 - 3 * 0.25)
    for hole in wanted:
        assert not contains(ring, hole.mean(axis=0) + 1e-3)
    assert contains(ring, np.array([1.5, 1.51]))


@given(st.floats(-0.5, 5.0), st.floats(-0.5, 5.0), st.floats(0.1, 4.0), st.floats(0.1, 4.0))
def test_coverage_of_a_rectangle(left, top, width, height):
    ring = np.array([[left, top], [left + width, top], [left + width, top + height], [left, top + height]])
    centres = np.arange(12.0)

    def share(first: float, last: float) -> np.ndarray:
        return np.clip(np.minimum(last, centres + 0.5) - np.maximum(first, centres - 0.5), 0, 1)

    exact = np.outer(share(top, top + height), share(left, left + width))
    for ring_or_reverse in (ring, ring[::-1]):
        assert np.allclose(coverage([ring_or_reverse], (12, 12)), exact, atol=1 / 16 + 1e-6)


def test_a_contour_beyond_the_edge_covers_what_is_inside():
    covered = coverage([SQUARE * 10 - 20], (4, 5))
    assert np.allclose(covered, 1)


def stack(sections: dict[float, list[np.ndarray]], slices: int = 8, spacing_k: float = 3.0):
    planes = [k for k, rings in sections.items() for _ in rings]
    rings = [ring for group in sections.values() for ring in group]
    return rasterise(rings, planes, (slices, 20, 20), spacing_k)


def test_skipped_slices_are_filled_between_overlapping_contours():
    drawn = stack({1: [SQUARE + 4.5], 4: [SQUARE + 7.5]})
    assert drawn.interpolated == (2, 3)
    assert drawn.mask.any(axis=(1, 2)).tolist() == [False, True, True, True, True, False, False, False]
    centres = [ndimage.center_of_mass(drawn.mask[k])[0] for k in (1, 2, 3, 4)]
    assert np.all(np.diff(centres) > 0)


@pytest.mark.parametrize(("second", "spacing_k"), [(SQUARE + 12, 3.0), (SQUARE + 4, 8.0)])
def test_separate_parts_stay_separate(second, spacing_k):
    drawn = stack({1: [SQUARE + 4], 4: [second]}, spacing_k=spacing_k)
    assert drawn.interpolated == ()
    assert drawn.gaps == ((1, 4),)
    assert not drawn.mask[2:4].any()


def test_only_the_part_that_goes_on_is_filled():
    drawn = stack({1: [SQUARE + 2.5, SQUARE + 12.5], 3: [SQUARE + 2.5]})
    assert drawn.mask[2, 3:7, 3:7].all()
    assert not drawn.mask[2, 10:, 10:].any()


def test_contours_between_slices_are_interpolated_onto_them():
    drawn = stack({1.5: [SQUARE + 4.5], 2.5: [SQUARE + 4.5], 3.5: [SQUARE + 4.5]})
    assert drawn.between_planes
    assert drawn.mask[2:4, 5:9, 5:9].all()
    assert drawn.mask.sum() in (2 * 16, 3 * 16, 4 * 16)


def test_a_contour_drawn_twice_is_no_hole():
    drawn = stack({2: [SQUARE + 4.5, (SQUARE + 4.5)[::-1] + 0.01]})
    assert drawn.repeated == 1
    assert drawn.mask.sum() == 16


def test_a_contour_smaller_than_a_voxel_keeps_one():
    drawn = stack({2: [SQUARE / 10 + 6.2]})
    assert np.argwhere(drawn.mask).tolist() == [[2, 6, 6]]


def test_contours_beyond_the_slices_are_counted():
    drawn = stack({-2: [SQUARE + 4], 3: [SQUARE + 4], 9: [SQUARE + 4]})
    assert drawn.outside == 2
    assert stack({3: [SQUARE + 50]}).outside == 1
