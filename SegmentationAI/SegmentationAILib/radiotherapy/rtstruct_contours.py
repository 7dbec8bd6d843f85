"""Contours of a DICOM RTSTRUCT, and whether they belong to a CT."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS, Volume

_CONTOUR_DATA = 0x30060050
_CLOSED = {"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"}


@dataclass(frozen=True, eq=False)
class Contours:
    """The contours of a structure.

    Attributes:
        closed: [n, 3] points of each closed one, RAS in mm.
        images: the SOP instance UIDs of the images that each of them refers to.
        others: geometric type -> how many that enclose nothing.
        damaged: how many could not be read.
    """

    closed: list[NDArray[np.float64]]
    images: list[set[str]]
    others: Counter[str]
    damaged: int


def check_study(dataset: Dataset, volume: Volume, notes: list[str]) -> None:
    """Whether a structure set is in the CT's frame of reference and study.

    Args:
        notes: what does not fit but does not keep it from being read is added to it.

    Raises:
        InputError: it is not.
    """
    if volume.source is None:
        notes.append("The CT has no DICOM origin, so it cannot be checked that the structures were drawn on it.")
        return
    references = list(dataset.get("ReferencedFrameOfReferenceSequence") or ())
    frames = {str(item.get("FrameOfReferenceUID") or "") for item in references}
    frames |= {
        str(roi.get("ReferencedFrameOfReferenceUID") or "") for roi in dataset.get("StructureSetROISequence") or ()
    }
    frames -= {""}
    wanted = volume.source.frame_of_reference_uid
    if frames and wanted and wanted not in frames:
        raise InputError(
            "The RTSTRUCT is in another frame of reference than the CT; choose the CT that it was drawn on, or its own "
            "structure set."
        )
    studies = [study for item in references for study in item.get("RTReferencedStudySequence") or ()]
    uids = {str(study.get("ReferencedSOPInstanceUID") or "") for study in studies}
    uids |= {str(dataset.get("StudyInstanceUID") or "")}
    if volume.source.study_instance_uid and volume.source.study_instance_uid not in uids:
        raise InputError(
            "The RTSTRUCT belongs to another study than the CT; choose the CT that it was drawn on, or its own "
            "structure set."
        )
    if not frames or not wanted:
        notes.append("No frame of reference is given; the structures are placed by their coordinates.")
    series = [one for study in studies for one in study.get("RTReferencedSeriesSequence") or ()]
    names = {str(one.get("SeriesInstanceUID") or "") for one in series}
    if names and volume.source.series_instance_uid not in names:
        notes.append("The structures were drawn on another series of the same frame of reference.")
        return
    images = {
        str(image.get("ReferencedSOPInstanceUID") or "")
        for one in series
        for image in one.get("ContourImageSequence") or ()
    }
    missing = len(images - set(volume.source.sop_instance_uids))
    if missing:
        notes.append(f"{missing} of the {len(images)} images that the structure set refers to are not in the CT.")


def contours_of(item: Dataset) -> Contours:
    """The contours of an item of the ROI Contour Sequence."""
    closed: list[NDArray[np.float64]] = []
    images: list[set[str]] = []
    others: Counter[str] = Counter()
    damaged = 0
    for contour in item.get("ContourSequence") or ():
        kind = str(contour.get("ContourGeometricType") or "CLOSED_PLANAR").strip().upper()
        if kind not in _CLOSED:
            others[kind] += 1
            continue
        points = _points(contour)
        if points is None:
            damaged += 1
        else:
            closed.append(points @ LPS_FROM_RAS[:3, :3])
            images.append(
                {
                    str(image.get("ReferencedSOPInstanceUID") or "")
                    for image in contour.get("ContourImageSequence") or ()
                }
            )
    return Contours(closed, images, others, damaged)


def _points(contour: Dataset) -> NDArray[np.float64] | None:
    """LPS points [n, 3] of a closed contour, None where they are damaged or less than three."""
    # The element as it was read: making a number object of each value would take most of the time.
    element = contour.get_item(_CONTOUR_DATA) if _CONTOUR_DATA in contour else None
    value = element.value if element is not None else None
    if value is None:
        return None
    try:
        texts = value.split(b"\\") if isinstance(value, bytes) else value
        numbers = np.array(texts).astype(np.float64)
    except (ValueError, TypeError):
        return None
    if numbers.size < 9 or numbers.size % 3 or not np.isfinite(numbers).all():
        return None
    return numbers.reshape(-1, 3)


def image_references(contours: Contours, volume: Volume) -> tuple[int, int]:
    """How many contours refer to images that the CT lacks, and to an image of another slice."""
    if volume.source is None:
        return 0, 0
    uids = volume.source.sop_instance_uids
    held = set(uids)
    unknown = misplaced = 0
    for points, images in zip(contours.closed, contours.images, strict=True):
        if not images:
            continue
        if not images & held:
            unknown += 1
            continue
        k = round(float(volume.grid.ijk(points[0])[2]))
        near = {uids[n] for n in (k - 1, k, k + 1) if 0 <= n < len(uids)}
        misplaced += not images & near
    return unknown, misplaced
