"""The influence of voxels on the detector's answer: known for a known network, plausible for the built-in one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from geometry import AXIS_ORDERS, oblique_grid
from planted import PLANTED
from scipy import ndimage
from scipy.stats import spearmanr
from torch import nn

from LungNoduleAILib import network
from LungNoduleAILib.characterization import characterize
from LungNoduleAILib.detection import Detector, ScoreScale, built_in
from LungNoduleAILib.explanation import occlusion
from LungNoduleAILib.explanation.explain import explain, influence_at, influence_on, window_side
from LungNoduleAILib.explanation.filling import lung_texture
from LungNoduleAILib.explanation.occlusion import Answer, influence
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.search import SearchSpace, search_space, search_window
from LungNoduleAILib.training.explanation_figures import deletion, shuffled
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.volume import Grid

SIDE = 48
FOR, AGAINST = (24, 24, 24), (24, 24, 35)


def ball(centre, radius, side=SIDE):
    axes = np.ogrid[tuple(slice(0, side) for _ in range(3))]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= radius**2


def window(*balls, seed=3):
    """Lung with balls (centre, radius, HU)."""
    hu = np.random.default_rng(seed).normal(-850, 20, (SIDE,) * 3).astype(np.float32)
    for centre, radius, density in balls:
        hu[ball(centre, radius)] = density
    return SearchSpace(hu, np.ones(hu.shape, dtype=bool), Grid(hu.shape, np.diag([-1.0, -1.0, 1.0, 1.0])))


class Known(nn.Module):
    """Its logit is 4 times the mean of what it sees in one ball less 2 times that in another, everywhere."""

    def __init__(self):
        super().__init__()
        self.register_buffer("likes", torch.from_numpy(ball(FOR, 4).astype(np.float32)))
        self.register_buffer("dislikes", torch.from_numpy(ball(AGAINST, 3).astype(np.float32)))

    def forward(self, patch):
        seen = patch[:, 0]
        logit = 4 * (seen * self.likes).sum((1, 2, 3)) / self.likes.sum()
        logit = logit - 2 * (seen * self.dislikes).sum((1, 2, 3)) / self.dislikes.sum()
        heat = logit.reshape(-1, 1, 1, 1, 1).expand(-1, 1, *(n // 2 for n in seen.shape[1:]))
        return network.Answer(heat, heat, patch)


@pytest.fixture(scope="module")
def two_balls():
    return window((FOR, 4, 0.0), (AGAINST, 3, 0.0))


def test_what_speaks_for_and_against_a_known_answer(two_balls):
    found = influence(Known(), two_balls, ball(FOR, 4), device="cpu")
    low, high = network.HU_RANGE
    seen = network.normalized(two_balls.hu)
    assert found.logit == pytest.approx(4 * seen[ball(FOR, 4)].mean() - 2 * seen[ball(AGAINST, 3)].mean(), abs=1e-4)
    for_it, against_it = found.values[ball(FOR, 3)], found.values[ball(AGAINST, 2)]
    assert (for_it > 0).all()
    assert (against_it < 0).all()
    # Where all of a ball becomes lung, the logit falls by its weight times the change of what is seen.
    whole_fall = 4 * 850 * 2 / (high - low)
    assert found.values[ball(FOR, 5)].sum() / 1000 == pytest.approx(whole_fall, rel=0.3)


def test_what_was_lung_has_no_influence(two_balls):
    found = influence(Known(), two_balls, ball(FOR, 4), device="cpu")
    elsewhere = ~ball(FOR, 7) & ~ball(AGAINST, 6)
    assert not found.values[elsewhere].any()
    assert np.unravel_index(found.values.argmax(), found.values.shape) in set(map(tuple, np.argwhere(ball(FOR, 4))))


def test_the_same_voxels_give_the_same_influence(two_balls):
    first, second = (influence(Known(), two_balls, ball(FOR, 4), device="cpu").values for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_more_blobs_are_not_asked_than_there_is_time_for(two_balls, monkeypatch):
    change = occlusion._change(two_balls.hu, lung_texture(two_balls.hu, two_balls.lungs, ball(FOR, 4)))
    counts = [len(occlusion.blobs_around(ball(FOR, 4), change, most)) for most in (5, 20, 60)]
    assert counts[0] <= 5 < counts[1] <= 20 < counts[2] <= 60


def test_cancelling_between_batches(two_balls):
    token = CancelToken()
    progress = Progress(lambda fraction, text: token.cancel() if fraction > 0.3 else None, token)
    with pytest.raises(Cancelled):
        influence(Known(), two_balls, ball(FOR, 4), device="cpu", progress=progress)


def test_lung_takes_the_level_and_the_noise_of_the_lung_around():
    space = window((FOR, 6, 20.0))
    space.hu[:, :, 40:] += 900  # A wall.
    lungs = np.ones(space.hu.shape, dtype=bool)
    lungs[:, :, 40:] = False
    found = lung_texture(space.hu, lungs, ball(FOR, 6))
    assert found[ball(FOR, 6)].mean() == pytest.approx(-850, abs=8)
    assert found[ball(FOR, 6)].std() == pytest.approx(20, rel=0.25)
    np.testing.assert_array_equal(found, lung_texture(space.hu, lungs, ball(FOR, 6)))
    assert (lung_texture(space.hu, np.zeros_like(lungs), ball(FOR, 6)) == -860).all()


@pytest.fixture(scope="module")
def of_the_detector():
    """The built-in network on a nodule beside a vessel, with blobs so few that it is fast."""
    nodule = ball(FOR, 5)
    space = window((FOR, 5, 30.0))
    space.hu[:, 20:24, 32:36] = 40.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occlusion, "_MOST_VOXELS", 30 * SIDE**3)
        found = influence(built_in().network, space, nodule, device="cpu")
        other = influence(shuffled(built_in().network), space, nodule, device="cpu")
    return space, nodule, found, other


def test_the_influence_is_highest_in_the_nodule(of_the_detector):
    _, nodule, found, _ = of_the_detector
    near = ndimage.binary_dilation(nodule, iterations=2)
    assert near[np.unravel_index(found.values.argmax(), found.values.shape)]


def test_without_what_has_influence_the_score_falls_faster(of_the_detector):
    space, nodule, found, _ = of_the_detector
    answer = Answer(built_in().network, nodule, "cpu")
    lung = lung_texture(space.hu, space.lungs, nodule)
    falls = deletion(answer, space.hu, lung, nodule, found.values)
    assert falls["influence"] > max(falls["density"], falls["random"], 0)


def test_other_weights_have_another_influence(of_the_detector):
    _, _, found, other = of_the_detector
    both = (found.values != 0) & (other.values != 0)
    assert abs(spearmanr(found.values[both], other.values[both])[0]) < 0.5


@pytest.fixture(scope="module")
def nodule(phantom, lungs) -> Nodule:
    planted = PLANTED[2]
    mask, measured = characterize(phantom.volume, planted.centre_ras, planted.diameter_mm)
    return Nodule(1, planted.centre_ras, planted.diameter_mm, 0.9, "left", mask, measured)


def test_the_window_is_the_detectors_own_voxels(phantom, lungs, nodule):
    whole = search_space(phantom.volume, lungs, "cpu")
    part = search_window(phantom.volume, lungs, nodule.centre_ras, 48, 16)
    start = np.round(whole.grid.ijk(part.grid.ras([0, 0, 0]))).astype(int)[::-1]
    assert (start % 16 == 0).all()
    there = tuple(slice(a, a + 48) for a in start)
    np.testing.assert_allclose(part.hu, whole.hu[there], atol=0.01)
    np.testing.assert_array_equal(part.lungs, whole.lungs[there])
    at = part.grid.ijk(nodule.centre_ras)
    assert ((at >= 15) & (at <= 33)).all()


def test_the_answer_on_the_whole_search_space_is_the_detectors_score(phantom, lungs, nodule, monkeypatch):
    """And that of the window comes near to it, though it is cut off from what lies further away."""
    monkeypatch.setattr(occlusion, "_MOST_VOXELS", SIDE**3)
    detector = built_in()
    whole = search_window(phantom.volume, lungs, nodule.centre_ras, 96, 16)
    inside = ball_on(whole.grid, nodule)
    wide = float(Answer(detector.network, inside, "cpu")(whole.hu[None])[0])
    near, _ = influence_at(phantom.volume, lungs, nodule, device="cpu")
    scores = [detector.scale.score(1 / (1 + np.exp(-logit))) for logit in (wide, near.logit)]
    assert scores[1] == pytest.approx(scores[0], abs=0.05)


def ball_on(grid, nodule):
    centre = grid.ijk(nodule.centre_ras)[::-1]
    axes = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
    return sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= (nodule.diameter_mm / 2) ** 2


class Bright(nn.Module):
    """Its logit is what it sees in each block of 2 mm."""

    def forward(self, patch):
        heat = nn.functional.avg_pool3d(patch, 2)
        return network.Answer(heat, heat, patch)


def test_a_nodule_is_explained(phantom, lungs, nodule):
    told = []
    found = explain(
        phantom.volume,
        lungs,
        nodule,
        device="cpu",
        progress=Progress(lambda fraction, text: told.append(fraction)),
        detector=Detector(Bright(), ScoreScale()),
    )
    assert found.influence.shape == found.grid.shape
    assert len(found.similar) == 5
    assert told == sorted(told)
    assert told[-1] == 1.0
    on_ct = influence_on(found, phantom.volume.grid)
    assert on_ct.grid.same_as(phantom.volume.grid)
    far = np.linalg.norm(np.argwhere(on_ct.array) * 2 - phantom.volume.grid.ijk(nodule.centre_ras)[::-1] * 2, axis=1)
    assert far.max() < 40


def test_the_influence_keeps_its_place_on_an_oblique_grid():
    grid = oblique_grid(AXIS_ORDERS[0], spacing=(1.0, 1.0, 1.0), shape=(32, 32, 32))
    values = np.zeros(grid.shape, dtype=np.float32)
    values[ball((20, 12, 16), 4, 32)] = 5.0
    other = oblique_grid(AXIS_ORDERS[37], angles_deg=(8, 20, -11), shape=(30, 60, 70))
    moved = influence_on(Explanation(values, grid, ()), other)
    weights = np.argwhere(moved.array > 2.5)
    assert other.ras(weights.mean(axis=0)[::-1]) == pytest.approx(grid.ras([16, 12, 20]), abs=0.5)


def test_windows_hold_the_nodule_and_its_surroundings():
    assert [window_side(mm) for mm in (3, 16, 17, 30, 48, 90)] == [48, 48, 64, 64, 80, 96]


def test_what_cannot_be_explained_is_refused(phantom, lungs, nodule):
    empty = replace(nodule, mask=replace(nodule.mask, occupancy=0 * nodule.mask.occupancy))
    with pytest.raises(InputError, match="mask is empty"):
        explain(phantom.volume, lungs, empty, device="cpu")
    with pytest.raises(InputError, match="no device 'abacus'"):
        explain(phantom.volume, lungs, nodule, device="abacus")
    matrix = nodule.mask.grid.ijk_to_ras.copy()
    matrix[2, 3] += 900
    away = replace(nodule.mask, grid=Grid(nodule.mask.grid.shape, matrix))
    with pytest.raises(InputError, match="outside"):
        influence_at(phantom.volume, lungs, replace(nodule, mask=away), device="cpu")
