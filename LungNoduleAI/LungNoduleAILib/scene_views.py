"""Slice views, the mouse and the Segment Editor, by the nodes that Slicer's application follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer

from LungNoduleAILib.nodule import nodule_name
from LungNoduleAILib.scene_highlight import centre_of, focus, highlight
from LungNoduleAILib.scene_influence import lay_over, take_off
from LungNoduleAILib.scene_side_by_side import SideBySide


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


def _defined(node: slicer.vtkMRMLMarkupsFiducialNode) -> bool:
    return node.GetNumberOfDefinedControlPoints() > 0


class Views:
    """What the panel asks of the views.

    Args:
        later: calls a function once the event at hand was handled.
    """

    def __init__(self, later: Callable[[Callable[[], None]], None]) -> None:
        self._later = later
        self._picker: PointPicker | None = None
        self._pair: SideBySide | None = None
        self.edit = lambda findings, nodule_id: open_segment_editor(findings, nodule_name(nodule_id))
        self.lay_over, self.take_off = lay_over, take_off
        self._highlighted: tuple[str, int | None] | None = None

    def highlight(
        self, findings: slicer.vtkMRMLSegmentationNode, nodule_id: int | None, *, redrawn: bool = False
    ) -> None:
        """Let a nodule stand out; ``redrawn`` says that its segments were made anew."""
        wanted = (findings.GetID(), nodule_id)
        if redrawn or wanted != self._highlighted:
            self._highlighted = wanted
            highlight(findings, nodule_id)

    def jump_to(self, findings: slicer.vtkMRMLSegmentationNode, nodule_id: int) -> None:
        """Go to a nodule, which then stands out."""
        self.highlight(findings, nodule_id)
        centre = centre_of(findings, nodule_id)
        if centre is not None:
            self.jump(centre)

    def jump(self, ras: tuple[float, float, float]) -> None:
        """Go to a place in the current CT, mm."""
        if self._pair is None:
            focus(ras)
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
