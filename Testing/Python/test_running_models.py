"""Models of the catalogue run on volumes: any orientation, parts merged, only what is wanted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nnunet_models import plans, write_model
from test_nnunet import CLASSES, ct, our_network

from LungNoduleAILib.cli import main
from SegmentationAILib import catalog
from SegmentationAILib.catalog import running
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load, save
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Grid, Volume


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """A user's own nnU-Net model, imported."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    held = plans()
    home = write_model(tmp_path / "own", held, CLASSES, lambda fold: our_network(held, fold))
    before = {one.id for one in catalog.load()}
    catalog.import_local(None, home)
    [new] = [one for one in catalog.load() if one.id not in before]
    return new


def volume() -> Volume:
    array = ct()
    return Volume(array, Grid(array.shape, np.diag([-0.9, -0.9, 2.0, 1.0])), "phantom", "CT")


def test_a_model_of_the_users_own_runs(entry):
    found = running.run(entry, volume(), device="cpu")
    assert found.grid is not None
    assert set(found.structures) == set(np.unique(found.array)) - {0}
    assert len(found.structures) >= 2


def test_only_wanted_structures_are_found(entry):
    whole = running.run(entry, volume(), device="cpu")
    value = next(iter(whole.structures))
    wanted = replace(entry, label_ids={v: f"s{v}" for v in entry.labels})
    some = running.run(wanted, volume(), structures=[f"s{value}"], device="cpu")
    np.testing.assert_array_equal(some.array, np.where(whole.array == value, value, 0))
    with pytest.raises(InputError, match="does not find s99; it finds: s1"):
        running.run(wanted, volume(), structures=["s99"], device="cpu")


def test_networks_without_a_wanted_structure_do_not_run(entry):
    part = entry.settings["parts"][0]
    parts = [{**part, "labels": {"1": 1}}, {**part, "folder": "nowhere", "labels": {"1": 2}}]
    two = replace(entry, settings={**entry.settings, "parts": parts}, label_ids={1: "one", 2: "two"})
    two = replace(two, labels={value: entry.labels[value] for value in (1, 2)})
    assert set(running.run(two, volume(), structures=["one"], device="cpu").structures) <= {1}
    with pytest.raises(InputError, match="nowhere"):
        running.run(two, volume(), structures=["two"], device="cpu")


@pytest.mark.parametrize(("order", "flipped"), [((0, 1, 2), (0, 1)), ((1, 2, 0), (2,)), ((2, 1, 0), (0, 1, 2))])
def test_a_model_sees_the_patient_the_same_way_however_the_voxels_lie(entry, order, flipped):
    """The same voxels stored in another order and direction give the same labels at the same places."""
    seen = replace(entry, settings={**entry.settings, "orientation": "RAS"})
    given = volume()
    size = given.shape[::-1]
    turn = np.zeros((4, 4))
    turn[3, 3] = 1.0
    for axis, source in enumerate(order):
        turn[source, axis] = -1.0 if axis in flipped else 1.0
        turn[source, 3] = size[source] - 1 if axis in flipped else 0.0
    turned = Grid(tuple(size[source] for source in order)[::-1], given.ijk_to_ras @ turn)
    stored = Volume(np.ascontiguousarray(reorient(given.array, given.grid, turned)), turned, "phantom", "CT")
    expected = reorient(running.run(seen, given, device="cpu").array, given.grid, turned)
    np.testing.assert_array_equal(running.run(seen, stored, device="cpu").array, expected)


def test_bad_input_is_told_before_any_work(entry, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the model was read"))
    with pytest.raises(InputError, match="reads CT and the volume is MR"):
        running.run(entry, replace(volume(), modality="MR"), device="cpu")
    with pytest.raises(InputError, match="not installed; fetch it"):
        running.run(catalog.entry("totalsegmentator-body"), volume(), device="cpu")
    with pytest.raises(InputError, match="does not segment"):
        running.run(catalog.entry("nodules"), volume(), device="cpu")


def test_the_command_writes_labels_volumes_and_provenance(entry, tmp_path):
    save(volume(), tmp_path / "ct.nrrd")
    result = CliRunner().invoke(
        main, ["segment", str(tmp_path / "ct.nrrd"), str(tmp_path / "out"), "--model", entry.id, "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    labels = load(tmp_path / "out" / "labels.nrrd")
    found = running.run(entry, volume(), device="cpu")
    np.testing.assert_array_equal(labels.array, found.array)
    rows = (tmp_path / "out" / "structures.csv").read_text().splitlines()
    assert rows[0] == "label,id,name,volume_ml"
    assert len(rows) == 1 + len(found.structures)
    assert json.loads((tmp_path / "out" / "model.json").read_text())["id"] == entry.id
