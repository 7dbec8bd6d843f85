"""Patches for the organ network, from a small made-up torso."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from SegmentationAILib.errors import InputError
from SegmentationAILib.training.organ_anchors import anchors
from SegmentationAILib.training.organ_cases import ScanCase, label_case, training_cases
from SegmentationAILib.training.organ_classes import (
    AIRWAY,
    AORTA,
    BACKGROUND,
    BODY,
    BONE,
    CLASS_NAMES,
    HEART,
    KIDNEY,
    LIVER,
    LUNG_LEFT,
    LUNG_RIGHT,
    SOFT,
    SPLEEN,
    STRUCTURES,
    UNKNOWN,
    VENA_CAVA,
    class_of,
    class_table,
)
from SegmentationAILib.training.organ_patches import OrganPatches
from SegmentationAILib.training.organ_synthesis import Anatomy, synthesise
from SegmentationAILib.training.random_fields import Randomness

# k, j, i of first and last voxel; i runs to the patient's left.
TORSO = {
    "lung_lower_lobe_right": ((24, 24, 14), (56, 56, 36)),
    "lung_lower_lobe_left": ((24, 24, 60), (56, 56, 82)),
    "heart": ((26, 24, 40), (40, 42, 58)),
    "aorta": ((16, 46, 50), (52, 51, 55)),
    "trachea": ((42, 34, 45), (60, 40, 51)),
    "vertebrae_T8": ((12, 54, 42), (60, 66, 54)),
    "liver": ((8, 24, 14), (22, 56, 44)),
    "spleen": ((10, 40, 66), (22, 56, 80)),
}
SHAPE = (64, 80, 96)
PATCH = (64, 80, 96)


@pytest.fixture(scope="module")
def torso():
    structures = np.zeros(SHAPE, dtype=np.uint8)
    for name, (first, last) in TORSO.items():
        structures[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] = STRUCTURES.index(name)
    return label_case("torso", structures)


@pytest.fixture(scope="module")
def scan():
    """Right half lung, left half nobody knows; a plate of tissue that is neither lung nor bone."""
    classes = np.full(SHAPE, UNKNOWN, dtype=np.uint8)
    classes[:, :, :40] = LUNG_RIGHT
    classes[:, 60:, :] = SOFT
    return ScanCase("scan", np.full(SHAPE, 40, dtype=np.int16), classes)


def test_structures_have_totalsegmentators_values_and_classes():
    assert len(STRUCTURES) == 118
    values = {"spleen": 1, "liver": 5, "trachea": 16, "heart": 51, "aorta": 52, "spinal_cord": 79, "rib_left_1": 92}
    assert {name: STRUCTURES.index(name) for name in values} == values
    assert class_of("lung_middle_lobe_right") == LUNG_RIGHT
    assert class_of("lung_upper_lobe_left") == LUNG_LEFT
    assert class_of("superior_vena_cava") == VENA_CAVA
    assert class_of("kidney_left") == class_of("kidney_right") == KIDNEY
    assert class_of("hip_left") == class_of("rib_right_4") == BONE
    assert class_of("pancreas") == BODY
    assert set(class_table()[1:118]) == set(range(1, len(CLASS_NAMES)))
    assert class_table()[200] == UNKNOWN
    with pytest.raises(KeyError):
        class_of("tail")


def test_a_patch_is_a_function_of_seed_and_index(torso):
    first, again = OrganPatches([torso], seed=3, shape=PATCH), OrganPatches([torso], seed=3, shape=PATCH)
    again[0]
    for key, value in first[7].items():
        assert torch.equal(value, again[7][key])
    assert not torch.equal(first[7]["image"], first[8]["image"])
    assert not torch.equal(first[7]["image"], OrganPatches([torso], seed=4, shape=PATCH)[7]["image"])


def test_a_patch_is_what_a_network_takes(torso, scan):
    for case in (torso, scan):
        patch = OrganPatches([case], shape=(24, 32, 40))[0]
        assert patch["image"].shape == (1, 24, 32, 40)
        assert patch["image"].dtype == torch.float32
        assert patch["image"].abs().max() <= 2.0
        assert patch["label"].shape == (24, 32, 40)
        assert patch["label"].dtype == torch.uint8


def test_every_class_of_the_map_comes_up(torso):
    patches = OrganPatches([torso], shape=PATCH)
    seen = set()
    for index in range(12):
        seen |= set(patches[index]["label"].unique().tolist())
    assert seen >= {BACKGROUND, BODY, LUNG_RIGHT, LUNG_LEFT, AIRWAY, HEART, AORTA, BONE, LIVER, SPLEEN}
    assert seen <= {*range(len(CLASS_NAMES)), UNKNOWN}


def test_mirroring_exchanges_the_lungs_and_moves_the_liver(torso):
    patches = OrganPatches([torso], shape=PATCH, mirrored_share=0.5)
    liver_is_right = []
    for index in range(14):
        label = patches[index]["label"]
        place = {v: torch.nonzero(label == v).double()[:, 2] for v in (LUNG_RIGHT, LUNG_LEFT, LIVER, SPLEEN)}
        if min(len(place[LUNG_RIGHT]), len(place[LUNG_LEFT])) > 2000:
            assert place[LUNG_RIGHT].mean() < place[LUNG_LEFT].mean()
        if min(len(place[LIVER]), len(place[SPLEEN])) > 500:
            liver_is_right.append(bool(place[LIVER].mean() < place[SPLEEN].mean()))
    assert set(liver_is_right) == {True, False}


def test_unknown_stays_unknown(scan):
    patches, soft = OrganPatches([scan], shape=PATCH), OrganPatches([scan], shape=PATCH, keep_soft=True)
    for index in range(6):
        label, kept = patches[index]["label"], soft[index]["label"]
        assert set(label.unique().tolist()) <= {LUNG_RIGHT, LUNG_LEFT, UNKNOWN}
        assert (label == UNKNOWN).any()
        assert torch.equal(label == UNKNOWN, (kept == UNKNOWN) | (kept == SOFT))
    assert any((soft[index]["label"] == SOFT).any() for index in range(6))


def test_tissues_have_the_attenuation_of_ct(torso):
    for index in range(8):
        random = Randomness(0, index, torch.device("cpu"))
        values = [torch.from_numpy(v.astype(np.float32)) for v in (torso.depth, torso.inner, torso.root)]
        structures = torch.from_numpy(torso.structures)
        hu, classes = synthesise(Anatomy(structures, *values, scanned=torch.ones(SHAPE, dtype=torch.bool)), random)
        median = {v: float(hu[classes == v].median()) for v in (BACKGROUND, LUNG_LEFT, AIRWAY, LIVER, SPLEEN, AORTA)}
        assert median[BACKGROUND] == -1000.0
        assert median[LUNG_LEFT] < -400.0
        assert median[AIRWAY] < -900.0
        assert 20.0 < median[LIVER] < 180.0
        assert 20.0 < median[SPLEEN] < 180.0
        assert 20.0 < median[AORTA] < 480.0
        assert torch.quantile(hu[classes == BONE], 0.9) > 250.0
        tissue = hu[(classes == BODY) & (structures == 0)]
        assert ((tissue > -160) & (tissue < -50)).float().mean() > 0.1
        assert (tissue > -20).float().mean() > 0.05


def test_the_body_goes_on_beyond_its_structures(torso):
    structures = torch.from_numpy(torso.structures)
    values = [torch.from_numpy(v.astype(np.float32)) for v in (torso.depth, torso.inner, torso.root)]
    seen = torch.ones(SHAPE, dtype=torch.bool)
    _, classes = synthesise(Anatomy(structures, *values, scanned=seen), Randomness(0, 0, torch.device("cpu")))
    # Between the lungs and the wall of the chest nothing is labelled.
    assert (classes[30, 34:40, 36:40] == BODY).all()
    assert (classes[:, 0, 0] == BACKGROUND).all()


def test_anchors_leave_open_what_they_cannot_tell():
    hu = np.full((40, 70, 90), -1000.0, dtype=np.float32)
    hu[:, 8:62, 8:82] = 40.0
    lungs = np.zeros(hu.shape, dtype=np.uint8)
    lungs[5:35, 18:50, 14:38], lungs[5:35, 18:50, 52:76] = 1, 2
    hu[lungs > 0] = -850.0
    hu[5:35, 25:40, 41:49] = 350.0
    hu[:, 54:58, 40:50] = 700.0
    labels = anchors(hu, lungs, 2.0)
    assert (labels[lungs == 1] == LUNG_RIGHT).all()
    assert (labels[lungs == 2] == LUNG_LEFT).all()
    assert (labels[:, 54:58, 40:50] == BONE).all()
    assert not (labels[5:35, 25:40, 41:49] == BONE).any()
    assert labels[20, 9, 45] == BODY
    assert labels[20, 2, 45] == BACKGROUND
    assert set(np.unique(labels)) <= {BACKGROUND, BODY, LUNG_RIGHT, LUNG_LEFT, BONE, SOFT, UNKNOWN}


def test_nothing_to_learn_from_is_said():
    with pytest.raises(InputError, match="at least one"):
        OrganPatches([])
    with pytest.raises(InputError, match="empty"):
        label_case("nothing", np.zeros(SHAPE, dtype=np.uint8))


def test_cases_come_back_from_the_cache(data_dir, tmp_path, monkeypatch):
    name = "TS-labels-caseB"
    module = "SegmentationAILib.training.organ_cases"
    monkeypatch.setattr(f"{module}.LABEL_MAPS", (f"totalsegmentator/{name}",))
    monkeypatch.setattr(f"{module}.UNLABELLED", {})
    made = training_cases(data_dir, tmp_path)
    again = training_cases(Path("nowhere"), tmp_path)
    assert [case.name for case in again] == [name, "example_ct", "aorta"]
    for first, second in zip(made, again, strict=True):
        for key, value in vars(first).items():
            assert np.array_equal(value, getattr(second, key))
