"""LUNA16's files and counts, and ``thoraxai evaluate`` on them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from LungNoduleAILib import cli
from LungNoduleAILib.evaluation import luna16
from LungNoduleAILib.evaluation.froc import froc
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib.errors import InputError

MARKS = """seriesuid,coordX,coordY,coordZ,probability
a,0,0,0,0.9
a,1,0,0,0.8
a,50,0,0,0.7
a,90,0,0,0.6
b,9,9,9,0.5
"""
NODULES = """seriesuid,coordX,coordY,coordZ,diameter_mm
a,0,0,0,6
a,0,70,0,6
"""
# Of unknown size, so 10 mm across: the mark at 50 lies within.
EXCLUDED = """seriesuid,coordX,coordY,coordZ,diameter_mm
a,54.9,0,0,-1
"""
SERIES = "a\nb\nc\nd\n"


@pytest.fixture
def files(tmp_path):
    """Four scans; of two nodules one is found, twice; one mark lies on an excluded finding, two are wrong."""
    texts = {"marks": MARKS, "nodules": NODULES, "excluded": EXCLUDED, "series": SERIES}
    for name, text in texts.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


def read(folder, **options):
    paths = {"excluded": folder / "excluded.csv", "series": folder / "series.csv"} | options
    return luna16.read(folder / "marks.csv", folder / "nodules.csv", **paths)


def test_counts_by_hand(files):
    detections, counts = luna16.count(read(files))
    assert counts == luna16.Counts(scans=4, found=1, missed=1, false_positives=2, on_excluded=1, second_hits=1)
    assert froc(detections, resamples=10).mean.value == 0.5


def test_positions_become_ras(files):
    study = read(files)
    assert study.centres_ras["b"].tolist() == [[-9.0, -9.0, 9.0]]
    assert study.references["a"][1].centre_ras == (0.0, -70.0, 0.0)


def test_without_a_list_the_scans_named_count(files):
    study = read(files, excluded=None, series=None)
    assert study.series == ("a", "b")
    assert luna16.count(study)[1].false_positives == 3


def test_references_of_other_scans_are_left_out(files):
    (files / "nodules.csv").write_text(NODULES + "elsewhere,0,0,0,6\n")
    assert luna16.count(read(files))[1].missed == 1


def test_order_of_columns_and_further_ones_do_not_matter(files):
    (files / "nodules.csv").write_text(
        "\ufeffdiameter_mm,note,coordZ,coordY,coordX,seriesuid\n6,x,0,0,0,a\n", encoding="utf-8"
    )
    assert luna16.count(read(files))[1].found == 1


@pytest.mark.parametrize(
    ("scores", "kept"),
    [
        ([0.1, 0.9, 0.5], [True, True, True]),
        ([0.1, 0.9, 0.5, 0.7], [False, True, True, True]),
        # The third and the fourth tie for the last place: neither gets it.
        ([0.9, 0.5, 0.5, 0.7], [True, False, False, True]),
    ],
)
def test_best_marks_of_a_scan(scores, kept):
    assert luna16.best_marks(np.array(scores), 3).tolist() == kept


HEADER = "seriesuid,coordX,coordY,coordZ,probability\n"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("marks", "", r"'marks.csv' is empty"),
        ("marks", HEADER, r"'marks.csv' has a header and no rows"),
        ("marks", "seriesuid,coordX,coordZ\na,0,0\n", r"'marks.csv' has no column coordY nor probability"),
        ("marks", HEADER + "a,0,0,0,nan\n", r"'marks.csv' has 'nan' in column probability of line 2"),
        ("marks", HEADER + "\na,0,inf,0,1\n", r"'marks.csv' has 'inf' in column coordY of line 3"),
        ("marks", HEADER + "a,0,left,0,1\n", r"'marks.csv' has 'left' in column coordY of line 2"),
        ("marks", HEADER + "a,0,0\n", r"'marks.csv' has '' in column coordZ of line 2"),
        ("marks", HEADER + ",0,0,0,1\n", r"'marks.csv' has no seriesuid in line 2"),
        ("marks", HEADER + "x,0,0,0,1\n", r"'marks.csv' has marks in the seriesuid 'x', which 'series.csv'"),
        ("nodules", NODULES + "a,0,0,0,-1\n", r"'nodules.csv' has a diameter_mm of -1"),
        ("nodules", MARKS, r"'nodules.csv' has no column diameter_mm"),
        ("excluded", MARKS, r"'excluded.csv' has no column diameter_mm"),
        ("series", "b\nc\n", r"'marks.csv' has marks in the seriesuid 'a'"),
        ("series", "seriesuid\n", r"'series.csv' has a line without a seriesuid or none but the header"),
        ("series", "a\nb\na\n", r"'series.csv' lists the seriesuid 'a' twice"),
        ("nodules", NODULES.replace("a,", "x,"), r"No seriesuid of 'nodules.csv' is listed in 'series.csv'"),
    ],
)
def test_bad_files_are_refused(files, file, text, message):
    (files / f"{file}.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read(files)


def test_files_that_are_no_text_are_refused(files):
    (files / "marks.csv").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(InputError, match=r"'marks.csv' cannot be read"):
        read(files)
    with pytest.raises(InputError, match=r"'missing.csv' cannot be read"):
        read(files, series=files / "missing.csv")


def evaluate(folder, *options):
    arguments = [folder / "marks.csv", folder / "nodules.csv", folder / "out", *options]
    return CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)])


def test_command_writes_numbers_table_and_curve(files):
    result = evaluate(files, "--excluded", files / "excluded.csv", "--series", files / "series.csv")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("Scans: 4; nodules: 1 found, 1 missed; false positives: 2; ignored: 1 on")
    assert sorted(path.name for path in (files / "out").iterdir()) == ["froc.csv", "froc.json", "froc.png"]
    numbers = json.loads((files / "out" / "froc.json").read_text())
    assert numbers["counts"]["found"] == 1
    assert numbers["sensitivity"] == [0.5] * 7
    # Both marks that are wrong score less than the hit: one in four scans, then two.
    assert numbers["curve"]["false_positives_per_scan"] == [0.0, 0.0, 0.5]
    with (files / "out" / "froc.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["false_positives_per_scan"] for row in rows] == ["0.125", "0.25", "0.5", "1", "2", "4", "8", "mean"]
    assert {row["sensitivity"] for row in rows} == {"0.50000"}
    assert (files / "out" / "froc.png").read_bytes().startswith(b"\x89PNG")


def test_command_refuses_bad_input_in_one_sentence(files):
    (files / "marks.csv").write_text("")
    result = evaluate(files)
    assert result.exit_code == EXIT_BAD_INPUT
    assert result.stderr.startswith("thoraxai: 'marks.csv' is empty")
    assert not (files / "out").exists()


def test_other_commands_and_counting_need_no_drawing():
    code = (
        "import sys, LungNoduleAILib.cli, LungNoduleAILib.evaluation, LungNoduleAILib.evaluation.froc; "
        "sys.exit(any(name in sys.modules for name in ('matplotlib', 'sklearn', 'torch')))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_official_figures_of_a_real_detector(data_dir):
    """What LUNA16's own script makes of DeepLung's candidates."""
    folder = data_dir / "luna16"
    study = luna16.read(
        folder / "candidates_dpn26.csv",
        folder / "annotations.csv",
        folder / "annotations_excluded.csv",
        folder / "seriesuids.csv",
    )
    detections, counts = luna16.count(study)
    assert counts == luna16.Counts(888, 1136, 50, 46078, on_excluded=5308, second_hits=186)
    result = froc(detections)
    sensitivities = [round(estimate.value, 5) for estimate in result.sensitivity]
    assert sensitivities == [0.69224, 0.76897, 0.82378, 0.86509, 0.89292, 0.91737, 0.93339]
    assert round(result.mean.value, 5) == 0.84197
    assert all(one.low < one.value < one.high for one in (*result.sensitivity, result.mean))
