"""A pair of segments alone in the views, and everything as it was again."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


@dataclass(frozen=True)
class _Shown:
    visible: bool
    filled: bool


class PairDisplay:
    """Shows two segments by their outlines, with all others of their segmentations hidden."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[bool, dict[str, _Shown]]] = {}

    def show(self, *pair: tuple[slicer.vtkMRMLSegmentationNode, str]) -> None:
        """Show the segments, each given by its segmentation and id, and centre the slice views on the first."""
        for node in {node.GetID(): node for node, _id in pair}.values():
            self._remember(node)
            display = node.GetDisplayNode()
            wanted = [segment_id for held, segment_id in pair if held is node]
            modified = display.StartModify()
            display.SetVisibility(True)
            for segment_id in node.GetSegmentation().GetSegmentIDs():
                display.SetSegmentVisibility(segment_id, segment_id in wanted)
                display.SetSegmentVisibility2DFill(segment_id, segment_id not in wanted)
            display.EndModify(modified)
        node, segment_id = pair[0]
        centre = node.GetSegmentCenterRAS(segment_id)
        if centre is not None:
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *centre, slicer.vtkMRMLSliceNode.CenteredJumpSlice)

    def restore(self) -> None:
        """Show all segments as they were before the first ``show``."""
        for node_id, (visible, segments) in self._before.items():
            node = slicer.mrmlScene.GetNodeByID(node_id)
            display = node.GetDisplayNode() if node is not None else None
            if display is None:
                continue
            modified = display.StartModify()
            display.SetVisibility(visible)
            for segment_id, shown in segments.items():
                if node.GetSegmentation().GetSegment(segment_id) is not None:
                    display.SetSegmentVisibility(segment_id, shown.visible)
                    display.SetSegmentVisibility2DFill(segment_id, shown.filled)
            display.EndModify(modified)
        self._before = {}

    def _remember(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        if node.GetID() not in self._before:
            self._before[node.GetID()] = (
                bool(display.GetVisibility()),
                {
                    one: _Shown(display.GetSegmentVisibility(one), display.GetSegmentVisibility2DFill(one))
                    for one in node.GetSegmentation().GetSegmentIDs()
                },
            )
