"""Slice views, the mouse and the Segment Editor, by the nodes that Slicer's application follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from LungNoduleAILib.node_roles import MARKUPS_ROLE
from LungNoduleAILib.nodule import nodule_name

if TYPE_CHECKING:
    from LungNoduleAILib.followup.registration import LungRegistration

# The views of Slicer's layout of two slice views beside each other.
CURRENT_VIEW, PRIOR_VIEW = "Red", "Yellow"
_OVERLAY_OPACITY = 0.5


def jump(ras: tuple[float, float, float]) -> None:
    """Centre all slice views on a point, mm."""
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *ras, slicer.vtkMRMLSliceNode.CenteredJumpSlice)


def lay_over(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Show a volume half transparent over what all slice views show."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetForegroundVolumeID(volume_node.GetID())
        composite.SetForegroundOpacity(_OVERLAY_OPACITY)


def open_segment_editor(findings: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
    """Open the Segment Editor on a segment and the CT that it was drawn on."""
    tag = "SegmentEditor"
    editor = slicer.mrmlScene.GetSingletonNode(tag, "vtkMRMLSegmentEditorNode")
    if editor is None:
        editor = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        editor.UnRegister(None)
        editor.SetSingletonTag(tag)
        editor = slicer.mrmlScene.AddNode(editor)
    editor.SetAndObserveSegmentationNode(findings)
    role = findings.GetReferenceImageGeometryReferenceRole()
    editor.SetAndObserveSourceVolumeNode(findings.GetNodeReference(role))
    editor.SetSelectedSegmentID(segment_id)
    slicer.util.selectModule(tag)


class PointPicker:
    """Takes one point from the user's next click in a view.

    Args:
        picked: told the point, RAS in mm, after the click was handled.
        ended: told when no click is awaited any more, also where the user gave up.
        later: calls a function once the event at hand was handled.
    """

    def __init__(
        self,
        picked: Callable[[tuple[float, float, float]], None],
        ended: Callable[[], None],
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._picked, self._ended, self._later = picked, ended, later
        self._node: Any = None
        self._observed: list[tuple[Any, int]] = []

    def start(self) -> None:
        """Wait for a click; the mouse pointer shows it."""
        self.stop()
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "click on a nodule")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        logic = slicer.app.applicationLogic()
        selection, interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.Place)
        self._node = node
        self._observed = [
            (node, node.AddObserver(slicer.vtkMRMLMarkupsNode.PointPositionDefinedEvent, self._on_point)),
            (
                interaction,
                interaction.AddObserver(slicer.vtkMRMLInteractionNode.InteractionModeChangedEvent, self._on_mode),
            ),
        ]

    def stop(self) -> None:
        """Wait no longer."""
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []
        node, self._node = self._node, None
        if node is None:
            return
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        if interaction.GetCurrentInteractionMode() == slicer.vtkMRMLInteractionNode.Place:
            interaction.SetCurrentInteractionMode(slicer.vtkMRMLInteractionNode.ViewTransform)
        if slicer.mrmlScene.IsNodePresent(node):
            slicer.mrmlScene.RemoveNode(node)
        self._ended()

    def _on_point(self, node: slicer.vtkMRMLMarkupsFiducialNode, _event: str) -> None:
        ras = tuple(node.GetNthControlPointPositionWorld(node.GetNumberOfControlPoints() - 1))

        def take() -> None:
            if self._node is node:
                self.stop()
                self._picked(ras)

        self._later(take)

    def _on_mode(self, _interaction: slicer.vtkMRMLInteractionNode, _event: str) -> None:
        # The mode ends with the click too, whose point is then still to be taken.
        node = self._node
        self._later(lambda: self.stop() if node is not None and self._node is node and not _defined(node) else None)


class SideBySide:
    """Current and prior CT in two slice views beside each other, which scroll together along the registration."""

    def __init__(
        self,
        current: slicer.vtkMRMLSegmentationNode,
        prior: slicer.vtkMRMLSegmentationNode,
        registration: LungRegistration,
    ) -> None:
        """Show the CTs of two findings; ``close`` brings back what was shown."""
        self._registration = registration
        self._findings = {CURRENT_VIEW: current, PRIOR_VIEW: prior}
        self._slices = {name: _by_layout_name("vtkMRMLSliceNode", name) for name in self._findings}
        self._layout = slicer.util.getNodesByClass("vtkMRMLLayoutNode")
        self._moving = False
        self._kept = self._state()
        for layout in self._layout:
            layout.SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutSideBySideView)
        for name, findings in self._findings.items():
            role = findings.GetReferenceImageGeometryReferenceRole()
            composite = _by_layout_name("vtkMRMLSliceCompositeNode", name)
            composite.SetBackgroundVolumeID(findings.GetNodeReferenceID(role))
            composite.SetForegroundVolumeID(None)
            self._slices[name].SetOrientationToAxial()
            for shown in _displays(findings):
                shown.SetViewNodeIDs([self._slices[name].GetID()])
        self._tags = [
            (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_moved)) for node in self._slices.values()
        ]
        self._follow(CURRENT_VIEW)

    def jump(self, ras: tuple[float, float, float]) -> None:
        """Centre the current CT's view on a point of the current CT, mm, and the other on the same place."""
        self._slices[CURRENT_VIEW].JumpSliceByCentering(*ras)
        self._follow(CURRENT_VIEW)

    def close(self) -> None:
        """Show what was shown before."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        arrangements, matrices, volumes = self._kept
        for layout, arrangement in zip(self._layout, arrangements, strict=True):
            layout.SetViewArrangement(arrangement)
        for name, findings in self._findings.items():
            self._slices[name].GetSliceToRAS().DeepCopy(matrices[name])
            self._slices[name].UpdateMatrices()
            composite = _by_layout_name("vtkMRMLSliceCompositeNode", name)
            composite.SetBackgroundVolumeID(volumes[name][0])
            composite.SetForegroundVolumeID(volumes[name][1])
            for shown in _displays(findings):
                shown.RemoveAllViewNodeIDs()

    def _state(self) -> tuple[list[int], dict[str, vtk.vtkMatrix4x4], dict[str, tuple[str, str]]]:
        matrices, volumes = {}, {}
        for name, node in self._slices.items():
            matrices[name] = vtk.vtkMatrix4x4()
            matrices[name].DeepCopy(node.GetSliceToRAS())
            composite = _by_layout_name("vtkMRMLSliceCompositeNode", name)
            volumes[name] = composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()
        return [layout.GetViewArrangement() for layout in self._layout], matrices, volumes

    def _on_moved(self, node: slicer.vtkMRMLSliceNode, _event: str) -> None:
        self._follow(CURRENT_VIEW if node is self._slices[CURRENT_VIEW] else PRIOR_VIEW)

    def _follow(self, moved: str) -> None:
        """Show in the other view the place that was moved to, at the same magnification."""
        if self._moving:
            return
        self._moving = True
        try:
            is_current = moved == CURRENT_VIEW
            source, target = self._slices[moved], self._slices[PRIOR_VIEW if is_current else CURRENT_VIEW]
            matrix = source.GetSliceToRAS()
            there = self._registration.to_prior if is_current else self._registration.to_current
            centre = there(np.array([matrix.GetElement(row, 3) for row in range(3)]))
            laid = vtk.vtkMatrix4x4()
            laid.DeepCopy(matrix)
            for row in range(3):
                laid.SetElement(row, 3, centre[row])
            target.GetSliceToRAS().DeepCopy(laid)
            target.UpdateMatrices()
            width, height, depth = source.GetFieldOfView()
            across = target.GetDimensions()[0] / max(source.GetDimensions()[0], 1)
            up = target.GetDimensions()[1] / max(source.GetDimensions()[1], 1)
            target.SetFieldOfView(width * across, height * up, depth)
        finally:
            self._moving = False


def _displays(findings: slicer.vtkMRMLSegmentationNode) -> list[slicer.vtkMRMLDisplayNode]:
    markups = findings.GetNodeReference(MARKUPS_ROLE)
    nodes = [findings, *([markups] if markups is not None else [])]
    return [node.GetDisplayNode() for node in nodes if node.GetDisplayNode() is not None]


def _by_layout_name(kind: str, name: str) -> Any:
    return next(one for one in slicer.util.getNodesByClass(kind) if one.GetLayoutName() == name)


def _defined(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    return node.GetNumberOfDefinedControlPoints() > 0


class Views:
    """What the panel asks of the views.

    Args:
        jump_to: centres all slice views on a nodule of findings.
        later: calls a function once the event at hand was handled.
    """

    def __init__(self, jump_to: Callable[[Any, int], None], later: Callable[[Callable[[], None]], None]) -> None:
        self._jump_to, self._later = jump_to, later
        self._picker: PointPicker | None = None
        self._pair: SideBySide | None = None
        self.edit = lambda findings, nodule_id: open_segment_editor(findings, nodule_name(nodule_id))
        self.lay_over = lay_over

    def jump_to(self, findings: slicer.vtkMRMLSegmentationNode, nodule_id: int) -> None:
        """Go to a nodule."""
        if self._pair is None:
            self._jump_to(findings, nodule_id)
            return
        markups = findings.GetNodeReference(MARKUPS_ROLE)
        index = markups.GetControlPointIndexByLabel(nodule_name(nodule_id))
        self._pair.jump(tuple(markups.GetNthControlPointPositionWorld(index)))

    def jump(self, ras: tuple[float, float, float]) -> None:
        """Go to a place in the current CT, mm."""
        if self._pair is None:
            jump(ras)
        else:
            self._pair.jump(ras)

    def pick(self, picked: Callable[[tuple[float, float, float]], None], ended: Callable[[], None]) -> None:
        """Take the user's next click, as ``PointPicker`` does."""
        self.stop_picking()
        self._picker = PointPicker(picked, ended, self._later)
        self._picker.start()

    def stop_picking(self) -> None:
        """Wait for no click."""
        if self._picker is not None:
            self._picker.stop()
            self._picker = None

    def show_side_by_side(
        self, current: slicer.vtkMRMLSegmentationNode, prior: slicer.vtkMRMLSegmentationNode, follow_up: Any
    ) -> None:
        """Show two CTs beside each other, as ``SideBySide`` does."""
        self.close_side_by_side()
        self._pair = SideBySide(current, prior, follow_up.registration)

    def close_side_by_side(self) -> None:
        """Show what was shown before."""
        if self._pair is not None:
            self._pair.close()
            self._pair = None
