"""Enhanced volumes as nodes, and a preview over the slice views: the only file of this package that knows the scene."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import slicer

from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.enhancement.operations import KEEPS_HU, Operation
from SegmentationAILib.enhancement.plane import Plane
from SegmentationAILib.errors import Cancelled
from SegmentationAILib.scene import add_volume, copying_voxels, scene_batch
from SegmentationAILib.scene_hierarchy import place_beside
from SegmentationAILib.volume import Volume

OPERATION_ATTRIBUTE = "ThoraxAI.Preprocessing"


def adding_enhanced(
    volume: Volume, source: slicer.vtkMRMLScalarVolumeNode, held: Operation, task: str
) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
    """What an operation made, as a new volume beside the one that it was made of.

    It does not pass for the DICOM images of its source, and lies where that does in the world, under no transform.

    Args:
        volume: in world RAS.
        source: what it was made of.
        held: the operation.
        task: as JSON, kept with the node.

    Raises:
        Cancelled: its source left the scene.
    """
    image = yield from copying_voxels(volume.array)
    if not slicer.mrmlScene.IsNodePresent(source):
        raise Cancelled
    slicer.mrmlScene.SaveStateForUndo()
    name = slicer.mrmlScene.GenerateUniqueName(f"{source.GetName()} {held.title}")
    modality = volume.modality if held.values == KEEPS_HU else ""
    with scene_batch():
        node = add_volume(replace(volume, source=None, name=name, modality=modality), _window(source, held), image)
        node.SetAttribute(OPERATION_ATTRIBUTE, task)
        _show_like(node, source, held)
        place_beside(node, source)
        for composite in _composites().values():
            if composite.GetBackgroundVolumeID() == source.GetID():
                composite.SetBackgroundVolumeID(node.GetID())
    return node


@dataclass(frozen=True)
class _Before:
    foreground: str | None
    opacity: float


class SlicePreview:
    """Volumes laid over slice views, which are as they were once ``clear`` was called."""

    def __init__(self) -> None:
        self._before: dict[str, _Before] = {}
        self._nodes: dict[str, slicer.vtkMRMLScalarVolumeNode] = {}

    def shows(self, view: str) -> bool:
        """Whether something that is still in the scene is laid over a view."""
        return view in self._nodes and slicer.mrmlScene.IsNodePresent(self._nodes[view])

    def planes(self, source: slicer.vtkMRMLScalarVolumeNode) -> dict[str, Plane]:
        """The planes of the views of the layout that show a volume, by the views' names."""
        composites = _composites()
        views = slicer.util.getNodesByClass("vtkMRMLSliceNode")
        found = {}
        # Nothing maps views where no layout manager is.
        for view in [one for one in views if one.IsMappedInLayout()] or views:
            name = view.GetLayoutName()
            if name in composites and composites[name].GetBackgroundVolumeID() == source.GetID():
                matrix = view.GetSliceToRAS()
                found[name] = Plane(np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)]))
        return found

    def show(self, view: str, volume: Volume, source: slicer.vtkMRMLScalarVolumeNode, held: Operation) -> None:
        """Lay a volume over a view."""
        composite = _composites().get(view)
        if composite is None:
            return
        node = self._nodes.get(view)
        with scene_batch():
            if node is None or not slicer.mrmlScene.IsNodePresent(node):
                node = self._nodes[view] = _hidden_volume(f"Preview {view}")
            slicer.util.updateVolumeFromArray(node, volume.array)
            node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(volume.ijk_to_ras))
            _show_like(node, source, held)
            if view not in self._before:
                self._before[view] = _Before(composite.GetForegroundVolumeID(), composite.GetForegroundOpacity())
            composite.SetForegroundVolumeID(node.GetID())
            composite.SetForegroundOpacity(1.0)

    def hide(self, view: str) -> None:
        """Show a view as it was before, where the user has not put something else over it since."""
        before, node = self._before.pop(view, None), self._nodes.pop(view, None)
        if before is None or node is None:
            return
        composite = _composites().get(view)
        with scene_batch():
            if composite is not None and composite.GetForegroundVolumeID() in (node.GetID(), None, ""):
                composite.SetForegroundVolumeID(before.foreground)
                composite.SetForegroundOpacity(before.opacity)
            if slicer.mrmlScene.IsNodePresent(node):
                slicer.mrmlScene.RemoveNode(node.GetDisplayNode())
                slicer.mrmlScene.RemoveNode(node)

    def clear(self) -> None:
        """Show all views as they were."""
        for view in list(self._before):
            self.hide(view)


def _composites() -> dict[str, slicer.vtkMRMLSliceCompositeNode]:
    return {one.GetLayoutName(): one for one in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def _hidden_volume(name: str) -> slicer.vtkMRMLScalarVolumeNode:
    node = slicer.vtkMRMLScalarVolumeNode()
    node.SetName(name)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    slicer.mrmlScene.AddNode(node)
    node.CreateDefaultDisplayNodes()
    node.GetDisplayNode().SetSaveWithScene(False)
    node.GetDisplayNode().AutoWindowLevelOff()
    return node


def _show_like(node: slicer.vtkMRMLScalarVolumeNode, source: slicer.vtkMRMLScalarVolumeNode, held: Operation) -> None:
    display, other = node.GetDisplayNode(), source.GetDisplayNode()
    if other is not None:
        display.SetAndObserveColorNodeID(other.GetColorNodeID())
        display.SetInterpolate(other.GetInterpolate())
    window = _window(source, held)
    if window is not None:
        display.SetWindowLevel(*window)


def _window(source: slicer.vtkMRMLScalarVolumeNode, held: Operation) -> tuple[float, float] | None:
    """Width and centre of what is shown of a result; None where nothing tells."""
    if held.grey_levels:
        return held.grey_levels, held.grey_levels / 2
    display = source.GetDisplayNode()
    return (display.GetWindow(), display.GetLevel()) if display is not None else None
