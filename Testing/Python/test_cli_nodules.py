"""``thoraxai detect``, ``compare`` and ``report`` on a synthetic chest whose nodules are known."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from click.testing import CliRunner
from nodule_scene import FOUND, chest_with_findings

from LungNoduleAILib import cli, study
from LungNoduleAILib.characterization import nodule_of
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from LungNoduleAILib.nodule import NoduleMask
from SegmentationAILib import files
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.radiotherapy.ct_export import write_ct_series


@pytest.fixture
def run(monkeypatch):
    """The command, with the detector replaced by what is known of the chest."""
    volume, found = chest_with_findings()

    def lungs_of(given, **_options):
        """The known ones: DICOM slices run from feet to head, as the chest's do."""
        assert given.grid.same_as(volume.grid, tolerance_mm=0.01)
        return LabelMap(found.lungs.array, given.grid, found.lungs.structures)

    monkeypatch.setattr(study, "segment_lungs", lungs_of)
    monkeypatch.setattr(
        study, "analyze", lambda given, task, progress=None: replace(found, lungs=lungs_of(given), task=task)
    )
    runner = CliRunner()
    return lambda *arguments: runner.invoke(cli.main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def chest_file(tmp_path_factory):
    return files.save(chest_with_findings()[0], tmp_path_factory.mktemp("chest") / "chest.nrrd")


def dicom_chest(folder, patient_id: str, date: str, **more: object):
    """The chest as a DICOM series of a patient and a day."""
    write_ct_series(chest_with_findings()[0], folder, patient_id=patient_id)
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        image.AcquisitionDate = image.SeriesDate = image.StudyDate = image.ContentDate = date
        for keyword, value in more.items():
            setattr(image, keyword, value)
        image.save_as(path)
    return folder


@pytest.fixture(scope="module")
def dicom_folder(tmp_path_factory):
    return dicom_chest(tmp_path_factory.mktemp("dicom") / "now", "P1", "20240601")


def table(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_detect_writes_a_report_where_it_is_asked_for(run, chest_file, tmp_path):
    result = run("detect", chest_file, tmp_path, "--report", "--age", "64", "--sex", "female", "--pack-years", "30")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.nrrd", "nodules.csv", "report.html"]
    assert "2 nodules; nodules.csv, report.html and labels.nrrd are in" in result.stdout
    assert "Note: The slices are 2.5 mm apart" in result.stderr
    rows = table(tmp_path / "nodules.csv")
    assert [row["id"] for row in rows] == ["1", "2"]
    assert rows[0]["decision"] == "not reviewed"


def test_what_is_known_of_the_patient_narrows_the_risk(run, chest_file, tmp_path):
    def width(*options: object) -> float:
        result = run("detect", chest_file, tmp_path, *options)
        assert result.exit_code == 0, result.output
        row = table(tmp_path / "nodules.csv")[0]
        return float(row["brock_probability_highest"]) - float(row["brock_probability_lowest"])

    known = ("--age", "64", "--sex", "female", "--no-family-history", "--no-emphysema")
    file = tmp_path / "patient.yaml"
    file.write_text("age: 64\nfemale: true\nfamily_history: false\nemphysema: true\n", encoding="utf-8")
    unknown = width()
    assert width(*known) < unknown
    assert width("--patient", file, "--no-emphysema") == width(*known)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--age", "5"), "age"),
        (("--never-smoked", "--pack-years", "20"), "never smoked but has pack-years"),
        (("--patient", "missing.yaml"), "missing.yaml"),
    ],
)
def test_a_patient_that_cannot_be_is_one_sentence_and_nothing_is_written(run, chest_file, tmp_path, options, sentence):
    result = run("detect", chest_file, tmp_path / "out", *options)
    assert result.exit_code == EXIT_BAD_INPUT
    assert sentence in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_misspelt_key_of_the_patient_file_is_named_with_its_line(run, chest_file, tmp_path):
    file = tmp_path / "patient.yaml"
    file.write_text("age: 64\nsmokes: true\n", encoding="utf-8")
    result = run("report", chest_file, tmp_path / "out", "--patient", file)
    assert result.exit_code == EXIT_BAD_INPUT
    assert "'patient.yaml', line 2: 'smokes' is not known here" in result.stderr


