"""What the radiotherapy section has computed by its worker, in the form that takes the scene the least time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy import graph, tumour_prior
from SegmentationAILib.radiotherapy.ct_export import write_ct_series
from SegmentationAILib.radiotherapy.dose import read_dose
from SegmentationAILib.radiotherapy.drawing import draw_missing
from SegmentationAILib.radiotherapy.evaluation import DoseEvaluation, evaluate_dose
from SegmentationAILib.radiotherapy.gtv import start
from SegmentationAILib.radiotherapy.internal_target import Phase, internal_target
from SegmentationAILib.radiotherapy.layered_set import LayeredSet, changes, layered
from SegmentationAILib.radiotherapy.panel_results import Built, Clicked, Edited, OnVolume, Phases, United
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, role_of_name
from SegmentationAILib.radiotherapy.template import apply, read_template
from SegmentationAILib.volume import DicomSource, Volume

_GTV_COLOUR = (0.9, 0.1, 0.3)
_ITV_COLOUR = (0.96, 0.51, 0.19)


def apply_protocol(held: OnVolume, task: Task, progress: Progress) -> Built:
    """Draw and build what the task's ``protocol``, a file, asks for and the set lacks; what is there stays.

    Returns:
        the structures, and a sentence for each that could not be made, with what it needs, or that was made without
        another that its rule takes where it is drawn.

    Raises:
        InputError: the protocol cannot be read, or a rule cannot be built.
        Cancelled: the user cancelled.
    """
    template = read_template(Path(str(task.options["protocol"])))
    before = held.structures.unlayered()
    drawn = draw_missing(template, before, held.volume, device=task.device, progress=progress.part(0.0, 0.8))
    applied = apply(template, drawn, progress.part(0.8, 1.0))
    notes = tuple(f"{one}." for one in (*applied.unbuilt, *applied.incomplete))
    return Built(changes(before, applied.structure_set), notes)


def rebuild(held: Edited, task: Task, progress: Progress) -> Built:  # noqa: ARG001 - as all tasks
    """Make derived structures again after their sources changed.

    Raises:
        InputError: a rule cannot be built.
        Cancelled: the user cancelled.
    """
    before = held.structures.unlayered()
    return Built(changes(before, graph.rebuild(before, held.changed, progress=progress)))


def set_rule(held: LayeredSet, task: Task, progress: Progress) -> Built:
    """Derive the structure of the task's ``name`` by its ``rule``, and make what depends on it again.

    An empty rule lets the structure stay as it is, as if drawn. With a ``role`` the structure has that, else the one
    of its name.

    Raises:
        InputError: the rule cannot be read or built, or structures would be made of themselves.
        Cancelled: the user cancelled.
    """
    name, rule, given = (str(task.options[key] or "") for key in ("name", "rule", "role"))
    role = Role(given) if given else None
    if not name.strip():
        raise InputError("The structure has no name; type one.")
    if rule:
        parse_rule(rule)
    before = held.unlayered()
    if name in before:
        one = replace(before[name], rule=rule, role=role or before[name].role)
    else:
        if not rule:
            raise InputError(f"'{name}' has no rule to be made by; type one, or draw it.")
        empty = np.zeros(before.grid.shape, dtype=bool)
        one = RTStructure(name, role or role_of_name(name), empty, _colour(len(before.structures)), rule=rule)
    one = replace(one, origin=Origin.SEMIAUTOMATIC)
    return Built(changes(before, graph.rebuild(before.with_structure(one), [name], progress=progress)))


def contour_tumour(held: Clicked, task: Task, progress: Progress) -> Built:
    """Outline a tumour from points as the structure of the task's ``name``, and make what is derived from it again.

    The task's ``prior`` is what ``tumour_prior.offer`` takes; "" for none.

    Raises:
        InputError: no point, or a point outside the CT or in air.
        Cancelled: the user cancelled.
    """
    if not held.on_tumour:
        raise InputError("There is no point on the tumour; place one near its middle.")
    name = str(task.options["name"])
    before = held.case.structures.unlayered()
    session = start(held.case.volume, prior=tumour_prior.made(str(task.options["prior"])))
    clicks = [(point, True) for point in held.on_tumour] + [(point, False) for point in held.elsewhere]
    for n, (point, add) in enumerate(clicks):
        progress(n / (len(clicks) + 1), "Outlining the tumour")
        mask = session.click(point, add)
    colour = before[name].colour if name in before else _GTV_COLOUR
    gtv = RTStructure(name, role_of_name(name), mask, colour, Origin.SEMIAUTOMATIC)
    share = progress.part(len(clicks) / (len(clicks) + 1), 1.0)
    return Built(changes(before, graph.rebuild(before.with_structure(gtv), [name], progress=share)))


def unite_phases(held: Phases, task: Task, progress: Progress) -> United:
    """Unite a target over phases as the structure of the task's ``name``, and make what is derived from it again.

    With the task's ``align`` each phase is laid on the CT first by a turn and a shift.

    Raises:
        InputError: there is no phase, or the target of one is missing, empty or outside the CT.
        Cancelled: the user cancelled.
    """
    name, before = str(task.options["name"]), held.case.structures.unlayered()
    drawn = [
        Phase(one.volume, one.structures.unlayered()[target].mask)
        for one, target in zip(held.phases, held.targets, strict=True)
    ]
    align = bool(task.options["align"])
    union = internal_target(drawn, onto=held.case.volume, align=align, progress=progress.part(0.0, 0.8))
    colour = before[name].colour if name in before else _ITV_COLOUR
    itv = RTStructure(name, Role.ITV, union.mask, colour, Origin.SEMIAUTOMATIC)
    after = graph.rebuild(before.with_structure(itv), [name], progress=progress.part(0.8, 1.0))
    return United(Built(changes(before, after)), union.excursion_mm)


def evaluate(held: OnVolume, task: Task, progress: Progress) -> DoseEvaluation:
    """DVHs and the goals of the task's ``protocol``, a file, "" for none; of its ``prescription_gy`` or the protocol's.

    Raises:
        InputError: dose and structures do not belong together, or there is nothing to evaluate.
        Cancelled: the user cancelled.
    """
    protocol, prescription = task.options["protocol"], task.options["prescription_gy"]
    template = read_template(Path(str(protocol))) if protocol else None
    return evaluate_dose(
        held.volume, held.structures.unlayered(), template, prescription_gy=prescription, progress=progress
    )


def load_dose(_nothing: None, task: Task, progress: Progress) -> Volume:
    """The dose in the RTDOSE file of the task's ``path``, Gy.

    Raises:
        InputError: the file is no dose that can be used.
    """
    progress(0.0, "Reading the dose")
    return read_dose(str(task.options["path"]), prescription_gy=task.options["prescription_gy"]).volume


def import_structures(held: LayeredSet, task: Task, progress: Progress) -> Built:
    """The structures in the RTSTRUCT of the task's ``path``, and what does not fit.

    Args:
        held: without structures, on the CT's grid and with the CT's name and source.

    Raises:
        InputError: the file cannot be used with this CT.
        Cancelled: the user cancelled.
    """
    # Contours are read onto voxels, whatever these hold.
    ct = Volume(np.broadcast_to(np.int16(0), held.grid.shape), held.grid, held.name, "CT", held.source)
    read, notes = read_rtstruct(str(task.options["path"]), ct, progress=progress)
    return Built(layered(read, read), tuple(notes))


def export_structures(held: LayeredSet, task: Task, progress: Progress) -> dict[str, str]:
    """Write the task's ``path``, an RTSTRUCT that refers to the CT's DICOM series in the folder ``reference``.

    Returns:
        the file, as "path".

    Raises:
        InputError: a name does not suit planning systems, or a file cannot be read or written.
        Cancelled: the user cancelled.
    """
    path, reference = str(task.options["path"]), str(task.options["reference"])
    return {"path": str(write_rtstruct(held.unlayered(), reference, path, progress=progress))}


def export_ct(ct: Volume, task: Task, progress: Progress) -> DicomSource:
    """Write a CT as a DICOM series to the task's ``folder``.

    Raises:
        InputError: the volume is no CT on a regular grid, or the folder cannot be written to.
        Cancelled: the user cancelled.
    """
    return write_ct_series(ct, str(task.options["folder"]), progress=progress)


def _colour(number: int) -> tuple[float, float, float]:
    """Colours that people with any colour vision tell apart (Okabe and Ito, 2008)."""
    palette = ("e69f00", "56b4e9", "009e73", "f0e442", "0072b2", "d55e00", "cc79a7")
    code = palette[number % len(palette)]
    red, green, blue = (int(code[n : n + 2], 16) / 255 for n in (0, 2, 4))
    return red, green, blue
