"""Ellipsoids as a CT shows them, and found again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from LungNoduleAILib.blurred_ellipsoids import CtPatch, Ellipsoid, Slices, fit_ellipsoids
from SegmentationAILib.volume import Grid

SPACING = np.array([1.25, 0.7, 0.7])
SHAPE = (18, 34, 34)
FORM = np.diag([3.0, 4.0, 3.5]) @ np.array([[1, 0.1, 0], [0, 1, 0.2], [0, 0, 1]])
CENTRE = np.array([11.3, 12.1, 11.8])


def points(shape, spacing) -> np.ndarray:
    return np.moveaxis(np.indices(shape), 0, -1) * spacing


def test_the_image_is_what_averaging_many_samples_gives():
    """Supersampled, blurred in the plane and averaged over slices: within half a per cent of the contrast."""
    finer = np.array([10, 4, 4])
    fine = SPACING / finer
    shape = tuple(np.array(SHAPE) * finer)
    held = Ellipsoid(CENTRE, FORM).share(points(shape, fine), float(fine.max()))
    blurred = ndimage.gaussian_filter(held, [0, 0.6 / fine[1], 0.6 / fine[2]], truncate=6)
    averaged = ndimage.uniform_filter1d(blurred, finer[0], axis=0)
    # The filter of an even size lies half a sample before the middle.
    expected = (averaged[:: finer[0]] + np.roll(averaged, -1, axis=0)[:: finer[0]]) / 2
    slices = Slices(SHAPE, SPACING, SPACING[0], np.zeros(3))
    image = slices.image(Ellipsoid(CENTRE, FORM), slices.kernel(0.6, 0.0))
    assert np.abs(image - expected[:, ::4, ::4]).max() < 0.02
    assert np.sqrt(np.mean((image - expected[:, ::4, ::4]) ** 2)) < 0.003


def test_the_image_keeps_the_volume():
    slices = Slices(SHAPE, SPACING, SPACING[0], np.zeros(3))
    for kernel in (slices.kernel(0.4, 0.8), slices.kernel(0.6, 0.0)):
        volume = float(slices.image(Ellipsoid(CENTRE, FORM), kernel).sum() * np.prod(SPACING))
        assert volume == pytest.approx(4 / 3 * np.pi * np.linalg.det(FORM), rel=0.01)


def test_a_mask_has_its_ellipsoid():
    spacing = 0.7
    grid = points((30, 30, 30), spacing)
    whole = Ellipsoid(np.array([10.0, 10.5, 9.8]), FORM)
    again = Ellipsoid.of_mask(whole.share(grid, spacing), grid, spacing**3)
    assert again.radius_mm == pytest.approx(whole.radius_mm, rel=0.02)
    np.testing.assert_allclose(again.centre_mm, whole.centre_mm, atol=0.02)
    np.testing.assert_allclose(again.form_mm @ again.form_mm.T, FORM @ FORM.T, rtol=0.08, atol=0.5)


@pytest.mark.parametrize("noise_hu", [5.0, 30.0])
def test_core_and_ground_glass_are_found_again(noise_hu):
    """From shapes half a millimetre off and a fifth too large or too small."""
    core, whole = Ellipsoid(CENTRE, 0.6 * FORM), Ellipsoid(CENTRE, FORM)
    slices = Slices(SHAPE, SPACING, SPACING[0], np.zeros(3))
    kernel = slices.kernel(0.55, 0.2)
    contrast = 640 * slices.image(core, kernel) + 230 * slices.image(whole, kernel)
    contrast += np.random.default_rng(3).normal(0, noise_hu, SHAPE)
    matrix = np.diag([*SPACING[::-1], 1.0])
    patch = CtPatch(Grid(SHAPE, matrix), contrast.astype(np.float32), -850.0)
    fitted = np.linalg.norm(points(SHAPE, SPACING) - CENTRE, axis=-1) < 8
    first = Ellipsoid(CENTRE + 0.5, 0.5 * FORM), Ellipsoid(CENTRE - 0.4, 1.15 * FORM)
    found = fit_ellipsoids(patch, fitted, *first, tissue_hu=30.0)
    assert found.whole.radius_mm == pytest.approx(whole.radius_mm, rel=0.02)
    assert found.core.radius_mm == pytest.approx(core.radius_mm, rel=0.03)
    assert found.rim_hu == pytest.approx(230, abs=20)
    assert found.core_hu == pytest.approx(870, abs=40)
    assert found.width_mm == pytest.approx(0.4 * whole.radius_mm, abs=0.15)
