"""Agreement of two masks: known shapes, empty masks, and figures computed with DeepMind's surface-distance."""

from __future__ import annotations

import warnings
from math import hypot, inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import added_path_length, compare, dice
from SegmentationAILib.surface_distance import bounding_box, surface_distances
from SegmentationAILib.surfels import corners, surfel_areas, surfel_codes

SPACING = (2.5, 0.8, 1.0)


def block(shape: tuple[int, ...], *ranges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(slice(*one) for one in ranges)] = True
    return mask


def measured(reference: np.ndarray, test: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Both means, HD100, HD95, both overlaps at 1 mm, surface Dice at 1 mm, Dice: the order of DeepMind's tests."""
    found = surface_distances(reference, test, spacing)
    sides = (found.reference, found.test)
    overlaps = (one.area_within(1.0) / one.areas.sum() if len(one.areas) else nan for one in sides)
    means = (one.mean() for one in sides)
    return *means, found.hausdorff(), found.hausdorff(95), *overlaps, found.dice(1.0), dice(reference, test)


PIXEL, PIXEL_BESIDE = (block((128, 128), (50, 51), (n, n + 1)) for n in (70, 72))
VOXEL, VOXEL_BESIDE = (block((128,) * 3, (50, 51), (60, 61), (n, n + 1)) for n in (70, 72))
HALVES = [block((100, 100, 100), (0, n), (0, 100), (0, 100)) for n in (50, 51)]


@pytest.mark.parametrize(
    ("reference", "test", "spacing", "expected"),
    [
        (PIXEL, PIXEL_BESIDE, (2, 1), (1.5, 1.5, 2, 2, 0.5, 0.5, 0.5, 0)),
        (PIXEL, PIXEL & False, (3, 2), (inf, nan, inf, inf, 0, nan, 0, 0)),
        (PIXEL & False, PIXEL, (3, 2), (nan, inf, inf, inf, nan, 0, 0, 0)),
        (PIXEL & False, PIXEL & False, (3, 2), (nan, nan, inf, inf, nan, nan, nan, nan)),
        (VOXEL, VOXEL_BESIDE, (3, 2, 1), (1.5, 1.5, 2, 2, 0.5, 0.5, 0.5, 0)),
        (*HALVES, (2, 1, 1), (0.322, 0.339, 2, 2, 0.842, 0.830, 0.836, 0.990)),
        (VOXEL, VOXEL & False, (3, 2, 1), (inf, nan, inf, inf, 0, nan, 0, 0)),
        (VOXEL & False, VOXEL, (3, 2, 1), (nan, inf, inf, inf, nan, 0, 0, 0)),
        (VOXEL & False, VOXEL & False, (3, 2, 1), (nan, nan, inf, inf, nan, nan, nan, nan)),
    ],
)
def test_published_cases(reference, test, spacing, expected):
    """The cases of google-deepmind/surface-distance, surface_distance_test.py, to the places given there."""
    assert measured(reference, test, spacing) == pytest.approx(expected, abs=5e-4, nan_ok=True)


def test_two_squares_shifted_by_one_pixel():
    """The last published case: every element of both contours by hand."""
    found = surface_distances(block((6, 6), (1, 3), (1, 3)), block((6, 6), (1, 4), (1, 3)), (2, 1))
    diagonal = hypot(1, 2) / 2
    assert sorted(found.reference.areas) == pytest.approx(sorted([diagonal] * 4 + [1] * 2 + [2] * 2))
    assert sorted(found.test.areas) == pytest.approx(sorted([diagonal] * 4 + [1] * 2 + [2] * 4))
    assert found.reference.distances.tolist() == [0] * 7 + [1]
    assert found.test.distances.tolist() == [0] * 7 + [2] * 3


def tilted_ellipsoids() -> tuple[np.ndarray, np.ndarray]:
    k, j, i = np.indices((24, 40, 36))
    first = ((k - 11) / 7.3) ** 2 + ((j - 19 + 0.4 * k) / 11.1) ** 2 + ((i - 17) / 9.7) ** 2 <= 1
    second = ((k - 12) / 8.2) ** 2 + ((j - 18 + 0.3 * k) / 12.4) ** 2 + ((i - 20) / 8.1) ** 2 <= 1
    return first, second


def specks() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(263)
    return rng.random((9, 11, 10)) < 0.03, rng.random((9, 11, 10)) < 0.5


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        (
            tilted_ellipsoids,
            (
                1.64722791545,
                1.59475374779,
                5.44426303553,
                4,
                0.428587324363,
                0.41531579678,
                0.421742290071,
                0.715047393365,
            ),
        ),
        (
            specks,
            (0.0275, 1.57895899224, 5.65685424949, 3.77359245282, 1, 0.422115159947, 0.450920563348, 0.0549019607843),
        ),
    ],
)
def test_figures_of_deepminds_code(masks, expected):
    assert measured(*masks(), SPACING) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None, max_examples=60)
@given(
    st.data(),
    st.sampled_from([2, 3]),
    st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 2.5])] * 3),
)
def test_equal_to_deepminds_package(data, ndim, spacing):
    rival = pytest.importorskip("surface_distance")
    shape = data.draw(array_shapes(min_dims=ndim, max_dims=ndim, max_side=6))
    reference, test = (data.draw(arrays(bool, shape)) for _ in range(2))
    reference.flat[0] = test.flat[-1] = True  # its release on PyPI fails on empty masks with NumPy 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = rival.compute_surface_distances(reference, test, spacing[:ndim])
    expected = (
        *rival.compute_average_surface_distance(found),
        rival.compute_robust_hausdorff(found, 100),
        *rival.compute_surface_overlap_at_tolerance(found, 1.0),
        rival.compute_surface_dice_at_tolerance(found, 1.0),
    )
    ours = measured(reference, test, spacing[:ndim])
    assert (*ours[:3], *ours[4:7]) == pytest.approx(expected, abs=1e-9)


