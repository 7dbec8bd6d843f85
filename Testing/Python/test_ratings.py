"""Ratings of drawn nodules; the crop and the numbers that they are made from."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from LungNoduleAILib.appearance import FEATURES, appearance
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.nodule_crop import MARGIN_MM, crop_nodule, cube
from LungNoduleAILib.rating import GRADES, RATINGS, WORDS, Grade, Ratings
from LungNoduleAILib.rating_network import SYMMETRIES, RatingNetwork, predict
from LungNoduleAILib.ratings import load_networks, rate, shipped_networks
from SegmentationAILib.engine.model_folder import read_model
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import model_path
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

LUNG, TISSUE, CALCIUM = -860.0, 40.0, 600.0


def drawn(diameter=8.0, *, hu=TISSUE, spikes=0, slice_mm=1.0, seed=0, noise_hu=15.0) -> tuple[Volume, NoduleMask]:
    """A ball in lung with spikes of half a diameter, and its true mask."""
    grid = Grid((round(64 / slice_mm), 90, 90), LPS_FROM_RAS @ np.diag([0.7, 0.7, slice_mm, 1.0]))
    k, j, i = np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij", sparse=True)
    points = np.stack(np.broadcast_arrays(0.7 * (i - 44.5), 0.7 * (j - 44.5), slice_mm * (k - (grid.shape[0] - 1) / 2)))
    distance = np.linalg.norm(points, axis=0)
    occupancy = np.clip(0.5 - (distance - diameter / 2) / 0.8, 0, 1)
    rng = np.random.default_rng(seed)
    for _ in range(spikes):
        heading = rng.normal(size=3)
        along = np.einsum("n...,n->...", points, heading / np.linalg.norm(heading))
        across = np.sqrt(np.maximum(distance**2 - along**2, 0))
        width = 1.6 * (1 - along / diameter)
        spike = np.clip(0.5 - (across - width) / 0.8, 0, 1) * ((along > 0) & (along < diameter))
        occupancy = np.maximum(occupancy, spike)
    shown = ndimage.gaussian_filter(LUNG + occupancy * (hu - LUNG), (0, 0.7, 0.7))
    array = np.round(shown + rng.normal(0, noise_hu, grid.shape)).astype(np.int16)
    return Volume(array, grid, "drawn", "CT"), NoduleMask(occupancy.astype(np.float32), grid)


def flipped(volume: Volume, mask: NoduleMask, axis: int) -> tuple[Volume, NoduleMask]:
    """The mirror image, on the same grid."""
    turned = replace(mask, occupancy=np.flip(mask.occupancy, axis).copy())
    return volume.with_array(np.flip(volume.array, axis).copy()), turned


def test_crop_has_the_nodule_in_its_middle():
    volume, mask = drawn(9.0, slice_mm=2.0)
    crop = crop_nodule(volume, mask)
    weights = crop.occupancy / crop.occupancy.sum()
    for axis in range(3):
        position = np.arange(crop.hu.shape[axis]) - (crop.hu.shape[axis] - 1) / 2
        others = tuple(n for n in range(3) if n != axis)
        assert abs(weights.sum(axis=others) @ position) < 0.3
    assert crop.occupancy.sum() == pytest.approx(np.pi / 6 * 9**3, rel=0.05)
    assert all(n % 2 == 0 for n in crop.hu.shape)


def test_crop_shows_nothing_above_and_below_the_nodule():
    volume, mask = drawn(8.0)
    array = volume.array.copy()
    array[:20], array[-20:] = 1000, 1000
    assert MARGIN_MM[0] == 0
    assert crop_nodule(volume.with_array(array), mask).hu.max() < 500


def test_crop_of_a_volume_in_other_axes_is_the_same():
    volume, mask = drawn(9.0, spikes=5)
    turned_grid = Grid(volume.shape[::-1], volume.ijk_to_ras @ np.eye(4)[[2, 1, 0, 3]])
    turned = Volume(volume.array.transpose(2, 1, 0), turned_grid, "turned", "CT")
    first, second = crop_nodule(volume, mask), crop_nodule(turned, mask)
    np.testing.assert_allclose(first.hu, second.hu, atol=0.5)
    np.testing.assert_allclose(first.occupancy, second.occupancy, atol=1e-3)


def test_cube_pads_with_the_edge_and_cuts_evenly():
    small = np.arange(64, dtype=np.float32).reshape(4, 4, 4)
    padded = cube(small, 8)
    assert padded.shape == (8, 8, 8)
    assert padded[0, 0, 0] == small[0, 0, 0]
    assert padded[7, 7, 7] == small[3, 3, 3]
    assert cube(small, 8, fill=-1.0)[0, 0, 0] == -1
    np.testing.assert_array_equal(cube(padded, 4), small)


def test_appearance_tells_size_shape_and_density():
    value = {}
    for name, shape in {
        "small": {"diameter": 6.0},
        "large": {"diameter": 16.0},
        "spiky": {"diameter": 16.0, "spikes": 14},
        "dense": {"diameter": 16.0, "hu": CALCIUM},
    }.items():
        value[name] = dict(zip(FEATURES, appearance(crop_nodule(*drawn(**shape))), strict=True))
    assert np.exp(value["small"]["log diameter"]) == pytest.approx(6.0, rel=0.05)
    assert np.exp(value["large"]["log long axis"]) == pytest.approx(16.0, rel=0.08)
    assert value["spiky"]["solidity"] < value["large"]["solidity"] - 0.1
    assert value["spiky"]["roughness"] > 2 * value["large"]["roughness"]
    assert value["dense"]["share over 200"] > 0.6
    assert value["large"]["share over 200"] < 0.05
    assert value["dense"]["percentile 50"] == pytest.approx(CALCIUM / 1000, abs=0.05)


def test_appearance_of_very_few_voxels_is_finite():
    volume, mask = drawn(1.5)
    assert np.isfinite(appearance(crop_nodule(volume, mask))).all()


def test_predictions_do_not_depend_on_flips_and_turns():
    torch.manual_seed(0)
    network = RatingNetwork().eval()
    torch.nn.init.normal_(network.crop[-1].weight)
    rng = np.random.default_rng(0)
    hu = rng.uniform(-1000, 400, (2, 32, 32, 32)).astype(np.float32)
    occupancy = rng.uniform(0, 1, hu.shape).astype(np.float32)
    look = rng.normal(size=(2, len(FEATURES))).astype(np.float32)
    expected = predict([network], hu, occupancy, look)
    assert expected[0].shape == (2, len(RATINGS), GRADES)
    np.testing.assert_allclose(expected[0].sum(axis=-1), 1.0, atol=1e-5)
    for turn in (lambda a: np.flip(a, 1), lambda a: np.flip(a, 3), lambda a: np.rot90(a, 1, (2, 3))):
        got = predict([network], turn(hu), turn(occupancy), look)
        np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
        np.testing.assert_allclose(got[1], expected[1], atol=1e-5)
    once = predict([network], hu, occupancy, look, symmetries=1)
    assert np.abs(once[0] - expected[0]).max() > 1e-4
    assert SYMMETRIES == 16


def test_shipped_model_rates_by_the_numbers_and_ratings_of_this_version():
    path = model_path("nodule-ratings")
    card = read_model(path, "ratings").card
    assert tuple(card.training["numbers"]) == FEATURES
    assert tuple(card.classes) == (*RATINGS, "calcification")
    assert len(shipped_networks()) == card.configuration["networks"]
    assert path.stat().st_size < 3e6


def test_calcified_ball_is_rated_calcified_more_than_a_soft_one():
    soft, calcified = rate(*drawn(8.0)), rate(*drawn(8.0, hu=CALCIUM))
    assert calcified.calcification > 0.5 > soft.calcification
    assert calcified.calcification > soft.calcification + 0.4


def test_big_spiky_nodule_is_more_suspicious_than_a_small_smooth_one():
    small, large = rate(*drawn(5.0)), rate(*drawn(17.0, spikes=16))
    assert large.malignancy.value > small.malignancy.value + 1
    assert large["spiculation"].value > small["spiculation"].value


def test_ground_glass_is_rated_less_solid():
    assert rate(*drawn(12.0, hu=-600.0))["texture"].value < rate(*drawn(12.0))["texture"].value - 1


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_mirror_image_has_the_same_ratings(axis):
    volume, mask = drawn(11.0, spikes=7)
    expected, got = rate(volume, mask), rate(*flipped(volume, mask, axis))
    assert got.calcification == pytest.approx(expected.calcification, abs=0.02)
    for rating in RATINGS:
        assert got[rating].value == pytest.approx(expected[rating].value, abs=0.1)


def test_quarter_turn_has_nearly_the_same_ratings():
    volume, mask = drawn(11.0, spikes=7)
    turned = replace(mask, occupancy=np.rot90(mask.occupancy, 1, (1, 2)).copy())
    expected = rate(volume, mask)
    got = rate(volume.with_array(np.rot90(volume.array, 1, (1, 2)).copy()), turned)
    for rating in RATINGS:
        assert got[rating].value == pytest.approx(expected[rating].value, abs=0.1)


def test_every_rating_says_how_sure_it_is_and_diagnoses_nothing():
    found = rate(*drawn(9.0))
    for rating, grade in zip(RATINGS, found.grades, strict=True):
        assert sum(grade.probabilities) == pytest.approx(1.0, abs=1e-4)
        assert grade.deviation > 0.1
        assert found[rating] is grade
    assert len(found.text) == len(RATINGS) + 1
    assert all(sentence.startswith("Resembles what radiologists called") for sentence in found.text)
    assert all(len(WORDS[rating]) == GRADES for rating in RATINGS)


def test_grade_from_probabilities():
    grade = Grade("texture", (0.0, 0.0, 0.0, 0.5, 0.5))
    assert grade.value == pytest.approx(4.5)
    assert grade.deviation == pytest.approx(0.5)


def graded(rating, likeliest):
    return Grade(rating, tuple(0.6 if n == likeliest else 0.1 for n in range(1, GRADES + 1)))


@pytest.mark.parametrize(
    ("probabilities", "kind"),
    [
        ((0.6, 0.1, 0.1, 0.1, 0.1), "ground glass"),
        ((0.1, 0.1, 0.1, 0.1, 0.6), "solid"),
        ((0.1, 0.2, 0.1, 0.2, 0.4), "part-solid"),
    ],
)
def test_kind_is_the_likeliest_of_three_and_agrees_with_the_sentence(probabilities, kind):
    grades = tuple(replace(graded(rating, 3), probabilities=probabilities) for rating in RATINGS)
    found = Ratings(grades, 0.2)
    assert found.kind == kind
    assert f"called {kind} (texture" in found["texture"].text


@pytest.mark.parametrize(("calcification", "said"), [(0.49, "called not calcified"), (0.5, "called calcified")])
def test_calcified_agrees_with_its_sentence(calcification, said):
    found = Ratings(tuple(graded(rating, 3) for rating in RATINGS), calcification)
    assert found.is_calcified is (calcification >= 0.5)
    assert said in found.text[-1]


def test_bad_input_is_refused():
    volume, mask = drawn(8.0)
    with pytest.raises(InputError, match="No volume"):
        rate(None, mask)
    with pytest.raises(InputError, match="No nodule"):
        rate(volume, None)
    with pytest.raises(InputError, match="not CT"):
        rate(replace(volume, modality="MR"), mask)
    with pytest.raises(InputError, match="mask is empty"):
        rate(volume, replace(mask, occupancy=np.zeros_like(mask.occupancy)))
    away = mask.grid.ijk_to_ras.copy()
    away[:3, 3] += 500.0
    with pytest.raises(InputError, match="outside the volume"):
        rate(volume, NoduleMask(mask.occupancy, Grid(mask.grid.shape, away)))


def test_damaged_weights_are_refused(tmp_path):
    for ending in (".safetensors", ".json"):
        shutil.copy(model_path("nodule-ratings").with_suffix(ending), tmp_path)
    path = tmp_path / model_path("nodule-ratings").name
    weights = bytearray(path.read_bytes())
    weights[-1] ^= 1
    path.write_bytes(weights)
    with pytest.raises(InputError, match=r"nodule-ratings\.safetensors' is damaged"):
        load_networks(path)
