"""Fitting a network: it learns, the same seed gives the same weights, and what was cut off goes on exactly."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from torch import nn

from LungNoduleAILib.network import HEAT_STRIDE, NoduleNetwork, Widths
from LungNoduleAILib.training.fine_tuning import in_encoder
from LungNoduleAILib.training.nodule_loss import nodule_loss
from LungNoduleAILib.training.nodule_patches import SIDE, Scene, tensors
from LungNoduleAILib.training.nodules import figures, peaks
from SegmentationAILib.errors import InputError
from SegmentationAILib.training.fit import CHECKPOINT, Recipe, fit

TINY = Widths(8, 8, 8, 8)
SHORT = Recipe(steps=8, batch=2, learning_rate=1e-2, warmup=2, average=0.9, check_every=2)


pytestmark = pytest.mark.usefixtures("one_thread")


class Noise:
    """Patch n is noise of seed n."""

    def __getitem__(self, index):
        image = torch.randn(1, 8, 8, 8, generator=torch.Generator().manual_seed(index))
        return {"image": image, "target": image.mul(2).add(1)}


def small_network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 1, 1))


def noisy_loss(network, batch):
    """Draws from torch's generator, as the organ loss does."""
    seen = torch.rand(batch["image"].shape) < 0.5
    return {"square": ((network(batch["image"]) - batch["target"])[seen] ** 2).mean()}


def error(network):
    batch = {name: value[None] for name, value in Noise()[10**6].items()}
    with torch.inference_mode():
        return {"score": -float(noisy_loss(network, batch)["square"])}


def fitted(out, recipe=SHORT, *, network=None, validate=error, **options):
    network = network or small_network()
    return fit(network, Noise(), noisy_loss, recipe, out, validate=validate, device="cpu", **options)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def scene_with_nodule(seed: int, rough: bool = False) -> tuple[dict[str, torch.Tensor], np.ndarray]:
    """A patch of lung with a ball of 10 mm, and the ball's centre (k, j, i) in voxels."""
    rng = np.random.default_rng(seed)
    centre = rng.integers(14, SIDE - 14, 3)
    axes = np.ogrid[:SIDE, :SIDE, :SIDE]
    inside = sum((axis - c) ** 2 for axis, c in zip(axes, centre, strict=True)) <= 25
    hu = np.where(inside, 40.0, -860.0) + rng.normal(0, 20, inside.shape)
    nothing = np.zeros_like(inside)
    return tensors(Scene(hu.astype(np.float32), inside.astype(np.uint8), nothing, inside if rough else None)), centre


class Scenes:
    def __init__(self, count):
        self._patches = [scene_with_nodule(seed)[0] for seed in range(count)]

    def __getitem__(self, index):
        return self._patches[index % len(self._patches)]


