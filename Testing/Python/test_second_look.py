"""The second look: its network, its crops, what it makes of the search's marks, and how it is taught."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import PLANTED

from LungNoduleAILib import second_look
from LungNoduleAILib.candidate_network import SIDE, CandidateNetwork, CandidateWidths
from LungNoduleAILib.detection import THRESHOLD, Detector, ScoreScale, built_in, read_detector, scored_peaks
from LungNoduleAILib.heat import HeatMap, heat_map
from LungNoduleAILib.network import NoduleNetwork, Widths, normalized
from LungNoduleAILib.search import AIR_HU, SearchSpace, search_space
from LungNoduleAILib.second_look import JointScale, SecondLook, crop_at, look_again
from LungNoduleAILib.training.backgrounds import Background
from LungNoduleAILib.training.candidate_patches import CANDIDATE, CandidatePatches, figures, held_crops, loss
from LungNoduleAILib.training.candidate_pool import (
    Pool,
    by_another_scanner,
    centred,
    in_place,
    marked,
    plant,
    turned,
)
from LungNoduleAILib.training.candidates import FROZEN, fit_joint_scale, fit_second_look, measured_scale
from LungNoduleAILib.training.lidc import NoduleCube, box_grid
from LungNoduleAILib.training.parametric import parametric_nodule
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled
from SegmentationAILib.resources import model_path
from SegmentationAILib.training.fit import Recipe

TINY = CandidateWidths(8, 8, 8)


class AtMiddle(torch.nn.Module):
    """Its logit is how dense the crop's middle is, -1…1."""

    def forward(self, crops):
        inner = slice(SIDE // 2 - 2, SIDE // 2 + 2)
        return crops[:, 0, inner, inner, inner].mean(dim=(1, 2, 3))


def lung(shape=(64, 64, 64), seed=0):
    return np.random.default_rng(seed).normal(-860, 20, shape).astype(np.float32)


def ball(shape, centre, radius):
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    return sum((a - c) ** 2 for a, c in zip(axes, centre, strict=True)) <= radius**2


def space_of(hu):
    return SearchSpace(hu, np.ones(hu.shape, dtype=bool), box_grid(hu.shape))


def test_the_network_gives_a_logit_for_each_crop():
    torch.manual_seed(0)
    network = CandidateNetwork(TINY).eval()
    crops = torch.randn(3, 1, SIDE, SIDE, SIDE)
    with torch.inference_mode():
        found = network(crops)
        assert found.shape == (3,)
        torch.testing.assert_close(network(crops[1:2]), found[1:2], rtol=1e-4, atol=1e-4)
    assert CandidateWidths(**network.configuration()) == TINY


def test_it_begins_with_the_searchs_layers():
    search, network = NoduleNetwork(Widths(8, 8, 8, 8)), CandidateNetwork(TINY)
    before = network.decide[0].weight.clone()
    network.begin_with(search)
    torch.testing.assert_close(network.at_quarter[1].first[0].weight, search.at_quarter[1].first[0].weight)
    torch.testing.assert_close(network.decide[0].weight, before)
    other = CandidateNetwork(CandidateWidths(16, 8, 8))
    other.begin_with(search)
    torch.testing.assert_close(other.at_eighth[0].first[0].weight, search.at_eighth[0].first[0].weight)


@pytest.mark.parametrize("place", [(20.5, 30.5, 40.5), (0.5, 63.5, 2.5), (-40.0, 20.0, 20.0)])
def test_a_crop_has_its_place_in_the_middle_and_air_beyond_the_ct(place):
    hu = np.arange(64**3, dtype=np.float32).reshape(64, 64, 64)
    crop = crop_at(hu, place)
    at = np.round(place).astype(int)
    expected = np.pad(hu, 100, constant_values=AIR_HU)[tuple(slice(a + 84, a + 116) for a in at)]
    np.testing.assert_array_equal(crop, expected)


def test_looking_again_repeats_and_batches_do_not_matter(monkeypatch):
    torch.manual_seed(0)
    network, space = CandidateNetwork(TINY), space_of(lung())
    places = [tuple(map(float, place)) for place in np.random.default_rng(1).integers(0, 64, (7, 3))]
    first = look_again(network, space, places, "cpu", Progress())
    np.testing.assert_array_equal(look_again(network, space, places, "cpu", Progress()), first)
    monkeypatch.setattr(second_look, "_BATCH", 3)
    np.testing.assert_allclose(look_again(network, space, places, "cpu", Progress()), first, atol=1e-4)
    assert look_again(network, space, [], "cpu", Progress()).shape == (0,)


def test_looking_again_can_be_cancelled(monkeypatch):
    monkeypatch.setattr(second_look, "_BATCH", 1)
    token = CancelToken()
    with pytest.raises(Cancelled):
        look_again(AtMiddle(), space_of(lung()), [(32.0,) * 3] * 3, "cpu", Progress(lambda *_: token.cancel(), token))


def test_of_equal_marks_the_one_with_a_nodule_in_its_middle_comes_first():
    hu = lung()
    hu[ball(hu.shape, (40.5, 40.5, 40.5), 5)] = 40
    centre = np.zeros((32, 32, 32), dtype=np.float32)
    centre[6, 6, 6], centre[20, 20, 20], centre[28, 4, 4] = 0.5, 0.4, 0.05
    found = HeatMap(centre, np.full(centre.shape, 6, np.float32), np.zeros(hu.shape, np.float32))
    once = Detector(NoduleNetwork(Widths(8, 8, 8, 8)), ScoreScale())
    twice = replace(once, second_look=SecondLook(AtMiddle(), JointScale(1.0, 2.0, 0.0)))
    order = [
        [peak.kji[0] for _, peak in scored_peaks(one, found, space_of(hu), "cpu", Progress())] for one in (once, twice)
    ]
    # The lowest is not worth a second look.
    assert order == [[12.5, 40.5, 56.5], [40.5, 12.5]]


def test_the_joint_scale():
    assert JointScale(1.0, 0.0, 0.0).scores([0.3, 0.9], [5, -5]) == pytest.approx([0.3, 0.9])
    assert JointScale(0.0, 2.0, -1.0).scores([0.5], [0.5]) == pytest.approx([0.5])
    ends = JointScale(1.0, 1.0, 0.0).scores([0.0, 1.0], [0, 0])
    assert 0 < ends[0] < ends[1] < 1


def test_a_fitted_joint_scale_gives_the_share_of_nodules_among_marks():
    rng = np.random.default_rng(0)
    heat_logit, look = rng.normal(0, 1.5, (2, 20000))
    nodule = rng.random(20000) < 1 / (1 + np.exp(-(1.5 * heat_logit + 0.5 * look - 1)))
    planted = int(nodule.sum())
    heat = 1 / (1 + np.exp(-heat_logit))
    scale = fit_joint_scale(heat, look, nodule, planted, scans=planted // 3)
    assert [scale.heat, scale.look, scale.offset] == pytest.approx([1.5, 0.5, -1], abs=0.1)
    rarer = fit_joint_scale(heat, look, nodule, planted, scans=planted // 30)
    assert rarer.look / rarer.heat == pytest.approx(1 / 3, abs=0.05)
    assert rarer.offset < scale.offset - 1


def test_the_built_in_second_look_is_small_and_a_detector_of_a_users_has_none():
    assert model_path("nodule-candidates").stat().st_size <= 4e6
    assert built_in().second_look is not None
    assert read_detector(model_path("nodules")).second_look is None


def test_a_phantoms_nodules_are_the_highest_marks(phantom, lungs):
    """The second look knows no phantoms, and must not put their vessels above their nodules."""
    space = search_space(phantom.volume, lungs, "cpu")
    found = heat_map(built_in().network, space, "cpu", Progress())
    marks = scored_peaks(built_in(), found, space, "cpu", Progress())
    places = np.array([space.grid.ras(peak.kji[::-1]) for _, peak in marks[: len(PLANTED)]])
    away = np.linalg.norm(places[:, None] - np.array([one.centre_ras for one in PLANTED]), axis=2)
    assert (away.min(axis=0) < 4).all()
    assert marks[len(PLANTED) - 1][0] > THRESHOLD


def background(shape=(96, 96, 96)):
    hu = lung(shape)
    inside = np.zeros(shape, dtype=bool)
    inside[6:-6, 6:-6, 6:-6] = True
    hu[~inside] = 40
    nodules = ball(shape, (26, 26, 26), 5).astype(np.uint8)
    hu[nodules > 0] = 40
    none = np.zeros((0, 3), dtype=int)
    return Background("made", hu.astype(np.int16), inside, nodules, ball(shape, (70, 70, 26), 5), none, box_grid(shape))


def inserts(count, diameter=9.0):
    return [lambda rng: parametric_nodule(rng, diameter, "solid")] * count


def test_planted_nodules_are_whole_apart_and_repeat():
    first, again = (plant(background(), inserts(3), np.random.default_rng(4), vessels=2) for _ in range(2))
    np.testing.assert_array_equal(first.space.hu, again.space.hu)
    centres, diameters = first.centres()
    assert len(centres) == 4
    assert diameters == pytest.approx([10, 9, 9, 9], rel=0.25)
    assert min(np.linalg.norm(a - b) for n, a in enumerate(centres[1:]) for b in centres[1:][:n]) > 20
    assert first.space.hu[first.nodules > 1].mean() > -200


def test_the_pool_holds_each_nodule_once_and_no_mark_beside_one():
    planted = plant(background(), inserts(2), np.random.default_rng(4), vessels=0)
    torch.manual_seed(0)
    pool = marked(planted, NoduleNetwork(Widths(8, 8, 8, 8)).eval(), "cpu", np.random.default_rng(0))
    assert np.count_nonzero(pool.nodule) >= 3
    alone = centred(planted)
    assert alone.nodule.all()
    assert (alone.hu[:, 18:22, 18:22, 18:22].mean(axis=(1, 2, 3)) > -100).all()
    both = Pool.joined([pool, alone])
    assert len(both.heat) == len(pool.heat) + 3
    assert both[both.nodule].nodule.all()


def test_a_turned_ct_and_another_scanners_show_the_same_nodules():
    rng = np.random.default_rng(2)
    other = turned(background(), rng)
    assert other.hu[other.nodules > 0].mean() > -150
    degraded = by_another_scanner(plant(other, (), rng, vessels=0), rng)
    assert degraded.space.hu.std() != plant(other, (), np.random.default_rng(0), vessels=0).space.hu.std()


def shapes(count, seed):
    """A pool of balls, and of rods through the middle."""
    rng, rows = np.random.default_rng(seed), []
    k, j, i = np.ogrid[:40, :40, :40]
    for n in range(count):
        hu = rng.normal(-860, 20, (40, 40, 40))
        square = (k - 20) ** 2 * (n % 2 == 0) + (j - 20) ** 2 + (i - 20) ** 2
        hu[square <= rng.uniform(3, 5) ** 2] = 40
        rows.append((hu, n % 2 == 0, 0.3, 8.0))
    return Pool.of(rows)


def test_a_few_steps_tell_balls_from_rods(tmp_path, one_thread, monkeypatch):
    monkeypatch.setattr("LungNoduleAILib.training.candidates.CandidateNetwork", lambda: CandidateNetwork(TINY))
    search = NoduleNetwork(Widths(8, 8, 8, 8))
    frozen = {name: value.clone() for name, value in search.state_dict().items() if name.startswith(FROZEN)}
    recipe = Recipe(steps=40, batch=8, learning_rate=1e-2, warmup=5, average=0.8, check_every=20, seed=0)
    losses: list[float] = []

    def noted(network, batch):
        terms = loss(network, batch)
        losses.append(float(terms["nodule"].detach()))
        return terms

    monkeypatch.setattr("LungNoduleAILib.training.candidates.CANDIDATE", replace(CANDIDATE, loss=noted))
    pool, held = shapes(24, 0), shapes(16, 1)
    first = figures(CandidateNetwork(TINY).eval(), held_crops(held), torch.device("cpu"))
    fitted = fit_second_look(pool, held, search, tmp_path, recipe, "cpu")
    assert fitted.score > max(0.95, first["score"])
    for name, value in frozen.items():
        torch.testing.assert_close(fitted.network.state_dict()[name], value)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    scale = measured_scale(fitted.network, [held], "cpu")
    assert scale.look > 0


def test_crops_repeat_and_show_nodules_and_others_in_turn():
    pool = shapes(8, 0)
    one, again = CandidatePatches(pool, 3), CandidatePatches(pool, 3)
    assert [float(one[n]["nodule"]) for n in range(6)] == [0, 1, 0, 1, 0, 1]
    for n in range(4):
        assert one[n]["crop"].shape == (1, SIDE, SIDE, SIDE)
        torch.testing.assert_close(one[n]["crop"], again[n]["crop"], rtol=0, atol=0)
    assert not torch.equal(one[0]["crop"], one[2]["crop"])


def test_a_cube_is_centred_on_its_nodule():
    hu, mask = lung((51, 51, 51)), ball((51, 51, 51), (20, 25, 30), 5)
    hu[mask] = 40
    pool = in_place([NoduleCube("7_nod1_ann0", hu, mask)])
    assert pool.nodule.all()
    np.testing.assert_array_equal(pool.hu[0, 16:25, 16:25, 16:25], np.round(hu[16:25, 21:30, 26:35]).astype(np.int16))
    assert normalized(pool.hu[0].astype(np.float32)).min() >= -1
