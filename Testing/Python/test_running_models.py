"""Models of the catalogue run on volumes: any orientation, parts merged, only what is wanted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from nnunet_models import plans, write_model
from test_nnunet import CLASSES, ct, our_network

from LungNoduleAILib.cli import main
from SegmentationAILib import __version__, catalog
from SegmentationAILib.catalog import running
from SegmentationAILib.catalog.nnunet_folder import read_nnunet
from SegmentationAILib.catalog.nnunet_runner import segment
from SegmentationAILib.catalog.tasks import wanted_structures
from SegmentationAILib.engine import memory_plan
from SegmentationAILib.engine.task import Task
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


@pytest.fixture
def five_parts(tmp_path, monkeypatch):
    """A model as TotalSegmentator's: five networks that each find some of ten structures, in folders of their own."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    parts = []
    for n in range(5):
        home = write_model(tmp_path / f"{n}", plans(), CLASSES, lambda fold, n=n: our_network(plans(), 10 * n))
        target = tmp_path / "five" / f"Dataset29{n + 1}_part{n + 1}" / home.name
        shutil.copytree(home, target)
        labels = {"1": 2 * n + 1, "3": 2 * n + 2}
        parts.append({"folder": f"{target.parent.name}/{home.name}", "folds": [0], "labels": labels})
    known = catalog.entry("totalsegmentator-total")
    values = range(1, 11)
    five = replace(
        known,
        settings={"orientation": "RAS", "parts": parts},
        labels={value: known.labels[value] for value in values},
        label_ids={value: known.label_ids[value] for value in values},
    )
    catalog.import_local(five, tmp_path / "five")
    return five


def test_five_networks_make_one_label_map(five_parts):
    given = volume()
    found = running.run(five_parts, given, device="cpu")
    grid = given.grid.canonical("RAS")
    array, spacing = reorient(given.array, given.grid, grid), tuple(grid.spacing[::-1])
    expected = np.zeros(grid.shape, dtype=np.uint8)
    for part in five_parts.settings["parts"]:
        home = catalog.installed(five_parts) / part["folder"]
        alone = segment(read_nnunet(home), array[None], spacing, device="cpu")
        for value, label in part["labels"].items():
            expected[alone == int(value)] = label
    np.testing.assert_array_equal(found.array, reorient(expected, grid, given.grid))
    assert len(found.structures) >= 4
    assert max(found.structures) == 10


@pytest.mark.parametrize(("values", "needed"), [([1], [0]), ([4, 5], [1, 2]), ([2, 9, 10], [0, 4])])
def test_of_five_networks_only_those_needed_are_read(five_parts, monkeypatch, values, needed):
    read = []
    monkeypatch.setattr(running, "read_nnunet", lambda home, **_: read.append(home.parent.name) or read_nnunet(home))
    found = running.run(
        five_parts, volume(), structures=[five_parts.label_ids[value] for value in values], device="cpu"
    )
    assert read == [f"Dataset29{n + 1}_part{n + 1}" for n in needed]
    assert set(found.structures) <= set(values)


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


def test_the_command_writes_labels_volumes_and_provenance(entry, tmp_path, monkeypatch):
    """What fell short of memory on the way is told on the screen and kept beside the result."""
    monkeypatch.setattr(catalog, "warnings_for", lambda *_: ["It is small."])
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: 1000)
    save(volume(), tmp_path / "ct.nrrd")
    result = CliRunner().invoke(
        main, ["segment", str(tmp_path / "ct.nrrd"), str(tmp_path / "out"), "--model", entry.id, "--device", "cpu"]
    )
    assert result.exit_code == 0, result.output
    assert "Note: It is small." in result.output
    labels = load(tmp_path / "out" / "labels.nrrd")
    found = running.run(entry, volume(), device="cpu")
    np.testing.assert_array_equal(labels.array, found.array)
    rows = (tmp_path / "out" / "structures.csv").read_text().splitlines()
    assert rows[0] == "label,id,name,volume_ml"
    assert len(rows) == 1 + len(found.structures)
    kept = json.loads((tmp_path / "out" / "model.json").read_text())
    told = [line.removeprefix("Note: ") for line in result.output.splitlines() if line.startswith("Note: ")]
    assert kept["notes"] == told
    assert [note.partition(" about ")[0] for note in told] == ["It is small.", "The model needs"]
    assert kept["sha256"] == catalog.record_of(entry).sha256
    assert kept["task"] == {"model": entry.id, "options": {"mirror": False}, "device": "cpu"}
    # With it the result can be made again: all structures, as none was named.
    assert wanted_structures(Task(**kept["task"])) is None
    assert kept["device"] == "cpu"
    assert 0 < kept["duration_s"] < 600
    assert kept["thoraxai"] == __version__
    assert {kept[name] == value for name, value in catalog.provenance(entry).items()} == {True}
