"""DICOM RTSTRUCT of any system to a structure set on a CT's grid."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import RTStructureSetStorage

from SegmentationAILib.dicom_series import sop_class
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.contour_volume import Voxelised, voxelise
from SegmentationAILib.radiotherapy.dicom_objects import MANUFACTURER
from SegmentationAILib.radiotherapy.roi_types import code_of, role_of
from SegmentationAILib.radiotherapy.rtstruct_contours import Contours, check_study, contours_of, image_references
from SegmentationAILib.radiotherapy.structure_set import Origin, RTStructure, StructureSet
from SegmentationAILib.volume import Volume

_YELLOW = (1.0, 1.0, 0.0)
# What pydicom raises of damaged bytes as it makes values of them, an OSError without a number among them.
_DAMAGE = (BytesLengthException, NotImplementedError, OSError, struct.error)


def read_rtstruct(
    source: str | Path | Dataset,
    volume: Volume,
    *,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> tuple[StructureSet, list[str]]:
    """Read an RTSTRUCT onto the grid of the CT that it was drawn on.

    A voxel belongs to a structure where its contours cover at least half of it. Holes may be
    keyholes or contours within contours. Roles are told by code, type and name (``role_of``).

    Args:
        source: the file, or its data set.
        volume: the CT; without DICOM origin it cannot be told whether it is the right one.
        progress: told of each structure.

    Returns:
        the structures that have a volume, and sentences for the user: what was left out, filled in or
        does not fit the CT.

    Raises:
        InputError: the file is no RTSTRUCT or is damaged, it belongs to another study or frame of
            reference, or nothing in it has a volume within the CT.
    """
    try:
        return _read(_dataset(source), volume, progress)
    except _DAMAGE as error:
        # Sequences and numbers are only made of their bytes when they are asked for.
        raise _damaged(source) from error


def _read(dataset: Dataset, volume: Volume, progress: Progress) -> tuple[StructureSet, list[str]]:
    notes: list[str] = []
    check_study(dataset, volume, notes)
    contour_items = _by_number(dataset.get("ROIContourSequence") or ())
    observations = _by_number(dataset.get("RTROIObservationsSequence") or ())
    rois = list(dataset.get("StructureSetROISequence") or ())
    ct_frame = volume.source.frame_of_reference_uid if volume.source else ""
    structures: list[RTStructure] = []
    empty: list[str] = []
    strangers = elsewhere = total = 0
    for count, roi in enumerate(rois):
        number = _number(roi, "ROINumber")
        name = str(roi.get("ROIName") or "").strip() or f"ROI {number}"
        progress(count / len(rois), f"Reading {name}")
        if number is None:
            notes.append(f"'{name}' has no number, by which its contours are found, and is left out.")
            continue
        item = contour_items.get(number, Dataset())
        if ct_frame and str(roi.get("ReferencedFrameOfReferenceUID") or ct_frame) != ct_frame:
            notes.append(f"'{name}' is in another frame of reference than the CT and is left out.")
            continue
        contours = contours_of(item)
        notes += _about_contours(name, contours)
        if not contours.closed:
            if not contours.others and not contours.damaged:
                empty.append(name)
            continue
        drawn = voxelise(contours.closed, volume.grid)
        notes += _about_mask(name, drawn, len(contours.closed))
        unknown, misplaced = image_references(contours, volume)
        strangers, elsewhere, total = strangers + unknown, elsewhere + misplaced, total + len(contours.closed)
        if not drawn.mask.any():
            continue
        unique = _unique(name, structures)
        if unique != name:
            notes.append(f"More than one structure is named '{name}'; this one is read as '{unique}'.")
        observation = observations.get(number, Dataset())
        structures.append(_structure(unique, roi, item, observation, drawn.mask, dataset, notes))
    if empty:
        notes.append(f"Without contours, left out: {', '.join(empty)}.")
    if strangers:
        notes.append(
            f"{strangers} of {total} contours refer to images that are not in the CT; they are placed by their "
            "coordinates."
        )
    if elsewhere:
        notes.append(
            f"{elsewhere} of {total} contours lie on another slice than the image they refer to; they are placed by "
            "their coordinates."
        )
    if not structures:
        raise InputError("The RTSTRUCT holds no structure with a volume within the CT; choose the CT it was drawn on.")
    progress(1.0, "Structure set read")
    label = str(dataset.get("StructureSetName") or dataset.get("StructureSetLabel") or "").strip()
    return StructureSet(volume.grid, tuple(structures), label, volume.source), notes


def structure_names(source: str | Path | Dataset) -> list[str]:
    """The names in an RTSTRUCT, in order.

    Raises:
        InputError: the file is no RTSTRUCT or is damaged.
    """
    try:
        rois = _dataset(source).get("StructureSetROISequence") or ()
        return [str(roi.get("ROIName") or "").strip() for roi in rois]
    except _DAMAGE as error:
        raise _damaged(source) from error


def _dataset(source: str | Path | Dataset) -> Dataset:
    dataset = source
    if not isinstance(source, Dataset):
        try:
            dataset = pydicom.dcmread(source, force=True)
        except OSError as error:
            if error.errno is None:
                raise _damaged(source) from error
            raise InputError(f"{_named(source)} cannot be read ({error.strerror}); check the path.") from error
        except (InvalidDicomError, ValueError, KeyError, EOFError, *_DAMAGE) as error:
            raise _damaged(source) from error
    if sop_class(dataset) != RTStructureSetStorage:
        raise InputError(f"{_named(source)} is not a DICOM RTSTRUCT; choose the structure set's file.")
    return dataset


def _damaged(source: str | Path | Dataset) -> InputError:
    return InputError(f"{_named(source)} is damaged or was not copied whole; copy or export it again.")


def _named(source: str | Path | Dataset) -> str:
    return "The data set" if isinstance(source, Dataset) else f"'{Path(source).name}'"


def _by_number(items: Iterable[Dataset]) -> dict[int, Dataset]:
    """The items that say of which structure they are, by its number."""
    numbered = ((_number(item, "ReferencedROINumber"), item) for item in items)
    return {number: item for number, item in numbered if number is not None}


def _number(item: Dataset, keyword: str) -> int | None:
    try:
        return int(item.get(keyword))
    except (TypeError, ValueError):
        return None


def _colour(item: Dataset) -> tuple[float, float, float]:
    try:
        red, green, blue = (min(max(int(part), 0), 255) / 255 for part in item.get("ROIDisplayColor"))
    except (TypeError, ValueError):
        return _YELLOW
    return red, green, blue


def _about_contours(name: str, contours: Contours) -> list[str]:
    notes = []
    if contours.others:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(contours.others.items()))
        notes.append(f"'{name}': contours that enclose nothing are left out ({kinds}).")
    if contours.damaged:
        notes.append(f"'{name}': {contours.damaged} contours are damaged or have less than 3 points and are left out.")
    return notes


def _about_mask(name: str, drawn: Voxelised, count: int) -> list[str]:
    notes = []
    if not drawn.mask.any():
        return [f"'{name}' has no volume within the CT and is left out."]
    if drawn.outside:
        notes.append(f"'{name}': {drawn.outside} of {count} contours lie beyond the CT's slices and are left out.")
    if drawn.bent:
        notes.append(f"'{name}': {drawn.bent} contours that do not lie in a plane are left out.")
    if drawn.repeated:
        notes.append(f"'{name}': {drawn.repeated} contours repeat another of their slice and are left out.")
    if drawn.between_slices:
        notes.append(f"'{name}' is drawn between or across the CT's slices and is interpolated onto them.")
    elif drawn.interpolated:
        slices = ", ".join(str(k + 1) for k in drawn.interpolated)
        notes.append(f"'{name}': slices without contours are interpolated from their neighbours ({slices}).")
    if drawn.gaps:
        gaps = ", ".join(f"{low + 1} and {high + 1}" for low, high in drawn.gaps)
        notes.append(
            f"'{name}' is in separate parts: nothing is drawn between slices {gaps}, and nothing is filled in."
        )
    return notes


def _unique(name: str, structures: Sequence[RTStructure]) -> str:
    held = {structure.name.lower() for structure in structures}
    number, unique = 1, name
    while unique.lower() in held:
        number += 1
        unique = f"{name} {number}"
    return unique


def _structure(
    name: str,
    roi: Dataset,
    item: Dataset,
    observation: Dataset,
    mask: NDArray[np.bool_],
    dataset: Dataset,
    notes: list[str],
) -> RTStructure:
    kind = str(observation.get("RTROIInterpretedType") or "")
    role, guessed = role_of(name, kind, observation)
    if guessed:
        notes.append(f"'{name}' has {f'the type {kind}' if kind else 'no type'} and is taken for an organ.")
    origin = str(roi.get("ROIGenerationAlgorithm") or "").strip().upper()
    codes = observation.get("RTROIIdentificationCodeSequence") or ()
    ours = str(dataset.get("Manufacturer") or "") == MANUFACTURER
    return RTStructure(
        name,
        role,
        mask,
        _colour(item),
        # An unknown origin is not one of a machine.
        Origin(origin) if origin in set(Origin) else Origin.MANUAL,
        str(roi.get("ROIDescription") or "") if ours else "",
        code_of(codes[0]) if codes else None,
        _model(roi),
    )


def _model(roi: Dataset) -> str:
    """The model that drew a structure, as this project writes it, or another system's algorithm and version."""
    for algorithm in roi.get("ROIDerivationAlgorithmIdentificationSequence") or ():
        name = str(algorithm.get("AlgorithmName") or "")
        if name == MANUFACTURER and algorithm.get("AlgorithmParameters"):
            return str(algorithm.AlgorithmParameters)
        return " ".join(part for part in (name, str(algorithm.get("AlgorithmVersion") or "")) if part)
    return ""