def fitted_to_scenes(out, recipe, loss=nodule_loss, **options):
    torch.manual_seed(0)
    network = NoduleNetwork(TINY)
    return network, fit(network, Scenes(8), loss, recipe, out, device="cpu", **options)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A tiny nodule network after 40 steps, and the loss of each."""
    losses = []

    def loss(network, batch):
        terms = nodule_loss(network, batch)
        losses.append(float(sum(terms.values()).detach()))
        return terms

    torch.set_num_threads(1)
    recipe = Recipe(steps=40, batch=2, learning_rate=1e-2, warmup=5, average=0.9, check_every=40)
    _, result = fitted_to_scenes(tmp_path_factory.mktemp("learnt"), recipe, loss, validate=lambda _: {"score": 0.0})
    return result.network, losses


def test_loss_falls(learnt):
    _, losses = learnt
    assert np.mean(losses[-5:]) < 0.2 * np.mean(losses[:5])


@pytest.mark.parametrize("seed", [101, 102])
def test_planted_nodule_is_the_peak_of_the_heat_map(learnt, seed):
    patch, centre = scene_with_nodule(seed)
    with torch.inference_mode():
        answer = learnt[0](patch["image"][None])
    _, peak = max(peaks(torch.sigmoid(answer.heat[0, 0])))
    assert np.linalg.norm(HEAT_STRIDE * np.array(peak) + 0.5 - centre) <= 3.0
    assert float(answer.log_diameter[0, 0][peak].exp()) == pytest.approx(10.0, rel=0.25)


def test_figures_of_a_network_that_learnt_are_above_those_of_one_that_did_not(learnt):
    held = [scene_with_nodule(seed)[0] for seed in (201, 202)]
    place = torch.device("cpu")
    assert figures(learnt[0], held, place)["average precision"] == 1.0
    assert figures(NoduleNetwork(TINY).eval(), held, place)["average precision"] < 0.5


def test_without_outlines_average_precision_alone_decides(learnt):
    held = [scene_with_nodule(seed, rough=True)[0] for seed in (201, 202)]
    found = figures(learnt[0], held, torch.device("cpu"))
    assert np.isnan(found["dice"])
    assert found["score"] == found["average precision"] == 1.0


def test_nodule_without_outline_teaches_centre_and_size_but_no_voxels():
    torch.manual_seed(0)
    network = NoduleNetwork(TINY)
    outlined, rough = (
        {key: value[None] for key, value in scene_with_nodule(0, rough=known)[0].items()} for known in (False, True)
    )
    with torch.inference_mode():
        terms, without = nodule_loss(network, outlined), nodule_loss(network, rough)
        emptied = nodule_loss(network, {**rough, "nodules": torch.zeros_like(rough["nodules"])})
    assert float(without["heat"]) == float(terms["heat"])
    assert float(without["size"]) == float(terms["size"])
    assert float(without["mask"]) < float(terms["mask"])
    assert float(emptied["mask"]) == float(without["mask"])


def test_same_seed_gives_the_same_weights(tmp_path):
    first, second, other = (
        fitted(tmp_path / name, replace(SHORT, seed=seed)).network for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert same(first, second)
    assert not same(first, other)


def test_patches_made_by_another_process_give_the_same_weights(tmp_path):
    assert same(fitted(tmp_path / "a").network, fitted(tmp_path / "b", replace(SHORT, workers=1)).network)


@pytest.mark.parametrize("stop", [2, 6])
def test_interrupted_run_goes_on_exactly(tmp_path, stop):
    def cut_off(step, figures):
        if step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "cut", report=cut_off)
    network, whole = small_network(), small_network()
    resumed = fitted(tmp_path / "cut", network=network)
    straight = fitted(tmp_path / "whole", network=whole)
    assert same(network, whole)
    assert same(resumed.network, straight.network)
    assert (resumed.step, resumed.score, resumed.figures) == (straight.step, straight.score, straight.figures)


def test_finished_run_gives_its_result_again_without_a_step(tmp_path):
    first = fitted(tmp_path)
    reported = []
    again = fitted(tmp_path, report=lambda step, figures: reported.append(step))
    assert same(first.network, again.network)
    assert not reported


def test_frozen_layers_and_their_statistics_keep_every_bit(tmp_path):
    torch.manual_seed(0)
    before = NoduleNetwork(TINY).state_dict()
    recipe = Recipe(steps=2, batch=2, learning_rate=1e-2, warmup=1, check_every=2)
    network, result = fitted_to_scenes(tmp_path, recipe, frozen=in_encoder, validate=lambda _: {"score": 0.0})
    for after in (network.state_dict(), result.network.state_dict()):
        moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
        assert not {name for name in moved if in_encoder(name)}
        assert {name for name in before if not in_encoder(name)} == moved
    assert any(name.endswith("running_mean") and in_encoder(name) for name in before)


def test_another_recipe_in_the_same_folder_is_refused(tmp_path):
    fitted(tmp_path)
    held = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(InputError, match=r"another recipe \(learning_rate, seed differ\)"):
        fitted(tmp_path, replace(SHORT, seed=9, learning_rate=1e-3))
    assert (tmp_path / CHECKPOINT).read_bytes() == held


def test_another_network_in_the_same_folder_is_refused(tmp_path):
    fitted(tmp_path)
    with pytest.raises(InputError, match="another network"):
        fitted(tmp_path, network=nn.Conv3d(1, 1, 1))


def test_damaged_checkpoint_is_refused(tmp_path):
    fitted(tmp_path)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        fitted(tmp_path)


def test_checkpoint_of_before_the_figures_were_kept_loads(tmp_path):
    first = fitted(tmp_path)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    del state["best_figures"]
    torch.save(state, tmp_path / CHECKPOINT)
    assert same(fitted(tmp_path).network, first.network)


def test_patience_ends_the_run_with_the_best_weights(tmp_path):
    scores = iter([0.1, 0.5, 0.4, 0.3, 0.9])
    seen = []

    def validate(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"score": next(scores)}

    recipe = replace(SHORT, steps=40, patience=2)
    result = fitted(tmp_path, recipe, validate=validate)
    assert (result.step, result.score, result.stopped_early) == (4, 0.5, True)
    assert len(seen) == 4
    assert all(torch.equal(value, seen[1][name]) for name, value in result.network.state_dict().items())
    again = fitted(tmp_path, recipe, validate=validate)
    assert len(seen) == 4
    assert same(again.network, result.network)
    assert again.stopped_early


def test_average_follows_the_weights_at_the_stated_decay(tmp_path):
    network, start = small_network(), small_network()
    result = fitted(tmp_path, replace(SHORT, steps=1, check_every=1), network=network)
    decay = 2 / 11
    for name, value in network.named_parameters():
        first = start.get_parameter(name)
        assert not torch.equal(value, first)
        expected = decay * first + (1 - decay) * value
        torch.testing.assert_close(result.network.get_parameter(name), expected)


def test_infinite_loss_is_an_error_that_names_the_step(tmp_path):
    def loss(network, batch):
        return {"square": noisy_loss(network, batch)["square"] * torch.inf}

    with pytest.raises(FloatingPointError, match="step 0"):
        fit(small_network(), Noise(), loss, SHORT, tmp_path, validate=error, device="cpu")


def test_learning_rate_rises_and_falls_to_a_hundredth():
    recipe = Recipe(steps=1000, warmup=100, learning_rate=1.0)
    assert recipe.rate(0) == pytest.approx(0.01)
    assert recipe.rate(99) == pytest.approx(1.0)
    assert recipe.rate(550) == pytest.approx(0.505)
    assert recipe.rate(1000) == pytest.approx(0.01)


def test_recipe_without_a_step_is_refused():
    with pytest.raises(InputError, match="steps must be at least 1"):
        Recipe(**(asdict(SHORT) | {"steps": 0}))
