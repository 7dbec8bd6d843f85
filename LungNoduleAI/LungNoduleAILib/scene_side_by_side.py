"""Current and prior CT in two slice views beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from LungNoduleAILib.node_roles import MARKUPS_ROLE

if TYPE_CHECKING:
    from LungNoduleAILib.followup.lung_registration import LungRegistration

# The views of Slicer's layout of two slice views beside each other.
CURRENT_VIEW, PRIOR_VIEW = "Red", "Yellow"


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
