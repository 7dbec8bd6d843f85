"""What the models of the catalogue cannot use: one sentence, or a note where they can nonetheless, and nothing left
behind, by the commands that users type.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from dicom_writer import Encoding, Identity, write_series
from monai_bundles import inference, write_bundle
from nnunet_models import plans, write_model
from test_bad_input import contents, is_one_sentence
from test_device import gpus  # noqa: F401 - a fixture
from test_model_archives import hostile
from test_nnunet import CLASSES, ct, other_network, our_network
from tiny_models import filling_disk, left

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib import catalog
from SegmentationAILib.files import save
from SegmentationAILib.volume import Grid, Volume

pytestmark = pytest.mark.usefixtures("models")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli.main, [str(argument) for argument in arguments])


def network(folder: Path, edit: Callable[[dict], object] = dict, labels: object = None) -> Path:
    """A user's own network of nnU-Net."""
    held = plans()
    home = write_model(folder, held, CLASSES, lambda fold: our_network(plans(), fold))
    edit(held)
    (home / "plans.json").write_text(json.dumps(held))
    if labels is not None:
        dataset = json.loads((home / "dataset.json").read_text())
        (home / "dataset.json").write_text(json.dumps(dataset | {"labels": labels}))
    return home


@pytest.fixture
def model(tmp_path) -> str:
    return catalog.import_local(None, network(tmp_path / "own")).name


def scan(folder: Path, spacing=(0.9, 0.9, 2.0)) -> Path:
    array = ct()
    return save(Volume(array, Grid(array.shape, np.diag([*spacing, 1.0])), "phantom", "CT"), folder / "ct.nrrd")


def check_refused(result: Result, message: str) -> None:
    assert result.exit_code == EXIT_BAD_INPUT, result.output
    sentence = result.stderr.splitlines()[-1]
    assert re.search(message, sentence), sentence
    assert is_one_sentence(sentence), sentence


@pytest.mark.parametrize("wanted", ["own", "organs"])
def test_another_modality(tmp_path, model, wanted):
    array = np.abs(ct()[:12]).astype(np.int16)
    identity = Identity(modality="MR", sop_class="1.2.840.10008.5.1.4.1.1.4")
    source = tmp_path / "mr"
    write_series(source, array, Grid(array.shape, np.eye(4)), identity=identity, encoding=Encoding(intercept=(0.0,)))
    before = contents(tmp_path)
    name = model if wanted == "own" else wanted
    check_refused(run("segment", source, tmp_path / "out" / "new", "--model", name), "reads CT and the volume is MR")
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("spacing", "said"),
    [
        ((0.9, 0.9, 9.0), "9 mm apart from feet to head"),
        ((0.3, 0.3, 2.0), r"The volume is \d+ mm from .* less reliable"),
    ],
    ids=["spacing", "field of view"],
)
def test_a_volume_outside_of_what_the_model_knows_is_segmented_with_a_note(tmp_path, model, spacing, said):
    result = run("segment", scan(tmp_path, spacing), tmp_path / "out", "--model", model, "--device", "cpu")
    assert result.exit_code == 0, result.output
    notes = [line.removeprefix("Note: ") for line in result.stderr.splitlines() if line.startswith("Note: ")]
    assert any(re.search(said, note) for note in notes), notes
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["labels.nrrd", "model.json", "structures.csv"]


def test_a_structure_that_the_model_does_not_find(tmp_path, model):
    source = scan(tmp_path)
    before = contents(tmp_path)
    check_refused(
        run("segment", source, tmp_path / "out", "--model", model, "--structure", "moon"), "find moon; it finds"
    )
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_model_without_labels_is_not_taken(tmp_path, models):
    home = network(tmp_path / "own", labels={"background": 0})
    before = contents(tmp_path)
    check_refused(run("models", "import", home), "names no labels")
    assert contents(tmp_path / "own") == {path: held for path, held in before.items() if path.is_relative_to(home)}
    assert left(models) == []


@pytest.mark.parametrize("kind", ["nnU-Net", "MONAI"])
def test_an_unknown_architecture(tmp_path, kind):
    if kind == "nnU-Net":
        home, said = network(tmp_path / "own", other_network), "'SwinUNETR'; only"
    else:
        definition = {"_target_": "scripts.networks.strange.Net", "in_channels": 1, "out_channels": 5}
        home = write_bundle(tmp_path / "own", inference(definition), {"weight": torch.zeros(1)})
        said = r"network is scripts\.networks\.strange\.Net, which is not run here"
    name = catalog.import_local(None, home).name
    source = scan(tmp_path)
    before = contents(tmp_path)
    check_refused(run("segment", source, tmp_path / "out", "--model", name, "--device", "cpu"), said)
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_a_zip_whose_names_lead_out_of_it(tmp_path, models):
    path = tmp_path / "inner" / "x.zip"
    path.parent.mkdir()
    path.write_bytes(hostile("../../evil"))
    before = contents(tmp_path)
    check_refused(run("models", "import", path), "leads out of its folder")
    assert left(models) == []
    locks = {found for found in contents(tmp_path) if found.suffix == ".lock"}
    assert set(contents(tmp_path)) - locks == set(before)


def test_a_gpu_that_is_too_old(tmp_path, model, gpus):  # noqa: F811 - the fixture
    source = scan(tmp_path)
    before = contents(tmp_path)
    result = run("segment", source, tmp_path / "out", "--model", model, "--device", "cuda:0")
    check_refused(result, r"\(compute capability 3\.5\) is too old .*; choose the CPU")
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("full", ["from the first file on", "at the last file"])
def test_a_full_disk_while_the_results_are_written(tmp_path, model, monkeypatch, full):
    """No half of the results, and no empty folder; what was there before stays."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if full == "at the last file":
        monkeypatch.setattr(Path, "write_text", refuse)
    source = scan(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "labels.nrrd").write_bytes(b"of an earlier run")
    for output in (tmp_path / "out" / "new", tmp_path / "there"):
        before = contents(tmp_path)
        with filling_disk(20) if full == "from the first file on" else nullcontext():
            result = run("segment", source, output, "--model", model, "--device", "cpu")
        check_refused(result, rf"could not be written to '{output}'; check that the disk has room and ")
        assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()
