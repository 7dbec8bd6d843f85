"""What a user does with structure sets and doses that lie in the scene, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy import graph, scene, tumour_prior
from SegmentationAILib.radiotherapy.ct_export import write_ct_series
from SegmentationAILib.radiotherapy.dose import read_dose
from SegmentationAILib.radiotherapy.drawing import draw_missing
from SegmentationAILib.radiotherapy.evaluation import DoseEvaluation, evaluate_dose
from SegmentationAILib.radiotherapy.gtv import start
from SegmentationAILib.radiotherapy.internal_target import InternalTarget, Phase, internal_target
from SegmentationAILib.radiotherapy.naming import proposals
from SegmentationAILib.radiotherapy.nomenclature import check_set
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, role_of_name
from SegmentationAILib.radiotherapy.template import Template, apply
from SegmentationAILib.radiotherapy.tumour_prompts import Point
from SegmentationAILib.scene import add_volume, set_dicom_source, volume_from_node

_GTV_COLOUR = (0.9, 0.1, 0.3)
_ITV_COLOUR = (0.96, 0.51, 0.19)
Node = Any  # a vtkMRMLNode; this file does not import slicer


def apply_protocol(
    segmentation: Node, volume_node: Node, template: Template, device: str = "auto", progress: Progress | None = None
) -> list[str]:
    """Draw and build what a protocol asks for and the segmentation lacks; what is there stays.

    Returns:
        a sentence for each structure that could not be made, with what it needs, or that was made without
        another that its rule takes where it is drawn.

    Raises:
        InputError: no segmentation or CT, or a rule cannot be built; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    progress = progress or Progress()
    before = scene.structure_set_from_node(segmentation, volume_node)
    volume = volume_from_node(volume_node)
    drawn = draw_missing(template, before, volume, device=device, progress=progress.part(0.0, 0.8))
    progress(0.8, "Building what is derived")
    applied = apply(template, drawn)
    scene.update_structures(segmentation, volume_node, applied.structure_set, before)
    return [f"{one}." for one in (*applied.unbuilt, *applied.incomplete)]


