"""The module's self test, which Slicer's *Reload and Test* and its test driver run; it makes its small chest itself."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from SegmentationAILib import dependencies, phantom
from SegmentationAILib.errors import InputError

NODULES = (phantom.Sphere((70.0, 10.0, 0.0), 7.0), phantom.Sphere((-60.0, -20.0, -30.0), 9.0))
SMALLER_BEFORE = (phantom.Sphere((70.0, 10.0, 0.0), 5.0),)
_LONGEST_RUN_S = 600.0


class LungNoduleAITest(ScriptedLoadableModuleTest):
    """Each flow of the panel, by the logic and by the panel's own buttons."""

    def setUp(self) -> None:
        if dependencies.find_missing(dependencies.requirements()):
            self.skipTest("PyTorch is not installed")
        slicer.mrmlScene.Clear()

    def test_NodulesAreFoundAndMeasured(self) -> None:
        rows = self.logic.noduleRows(self.detected())
        for nodule, lung in zip(NODULES, ("right", "left"), strict=True):
            distances = [np.linalg.norm(np.subtract((row["r"], row["a"], row["s"]), nodule.centre)) for row in rows]
            row = rows[int(np.argmin(distances))]
            self.assertLess(min(distances), 3.0)
            self.assertEqual(row["lung"], lung)
            self.assertAlmostEqual(row["mean_diameter_mm"] / (2 * nodule.radius), 1.0, delta=0.2)
        self.delayDisplay("Both nodules are where they were put")

    def test_ReviewAndReport(self) -> None:
        logic, findings = self.logic, self.detected()
        logic.showOnly(findings, [2])
        self.assertFalse(findings.GetDisplayNode().GetSegmentVisibility("nodule 1"))
        self.assertTrue(findings.GetDisplayNode().GetSegmentVisibility("nodule 2"))
        logic.accept(findings, 1)
        logic.reject(findings, 2)
        self.assertEqual([row["decision"] for row in logic.noduleRows(findings)], ["accepted", "rejected"])
        self.assertEqual(logic.undo(findings), "nodule 2 rejected")
        logic.correct(findings, 1, kind="solid", spiculation=False)
        logic.setPatient(findings, age=64, female=True, family_history=False, emphysema=False)
        low, high = logic.overview(findings)[0].brock
        self.assertTrue(0.0 < low <= high < 1.0)
        with self.assertRaises(InputError):
            logic.compare(findings, findings, days=100)
        with tempfile.TemporaryDirectory() as folder:
            written = logic.report(findings, folder, formats=("csv", "json", "html"))
            self.assertEqual([path.name for path in written], ["nodules.csv", "nodules.json", "report.html"])
            lines = written[0].read_text(encoding="utf-8").splitlines()
            self.assertTrue(lines[0].startswith("id,r,a,s,mean_diameter_mm,volume_mm3,mean_hu,score"))
            self.assertEqual(len(lines), 1 + len(logic.noduleRows(findings)))
            self.assertIn("nodule 1", (Path(folder) / "report.html").read_text(encoding="utf-8").lower())
        self.delayDisplay("Decisions are kept, undone and reported")

    def test_OutlinesAreEditedAddedAndTakenBack(self) -> None:
        logic, findings = self.logic, self.detected()
        image = slicer.util.arrayFromSegmentBinaryLabelmap(findings, "nodule 1", logic.volumeOf(findings))
        before = logic.nodules(findings)[0].measurements.volume_mm3
        image[::2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(image, findings, "nodule 1", logic.volumeOf(findings))
        after = logic.characterize(findings, 1, device="cpu")[0].measurements.volume_mm3
        self.assertLess(after, 0.8 * before)
        logic.undo(findings)
        self.assertEqual(logic.nodules(findings)[0].measurements.volume_mm3, before)
        with self.assertRaises(InputError):
            logic.addNodule(findings, logic.nodules(findings)[0].centre_ras)
        self.delayDisplay("An outline that was drawn is measured, and undone")

    def test_FollowUp(self) -> None:
        logic, findings = self.logic, self.detected()
        earlier = self.chest(SMALLER_BEFORE, "before")
        sentences = logic.compare(findings, earlier, days=120, device="cpu")
        self.assertGreaterEqual(len(sentences), 2)
        growth = {pair.current.centre_ras[0] > 0: pair.volume_change for pair in logic.followUp(findings).pairs}
        self.assertGreater(growth[True], 1.0)
        self.assertEqual(logic.volumeOf(logic.priorOf(findings)), earlier)
        self.delayDisplay("A nodule that grew is told from one that is new")

    def test_PanelFromDetectionToReview(self) -> None:
        volume = self.chest(NODULES, "now")
        panel = slicer.modules.lungnoduleai.widgetRepresentation().self()
        panel.enter()
        ui = panel.ui
        ui.inputSelector.setCurrentNode(volume)
        panel.onDeviceChanged("cpu")
        self.assertTrue(ui.runButton.enabled)
        self.assertFalse(ui.acceptButton.enabled)
        ui.runButton.click()
        end = time.monotonic() + _LONGEST_RUN_S
        while panel.runControls.running and time.monotonic() < end:
            slicer.app.processEvents()
        findings = ui.findingsSelector.currentNode()
        self.assertIsNotNone(findings)
        self.assertEqual(ui.nodulesTable.rowCount, len(panel.logic.nodules(findings)))
        ui.nextButton.click()
        chosen = panel.review.table.chosen_id
        self.assertTrue(findings.GetDisplayNode().GetSegmentVisibility2DFill(f"nodule {chosen}"))
        ui.acceptButton.click()
        ui.nextButton.click()
        ui.rejectButton.click()
        decisions = [row["decision"] for row in panel.logic.noduleRows(findings)]
        self.assertEqual((decisions.count("accepted"), decisions.count("rejected")), (1, 1))
        ui.undoButton.click()
        self.assertNotIn("rejected", [row["decision"] for row in panel.logic.noduleRows(findings)])
        ui.minimumDiameterSlider.value = 30.0
        self.assertEqual(panel.review.table.visible_ids, [])
        ui.minimumDiameterSlider.value = 0.0
        panel.patient.age.setValue(64)
        self.assertEqual(panel.logic.patient(findings).age, 64.0)
        slicer.mrmlScene.RemoveNode(findings)
        self.assertEqual(ui.nodulesTable.rowCount, 0)
        self.assertFalse(ui.exportButton.enabled)
        slicer.mrmlScene.Clear()
        self.assertFalse(ui.runButton.enabled)
        panel.exit()
        self.delayDisplay("The panel detects, reviews and forgets what left the scene")

    def test_BadInputLeavesSceneAsItWas(self) -> None:
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(InputError):
            self.logic.detect(volumeNode)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.delayDisplay("A volume without voxels is refused")

    @property
    def logic(self):
        from LungNoduleAI import LungNoduleAILogic

        return LungNoduleAILogic()

    def chest(self, nodules: tuple[phantom.Sphere, ...], name: str) -> slicer.vtkMRMLScalarVolumeNode:
        from SegmentationAILib.scene import add_volume

        node = add_volume(phantom.chest(nodules))
        node.SetName(name)
        return node

    def detected(self) -> slicer.vtkMRMLSegmentationNode:
        """Findings in a chest with ``NODULES``, those two alone."""
        return self.logic.detect(self.chest(NODULES, "now"), device="cpu", maximumNodules=2)
