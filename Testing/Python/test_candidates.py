"""The search for blobs on analytic images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from LungNoduleAILib.candidates import Candidate, _extreme_eigenvalues, find_blobs, strongest
from SegmentationAILib.volume import Grid

SHAPE = (64, 60, 56)
GRID = Grid(SHAPE, np.eye(4))
LUNG, TISSUE = -860.0, 40.0


def image(distance_mm: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((LUNG + (TISSUE - LUNG) * np.clip(0.5 - distance_mm, 0, 1)).astype(np.float32))


def from_centre(centre=(32, 30, 28)) -> np.ndarray:
    return np.sqrt(sum((axis - c) ** 2 for axis, c in zip(np.ogrid[tuple(map(slice, SHAPE))], centre, strict=True)))


def search(hu: torch.Tensor, limit: int = 20) -> list[Candidate]:
    return find_blobs(hu, torch.ones(SHAPE, dtype=torch.bool), GRID, limit=limit)


@pytest.mark.parametrize("diameter", [4.0, 8.0, 14.0, 24.0])
def test_a_ball_is_found_at_its_place_and_size(diameter):
    best = search(image(from_centre() - diameter / 2))[0]
    assert np.linalg.norm(np.subtract(best.ijk, (28, 30, 32))) <= 1.8
    assert best.diameter_mm == pytest.approx(diameter, rel=0.4)


def test_a_ball_answers_more_than_a_vessel_of_the_same_width():
    j, i = np.ogrid[: SHAPE[1], : SHAPE[2]]
    vessel = np.broadcast_to(np.hypot(j - 30, i - 28) - 4.0, SHAPE)
    answers = search(image(vessel))
    assert max((c.answer for c in answers), default=0.0) < 0.25 * search(image(from_centre() - 4.0))[0].answer


def test_lung_without_anything_has_no_candidate():
    assert search(torch.full(SHAPE, LUNG)) == []


def test_only_in_the_lungs():
    lungs = torch.zeros(SHAPE, dtype=torch.bool)
    lungs[:20] = True
    assert find_blobs(image(from_centre() - 4.0), lungs, GRID, limit=5) == []


def test_the_same_input_gives_the_same_candidates():
    noisy = image(from_centre() - 5.0) + torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) * 60
    assert search(noisy) == search(noisy)


def test_the_stronger_of_two_within_a_ball_stays():
    near = [Candidate((10, 10, 10), 8.0, 50.0), Candidate((12, 10, 10), 8.0, 80.0), Candidate((30, 10, 10), 8.0, 20.0)]
    assert strongest(near, 1.0, 10) == [near[1], near[2]]
    assert strongest(near, 1.0, 1) == [near[1]]
    assert strongest(near, 3.0, 10) == [near[1], near[0], near[2]]


@given(arrays(np.float64, (6,), elements=st.floats(-100, 100)))
def test_eigenvalues_are_numpys(values):
    kk, jj, ii, kj, ki, ji = values
    expected = np.linalg.eigvalsh([[kk, kj, ki], [kj, jj, ji], [ki, ji, ii]])
    lowest, highest = _extreme_eigenvalues(torch.from_numpy(values)[:, None])
    scale = max(1.0, np.abs(expected).max())
    assert lowest.item() == pytest.approx(expected[0], abs=1e-5 * scale)
    assert highest.item() == pytest.approx(expected[-1], abs=1e-5 * scale)
