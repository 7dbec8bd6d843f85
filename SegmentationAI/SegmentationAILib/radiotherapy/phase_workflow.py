"""A target over the phases of a 4-D CT that lie in the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.radiotherapy import graph, scene
from SegmentationAILib.radiotherapy.internal_target import InternalTarget, Phase, internal_target
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure
from SegmentationAILib.scene import volume_from_node

_ITV_COLOUR = (0.96, 0.51, 0.19)
Node = Any  # a vtkMRMLNode; this file does not import slicer


def unite_phases(
    segmentation: Node,
    volume_node: Node,
    phases: Sequence[tuple[Node, Node, str]],
    name: str = "ITVp",
    align: bool = False,
    progress: Progress | None = None,
) -> InternalTarget:
    """The union of a target over the phases of a 4-D CT as a structure; what is derived from it is made again.

    Args:
        segmentation, volume_node: where the structure goes, and its CT.
        phases: each phase's CT, its segmentation and the target's name in it.
        name: of the structure; one that is there is replaced.
        align: lay each phase on the CT first by a turn and a shift.

    Raises:
        InputError: there is no phase, or the target of one is missing, empty or outside the CT; the scene is as it
            was.
    """
    progress = progress or Progress()
    before = scene.structure_set_from_node(segmentation, volume_node)
    reference = volume_from_node(volume_node)
    drawn = []
    for phase_node, drawn_in, target in phases:
        held = scene.structure_set_from_node(drawn_in, phase_node)
        drawn.append(Phase(volume_from_node(phase_node), held[target].mask))
    union = internal_target(drawn, onto=reference, align=align, progress=progress)
    colour = before[name].colour if name in before else _ITV_COLOUR
    itv = RTStructure(name, Role.ITV, union.mask, colour, Origin.SEMIAUTOMATIC)
    after = graph.rebuild(before.with_structure(itv), [name])
    scene.begin_change(segmentation, volume_node)
    scene.update_structures(segmentation, volume_node, after, before)
    return union
