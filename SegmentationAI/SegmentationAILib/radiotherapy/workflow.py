"""What a user does with structure sets and doses that lie in the scene, as steps: ``engine.steps`` tells how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from SegmentationAILib.engine.steps import Call, Steps, importing
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy import graph, scene, table_scene, tumour_prior
from SegmentationAILib.radiotherapy.naming import proposals
from SegmentationAILib.radiotherapy.nomenclature import check_set
from SegmentationAILib.radiotherapy.panel_results import RADIOTHERAPY, Clicked, Edited, OnVolume, Points
from SegmentationAILib.radiotherapy.structure_set import Role
from SegmentationAILib.scene import add_volume, copying_voxels, volume_from_node
from SegmentationAILib.scene_hierarchy import set_dicom_source

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.evaluation import DoseEvaluation

Node = Any  # a vtkMRMLNode; this file does not import slicer
# The rest of the time goes to the scene.
_COMPUTED = 0.98
# What figures of a dose are received with.
_SLOW_IMPORTS = (
    "scipy.special",
    "scipy.ndimage",
    "SegmentationAILib.radiotherapy.evaluation",
)


def applying_protocol(
    segmentation: Node | None, volume_node: Node, protocol: str | Path, device: str = "auto"
) -> Steps[tuple[Node, list[str]]]:
    """Draw and build what a protocol asks for and the segmentation lacks; what is there stays.

    Args:
        segmentation: None for a new one.
        protocol: its file.

    Returns:
        the segmentation, and a sentence for each structure that could not be made, with what it needs, or that was
        made without another that its rule takes where it is drawn.

    Raises:
        InputError: no CT, the protocol cannot be read, or a rule cannot be built; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    task = Task(RADIOTHERAPY, {"protocol": str(protocol)}, device)
    value = OnVolume(_held(segmentation, volume_node), volume_from_node(volume_node))
    built = yield Call("apply protocol", task, value, 0.0, _COMPUTED)
    return (yield from _writing(built, segmentation, volume_node)), list(built.notes)


def contouring_tumour(
    segmentation: Node | None, volume_node: Node, on_tumour: Points, elsewhere: Points = (), name: str = "GTVp"
) -> Steps[Node]:
    """Outline a tumour from points, as a structure, and make again what is derived from it.

    Args:
        segmentation: None for a new one.
        on_tumour: RAS, mm; the first near the tumour's middle.
        elsewhere: points that are not tumour.
        name: of the structure; one that is there is replaced.

    Returns:
        the segmentation.

    Raises:
        InputError: no CT, no point, or a point outside the CT or in air; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    task = Task(RADIOTHERAPY, {"name": name, "prior": tumour_prior.offered()})
    case = OnVolume(_held(segmentation, volume_node), volume_from_node(volume_node))
    built = yield Call("contour tumour", task, Clicked(case, tuple(on_tumour), tuple(elsewhere)), 0.0, _COMPUTED)
    return (yield from _writing(built, segmentation, volume_node))


def setting_rule(segmentation: Node, volume_node: Node, name: str, rule: str, role: Role | None = None) -> Steps[None]:
    """Derive a structure by a rule, a new one or one that is there, and make what depends on it again.

    Args:
        rule: as ``rules`` describes; "" lets the structure stay as it is, as if drawn.
        role: the structure's; by its name if not given.

    Raises:
        InputError: the rule cannot be read or built, or structures would be made of themselves; the scene is as
            it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    task = Task(RADIOTHERAPY, {"name": name, "rule": rule, "role": role.value if role else ""})
    held = scene.layered_set_from_node(segmentation, volume_node)
    built = yield Call("set rule", task, held, 0.0, _COMPUTED)
    yield from _writing(built, segmentation, volume_node)


