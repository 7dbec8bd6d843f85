"""The command ``thoraxai radiomics``, run as a user runs it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner
from lump import nodule_ct

from LungNoduleAILib.cli import main
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib.files import save
from SegmentationAILib.radiomics.extraction import extract
from SegmentationAILib.volume import Volume

pytest.importorskip("mirp", reason="MIRP is an optional package")


@pytest.fixture
def lump_files(tmp_path):
    """The lump's CT and a label map in which it is 3, and a corner 7."""
    volume, mask = nodule_ct()
    labels = np.where(mask, 3, 0).astype(np.uint8)
    labels[:2, :3, :3] = 7
    save(volume, tmp_path / "ct.nrrd")
    save(volume.with_array(labels), tmp_path / "labels.nrrd")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(main, ["radiomics", *map(str, arguments)])


def test_the_command_writes_what_extract_gives(lump_files):
    output = lump_files / "new" / "radiomics.csv"
    result = run(lump_files / "ct.nrrd", lump_files / "labels.nrrd", output, "--label", 3)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"1 segment; the table is {output}\n"
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["segment"] for row in rows} == {"3"}
    found = {row["ibsi_tag"]: float(row["value"]) for row in rows}
    assert found == pytest.approx(dict(extract(*nodule_ct()).values), rel=1e-6)


def test_the_command_takes_all_segments_and_the_settings(lump_files):
    output = lump_files / "radiomics.csv"
    options = ("--keep-voxels", "--no-range", "--bin-number", 8, "--aggregation", "2D_avg", "--modality", "mr")
    result = run(lump_files / "ct.nrrd", lump_files / "labels.nrrd", output, *options)
    assert result.exit_code == 0, result.output
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["segment"] for row in rows] == ["3"] * 169 + ["7"] * 169
    assert {(row["spacing_mm"], row["intensity_low"], row["bin_width"], row["bin_number"]) for row in rows} == {
        ("", "", "", "8")
    }
    assert rows[-1]["ibsi_tag"] == "ngl_dc_energy_2D"


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ("labels.nrrd", ("--label", 4), "has no value 4; choose among 3, 7."),
        ("ct.nrrd", (), "is no label map"),
        ("small.nrrd", (), "is not on the volume's grid"),
        ("empty.nrrd", (), "holds no segment"),
        ("labels.nrrd", ("--bin-number", 1), "choose 2 bins and more"),
    ],
)
def test_the_command_refuses_in_one_sentence(lump_files, labels, options, message):
    volume, mask = nodule_ct()
    save(Volume(mask[1:].astype(np.uint8), volume.grid.crop((1, 0, 0), mask[1:].shape)), lump_files / "small.nrrd")
    save(volume.with_array(np.zeros_like(mask, dtype=np.uint8)), lump_files / "empty.nrrd")
    result = run(lump_files / "ct.nrrd", lump_files / labels, lump_files / "out.csv", *options)
    assert result.exit_code == EXIT_BAD_INPUT
    assert message in result.stderr
    assert not (lump_files / "out.csv").exists()
