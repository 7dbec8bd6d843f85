"""A user's CTs with label maps: read, completed by what is certain, learnt from; what cannot be used is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from phantoms import Canvas, capsule, chest, slab_grid

from LungNoduleAILib import cli
from SegmentationAILib import files
from SegmentationAILib.engine.model_folder import ModelCard, read_model, write_model
from SegmentationAILib.errors import InputError
from SegmentationAILib.organ_network import HU_RANGE, SPACING_MM, OrganNetwork, OrganWidths
from SegmentationAILib.training import organ_cases, organ_fine_tuning
from SegmentationAILib.training.organ_classes import (
    BODY,
    BONE,
    CLASS_NAMES,
    HEART,
    LUNG_RIGHT,
    REST,
    SPINAL_CORD,
    UNKNOWN,
)
from SegmentationAILib.training.organ_loss import marginal_entropy
from SegmentationAILib.training.organs import figures
from SegmentationAILib.training.user_cases import read_user_cases
from SegmentationAILib.volume import Grid, Volume

pytestmark = pytest.mark.usefixtures("one_thread")

CASES = ("anna_1", "bert_1")
SPINE = 4


def spine(grid: Grid) -> np.ndarray:
    """The phantom's spine as label 4; the last slice is not known."""
    drawn = np.where(Canvas(grid).occupancy(lambda p: capsule(p, (0, -75, -400), (0, -75, 400), 18.0)) >= 0.5, SPINE, 0)
    drawn[-1] = UNKNOWN
    return drawn.astype(np.uint8)


def write_names(folder, names):
    (folder / "labels.json").write_text(json.dumps(names))


@pytest.fixture(scope="module")
def phantom():
    return chest(slab_grid(), vessels=False)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory, phantom):
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "labels").mkdir()
    for case in CASES:
        files.save(phantom.volume, folder / f"{case}.nii.gz")
    labels = Volume(spine(slab_grid()), slab_grid())
    files.save(labels, folder / "anna_1_labels.nrrd")
    files.save(labels, folder / "labels" / "bert_1.nii.gz")
    write_names(folder, {"0": "background", str(SPINE): "spinal_cord"})
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="module")
def cases(labelled, prepared):
    return read_user_cases(labelled, prepared)


def test_drawn_voxels_have_their_class_and_others_what_is_certain(cases):
    assert [case.name for case in cases.train + cases.validation] == list(CASES)
    assert np.flatnonzero(cases.drawn).tolist() == [SPINAL_CORD]
    case = cases.train[0]
    classes, hu = case.classes, case.hu
    middle = classes.shape[0] // 2
    assert (classes[-1] == UNKNOWN).all()
    assert np.median(hu[classes == SPINAL_CORD]) > 300
    # Drawn at 4 mm, kept at that of the cases.
    area = np.count_nonzero(classes[middle] == SPINAL_CORD) * organ_cases.SPACING_MM**2
    assert area == pytest.approx(np.pi * 18**2, rel=0.1)
    assert np.median(hu[classes == LUNG_RIGHT]) < -800
    assert np.median(hu[classes == BODY]) > -150
    # The certain bone of ribs stays; the drawn spine is not called so.
    assert np.count_nonzero(classes[middle] == BONE)
    assert REST in classes


def entropy(share, label, drawn):
    logits = torch.log(torch.tensor(share, dtype=torch.float32))[None, :, None, None, None]
    return float(marginal_entropy(logits, torch.full((1, 1, 1, 1), label), torch.tensor(drawn)[None]))


def test_voxel_that_is_none_of_the_drawn_classes_is_taught_as_any_other():
    share = np.full(len(CLASS_NAMES), 0.5 / (len(CLASS_NAMES) - 1))
    share[HEART] = 0.5
    drawn = np.zeros(len(CLASS_NAMES), dtype=bool)
    drawn[HEART] = True
    assert entropy(share, REST, drawn) == pytest.approx(np.log(2), rel=1e-5)
    assert entropy(share, HEART, drawn) == pytest.approx(np.log(2), rel=1e-5)
    drawn[SPINAL_CORD] = True
    assert entropy(share, REST, drawn) == pytest.approx(-np.log(0.5 - share[BODY]), rel=1e-5)
    assert entropy(share, UNKNOWN, drawn) == 0.0


