"""The module's self test, which Slicer's *Reload and Test* and its test driver run; it makes its small chest itself."""

from __future__ import annotations

import numpy as np
import slicer
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleTest

from SegmentationAILib import dependencies, phantom
from SegmentationAILib.errors import InputError


class SegmentationAITest(ScriptedLoadableModuleTest):
    """Each flow of the module's logic."""

    def setUp(self) -> None:
        if dependencies.find_missing(dependencies.requirements()):
            self.skipTest("PyTorch is not installed")
        slicer.mrmlScene.Clear()

    @property
    def logic(self):
        # The module's file imports this one.
        from SegmentationAI import SegmentationAILogic

        return SegmentationAILogic()

    def test_LungsAndAirway(self) -> None:
        from SegmentationAILib.scene import add_volume  # needs torch

        logic = self.logic
        segmentation = logic.segment(add_volume(phantom.chest()), device="cpu")
        volumes = logic.segmentVolumes(segmentation)
        for side in ("right", "left"):
            self.assertAlmostEqual(volumes[f"{side} lung"] / phantom.lung_volume_ml(), 1.0, delta=0.08)
            found = np.array(segmentation.GetSegmentCenterRAS(f"{side} lung"))
            self.assertLess(np.linalg.norm(found - phantom.lung_centre(side)), 10.0)
        self.delayDisplay("Lungs lie where they are in the phantom")

    def test_DerivedStructuresFollowTheirSources(self) -> None:
        from SegmentationAILib.scene import add_volume  # needs torch

        logic = self.logic
        volumeNode = add_volume(phantom.chest())
        segmentation = logic.segment(volumeNode, device="cpu", structures=["lung_left", "lung_right"])
        self.assertEqual(sorted(logic.segmentVolumes(segmentation)), ["left lung", "right lung"])
        logic.setRule(segmentation, volumeNode, "Lungs", '"right lung" + "left lung"')
        logic.setRule(segmentation, volumeNode, "Lungs_PRV10", "expand(Lungs, 10) - Lungs")
        volumes = logic.segmentVolumes(segmentation)
        self.assertAlmostEqual(volumes["Lungs"], volumes["right lung"] + volumes["left lung"], delta=1.0)
        self.assertGreater(volumes["Lungs_PRV10"], 0.2 * volumes["Lungs"])
        array = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "left lung", volumeNode)
        array[:] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(array, segmentation, "left lung", volumeNode)
        self.assertEqual(logic.rebuild(segmentation, volumeNode, ["left lung"]), ["Lungs", "Lungs_PRV10"])
        self.assertAlmostEqual(logic.segmentVolumes(segmentation)["Lungs"], volumes["right lung"], delta=1.0)
        with self.assertRaises(InputError):
            logic.setRule(segmentation, volumeNode, "Lungs", "Lungs_PRV10 - Lungs")
        self.assertIn("Lungs = ", logic.describeRules(segmentation, volumeNode))
        self.delayDisplay("Derived structures are made again when a source is edited")

    def test_ANoisyVolumeIsSmoothed(self) -> None:
        from SegmentationAILib.scene import add_volume

        volumeNode = add_volume(phantom.chest())
        before = slicer.util.arrayFromVolume(volumeNode).copy()
        made = self.logic.preprocess(volumeNode, "gaussian", sigma_mm=4.0)
        smooth = slicer.util.arrayFromVolume(made)
        self.assertLess(np.abs(np.diff(smooth, axis=0)).mean(), np.abs(np.diff(before, axis=0)).mean())
        self.assertTrue(np.array_equal(slicer.util.arrayFromVolume(volumeNode), before))
        self.assertEqual(made.GetSpacing(), volumeNode.GetSpacing())
        self.delayDisplay("A new volume is smoother, and the CT stays as it is")

    def test_TwoSegmentationsAreCompared(self) -> None:
        from SegmentationAILib.labels import LabelMap
        from SegmentationAILib.scene import add_segmentation, add_volume
        from SegmentationAILib.terminology import LEFT_LUNG

        volume = phantom.chest()
        volumeNode = add_volume(volume)
        mine, yours = (
            add_segmentation(
                [LabelMap((volume.array < below).astype(np.uint8), volume.grid, {1: LEFT_LUNG})], volumeNode, name
            )
            for name, below in (("mine", -500), ("yours", -950))
        )
        logic = self.logic
        table = logic.compareStructures(mine, yours, volumeNode)
        self.assertEqual(table.GetCellText(0, 2), LEFT_LUNG.name)
        self.assertTrue(0.1 < float(table.GetCellText(0, 3)) < 0.99)
        self.delayDisplay("Two segmentations agree as far as they overlap")

    def test_BadInputLeavesSceneAsItWas(self) -> None:
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        before = slicer.mrmlScene.GetNumberOfNodes()
        with self.assertRaises(InputError):
            self.logic.segment(volumeNode)
        with self.assertRaises(InputError):
            self.logic.segment(volumeNode, "no-such-model")
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)
        self.delayDisplay("A volume without voxels is refused")