def contour_tumour(
    segmentation: Node,
    volume_node: Node,
    on_tumour: Sequence[Point],
    elsewhere: Sequence[Point] = (),
    name: str = "GTVp",
    progress: Progress | None = None,
) -> None:
    """Outline a tumour from points, as a structure, and make again what is derived from it.

    Args:
        on_tumour: RAS, mm; the first near the tumour's middle.
        elsewhere: points that are not tumour.
        name: of the structure; one that is there is replaced.

    Raises:
        InputError: no CT, no point, or a point outside the CT or in air; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    progress = progress or Progress()
    if not on_tumour:
        raise InputError("There is no point on the tumour; place one near its middle.")
    before = scene.structure_set_from_node(segmentation, volume_node)
    session = start(volume_from_node(volume_node), prior=tumour_prior.offered())
    clicks = [(point, True) for point in on_tumour] + [(point, False) for point in elsewhere]
    for n, (point, add) in enumerate(clicks):
        progress(n / (len(clicks) + 1), "Outlining the tumour")
        mask = session.click(point, add)
    colour = before[name].colour if name in before else _GTV_COLOUR
    gtv = RTStructure(name, role_of_name(name), mask, colour, Origin.SEMIAUTOMATIC)
    after = graph.rebuild(before.with_structure(gtv), [name])
    scene.update_structures(segmentation, volume_node, after, before)


def check_names(segmentation: Node) -> list[str]:
    """A sentence for each name that does not follow AAPM TG-263, with what it should be."""
    return [str(one) for one in check_set(name for name, *_ in scene.describe_segments(segmentation))]


def name_proposals(segmentation: Node) -> dict[str, str]:
    """Old name -> AAPM TG-263 name, of segments of which it is clear what they are."""
    return proposals([name for name, *_ in scene.describe_segments(segmentation)])


def apply_names(segmentation: Node, volume_node: Node, names: Mapping[str, str]) -> None:
    """Rename structures, in every rule too.

    Args:
        names: old name -> new name.

    Raises:
        InputError: there is no such structure, or a name is empty or taken; the scene is as it was.
    """
    before = scene.structure_set_from_node(segmentation, volume_node)
    after = before
    for old, new in names.items():
        after = graph.rename(after, old, new)
    for old, new in names.items():
        scene.rename_segment(segmentation, old, new)
    kept = tuple(one for one in before if any(one is other for other in after))
    scene.update_structures(segmentation, volume_node, after, replace(before, structures=kept))


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
    scene.update_structures(segmentation, volume_node, after, before)
    return union


def set_rule(
    segmentation: Node,
    volume_node: Node,
    name: str,
    rule: str,
    role: Role | None = None,
    progress: Progress | None = None,
) -> None:
    """Derive a structure by a rule, a new one or one that is there, and make what depends on it again.

    Args:
        rule: as ``rules`` describes; "" lets the structure stay as it is, as if drawn.
        role: the structure's; by its name if not given.

    Raises:
        InputError: the rule cannot be read or built, or structures would be made of themselves; the scene is as
            it was.
    """
    before = scene.structure_set_from_node(segmentation, volume_node)
    if not name.strip():
        raise InputError("The structure has no name; type one.")
    if rule:
        parse_rule(rule)
    if name in before:
        one = replace(before[name], rule=rule, role=role or before[name].role)
    else:
        if not rule:
            raise InputError(f"'{name}' has no rule to be made by; type one, or draw it.")
        empty = np.zeros(before.grid.shape, dtype=bool)
        one = RTStructure(name, role or role_of_name(name), empty, _colour(len(before.structures)), rule=rule)
    one = replace(one, origin=Origin.SEMIAUTOMATIC)
    after = graph.rebuild(before.with_structure(one), [name], progress=progress)
    scene.update_structures(segmentation, volume_node, after, before)


def rebuild(
    segmentation: Node, volume_node: Node, changed: list[str] | None = None, progress: Progress | None = None
) -> list[str]:
    """Make derived structures again after their sources changed.

    Args:
        changed: names of the structures that changed; everything derived is made again if not given.

    Returns:
        the names of what was made again.

    Raises:
        InputError: a rule cannot be built; the scene is as it was.
    """
    before = scene.structure_set_from_node(segmentation, volume_node)
    after = graph.rebuild(before, changed, progress=progress)
    scene.update_structures(segmentation, volume_node, after, before)
    return [one.name for one in after if one is not before[one.name]]


def describe(segmentation: Node, volume_node: Node) -> str:
    """A line for each structure, sources first: ``PTVp = expand(CTVp, 5)``."""
    return graph.describe(scene.structure_set_from_node(segmentation, volume_node))


def import_structures(path: str | Path, volume_node: Node, progress: Progress | None = None) -> tuple[Node, list[str]]:
    """An RTSTRUCT as a new segmentation on the CT, and sentences on what does not fit.

    Raises:
        InputError: the file cannot be used with this CT; the scene is as it was.
    """
    read, notes = read_rtstruct(path, volume_from_node(volume_node), progress=progress or Progress())
    return scene.add_structure_set(read, volume_node), notes


def export_structures(
    segmentation: Node, volume_node: Node, path: str | Path, reference: str | Path, progress: Progress | None = None
) -> Path:
    """Write a segmentation as RTSTRUCT.

    Args:
        path: the file, ``.dcm``.
        reference: the folder of the CT's DICOM series.

    Raises:
        InputError: the CT has no DICOM origin, a name does not suit planning systems, or a file cannot be read
            or written.
    """
    held = scene.structure_set_from_node(segmentation, volume_node)
    if held.source is None:
        raise InputError(
            f"The CT '{volume_node.GetName()}' does not come from DICOM, and an RTSTRUCT refers to DICOM images; "
            "export the CT as DICOM first, or load it from its DICOM folder."
        )
    return write_rtstruct(held, reference, path, progress=progress or Progress())


def export_ct(volume_node: Node, folder: str | Path) -> None:
    """Write a CT that did not come from DICOM as a DICOM series; from then on it does.

    Raises:
        InputError: the volume is no CT on a regular grid, or the folder cannot be written to.
    """
    volume = volume_from_node(volume_node)
    set_dicom_source(volume_node, write_ct_series(volume, folder))


def load_dose(path: str | Path, prescription_gy: float | None = None) -> tuple[Node, tuple[str, ...]]:
    """An RTDOSE as a volume node in Gy, and what to know of it.

    Raises:
        InputError: the file is no dose that can be used; the scene is as it was.
    """
    dose = read_dose(path, prescription_gy=prescription_gy).volume
    return add_volume(dose), dose.notes


def evaluate(
    segmentation: Node,
    volume_node: Node,
    dose_node: Node,
    template: Template | None = None,
    prescription_gy: float | None = None,
    progress: Progress | None = None,
) -> tuple[DoseEvaluation, Node, Node | None]:
    """DVHs and goals; a plot and, with a protocol, a table of its goals are added to the scene.

    Returns:
        the figures, the plot chart node, and the goals' table node.

    Raises:
        InputError: dose and structures do not belong together, or there is nothing to evaluate.
    """
    if dose_node is None:
        raise InputError("No dose is selected; load an RTDOSE file first.")
    held = scene.structure_set_from_node(segmentation, volume_node)
    dose = volume_from_node(dose_node)
    evaluation = evaluate_dose(dose, held, template, prescription_gy=prescription_gy, progress=progress)
    chart = scene.add_dvh(evaluation.curves, held, dose_node)
    table = scene.add_goals(evaluation.results, dose_node) if evaluation.results else None
    return evaluation, chart, table


def _colour(number: int) -> tuple[float, float, float]:
    """Colours that people with any colour vision tell apart (Okabe and Ito, 2008)."""
    palette = ("e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
    code = palette[number % len(palette)]
    red, green, blue = (int(code[n : n + 2], 16) / 255 for n in (0, 2, 4))
    return red, green, blue