def rebuilding(segmentation: Node, volume_node: Node, changed: Sequence[str] | None = None) -> Steps[list[str]]:
    """Make derived structures again after their sources changed.

    Args:
        changed: names of the structures that changed; everything derived is made again if not given.

    Returns:
        the names of what was made again.

    Raises:
        InputError: a rule cannot be built; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    held = scene.layered_set_from_node(segmentation, volume_node)
    value = Edited(held, None if changed is None else tuple(changed))
    built = yield Call("rebuild structures", Task(RADIOTHERAPY), value, 0.0, _COMPUTED)
    yield from _writing(built, segmentation, volume_node)
    return [one.name for one in built.structures.structures]


def importing_structures(path: str | Path, volume_node: Node) -> Steps[tuple[Node, list[str]]]:
    """An RTSTRUCT as a new segmentation on the CT, and sentences on what does not fit.

    Raises:
        InputError: the file cannot be used with this CT; the scene is as it was.
        Cancelled: the user cancelled; the scene is as it was.
    """
    task = Task(RADIOTHERAPY, {"path": str(path)})
    read = yield Call("import structures", task, scene.no_structures(volume_node), 0.0, _COMPUTED)
    name = read.structures.name or "Structures"
    return (yield from scene.writing(read.structures, None, volume_node, name)), list(read.notes)


def exporting_structures(segmentation: Node, volume_node: Node, path: str | Path, reference: str | Path) -> Steps[str]:
    """Write a segmentation as RTSTRUCT; the path.

    Args:
        path: the file, ``.dcm``.
        reference: the folder of the CT's DICOM series.

    Raises:
        InputError: the CT has no DICOM origin, a name does not suit planning systems, or a file cannot be read
            or written.
        Cancelled: the user cancelled.
    """
    held = scene.layered_set_from_node(segmentation, volume_node)
    if held.source is None:
        raise InputError(
            f"The CT '{volume_node.GetName()}' does not come from DICOM, and an RTSTRUCT refers to DICOM images; "
            "export the CT as DICOM first, or load it from its DICOM folder."
        )
    task = Task(RADIOTHERAPY, {"path": str(path), "reference": str(reference)})
    return (yield Call("export structures", task, held))["path"]


def exporting_ct(volume_node: Node, folder: str | Path) -> Steps[None]:
    """Write a CT that did not come from DICOM as a DICOM series; from then on it does.

    Raises:
        InputError: the volume is no CT on a regular grid, or the folder cannot be written to.
        Cancelled: the user cancelled.
    """
    task = Task(RADIOTHERAPY, {"folder": str(folder)})
    source = yield Call("export CT", task, volume_from_node(volume_node))
    set_dicom_source(volume_node, source)


def loading_dose(path: str | Path, prescription_gy: float | None = None) -> Steps[tuple[Node, tuple[str, ...]]]:
    """An RTDOSE as a volume node in Gy, and what to know of it.

    Raises:
        InputError: the file is no dose that can be used; the scene is as it was.
    """
    task = Task(RADIOTHERAPY, {"path": str(path), "prescription_gy": prescription_gy})
    dose = yield Call("load dose", task, None)
    highest = float(dose.array.max())
    image = yield from copying_voxels(dose.array)
    scene.begin_change()
    return add_volume(dose, (highest, highest / 2), image), dose.notes


def evaluating(
    segmentation: Node,
    volume_node: Node,
    dose_node: Node,
    protocol: str | Path | None = None,
    prescription_gy: float | None = None,
) -> Steps[tuple[DoseEvaluation, Node, Node | None]]:
    """DVHs and goals; a plot and, with a protocol, a table of its goals are added to the scene.

    Args:
        protocol: its file.

    Returns:
        the figures, the plot chart node, and the goals' table node.

    Raises:
        InputError: dose and structures do not belong together, or there is nothing to evaluate.
        Cancelled: the user cancelled, or the dose has left the scene.
    """
    if dose_node is None:
        raise InputError("No dose is selected; load an RTDOSE file first.")
    yield from importing(_SLOW_IMPORTS)
    held = scene.layered_set_from_node(segmentation, volume_node)
    task = Task(RADIOTHERAPY, {"protocol": str(protocol or ""), "prescription_gy": prescription_gy})
    evaluation = yield Call("evaluate dose", task, OnVolume(held, volume_from_node(dose_node)), 0.0, _COMPUTED)
    scene.begin_change(dose_node)
    colours = {one.name: one.colour for one in held.structures}
    chart = table_scene.add_dvh(evaluation.curves, colours, dose_node)
    table = table_scene.add_goals(evaluation.results, dose_node) if evaluation.results else None
    return evaluation, chart, table


def check_names(segmentation: Node) -> list[str]:
    """A sentence for each name that does not follow AAPM TG-263, with what it should be."""
    return [str(one) for one in check_set(_names(segmentation))]


def name_proposals(segmentation: Node) -> dict[str, str]:
    """Old name -> AAPM TG-263 name, of segments of which it is clear what they are."""
    return proposals(_names(segmentation))


def checking_names(segmentation: Node) -> Steps[tuple[list[str], dict[str, str]]]:
    """The steps of ``check_names`` and ``name_proposals``."""
    findings = check_names(segmentation)
    yield
    return findings, name_proposals(segmentation)


def describe(segmentation: Node, volume_node: Node) -> str:
    """A line for each structure, sources first: ``PTVp = expand(CTVp, 5)``."""
    return graph.describe(scene.structure_set_from_node(segmentation, volume_node))


def _names(segmentation: Node) -> list[str]:
    return [name for name, *_ in scene.describe_segments(segmentation)]


def _held(segmentation: Node | None, volume_node: Node) -> Any:
    return scene.layered_set_from_node(segmentation, volume_node) if segmentation else scene.no_structures(volume_node)


def _writing(built: Any, segmentation: Node | None, volume_node: Node) -> Steps[Node]:
    return scene.writing(built.structures, segmentation, volume_node, f"{volume_node.GetName()} structures")
