"""The command ``thoraxai``, run as a user runs it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from click.testing import CliRunner

from LungNoduleAILib import cli
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT, EXIT_FAILED
from SegmentationAILib import files, phantom, system_check
from SegmentationAILib.system_check import Line, Status, SystemReport

NODULE = phantom.Sphere((70.0, 10.0, 0.0), 7.0)


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def chest_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("input") / "chest.nrrd"
    files.save(phantom.chest((NODULE,)), path)
    return path


def test_doctor_prints_the_page(run):
    result = run("doctor")
    assert result.output.startswith("ThoraxAI system check\n")
    assert result.exit_code == 0


def test_doctor_fails_where_something_is_missing(run, monkeypatch):
    page = SystemReport((Line(Status.FAIL, "PyTorch", "not installed", "install it"),))
    monkeypatch.setattr(system_check, "report", lambda: page)
    result = run("doctor")
    assert result.exit_code == EXIT_FAILED
    assert result.output == page.to_text()


def test_detect_writes_the_table_and_the_labels(run, chest_file, tmp_path):
    output = tmp_path / "new" / "results"
    result = run("detect", chest_file, output, "--device", "cpu")
    assert result.exit_code == 0, result.output
    with (output / "nodules.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    centres = np.array([[float(row[axis]) for axis in "ras"] for row in rows])
    nearest = int(np.argmin(np.linalg.norm(centres - NODULE.centre, axis=1)))
    assert np.linalg.norm(centres[nearest] - NODULE.centre) < 3.0
    assert rows[nearest]["kind"] in ("ground glass", "part-solid", "solid")
    assert 1.0 <= float(rows[nearest]["suspicion_of_readers_1_to_5"]) <= 5.0
    assert rows[nearest]["calcified"] in ("yes", "no")
    assert "nodules.csv and labels.nrrd are in" in result.stdout

    labels = files.load(output / "labels.nrrd")
    k, j, i = np.round(labels.grid.ijk(NODULE.centre)).astype(int)[::-1]
    assert labels.array[k, j, i] == 100 + int(rows[nearest]["id"])
    k, j, i = np.round(labels.grid.ijk(phantom.lung_centre("left"))).astype(int)[::-1]
    assert labels.array[k, j, i] == 2


def test_threshold_keeps_the_surer_nodules_only(run, chest_file, tmp_path):
    result = run("detect", chest_file, tmp_path, "--device", "cpu", "--threshold", "1")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "nodules.csv").read_text(encoding="utf-8").count("\n") == 1


def test_bad_input_is_one_sentence_and_exit_2(run, tmp_path):
    result = run("detect", tmp_path / "missing.nrrd", tmp_path / "results")
    assert result.exit_code == EXIT_BAD_INPUT
    assert result.stderr.splitlines()[-1].startswith("thoraxai: ")
    assert "Traceback" not in result.output
    assert not (tmp_path / "results").exists()


def test_unknown_device_is_one_sentence_and_exit_2(run, chest_file, tmp_path):
    result = run("detect", chest_file, tmp_path / "results", "--device", "abacus")
    assert result.exit_code == EXIT_BAD_INPUT
    assert "abacus" in result.stderr
    assert not (tmp_path / "results").exists()


def test_output_that_is_no_folder_is_refused_before_any_work(run, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    result = run("detect", tmp_path / "missing.nrrd", file / "results")
    assert result.exit_code == EXIT_BAD_INPUT
    assert "cannot be written to" in result.stderr
