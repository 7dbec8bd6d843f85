"""The report as a DICOM structured report: measurements by TID 1500, a group for each nodule."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    GraphicTypeValues3D,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    ReferencedSegment,
    RelationshipTypeValues,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumeSurface,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.codedict import codes as standard
from pydicom.uid import SegmentationStorage

import SegmentationAILib
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.dicom_image_library import image_library
from LungNoduleAILib.report.dicom_measurements import (
    evaluations,
    finding_site,
    lps,
    lung_rads,
    measurements,
    places,
    sentences,
)
from LungNoduleAILib.report.dicom_source import (
    RESEARCH_USE,
    SERIAL_NUMBER,
    SourceImages,
    algorithm_name,
    algorithm_parameters,
    complete,
    new_instance,
    source_images,
)
from LungNoduleAILib.review import Verdict
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dicom_objects import MANUFACTURER, lasting_uid
from SegmentationAILib.writing import atomic_write

_CONTAINS = RelationshipTypeValues.CONTAINS
_SERIES_NUMBER = 9003
# The software, whichever copy of it.
_DEVICE_UID = lasting_uid(f"{MANUFACTURER} observer")


def write_sr(content: ReportContent, source: str | Path, path: str | Path, seg: str | Path | None = None) -> Path:
    """Write the nodules that the reader did not reject as a DICOM SR (Comprehensive 3D, TID 1500), in one step.

    Each nodule is a group by TID 1411: tracking identifier, its segment, finding site, measurements and evaluations.
    "Qualitative Evaluations" are about the examination; a CT without nodules has those alone. The report is
    unverified and preliminary; it is complete once the reader decided on every nodule.

    Args:
        source: the folder with the CT's DICOM files.
        path: the file, ``.dcm``.
        seg: what ``write_seg`` wrote of the same content; without it a nodule's region is the ellipsoid with its
            mask's centre, principal axes and volume.

    Raises:
        InputError: the CT is not in the folder, the SEG is not of this report, or the file cannot be written.
    """
    path = Path(path)
    images = source_images(content, source)
    segments = _read_segments(seg, content, images) if seg is not None and content.kept else None
    root = _root(content, images, segments)
    decided = all(one.decision.verdict is not Verdict.OPEN for one in content.nodules)
    dataset = Comprehensive3DSR(
        evidence=[*images.datasets, *([segments] if segments is not None else [])],
        content=root,
        **new_instance(),
        series_number=_SERIES_NUMBER,
        is_complete=decided,
        is_final=False,
        is_verified=False,
        series_description="Lung nodules, research use",
        coding_schemes=[CodingSchemeIdentificationItem(codes.PRIVATE, name=MANUFACTURER)],
    )
    complete(dataset, content)
    with atomic_write(path) as partial:
        dataset.save_as(partial)
    return path


def _root(content: ReportContent, images: SourceImages, segments: Dataset | None) -> ContainerContentItem:
    """By TID 1500: context, images, a group for each nodule, and what is said of the examination."""
    device = DeviceObserverIdentifyingAttributes(
        uid=_DEVICE_UID,
        name=MANUFACTURER,
        manufacturer_name=MANUFACTURER,
        model_name=algorithm_name(content),
        serial_number=SERIAL_NUMBER,
    )
    groups = [_nodule(one, content, images, segments) for one in content.kept]
    root = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=ObserverContext(standard.DCM.Device, device)),
        procedure_reported=codes.CHEST_CT,
        # highdicom wants a group; without nodules the examination alone is what TID 1500 asks for.
        imaging_measurements=groups or [MeasurementsAndQualitativeEvaluations(TrackingIdentifier(identifier="none"))],
        title=standard.DCM.ImagingMeasurementReport,
    )[0]
    measured = root.ContentSequence.pop()
    root.ContentSequence.append(image_library(images))
    if groups:
        root.ContentSequence.append(measured)
    root.ContentSequence.append(_examination(content))
    return root


def _read_segments(seg: str | Path, content: ReportContent, images: SourceImages) -> Dataset:
    """The SEG's header.

    Raises:
        InputError: it is no SEG, of another CT, or lacks a nodule.
    """
    try:
        dataset = pydicom.dcmread(seg, stop_before_pixels=True)
    except (OSError, InvalidDicomError) as error:
        raise InputError(f"The DICOM SEG '{Path(seg).name}' cannot be read; write it again.") from error
    if dataset.SOPClassUID != SegmentationStorage:
        raise InputError(f"'{Path(seg).name}' is no DICOM SEG; give the one that was written of this report.")
    series = {str(one.SeriesInstanceUID) for one in dataset.get("ReferencedSeriesSequence", [])}
    held = {str(one.get("TrackingUID", "")) for one in dataset.SegmentSequence}
    if images.ct.series.uid not in series or not {one.uid for one in content.kept} <= held:
        raise InputError(f"'{Path(seg).name}' is not of this report; write the DICOM SEG of the same nodules first.")
    return dataset


def _algorithm(content: ReportContent) -> AlgorithmIdentification:
    return AlgorithmIdentification(
        name=algorithm_name(content),
        version=SegmentationAILib.__version__,
        parameters=[f"{name}={value}" for name, value in algorithm_parameters(content).items()],
    )


def _examination(content: ReportContent) -> ContainerContentItem:
    """How many nodules there are, the category of the CT, and what is to be said of the whole report.

    Not a measurement group: 3D Slicer takes the nth group for that of the nth segment.
    """
    exam, follow_up = content.exam, content.follow_up
    overall = Range(exam.low.overall, exam.high.overall, (), ()) if isinstance(exam, Range) else exam.overall
    counts = [(codes.NODULE_COUNT, len(content.kept))]
    said = [RESEARCH_USE, *content.warnings]
    if follow_up is not None:
        counts.append((codes.RESOLVED_COUNT, len(follow_up.resolved)))
        said += [*follow_up.warnings, *(one.sentence for one in (*follow_up.resolved, *follow_up.unseen))]
    container = ContainerContentItem(name=codes.QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(
        [
            *(CodeContentItem(name, value, _CONTAINS) for name, value in lung_rads(overall) if value is not None),
            *(NumContentItem(name, value, codes.NODULES, relationship_type=_CONTAINS) for name, value in counts),
            *_comments(said),
        ]
    )
    return container


def _nodule(
    one: ReportedNodule, content: ReportContent, images: SourceImages, segments: Dataset | None
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    frame = images.ct.series.frame_of_reference_uid
    series = SourceSeriesForSegmentation(images.ct.series.uid)
    if segments is not None:
        number = next(int(s.SegmentNumber) for s in segments.SegmentSequence if str(s.get("TrackingUID")) == one.uid)
        region = {
            "referenced_segment": ReferencedSegment(
                segments.SOPClassUID, segments.SOPInstanceUID, number, source_series=series
            )
        }
    else:
        region = {
            "referenced_volume_surface": VolumeSurface(
                GraphicTypeValues3D.ELLIPSOID, ellipsoid_lps(one.nodule.mask), frame, source_series=series
            )
        }
    group = VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=one.uid, identifier=one.nodule.name),
        finding_type=codes.NODULE,
        finding_category=codes.ALTERED_STRUCTURE,
        algorithm_id=_algorithm(content),
        finding_sites=[finding_site(one)],
        measurements=measurements(one, content.follow_up),
        qualitative_evaluations=evaluations(one),
        **region,
    )
    group[0].ContentSequence.extend(places(one, frame))
    # The template may be extended: what has no code is a comment in words.
    group[0].ContentSequence.extend(_comments(sentences(one, content.follow_up)))
    return group


def _comments(texts: Sequence[str]) -> list[TextContentItem]:
    return [TextContentItem(name=codes.COMMENT, value=text, relationship_type=_CONTAINS) for text in texts]


def ellipsoid_lps(mask: NoduleMask) -> NDArray[np.float64]:
    """[6, 3] LPS, mm: both ends of each principal axis of the ellipsoid that has the mask's moments and volume.

    A solid ellipsoid with the semi-axis a has the variance a² / 5 along it; the axes are then scaled to the volume.
    """
    kji = np.argwhere(mask.occupancy > 0)
    weight = mask.occupancy[tuple(kji.T)].astype(np.float64)
    points = lps(mask.grid.ras(kji[:, ::-1]))
    centre = np.average(points, axis=0, weights=weight)
    # A voxel is not a point: its own extent keeps a nodule one voxel thick from being flat.
    voxel = np.diag([1.0, 1.0, 1.0]) * mask.grid.voxel_volume ** (2 / 3) / 12
    variance, axes = np.linalg.eigh(np.cov(points.T, aweights=weight, ddof=0) + voxel)
    semi = np.sqrt(5 * variance)
    semi *= np.cbrt(weight.sum() * mask.grid.voxel_volume / (4 / 3 * np.pi * semi.prod()))
    # The longest first, as DICOM asks (PS3.3 C.18.9.1.2).
    return np.concatenate([[centre - semi[n] * axes[:, n], centre + semi[n] * axes[:, n]] for n in (2, 1, 0)])