def test_drawn_class_found_where_none_was_drawn_lowers_its_figure():
    class Answers(torch.nn.Module):
        def forward(self, image):
            logits = torch.zeros(1, len(CLASS_NAMES), *image.shape[2:])
            logits[:, HEART] = 1.0
            return logits

    label = torch.full((4, 4, 4), REST, dtype=torch.uint8)
    label[:2] = HEART
    patch = {"image": torch.zeros(1, 4, 4, 4), "label": label}
    drawn = torch.zeros(len(CLASS_NAMES), dtype=torch.bool)
    place = torch.device("cpu")
    assert figures(Answers(), [{**patch, "drawn": drawn}], place)["heart"] == 1.0
    drawn[HEART] = True
    assert figures(Answers(), [{**patch, "drawn": drawn}], place)["heart"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"1": "pancreas"}, "'pancreas', which the network does not know; choose from body, lung_right"),
        ({"255": "heart"}, "names the value 255 'heart'; 0 is none of the classes and 255 unknown"),
        ({"0": "heart"}, "names the value 0 'heart'"),
        ({}, "names no class"),
        ({"heart": 1}, "cannot be read; it names the label values like this"),
        (["heart"], "cannot be read; it names the label values like this"),
    ],
)
def test_names_that_cannot_be_used_are_refused_before_any_scan_is_read(tmp_path, names, said):
    (tmp_path / "a.nrrd").touch()
    write_names(tmp_path, names)
    with pytest.raises(InputError, match=said):
        read_user_cases(tmp_path, tmp_path)


def test_folder_without_names_or_labels_is_refused(tmp_path):
    (tmp_path / "a.nrrd").touch()
    with pytest.raises(InputError, match=r"has no 'labels\.json'"):
        read_user_cases(tmp_path, tmp_path)
    write_names(tmp_path, {"1": "heart"})
    with pytest.raises(InputError, match=r"'a' has no labels; add 'a_labels\.nii\.gz'"):
        read_user_cases(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (spine(slab_grid()) * 2, "have the value 8, which 'labels.json' does not name"),
        (spine(slab_grid()).astype(np.float32) / 8, "values that are no labels"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(tmp_path, phantom, labels, said):
    labels[labels > SPINE * 2] = 0
    files.save(phantom.volume, tmp_path / "a.nrrd")
    files.save(Volume(labels, slab_grid()), tmp_path / "a_labels.nrrd")
    write_names(tmp_path, {str(SPINE): "spinal_cord"})
    with pytest.raises(InputError, match=said):
        read_user_cases(tmp_path, tmp_path)


def test_command_fine_tunes_a_model_on_a_folder(labelled, tmp_path, monkeypatch):
    monkeypatch.setattr(organ_fine_tuning, "_VALIDATION_PATCHES", 1)
    monkeypatch.setattr(organ_fine_tuning, "PATCH", (16, 32, 32))
    torch.manual_seed(0)
    network = OrganNetwork(OrganWidths(len(CLASS_NAMES), (8, 8, 8)))
    card = ModelCard("organs", network.configuration(), SPACING_MM, HU_RANGE, CLASS_NAMES, {}, 0, 0, {})
    start = write_model(tmp_path / "tiny", card, network)
    out = tmp_path / "out"
    arguments = ["train", "organs", "--data", labelled, "--out", out, "--from", start, "--freeze", "encoder"]
    arguments += ["--steps", 2, "--batch", 2, "--check-every", 1, "--device", "cpu", "--workers", 0]
    result = CliRunner().invoke(cli.main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 scans to learn from (1 classes), 1 to validate: ")
    assert "step 1 of 2: score " in result.stdout
    model, before = read_model(out, "organs"), read_model(start)
    assert model.card.training["drawn"] == ["spinal_cord"]
    assert model.card.classes == CLASS_NAMES
    same = {name for name, value in model.weights.items() if torch.equal(value, before.weights[name])}
    assert same == {name for name in before.weights if organ_fine_tuning.in_encoder(name)}
