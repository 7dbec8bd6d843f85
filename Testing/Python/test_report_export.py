"""A report's forms, where packages that only DICOM needs are missing."""

from __future__ import annotations

import sys

import pytest
from report_cases import full_content

from LungNoduleAILib.report.export import write_report
from SegmentationAILib.errors import InputError


@pytest.fixture
def without_highdicom(monkeypatch):
    """As in a Slicer where highdicom was not installed."""
    for name in [one for one in sys.modules if one.startswith("LungNoduleAILib.report.dicom_")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "highdicom", None)


def test_tables_and_documents_need_no_highdicom(without_highdicom, tmp_path):
    written = write_report(full_content(), tmp_path, ("csv", "json", "html", "pdf"))
    assert [path.name for path in written] == ["nodules.csv", "nodules.json", "report.html", "report.pdf"]
    assert all(path.stat().st_size > 0 for path in written)


def test_dicom_without_highdicom_is_one_sentence_and_writes_nothing(without_highdicom, tmp_path):
    with pytest.raises(InputError, match=r"need the package 'highdicom'; install it .* or export the other forms"):
        write_report(full_content(), tmp_path / "out", ("csv", "seg", "sr"))
    assert not (tmp_path / "out").exists()
