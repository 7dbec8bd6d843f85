"""The recipe of the ratings' network: outlines, loss, figures, features to compare with."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from test_ratings import CALCIUM, TISSUE, drawn

from LungNoduleAILib.nodule_crop import crop_nodule, cube
from LungNoduleAILib.rating_network import RatingNetwork
from LungNoduleAILib.training.lidc_nodules import RatedNodule, outlines
from LungNoduleAILib.training.radiomics import cooccurrence, cooccurrence_features, first_order
from LungNoduleAILib.training.rating_examples import Examples, make_examples
from LungNoduleAILib.training.rating_figures import kappa, malignancy_auc
from LungNoduleAILib.training.rating_loop import training_step


def rated(name: str, calcified: bool = False, **shape) -> RatedNodule:
    volume, mask = drawn(hu=CALCIUM if calcified else TISSUE, noise_hu=15.0, **shape)
    large = shape["diameter"] > 10
    return RatedNodule(name, f"patient {name}", volume, mask, np.array([5 if large else 1, 5, 1, 1, 4, 4]), calcified)


@pytest.fixture(scope="module")
def examples() -> Examples:
    sizes = (5.0, 6.0, 14.0, 16.0)
    return make_examples([rated(f"{d} {c}", c, diameter=d) for d in sizes for c in (False, True)], seed=0)


def test_a_few_steps_lower_the_loss(examples):
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = RatingNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        loss = training_step(network, examples, np.arange(8), rng)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-3:]) < 0.8 * np.mean(losses[:3])


def test_outlines_are_the_same_for_the_same_seed_and_differ_from_the_readers():
    nodule = rated("one", diameter=12.0)
    first, again, other = (outlines(nodule, seed, 2, 2) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.occupancy, b.occupancy)
    volumes = [float(crop.occupancy.sum()) for crop in first]
    for crop in first[1:]:
        differing = cube(crop.occupancy, 32, fill=0.0) != cube(first[0].occupancy, 32, fill=0.0)
        assert np.count_nonzero(differing) > 50
    assert all(0.4 < v / volumes[0] < 2.0 for v in volumes[1:])
    assert volumes != [float(crop.occupancy.sum()) for crop in other]


def test_folds_keep_a_patient_together():
    a, b = rated("a", diameter=6.0), rated("b", diameter=12.0)
    assert RatedNodule(**{**vars(b), "patient": a.patient}).fold == a.fold
    assert RatedNodule(**{**vars(a), "patient": "LIDC-IDRI-0003"}).fold == 1


def test_features_agree_with_the_reference_values_of_the_ibsi_phantom(data_dir):
    folder = data_dir / "ibsi"
    levels = sitk.GetArrayFromImage(sitk.ReadImage(folder / "phantom.nii.gz")).astype(int)
    inside = sitk.GetArrayFromImage(sitk.ReadImage(folder / "mask.nii.gz")) > 0
    with (folder / "ibsi_1_dig_phantom.csv").open() as file:
        reference = {row["tag"]: row["reference value"] for row in csv.DictReader(file, delimiter=";")}
    for name, value in first_order(levels[inside]).items():
        assert value == pytest.approx(float(reference[name]), rel=5e-3), name
    for name, value in cooccurrence_features(cooccurrence(levels, inside)).items():
        assert value == pytest.approx(float(reference[f"{name}_3D_comb"]), rel=5e-3), name


def test_kappa_takes_the_nearest_grade():
    read = np.array([1, 2, 3, 4, 5])
    assert kappa(read, read + 0.4) == pytest.approx(1.0)
    assert kappa(read, np.full(5, 3.1)) == pytest.approx(0.0)


def test_malignancy_leaves_the_undecided_out():
    grades = np.array([1, 2, 3, 3, 4, 5])
    found = malignancy_auc(grades, np.array([0.1, 0.2, 9.0, -9.0, 0.8, 0.9]), np.arange(6))
    assert found["value"] == 1.0


def test_crop_is_the_same_in_training_and_in_use():
    nodule = rated("one", diameter=9.0)
    used = crop_nodule(nodule.volume, nodule.mask)
    np.testing.assert_array_equal(outlines(nodule, 0, 0, 0)[0].hu, used.hu)
