"""A target over the phases of a 4-D CT that lie in the scene, as steps: ``engine.steps`` tells how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.engine.task import Task
from SegmentationAILib.radiotherapy import scene
from SegmentationAILib.radiotherapy.panel_results import RADIOTHERAPY, OnVolume, Phases
from SegmentationAILib.scene import volume_from_node

# The rest of the time goes to the scene.
_COMPUTED = 0.98
Node = Any  # a vtkMRMLNode; this file does not import slicer


def uniting_phases(
    segmentation: Node,
    volume_node: Node,
    phases: Sequence[tuple[Node, Node, str]],
    name: str = "ITVp",
    align: bool = False,
) -> Steps[tuple[float, float, float]]:
    """The union of a target over the phases of a 4-D CT as a structure; what is derived from it is made again.

    Args:
        segmentation, volume_node: where the structure goes, and its CT.
        phases: each phase's CT, its segmentation and the target's name in it.
        name: of the structure; one that is there is replaced.
        align: lay each phase on the CT first by a turn and a shift.

    Returns:
        how far the target's centre travels from end to end along R, A and S, mm.

    Raises:
        InputError: there is no phase, or the target of one is missing, empty or outside the CT; the scene is as it
            was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    case = OnVolume(scene.layered_set_from_node(segmentation, volume_node), volume_from_node(volume_node))
    drawn = tuple(
        OnVolume(scene.layered_set_from_node(drawn_in, phase_node), volume_from_node(phase_node))
        for phase_node, drawn_in, _target in phases
    )
    task = Task(RADIOTHERAPY, {"name": name, "align": align})
    held = Phases(case, drawn, tuple(target for *_nodes, target in phases))
    united = yield Call("unite phases", task, held, 0.0, _COMPUTED)
    yield from scene.writing(united.built.structures, segmentation, volume_node)
    return united.excursion_mm
