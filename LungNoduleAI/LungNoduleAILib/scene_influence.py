"""What speaks for a nodule and against it, as a volume node over the CT."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import slicer

from LungNoduleAILib.node_roles import INFLUENCE_ROLE
from SegmentationAILib.volume import Volume

if TYPE_CHECKING:
    from LungNoduleAILib.explanation.result import Explanation

# Of the volume node: whose it is, the nodules that resemble that one,
_OF_NODULE = "ThoraxAI.Nodule"
_SIMILAR = "ThoraxAI.Similar"
# and the outline that it had.
_OUTLINE = "ThoraxAI.Outline"
# From what speaks a little for a nodule to what speaks most; lighter to darker, for all kinds of colour vision.
_INFLUENCE_COLOURS = "ThoraxAI.Influence"
_LITTLE_RGB, _MOST_RGB = (1.0, 0.88, 0.35), (0.80, 0.10, 0.10)
# Less than this share of the most is left clear, so that the CT is seen; slice views take no colour's own opacity.
_LEAST_SHARE = 0.15
_OVERLAY_OPACITY = 0.5


def add_influence(
    explanation: Explanation, name: str, uid: str, segmentation: slicer.vtkMRMLSegmentationNode
) -> slicer.vtkMRMLScalarVolumeNode:
    """A volume of what speaks for a nodule (above 0) and against it, to lay over the CT; saved with the findings.

    What speaks for it is coloured; what speaks against it has its values in the volume and is clear.

    Args:
        name: of the nodule.
        uid: its tracking identifier; an explanation that it had before is replaced.
        segmentation: the findings that it belongs to.
    """
    # Their imports take long or need packages that Slicer lacks, and the panel opens without them.
    from LungNoduleAILib.explanation.text import to_text  # noqa: PLC0415
    from SegmentationAILib.scene import add_volume, scene_batch  # noqa: PLC0415
    from SegmentationAILib.scene_hierarchy import place_beside  # noqa: PLC0415

    volume_node = segmentation.GetNodeReference(segmentation.GetReferenceImageGeometryReferenceRole())
    with scene_batch():
        held = influence_of(segmentation, uid)
        if held is not None:
            slicer.mrmlScene.RemoveNode(held)
        node = add_volume(Volume(explanation.influence, explanation.grid, f"{name} influence"))
        node.SetAttribute(_OF_NODULE, uid)
        node.SetAttribute(_SIMILAR, to_text(explanation.similar))
        node.SetAttribute(_OUTLINE, _outline_of(segmentation, name))
        segmentation.AddNodeReferenceID(INFLUENCE_ROLE, node.GetID())
        place_beside(node, volume_node)
        most = float(explanation.influence.max(initial=0.0)) or 1.0
        least = _LEAST_SHARE * most
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(_influence_colours().GetID())
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(least, most)
        display.SetThreshold(least, most)
        display.ApplyThresholdOn()
        display.SetInterpolate(True)
    return node


def influence_of(segmentation: slicer.vtkMRMLSegmentationNode, uid: str) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume of what speaks for a nodule; None where it was not explained, or its volume left the scene."""
    count = segmentation.GetNumberOfNodeReferences(INFLUENCE_ROLE)
    nodes = (segmentation.GetNthNodeReference(INFLUENCE_ROLE, n) for n in range(count))
    return next((node for node in nodes if node is not None and node.GetAttribute(_OF_NODULE) == uid), None)


def is_outdated(node: slicer.vtkMRMLScalarVolumeNode, name: str, segmentation: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the outline of a nodule is another than when it was explained."""
    explained = node.GetAttribute(_OUTLINE)
    return explained is not None and explained != _outline_of(segmentation, name)


def _outline_of(segmentation: slicer.vtkMRMLSegmentationNode, name: str) -> str:
    """What stands for a segment's voxels and their place; "" where it is gone."""
    from SegmentationAILib.labels import content_box  # noqa: PLC0415 - as above
    from SegmentationAILib.scene import label_image  # noqa: PLC0415

    segment = segmentation.GetSegmentation().GetSegment(name)
    if segment is None:
        return ""
    array, grid = label_image(segmentation, segment)
    if grid is None:
        return "empty"
    inside = array == segment.GetLabelValue()
    start, stop = content_box(inside)
    box = inside[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
    # To 0.01 mm, as files keep places.
    corner = np.round(grid.ras(np.array(start)[::-1]), 2) + 0.0
    return hashlib.sha256(np.packbits(box).tobytes() + f"{box.shape} {corner.tolist()}".encode()).hexdigest()


def explanation_in(node: slicer.vtkMRMLScalarVolumeNode) -> Explanation:
    """The explanation that a volume of ``add_influence`` holds.

    Raises:
        InputError: it is damaged.
    """
    from LungNoduleAILib.explanation.result import Explanation  # noqa: PLC0415 - as above
    from LungNoduleAILib.explanation.text import from_text  # noqa: PLC0415
    from SegmentationAILib.scene import volume_from_node  # noqa: PLC0415

    volume = volume_from_node(node)
    return Explanation(volume.array, volume.grid, from_text(node.GetAttribute(_SIMILAR) or ""))


def is_influence(node: slicer.vtkMRMLNode) -> bool:
    """Whether a volume shows what speaks for a nodule, and is no CT."""
    return node.GetAttribute(_OF_NODULE) is not None


def lay_over(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume half transparent over what all slice views show."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(volume_node.GetID())
        composite.SetForegroundOpacity(_OVERLAY_OPACITY)


def take_off() -> None:
    """Show what speaks for a nodule no more; another overlay stays."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if shown is not None and is_influence(shown):
            composite.SetForegroundVolumeID(None)


def _influence_colours() -> slicer.vtkMRMLColorTableNode:
    """One node for all nodules."""
    node = slicer.mrmlScene.GetSingletonNode(_INFLUENCE_COLOURS, "vtkMRMLColorTableNode")
    if node is not None:
        return node
    node = slicer.vtkMRMLColorTableNode()
    node.SetSingletonTag(_INFLUENCE_COLOURS)
    node.SetName("influence on the detector")
    node.SetTypeToUser()
    count = 256
    node.SetNumberOfColors(count)
    for n, share in enumerate(np.linspace(0, 1, count)):
        node.SetColor(n, f"{share:.2f}", *np.add((1 - share) * np.array(_LITTLE_RGB), share * np.array(_MOST_RGB)), 1.0)
    return slicer.mrmlScene.AddNode(node)
