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

    def test_DetectionReviewAndReport(self) -> None:
        logic = self.logic
        findings = logic.detect(self.chest(NODULES, "now"), device="cpu", maximumNodules=2)
        self.checkPlaces(logic.noduleRows(findings))
        logic.showOnly(findings, [2])
        self.assertFalse(findings.GetDisplayNode().GetSegmentVisibility("nodule 1"))
        self.assertTrue(findings.GetDisplayNode().GetSegmentVisibility("nodule 2"))
        logic.jumpTo(findings, 2)
        self.assertTrue(findings.GetDisplayNode().GetSegmentVisibility2DFill("nodule 2"))
        logic.accept(findings, 1)
        logic.reject(findings, 2)
        self.assertEqual([row["decision"] for row in logic.noduleRows(findings)], ["accepted", "rejected"])
        self.assertEqual(logic.undo(findings), "nodule 2 rejected")
        logic.correct(findings, 1, kind="solid", spiculation=False)
        logic.setPatient(findings, age=64, female=True, family_history=False, emphysema=False)
        low, high = logic.overview(findings)[0].brock
        self.assertTrue(0.0 < low <= high < 1.0)
        self.checkEditing(findings)
        with self.assertRaises(InputError):
            logic.compare(findings, findings, days=100)
        with self.assertRaises(InputError):
            logic.addNodule(findings, logic.nodules(findings)[0].centre_ras)
        with tempfile.TemporaryDirectory() as folder:
            written = logic.report(findings, folder, formats=("csv", "json", "html"))
            self.assertEqual([path.name for path in written], ["nodules.csv", "nodules.json", "report.html"])
            lines = written[0].read_text(encoding="utf-8").splitlines()
            self.assertTrue(lines[0].startswith("id,r,a,s,mean_diameter_mm,volume_mm3,mean_hu,score"))
            self.assertEqual(len(lines), 1 + len(logic.noduleRows(findings)))
            self.assertIn("nodule 1", (Path(folder) / "report.html").read_text(encoding="utf-8").lower())
        self.delayDisplay("Nodules are found where they are, measured, reviewed and reported")

    def test_PanelFromDetectionToFollowUp(self) -> None:
        volume, earlier = self.chest(NODULES, "now"), self.chest(SMALLER_BEFORE, "before")
        panel = slicer.modules.lungnoduleai.widgetRepresentation().self()
        panel.enter()
        ui = panel.ui
        ui.inputSelector.setCurrentNode(volume)
        ui.priorSelector.setCurrentNode(earlier)
        panel.onDeviceChanged("cpu")
        self.assertTrue(ui.runButton.enabled)
        self.assertFalse(ui.acceptButton.enabled)
        self.runToItsEnd(panel, ui.runButton)
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
        for button in (ui.patientCollapsibleButton, ui.followUpCollapsibleButton, ui.exportCollapsibleButton):
            button.collapsed = False
        panel.patient.section.age.setValue(64)
        self.assertEqual(panel.logic.patient(findings).age, 64.0)
        ui.daysSpinBox.setValue(120)
        self.runToItsEnd(panel, ui.compareButton)
        pairs = panel.logic.followUp(findings).pairs
        grown = [
            pair.volume_change for pair in pairs if pair.current.centre_ras[0] > 0 and pair.current.diameter_mm > 10
        ]
        self.assertEqual([change > 1.0 for change in grown], [True])
        self.assertEqual(panel.logic.volumeOf(panel.logic.priorOf(findings)).GetID(), earlier.GetID())
        slicer.mrmlScene.RemoveNode(findings)
        self.assertEqual(ui.nodulesTable.rowCount, 0)
        self.assertFalse(ui.exportButton.enabled)
        slicer.mrmlScene.Clear()
        self.assertFalse(ui.runButton.enabled)
        panel.exit()
        self.delayDisplay("The panel detects, reviews, compares and forgets what left the scene")

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

    def runToItsEnd(self, panel, button) -> None:
        button.click()
        end = time.monotonic() + _LONGEST_RUN_S
        while panel.runControls.running and time.monotonic() < end:
            slicer.app.processEvents()
            time.sleep(0.01)
        self.assertFalse(panel.runControls.running)

    def checkPlaces(self, rows: list[dict[str, float | str]]) -> None:
        """Both nodules of the phantom are there, with their size."""
        for nodule, lung in zip(NODULES, ("right", "left"), strict=True):
            distances = [np.linalg.norm(np.subtract((row["r"], row["a"], row["s"]), nodule.centre)) for row in rows]
            row = rows[int(np.argmin(distances))]
            self.assertLess(min(distances), 3.0)
            self.assertEqual(row["lung"], lung)
            self.assertAlmostEqual(row["mean_diameter_mm"] / (2 * nodule.radius), 1.0, delta=0.2)

    def checkEditing(self, findings: slicer.vtkMRMLSegmentationNode) -> None:
        """Half of an outline is taken away, measured, and given back."""
        logic = self.logic
        image = slicer.util.arrayFromSegmentBinaryLabelmap(findings, "nodule 1", logic.volumeOf(findings))
        before = logic.nodules(findings)[0].measurements.volume_mm3
        image[::2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(image, findings, "nodule 1", logic.volumeOf(findings))
        after = logic.characterize(findings, 1, device="cpu")[0].measurements.volume_mm3
        self.assertLess(after, 0.8 * before)
        logic.undo(findings)
        self.assertEqual(logic.nodules(findings)[0].measurements.volume_mm3, before)
