"""Structure sets to DICOM RTSTRUCT, for planning systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

import SegmentationAILib
from SegmentationAILib.dicom_series import Slice
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.contours import DEFAULT_TOLERANCE_MM, Holes, plane_contours
from SegmentationAILib.radiotherapy.ct_planes import planes_of
from SegmentationAILib.radiotherapy.ct_reference import CTReference, ct_reference
from SegmentationAILib.radiotherapy.dicom_objects import MANUFACTURER, new_object
from SegmentationAILib.radiotherapy.roi_types import INTERPRETED_TYPES, ROLE_CODES, code_item
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import LPS_FROM_RAS
from SegmentationAILib.writing import atomic_write

# The standard allows 64 characters; Eclipse and most planning systems take 16, as AAPM TG-263 asks.
LONGEST_NAME = 16
# The study as an object: retired, but what the RT Referenced Study Sequence still names (PS3.3 C.8.8.5).
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_PROCESSING_EQUIPMENT = Code("109102", "DCM", "Processing Equipment")
_ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")


def write_rtstruct(
    structure_set: StructureSet,
    reference: str | Path | Sequence[Dataset] | None,
    path: str | Path,
    *,
    tolerance_mm: float = DEFAULT_TOLERANCE_MM,
    holes: Holes = "keyhole",
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> Path:
    """Write a structure set as DICOM RTSTRUCT, in one step.

    Contours lie in the CT's image planes; masks on another grid are resampled to them first. Patient
    and study are those of the reference; approval is UNAPPROVED.

    Args:
        reference: the folder of the CT series (with its subfolders), or its data sets. Of several
            series the one in ``structure_set.source`` is taken. A CT that did not come from DICOM has
            none (None): it is to be exported first, see ``write_ct_series``.
        path: the file, ``.dcm``.
        tolerance_mm: how far contours may lie from those with all points.
        holes: ``"keyhole"`` joins holes to their outlines by channels of no width, which all planning
            systems read; ``"xor"`` writes them as contours of type CLOSEDPLANAR_XOR.
        progress: told of each structure.

    Raises:
        InputError: there are no structures, one is empty or off the CT, a name is too long for planning
            systems or not unique, the reference is not the CT that the structures were drawn on, or the
            file cannot be written.
    """
    path = Path(path)
    _check_names(structure_set)
    source = structure_set.source
    ct = ct_reference(reference, source.series_instance_uid if source else "")
    if source and source.frame_of_reference_uid and source.frame_of_reference_uid != ct.series.frame_of_reference_uid:
        raise InputError(
            "The structures and the reference CT are in different frames of reference; choose the CT that the "
            "structures were drawn on."
        )
    now = datetime.now()
    dataset = _structure_set(structure_set, ct, now)
    for number, structure in enumerate(structure_set, 1):
        progress((number - 1) / len(structure_set.structures), f"Contouring {structure.name}")
        dataset.StructureSetROISequence.append(_roi(structure, number, ct))
        dataset.ROIContourSequence.append(_roi_contour(structure, number, structure_set, ct, tolerance_mm, holes))
        dataset.RTROIObservationsSequence.append(_observation(structure, number))
    with atomic_write(path) as partial:
        pydicom.dcmwrite(partial, dataset)
    progress(1.0, "Structure set written")
    return path


def _check_names(structure_set: StructureSet) -> None:
    if not structure_set.structures:
        raise InputError("There are no structures to export; draw or segment one first.")
    names = [structure.name.strip() for structure in structure_set]
    long = [f"'{name}'" for name in names if len(name) > LONGEST_NAME]
    if long:
        raise InputError(f"Planning systems take names of at most {LONGEST_NAME} characters; rename {_listed(long)}.")
    twice = sorted({f"'{name}'" for n, name in enumerate(names) if name.lower() in map(str.lower, names[:n])})
    if twice:
        raise InputError(f"More than one structure is named {_listed(twice)}; rename all but one before exporting.")
    odd = [f"'{name}'" for name in names if not name or "\\" in name or not name.isprintable()]
    if odd:
        raise InputError(f"A name that is empty or holds a backslash cannot be exported; rename {_listed(odd)}.")
    empty = [f"'{structure.name}'" for structure in structure_set if not structure.mask.any()]
    if empty:
        raise InputError(f"There is nothing in {_listed(empty)}; draw or remove it before exporting.")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _structure_set(structure_set: StructureSet, ct: CTReference, now: datetime) -> FileDataset:
    names = structure_set.name + "".join(structure.name + structure.rule for structure in structure_set)
    dataset = new_object(
        RTStructureSetStorage, "RTSTRUCT", ct.header, now, syntax=ImplicitVRLittleEndian, extra_text=names
    )
    dataset.OperatorsName = ""
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = "Structures, research use"
    dataset.FrameOfReferenceUID = ct.series.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ct.header.get("PositionReferenceIndicator") or ""
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel = structure_set.name[:16] or MANUFACTURER
    if structure_set.name:
        dataset.StructureSetName = structure_set.name[:64]
    dataset.StructureSetDate = now.strftime("%Y%m%d")
    dataset.StructureSetTime = now.strftime("%H%M%S")
    dataset.ApprovalStatus = "UNAPPROVED"
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [code_item(_PROCESSING_EQUIPMENT)]
    equipment.Manufacturer = MANUFACTURER
    equipment.SoftwareVersions = SegmentationAILib.__version__
    equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    dataset.ContributingEquipmentSequence = [equipment]
    series = Dataset()
    series.SeriesInstanceUID = ct.series.uid
    series.ContourImageSequence = [_image(ct, one) for one in ct.slices]
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = ct.series.study_uid
    study.RTReferencedSeriesSequence = [series]
    frame = Dataset()
    frame.FrameOfReferenceUID = ct.series.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    dataset.ReferencedFrameOfReferenceSequence = [frame]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    return dataset


def _image(ct: CTReference, one: Slice) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = ct.series.sop_class_uid
    item.ReferencedSOPInstanceUID = one.sop_instance_uid
    if "NumberOfFrames" in ct.header:
        item.ReferencedFrameNumber = one.frame + 1
    return item


def _roi(structure: RTStructure, number: int, ct: CTReference) -> Dataset:
    item = Dataset()
    item.ROINumber = number
    item.ReferencedFrameOfReferenceUID = ct.series.frame_of_reference_uid
    item.ROIName = structure.name.strip()
    if structure.rule:
        item.ROIDescription = structure.rule[:1024]
    item.ROIGenerationAlgorithm = structure.origin.value
    item.ROIGenerationDescription = f"{MANUFACTURER} {SegmentationAILib.__version__} {structure.model}".strip()[:64]
    if structure.model:
        algorithm = Dataset()
        algorithm.AlgorithmFamilyCodeSequence = [code_item(_ARTIFICIAL_INTELLIGENCE)]
        algorithm.AlgorithmName = MANUFACTURER
        algorithm.AlgorithmVersion = SegmentationAILib.__version__
        algorithm.AlgorithmParameters = structure.model
        item.ROIDerivationAlgorithmIdentificationSequence = [algorithm]
    return item


def _roi_contour(
    structure: RTStructure,
    number: int,
    structure_set: StructureSet,
    ct: CTReference,
    tolerance_mm: float,
    holes: Holes,
) -> Dataset:
    item = Dataset()
    item.ROIDisplayColor = [round(255 * float(np.clip(part, 0, 1))) for part in structure.colour]
    item.ContourSequence = [
        _contour(n, points, ct, k, holes)
        for n, (k, points) in enumerate(_contours(structure, structure_set, ct, tolerance_mm, holes), 1)
    ]
    item.ReferencedROINumber = number
    return item


def _contours(
    structure: RTStructure, structure_set: StructureSet, ct: CTReference, tolerance_mm: float, holes: Holes
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """The slice and the points [n, 3] (LPS, mm) of each contour."""
    for k, plane, start in planes_of(structure, structure_set.grid, ct):
        grid = ct.grids[k]
        for ring in plane_contours(plane, grid.spacing[:2], tolerance_mm=tolerance_mm, holes=holes):
            ijk = np.column_stack([ring + start, np.zeros(len(ring))])
            yield k, grid.ras(ijk) @ LPS_FROM_RAS[:3, :3]


def _contour(number: int, points: NDArray[np.float64], ct: CTReference, k: int, holes: Holes) -> Dataset:
    item = Dataset()
    item.ContourImageSequence = [_image(ct, ct.slices[k])]
    item.ContourGeometricType = "CLOSEDPLANAR_XOR" if holes == "xor" else "CLOSED_PLANAR"
    item.NumberOfContourPoints = len(points)
    item.ContourNumber = number
    # To a micrometre, which is well within 16 bytes; joined, since an object for each number takes most of the time.
    text = "\\".join(f"{value:.3f}" for value in points.ravel().tolist())
    item["ContourData"] = DataElement("ContourData", "DS", text, already_converted=True)
    return item


def _observation(structure: RTStructure, number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber = number
    item.ReferencedROINumber = number
    roles = ROLE_CODES.get(structure.role)
    code = structure.code or (roles[1] if roles and structure.role in (Role.ITV, Role.PRV) else None)
    if code is not None:
        item.RTROIIdentificationCodeSequence = [code_item(code)]
    if roles is not None:
        item.TherapeuticRoleCategoryCodeSequence = [code_item(roles[0])]
        item.TherapeuticRoleTypeCodeSequence = [code_item(roles[1])]
    item.RTROIInterpretedType = INTERPRETED_TYPES[structure.role]
    item.ROIInterpreter = ""
    return item