def test_report_writes_every_form(run, dicom_folder, tmp_path):
    forms = ("--html", "--pdf", "--json", "--csv", "--seg", "--sr")
    result = run("report", dicom_folder, tmp_path, *forms, "--reject", "2", "--screening")
    assert result.exit_code == 0, result.output
    names = ["nodules-seg.dcm", "nodules-sr.dcm", "nodules.csv", "nodules.json", "report.html", "report.pdf"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert result.stdout.startswith("1 nodule; ")
    assert [row["decision"] for row in table(tmp_path / "nodules.csv")] == ["not reviewed", "rejected"]
    assert json.loads((tmp_path / "nodules.json").read_text(encoding="utf-8"))
    seg = pydicom.dcmread(tmp_path / "nodules-seg.dcm")
    assert [one.SegmentLabel for one in seg.SegmentSequence] == ["nodule 1"]
    assert seg.PatientID == "P1"
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")


def test_report_of_a_file_writes_the_ct_that_seg_and_sr_refer_to(run, chest_file, tmp_path):
    result = run("report", chest_file, tmp_path, "--sr", "--seg")
    assert result.exit_code == 0, result.output
    series = pydicom.dcmread(next((tmp_path / "ct").iterdir())).SeriesInstanceUID
    seg = pydicom.dcmread(tmp_path / "nodules-seg.dcm")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == series


def test_report_without_a_nodule_is_a_report(run, dicom_folder, tmp_path):
    result = run("report", dicom_folder, tmp_path, "--html", "--seg", "--sr", "--reject", "1", "--reject", "2")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nodules-sr.dcm", "report.html"]
    assert result.stdout.startswith("0 nodules; ")


def test_contrast_and_thick_slices_are_told(run, tmp_path):
    folder = dicom_chest(tmp_path / "ct", "P1", "20240601", ContrastBolusAgent="Iomeprol", SliceThickness="5")
    result = run("detect", folder, tmp_path / "out")
    assert "Note: Contrast medium was given" in result.stderr
    assert "Note: The slices are 5 mm thick" in result.stderr
    assert "Fleischner Society (2017) asks for" in result.stderr


def test_prior_of_another_patient_is_refused_before_any_work_and_no_identifier_is_shown(run, dicom_folder, tmp_path):
    prior = dicom_chest(tmp_path / "before", "SECRET-2", "20240101")
    for days in ((), ("--days", "100")):
        result = run("compare", dicom_folder, prior, tmp_path / "out", *days)
        assert result.exit_code == EXIT_BAD_INPUT
        assert "The prior CT is of another patient" in result.stderr
        assert "SECRET" not in result.output
    assert not (tmp_path / "out").exists()


def test_prior_without_a_date_asks_for_the_days(run, chest_file, tmp_path):
    result = run("compare", chest_file, chest_file, tmp_path / "out")
    assert result.exit_code == EXIT_BAD_INPUT
    assert "has no date; enter the number of days" in result.stderr
    result = run("report", chest_file, tmp_path / "out", "--days", "100")
    assert result.exit_code == EXIT_BAD_INPUT
    assert "give it by --prior" in result.stderr


def test_compare_says_what_became_of_each_nodule_by_the_dates(run, dicom_folder, tmp_path, monkeypatch):
    volume, found = chest_with_findings()
    first = found.nodules[0]
    smaller = NoduleMask(
        np.clip(first.mask.occupancy - 0.4, 0, 1).astype(np.float32) * (first.mask.occupancy > 0.4), first.mask.grid
    )
    before = (nodule_of(volume, found.lungs, smaller, 1, 12.0, 0.8),)
    after = study.analyze
    calls = []

    def analyze(given, task, progress=None):
        calls.append(given)
        now = after(given, task)
        return now if len(calls) == 1 else replace(now, nodules=before)

    monkeypatch.setattr(study, "analyze", analyze)
    prior = dicom_chest(tmp_path / "before", "P1", "20240103")
    result = run("compare", dicom_folder, prior, tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "out" / "follow-up.csv")
    assert [(row["nodule"], row["prior_nodule"], row["behaviour"] == "new") for row in rows] == [
        ("1", "1", False),
        ("2", "", True),
    ]
    assert "in 150 days" in rows[0]["what_became_of_it"]
    assert rows[0]["what_became_of_it"] in result.stdout
    assert [row["behaviour"] for row in table(tmp_path / "out" / "nodules.csv")][1] == "new"
    assert np.linalg.norm(np.subtract(before[0].centre_ras, FOUND[0].centre)) < 2.0


def test_a_prior_report_saves_detecting_and_its_nodules_keep_their_identifiers(
    run, dicom_folder, tmp_path, monkeypatch
):
    prior = dicom_chest(tmp_path / "before", "P1", "20240103")
    assert run("report", prior, tmp_path / "prior report", "--sr", "--seg", "--csv").exit_code == 0
    known = {row["id"]: row["tracking_uid"] for row in table(tmp_path / "prior report" / "nodules.csv")}
    detected = []
    after = study.analyze
    monkeypatch.setattr(study, "analyze", lambda *given: detected.append(1) or after(*given))
    result = run(
        "report", dicom_folder, tmp_path / "out", "--csv", "--prior", prior, "--prior-report", tmp_path / "prior report"
    )
    assert result.exit_code == 0, result.output
    assert len(detected) == 1
    assert {row["id"]: row["tracking_uid"] for row in table(tmp_path / "out" / "nodules.csv")} == known
