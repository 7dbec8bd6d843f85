"""Nodules of findings in the views: go to one, make it stand out, hide others."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import slicer

from LungNoduleAILib.node_roles import MARKUPS_ROLE
from LungNoduleAILib.nodule import nodule_name

# The chosen nodule differs from the others by its filled outline and its mark, not by a colour alone.
_CHOSEN_FILL, _OTHER_OUTLINE, _OTHER_IN_3D = 0.15, 0.7, 0.6
_CHOSEN_MARK_RGB, _OTHER_MARK_RGB = (1.0, 0.85, 0.2), (0.8, 0.8, 0.8)


def focus(ras: tuple[float, float, float]) -> None:
    """Centre all slice views and 3-D views on a point, mm; the 3-D views keep their direction and distance."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *ras, slicer.vtkMRMLSliceNode.CenteredJumpSlice)
    for camera in slicer.util.getNodesByClass("vtkMRMLCameraNode"):
        away = np.subtract(camera.GetPosition(), camera.GetFocalPoint())
        camera.SetFocalPoint(*ras)
        camera.SetPosition(*np.add(ras, away))
        camera.ResetClippingRange()


def centre_of(findings: slicer.vtkMRMLSegmentationNode, nodule_id: int) -> tuple[float, float, float] | None:
    """A nodule's centre in the views, RAS in mm; None where its point left the scene."""
    markups = findings.GetNodeReference(MARKUPS_ROLE)
    index = markups.GetControlPointIndexByLabel(nodule_name(nodule_id)) if markups else -1
    return tuple(markups.GetNthControlPointPositionWorld(index)) if index >= 0 else None


def highlight(findings: slicer.vtkMRMLSegmentationNode, nodule_id: int | None) -> None:
    """Make a nodule's segment and mark stand out among the others; None lets all look alike."""
    display, markups = findings.GetDisplayNode(), findings.GetNodeReference(MARKUPS_ROLE)
    chosen = None if nodule_id is None else nodule_name(nodule_id)
    if display is not None:
        with slicer.util.NodeModify(display):
            for name in findings.GetSegmentation().GetSegmentIDs():
                display.SetSegmentVisibility2DFill(name, name == chosen)
            display.SetVisibility2DFill(True)
            for name in _nodules_in(findings):
                stands_out = chosen in (None, name)
                display.SetSegmentOpacity2DFill(name, _CHOSEN_FILL)
                display.SetSegmentOpacity2DOutline(name, 1.0 if stands_out else _OTHER_OUTLINE)
                display.SetSegmentOpacity3D(name, 1.0 if stands_out else _OTHER_IN_3D)
    if markups is not None and markups.GetDisplayNode() is not None:
        markups.GetDisplayNode().SetSelectedColor(*_CHOSEN_MARK_RGB)
        markups.GetDisplayNode().SetColor(*_OTHER_MARK_RGB)
        with slicer.util.NodeModify(markups):
            for index in range(markups.GetNumberOfControlPoints()):
                markups.SetNthControlPointSelected(index, markups.GetNthControlPointLabel(index) == chosen)


def show_only(findings: slicer.vtkMRMLSegmentationNode, nodule_ids: Collection[int]) -> None:
    """Show these nodules in the views and hide the others."""
    names = {nodule_name(one) for one in nodule_ids}
    display, markups = findings.GetDisplayNode(), findings.GetNodeReference(MARKUPS_ROLE)
    if display is not None:
        with slicer.util.NodeModify(display):
            for name in _nodules_in(findings):
                if display.GetSegmentVisibility(name) != (name in names):
                    display.SetSegmentVisibility(name, name in names)
    if markups is not None:
        with slicer.util.NodeModify(markups):
            for index in range(markups.GetNumberOfControlPoints()):
                is_shown = markups.GetNthControlPointLabel(index) in names
                if markups.GetNthControlPointVisibility(index) != is_shown:
                    markups.SetNthControlPointVisibility(index, is_shown)


def _nodules_in(findings: slicer.vtkMRMLSegmentationNode) -> list[str]:
    prefix = nodule_name(0)[:-1]
    return [name for name in findings.GetSegmentation().GetSegmentIDs() if name.startswith(prefix)]
