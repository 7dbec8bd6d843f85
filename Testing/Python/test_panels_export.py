"""The export section of the nodule panel: DICOM into Slicer's database."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import highdicom
import pydicom
import pytest
import slicer
from nodule_scene import in_scene
from panels import click, open_panel, tick
from PySide6.QtWidgets import QFileDialog

from LungNoduleAILib.review import Verdict


class Database:
    """What ``slicer.dicomDatabase`` and ``DICOMLib`` do at an import: every DICOM file of a folder is copied."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.isOpen = True
        self.takes = True

    def fileForInstance(self, uid: str) -> str:
        return ""

    def importDicom(self, folder: str, database: Database, copyFiles: bool) -> bool:
        assert database is self
        assert copyFiles, "the folder is gone after the export"
        for n, path in enumerate(sorted(Path(folder).rglob("*.dcm")) if self.takes else ()):
            shutil.copy(path, self.folder / f"{n}.dcm")
        return self.takes

    def read(self) -> list[pydicom.Dataset]:
        return [pydicom.dcmread(path) for path in self.folder.iterdir()]


@pytest.fixture
def panel(slicer_host):
    slicer.mrmlScene.Clear()
    volume, nodes = in_scene()
    nodes.segmentation.SetAttribute("ThoraxAI.Result", "nodules")
    panel = open_panel(slicer_host, "LungNoduleAI")
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.findingsSelector.setCurrentNode(nodes.segmentation)
    for name in ("inputs", "nodule", "results"):
        getattr(panel.ui, f"{name}CollapsibleButton").setChecked(False)
    panel.ui.exportCollapsibleButton.setChecked(True)
    panel.findings = nodes.segmentation
    yield panel
    panel.close()


@pytest.fixture
def database(panel, monkeypatch, tmp_path):
    database = Database(tmp_path)
    module = ModuleType("DICOMLib")
    module.DICOMUtils = SimpleNamespace(importDicom=database.importDicom)
    monkeypatch.setitem(sys.modules, "DICOMLib", module)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    panel.widget.export.show()
    return database


def export(panel) -> None:
    click(panel.ui.exportDatabaseButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)


def test_without_an_open_database_the_button_says_why(panel):
    assert not panel.ui.exportDatabaseButton.enabled
    assert "DICOM database is not open" in panel.ui.exportDatabaseButton.toolTip
    panel.ui.findingsSelector.setCurrentNode(None)
    assert panel.ui.exportDatabaseButton.toolTip == "Detect nodules first."


def test_outlines_and_report_go_to_the_database_with_the_ct_that_they_refer_to(panel, database):
    panel.widget.logic.reject(panel.findings, 2)
    export(panel)
    assert panel.message.startswith("In Slicer's DICOM database now:")
    stored = database.read()
    by_modality = {one.Modality: one for one in stored}
    assert set(by_modality) == {"CT", "SEG", "SR"}
    assert (
        sum(one.Modality == "CT" for one in stored)
        == panel.ui.inputSelector.currentNode().GetImageData().GetDimensions()[2]
    )
    seg = highdicom.seg.Segmentation.from_dataset(by_modality["SEG"])
    assert len(seg.segment_numbers) == 1
    referred = seg.ReferencedSeriesSequence[0].SeriesInstanceUID
    assert referred == by_modality["CT"].SeriesInstanceUID


def test_a_database_that_takes_nothing_is_one_sentence(panel, database):
    database.takes = False
    export(panel)
    assert "did not take the files" in panel.message
    assert database.read() == []


def test_a_reading_without_a_nodule_is_a_report_in_the_database(panel, database):
    for number in (1, 2):
        panel.widget.logic._decide(panel.findings, number, Verdict.REJECTED.name)
    export(panel)
    assert {one.Modality for one in database.read()} == {"CT", "SR"}


def test_no_form_ticked_leaves_the_database_open(panel, database):
    for name in ("csv", "html"):
        tick(getattr(panel.ui, f"{name}CheckBox"))
    assert not panel.ui.exportButton.enabled
    assert panel.ui.exportDatabaseButton.enabled


def test_dicom_alone_is_written_to_a_folder(panel, tmp_path, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    for name in ("csvCheckBox", "htmlCheckBox", "dicomCheckBox"):
        tick(getattr(panel.ui, name))
    assert panel.widget.export.section.formats == ["seg", "sr"]
    click(panel.ui.exportButton)
    panel.wait_for(lambda: not panel.widget.runControls.running)
    assert panel.message.startswith(f"Saved in {tmp_path}")
    written = {pydicom.dcmread(path).Modality for path in tmp_path.rglob("*.dcm")}
    assert written == {"CT", "SEG", "SR"}
    assert not list(tmp_path.rglob("*.csv"))
