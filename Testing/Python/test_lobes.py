"""Nodules learn their lobe from a model of the catalogue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from lungmask_models import write_weights

from LungNoduleAILib import cli
from LungNoduleAILib.analysis import analyze
from LungNoduleAILib.analysis_result import BASELINE
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from LungNoduleAILib.guidelines.findings import Lobe
from LungNoduleAILib.lobes import lobe_model, segment_lobes
from LungNoduleAILib.model_choice import LOBES, lobe_models
from SegmentationAILib import catalog
from SegmentationAILib.catalog.lungmask_network import UNet
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import save
from SegmentationAILib.phantom import Sphere, chest, lung_centre

MODEL = "lungmask-ltrclobes"


@pytest.fixture(scope="module")
def ct():
    """One nodule in each lung."""
    return chest(tuple(Sphere(tuple(lung_centre(side)), 8.0) for side in ("right", "left")))


@pytest.fixture
def no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))


@pytest.fixture
def all_left_upper(tmp_path, no_models):
    """lungmask's lobe model, with weights that call every voxel the left upper lobe."""
    known = catalog.entry(MODEL)
    made = UNet(known.settings["classes"], 2, 2).eval()
    value = next(value for value, name in known.label_ids.items() if name == "lung_upper_lobe_left")
    with torch.no_grad():
        made.last.weight.zero_()
        made.last.bias.zero_()
        made.last.bias[value] = 1.0
    path = write_weights(tmp_path / known.settings["weights"], made)
    catalog.import_local(replace(known, files=[replace(known.files[0], size=None)]), path)


def test_the_lobe_is_the_models(ct, all_left_upper):
    found = analyze(ct, Task(BASELINE, {"lobes": MODEL}, "cpu"))
    lobes = {nodule.lung: nodule.character.lobe for nodule in found.nodules}
    assert lobes["left"] is Lobe.LEFT_UPPER
    assert found.task.options["lobes"] == MODEL


def test_without_a_model_the_lobe_is_not_known(ct, no_models):
    found = analyze(ct, Task(BASELINE, device="cpu"))
    assert {nodule.lung for nodule in found.nodules} == {"left", "right"}
    assert {nodule.character.lobe for nodule in found.nodules} == {None}


def test_the_lobes_alone_are_outlined(ct, all_left_upper):
    found = segment_lobes(ct, lobe_model(MODEL, ct), device="cpu")
    assert [structure.name for structure in found.structures.values()] == ["left upper lobe of lung"]
    assert np.count_nonzero(found.array)


def test_what_is_installed_is_offered_first(all_left_upper):
    offered = lobe_models()
    assert offered[0].id == MODEL
    assert all(set(one.label_ids.values()) >= LOBES for one in offered)
    assert "totalsegmentator-total" in {one.id for one in offered}


@pytest.mark.parametrize(("model", "told"), [("organs", "outlines no lobes; choose"), (MODEL, "is not installed")])
def test_a_model_that_cannot_is_refused_before_any_work(ct, no_models, model, told):
    began = []
    with pytest.raises(InputError, match=told):
        analyze(ct, Task(BASELINE, {"lobes": model}, "cpu"), Progress(lambda fraction, text: began.append(text)))
    assert not [text for text in began if "ung" in text]


def test_the_command_tells_what_to_fetch(ct, no_models, tmp_path):
    path = save(ct, tmp_path / "chest.nrrd")
    result = CliRunner().invoke(cli.main, ["detect", str(path), str(tmp_path / "out"), "--lobes", MODEL])
    assert result.exit_code == EXIT_BAD_INPUT
    assert f"fetch it with 'thoraxai models fetch {MODEL}'" in result.stderr
    assert not (tmp_path / "out").exists()
