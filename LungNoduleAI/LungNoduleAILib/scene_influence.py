"""What speaks for a nodule and against it, as a volume node over the CT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import slicer

from SegmentationAILib.volume import Volume

if TYPE_CHECKING:
    from LungNoduleAILib.explanation.result import Explanation
    from LungNoduleAILib.nodule import Nodule

# Against and for a nodule; what says nothing is clear, so that the CT is seen.
_INFLUENCE_COLOURS = "ThoraxAI.Influence"
_AGAINST_RGB, _FOR_RGB = (0.23, 0.30, 0.75), (0.90, 0.25, 0.10)
_OVERLAY_OPACITY = 0.5


def add_influence(
    explanation: Explanation, nodule: Nodule, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume of what speaks for a nodule (above 0) and against it, to lay over the CT."""
    # Its imports need packages that Slicer lacks, and the panel opens without them.
    from SegmentationAILib.scene import add_volume, place_beside, scene_batch  # noqa: PLC0415

    with scene_batch():
        influence = Volume(explanation.influence, explanation.grid, f"{nodule.name} influence")
        node = add_volume(influence)
        place_beside(node, volume_node)
        most = float(np.abs(explanation.influence).max()) or 1.0
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(_influence_colours().GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevel(2 * most, 0.0)
        display.SetInterpolate(True)
    return node


def lay_over(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume half transparent over what all slice views show."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(volume_node.GetID())
        composite.SetForegroundOpacity(_OVERLAY_OPACITY)


def _influence_colours() -> slicer.vtkMRMLColorTableNode:
    """From all against, by clear, to all for; one node for all nodules."""
    node = slicer.mrmlScene.GetSingletonNode(_INFLUENCE_COLOURS, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(_INFLUENCE_COLOURS)
    node.SetName("influence on the detector")
    node.SetTypeToUser()
    count = 256
    node.SetNumberOfColors(count)
    for n, share in enumerate(np.linspace(-1, 1, count)):
        rgb = _FOR_RGB if share > 0 else _AGAINST_RGB
        node.SetColor(n, f"{share:+.2f}", *rgb, abs(float(share)))
    return slicer.mrmlScene.AddNode(node)
