"""What is refused before a model runs, and what a user is told of a volume that does not quite fit it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from nnunet_models import plans, write_model
from test_nnunet import CLASSES, our_network
from tiny_models import entry_of

from SegmentationAILib import catalog
from SegmentationAILib.catalog import detecting, running
from SegmentationAILib.catalog.entry import ModelInput
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid, Volume

DETECTOR = "monai-lung-nodule-ct-detection"
BODY = "monai-wholebody-ct-1.5mm"


def chest(spacing=(1.0, 1.0, 1.0), extent=300.0, modality: str = "CT", offset: float = 0.0) -> Volume:
    """A body in air; ``spacing`` along i, j and k."""
    shape = [max(8, round(extent / mm)) for mm in spacing[::-1]]
    k, j, i = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    array = np.where(j**2 + i**2 < 0.5 + 0 * k, 40.0, -1000.0) + offset
    return Volume(array.astype(np.int16), Grid(array.shape, np.diag([*spacing, 1.0])), "phantom", modality)


@pytest.mark.parametrize("model", [BODY, DETECTOR, "lungmask-r231", "organs", "totalsegmentator-total"])
@pytest.mark.parametrize("modality", ["CT", ""])
def test_a_volume_that_fits_is_not_commented_on(model, modality):
    assert catalog.warnings_for(catalog.entry(model), chest(modality=modality)) == []


@pytest.mark.parametrize(
    ("model", "volume", "said"),
    [
        (BODY, chest((1, 1, 7)), "7 mm apart from feet to head and 'monai-wholebody-ct-1.5mm' works at 1.5 mm"),
        (BODY, chest((7, 1, 1)), "7 mm apart from left to right"),
        (DETECTOR, chest((1, 1, 3)), "slices are 3 mm apart .* trained on slices of at most 2.5 mm"),
        (DETECTOR, chest((1, 1, 5)), "5 mm apart from feet to head .* small structures may be missed"),
        (BODY, chest(extent=60.0), "60 mm from left to right .* reads 144 mm at once"),
        (BODY, chest(offset=1024), "does not look like a CT in HU"),
    ],
)
def test_one_sentence_tells_what_does_not_fit(model, volume, said):
    [sentence] = catalog.warnings_for(catalog.entry(model), volume)
    assert re.search(said, sentence)


def test_a_brain_must_have_been_registered_to_the_template():
    brain = catalog.entry("monai-wholebrain-unest")
    [registered] = catalog.warnings_for(brain, chest(modality="MR"))
    assert re.search(r"registered to MNI305 \(T1-weighted, affine, .*\) beforehand; on any other", registered)
    [modality, again] = catalog.warnings_for(brain, chest(modality=""))
    assert "does not say how it was made; 'monai-wholebrain-unest' reads MR" in modality
    assert again == registered


def test_axes_are_named_by_the_patient_however_the_voxels_lie():
    turned = np.zeros((4, 4))
    turned[2, 0], turned[0, 1], turned[1, 2], turned[3, 3] = 7.0, 1.0, 1.0, 1.0
    array = np.swapaxes(chest((1, 1, 7)).array, 0, 2)
    [sentence] = catalog.warnings_for(catalog.entry(BODY), Volume(array, Grid(array.shape, turned), "", "CT"))
    assert "feet to head" in sentence


def test_a_users_network_is_known_by_its_plan(tmp_path, monkeypatch):
    """Its windows are 48 × 64 × 80 voxels of 1.5 × 2 × 3 mm along j, i and k, the order that it reads the axes in."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    held = plans(patch=(48, 64, 80), spacing=(1.5, 2.0, 3.0), transpose=(1, 2, 0))
    home = write_model(tmp_path / "own", held, CLASSES, lambda fold: our_network(plans(), fold))
    entry = catalog.entry(catalog.import_local(None, home).name)
    assert catalog.warnings_for(entry, chest()) == []
    [sentence] = catalog.warnings_for(entry, chest((7, 1, 1)))
    assert "7 mm apart from left to right" in sentence
    assert "works at 2 mm" in sentence
    [sentence] = catalog.warnings_for(entry, chest(extent=100.0))
    assert "100 mm from feet to head" in sentence
    assert "reads 240 mm at once" in sentence
    (home / "plans.json").write_text("{}")
    catalog.remove(entry)
    assert catalog.warnings_for(entry, chest(extent=100.0)) == []


def test_a_training_that_has_not_ended_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    home = write_model(tmp_path / "own", plans(), CLASSES, lambda fold: our_network(plans(), fold))
    final = home / "fold_0" / "checkpoint_final.pth"
    final.rename(final.with_name("checkpoint_best.pth"))
    entry = catalog.entry(catalog.import_local(None, home).name)
    [sentence] = catalog.warnings_for(entry, chest())
    assert "has no checkpoint_final.pth" in sentence
    assert sentence.endswith("checkpoint_best.pth is used.")
    part = {**entry.settings["parts"][0], "checkpoint": "checkpoint_best.pth"}
    assert catalog.warnings_for(replace(entry, settings={"parts": [part]}), chest()) == []


def test_what_cannot_run_is_refused_in_one_sentence():
    sheared = np.eye(4)
    sheared[1, 2] = 0.3
    organs = catalog.entry("organs")
    tilted = Volume(chest().array, Grid((300, 300, 300), sheared), "tilted", "CT")
    with pytest.raises(InputError, match="axes are not at right angles; resample"):
        running.run(organs, tilted, device="cpu")
    with pytest.raises(InputError, match="reads CT and the volume is MR; choose another volume"):
        running.run(organs, chest(modality="MR"), device="cpu")
    with pytest.raises(InputError, match="reads CT and the volume is MR; choose another volume"):
        detecting.run(catalog.entry(DETECTOR), chest(modality="MR"), device="cpu")
    with pytest.raises(InputError, match="does not segment; choose a model that does"):
        running.run(catalog.entry(DETECTOR), chest(), device="cpu")
    with pytest.raises(InputError, match="does not segment"):
        running.run(entry_of(labels={}), chest(), device="cpu")
    brain = replace(catalog.entry("organs"), input=ModelInput("MR", None, "any"))
    catalog.check_input(brain, chest(modality=""))
