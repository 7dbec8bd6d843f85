"""``thoraxai rt`` from the command line, on a phantom without DICOM and back."""

from __future__ import annotations

import csv
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from phantoms import PhantomNodule, chest, slab_grid

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib import files
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.volume import Volume

TUMOUR = PhantomNodule((75.0, 10.0, 10.0), 30.0)

PROTOCOL = """\
name: Small
site: lung
source: made for this test
prescription: {dose_gy: 60, fractions: 30, target: PTVp, source: made for this test}
structures:
  - {name: GTVp, role: GTV, colour: "#ff0000"}
  - {name: External, role: EXTERNAL, colour: "#888888", task: body}
  - {name: Lung_L, role: ORGAN, colour: "#00ff00", task: lungs}
  - {name: Lung_R, role: ORGAN, colour: "#00ffff", task: lungs}
  - {name: Heart, role: ORGAN, colour: "#aa0000"}
  - {name: Lungs, role: ORGAN, colour: "#008888", rule: Lung_L + Lung_R}
  - {name: PTVp, role: PTV, colour: "#0000ff", rule: "expand(GTVp, 5)"}
  - {name: Lungs-GTV, role: ORGAN, colour: "#004444", rule: Lungs - GTVp}
  - {name: Heart_PRV05, role: PRV, colour: "#ff8800", rule: "expand(Heart, 5)"}
goals:
  - {structure: Lungs-GTV, metric: "V20Gy[%]", comparison: "<=", value: 35, source: made for this test}
"""


def thoraxai(*arguments):
    return CliRunner().invoke(cli.main, ["rt", *map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The phantom's CT, a mask of its tumour and a protocol."""
    folder = tmp_path_factory.mktemp("case")
    phantom = chest(slab_grid(3.0, bottom=-52, height=120), nodules=(TUMOUR,), vessels=False)
    grid = phantom.volume.grid
    places = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    tumour = np.linalg.norm(places - TUMOUR.centre_ras, axis=-1) <= TUMOUR.diameter_mm / 2
    files.save(phantom.volume, folder / "ct.nrrd")
    files.save(Volume(tumour.astype(np.uint8), grid), folder / "tumour.nrrd")
    (folder / "small.yaml").write_text(PROTOCOL)
    return folder


@pytest.fixture(scope="module")
def contoured(folder):
    """What ``contour`` made, and what it said."""
    out = folder / "out"
    mask = ("--mask", "GTVp", folder / "tumour.nrrd")
    result = thoraxai("contour", folder / "ct.nrrd", out, "--protocol", folder / "small.yaml", *mask, "--device", "cpu")
    assert result.exit_code == 0, result.output
    return out, result.stdout


def test_a_ct_without_dicom_gets_dicom_and_structures(contoured):
    out, said = contoured
    volume = files.load(out / "ct")
    held, notes = read_rtstruct(out / "structures.dcm", volume)
    assert {one.name for one in held} == {"GTVp", "External", "Lung_L", "Lung_R", "Lungs", "PTVp", "Lungs-GTV"}
    assert notes == []
    ml = {one.name: one.mask.sum() * volume.grid.voxel_volume / 1000 for one in held}
    assert ml["GTVp"] == pytest.approx(np.pi / 6 * 3.0**3, rel=0.05)
    assert ml["PTVp"] == pytest.approx(np.pi / 6 * 4.0**3, rel=0.06)
    assert not (held["Lungs-GTV"].mask & held["GTVp"].mask).any()
    assert "not made: Heart_PRV05 needs Heart" in said


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian's dicom3tools) is not installed")
def test_the_files_are_dicom(contoured):
    for path in (contoured[0] / "structures.dcm", next((contoured[0] / "ct").glob("*.dcm"))):
        said = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in said.stdout + said.stderr


def test_a_structure_set_equals_itself(contoured, tmp_path):
    out, _ = contoured
    table = tmp_path / "table.csv"
    result = thoraxai("compare", out / "ct", out / "structures.dcm", out / "structures.dcm", table)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 7
    assert {row["Dice"] for row in rows} == {"1"}


def test_names_are_checked(contoured):
    assert thoraxai("names", contoured[0] / "structures.dcm").stdout == "All names follow AAPM TG-263.\n"


def test_protocols_are_listed_and_broken_ones_named(tmp_path):
    assert "lung_sbrt" in thoraxai("protocols").stdout
    (tmp_path / "bad.yaml").write_text(PROTOCOL.replace("expand(GTVp, 5)", "grow(GTVp, 5)"))
    result = thoraxai("protocols", "--folder", tmp_path)
    assert result.exit_code == EXIT_BAD_INPUT
    assert "bad.yaml" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("contour", "ct.nrrd", "new", "--protocol", "nonsense"), "There is no protocol 'nonsense'"),
        (("contour", "gone.nrrd", "new", "--protocol", "small.yaml"), "'gone.nrrd' does not exist"),
        (("contour", "ct.nrrd", "new", "--protocol", "small.yaml", "--mask", "GTVp", "gone.nrrd"), "does not exist"),
        (("dvh", "ct.nrrd", "ct.nrrd", "ct.nrrd", "new"), "ct.nrrd"),
        (("names", "ct.nrrd"), "is not a DICOM RTSTRUCT"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(folder, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    result = thoraxai(*arguments)
    assert result.exit_code == EXIT_BAD_INPUT, result.output
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("thoraxai: ")
    assert said in last
    assert not (folder / "new").exists()