def test_surfels_of_simple_patterns():
    """One corner, an edge, half the cube and a diagonal pair, by geometry."""
    areas, place = surfel_areas((3.0, 2.0, 1.0)), {corner: bit for bit, corner in enumerate(corners(3))}
    one = 1 << place[0, 0, 0]
    corner = 0.5 * sqrt(sum(side**2 for side in (3 * 2 / 4, 3 * 1 / 4, 2 * 1 / 4)))
    assert areas[one] == pytest.approx(corner)
    assert areas[255 - one] == areas[one]
    assert areas[one | 1 << place[0, 0, 1]] == pytest.approx(1.0 * hypot(1.5, 1.0))
    assert areas[sum(1 << bit for at, bit in place.items() if at[0] == 0)] == pytest.approx(2.0)
    assert areas[one | 1 << place[1, 1, 1]] == pytest.approx(2 * corner)
    assert areas[0] == areas[255] == 0


def test_area_of_a_ball():
    """Binary marching cubes overestimates a ball's surface by 8 to 9 % however fine the voxels are."""
    for radius in (10.0, 30.0):
        k, j, i = np.indices((66, 66, 66)) - 32.3
        area = surfel_areas((1.0, 1.0, 1.0))[surfel_codes(k**2 + j**2 + i**2 <= radius**2)].sum()
        assert 1.07 < area / (4 * np.pi * radius**2) < 1.1


def test_far_surfaces_are_measured_too():
    """One voxel in opposite corners: no step of the short ones reaches."""
    first, second = block((30, 30, 30), (0, 1), (0, 1), (0, 1)), block((30, 30, 30), (29, 30), (29, 30), (29, 30))
    found = surface_distances(first, second, SPACING)
    near, far = (sqrt(sum((n * size) ** 2 for size in SPACING)) for n in (28, 29))
    assert found.reference.distances[0] == pytest.approx(near)
    assert near < found.hausdorff() <= far


@given(arrays(bool, (5, 6, 7)), arrays(bool, (5, 6, 7)))
@settings(deadline=None, max_examples=50)
def test_either_way_round(first, second):
    there, back = compare(first, second, SPACING, 1.0), compare(second, first, SPACING, 1.0)
    for name in ("dice", "surface_dice", "hd95_mm", "hd100_mm", "mean_surface_distance_mm", "centre_shift_mm"):
        assert there[name] == pytest.approx(back[name], nan_ok=True)


def test_a_shifted_block():
    first, second = block((8, 20, 20), (2, 6), (5, 15), (5, 15)), block((8, 20, 20), (2, 6), (7, 17), (5, 15))
    found = compare(first, second, SPACING, 2.0)
    assert found["dice"] == pytest.approx(0.8)
    assert found["volume_ratio"] == 1.0
    assert found["centre_shift_mm"] == pytest.approx(1.6)
    assert found["hd100_mm"] == pytest.approx(1.6)
    assert found["surface_dice"] == 1.0
    # Of 36 contour pixels a slice, 16 lie on the test's (8 in each of the sides that overlap).
    assert found["added_path_length_mm"] == pytest.approx(4 * 20 * sqrt(0.8))


def test_added_path_length_is_of_the_reference():
    large, small = block((3, 9, 9), (0, 3), (1, 8), (1, 8)), block((3, 9, 9), (1, 2), (4, 5), (4, 5))
    assert added_path_length(large, small, (3, 1, 1)) == 3 * 24
    assert added_path_length(small, large, (3, 1, 1)) == 1
    assert added_path_length(large, large, (3, 1, 1)) == 0


def test_compare_with_nothing():
    mask = block((4, 4, 4), (1, 3), (1, 3), (1, 3))
    missed, invented, nothing = (
        compare(*pair, (1, 1, 1), 1.0)
        for pair in ((mask, mask & False), (mask & False, mask), (mask & False, mask & False))
    )
    assert (missed["dice"], missed["volume_ratio"], missed["mean_surface_distance_mm"]) == (0, 0, inf)
    assert missed["added_path_length_mm"] == 2 * 4
    assert (invented["volume_ratio"], invented["added_path_length_mm"]) == (inf, 0)
    undefined = ("dice", "surface_dice", "mean_surface_distance_mm", "volume_ratio", "centre_shift_mm")
    assert all(np.isnan(nothing[name]) for name in undefined)


def test_bounding_box():
    assert bounding_box(np.zeros((2, 3), dtype=bool)) is None
    assert bounding_box(block((5, 6, 7), (1, 3), (0, 6), (4, 5))) == (slice(1, 3), slice(0, 6), slice(4, 5))


@pytest.mark.parametrize(
    ("test", "spacing", "tolerance"),
    [
        (np.zeros((3, 3, 3), dtype=np.uint8), (1, 1, 1), 1),
        (np.zeros((3, 3, 2), dtype=bool), (1, 1, 1), 1),
        (np.zeros((3, 3, 3), dtype=bool), (1, 1), 1),
        (np.zeros((3, 3, 3), dtype=bool), (1, 1, 0), 1),
        (np.zeros((3, 3, 3), dtype=bool), (1, 1, 1), -1),
        (np.zeros((3, 3, 3), dtype=bool), (1, 1, 1), nan),
    ],
)
def test_refuses_what_cannot_be_compared(test, spacing, tolerance):
    with pytest.raises(InputError):
        compare(np.zeros((3, 3, 3), dtype=bool), test, spacing, tolerance)
