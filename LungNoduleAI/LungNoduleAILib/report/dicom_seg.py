"""The outlines of nodules and lungs as DICOM SEG on the CT's own images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.color import CIELabColor
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from numpy.typing import NDArray
from pydicom.sr.coding import Code as SRCode

import SegmentationAILib
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.dicom_source import (
    SourceImages,
    algorithm_name,
    algorithm_parameters,
    complete,
    new_instance,
    source_images,
)
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.ct_planes import planes_of
from SegmentationAILib.radiotherapy.dicom_objects import MANUFACTURER
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure
from SegmentationAILib.terminology import Code, Structure
from SegmentationAILib.writing import atomic_write

_NODULES_SERIES, _LUNGS_SERIES = 9001, 9002

# A segment's planes: k of the CT's slice -> bool [j, i].
Planes = Mapping[int, NDArray[np.bool_]]


def write_seg(content: ReportContent, source: str | Path, path: str | Path) -> Path:
    """Write the nodules that the reader did not reject as a binary DICOM SEG, in one step.

    Each is a segment on the CT's own voxels, those that it fills by half or more, with its tracking identifier. A
    segment is AUTOMATIC, or SEMIAUTOMATIC where the reader edited or added the nodule.

    Args:
        source: the folder with the CT's DICOM files.
        path: the file, ``.dcm``.

    Raises:
        InputError: there is no nodule, the CT is not in the folder, or the file cannot be written.
    """
    if not content.kept:
        raise InputError("There is no nodule to write as DICOM SEG; write the DICOM SR, which says so.")
    images = source_images(content, source)
    segments = []
    for layer in nodule_layers([one.nodule for one in content.kept], content.volume.grid):
        for one in content.kept:
            if one.nodule.id in layer.structures:
                structure = layer.structures[one.nodule.id]
                mask = layer.array == one.nodule.id
                segments.append((one, structure, _planes(one.nodule.name, mask, content, images)))
    segments.sort(key=lambda segment: segment[0].nodule.id)
    described = [
        _description(number, structure, content, one) for number, (one, structure, _) in enumerate(segments, start=1)
    ]
    return _write(
        content,
        images,
        described,
        [planes for _, _, planes in segments],
        path,
        ("NODULES", "Lung nodules, research use", _NODULES_SERIES),
    )


def write_lungs_seg(content: ReportContent, source: str | Path, path: str | Path) -> Path:
    """Write lungs and airway as a binary DICOM SEG of its own, in one step, as ``write_seg`` does.

    Raises:
        InputError: there is no lung, the CT is not in the folder, or the file cannot be written.
    """
    lungs = content.lungs
    held = [(structure, lungs.array == value) for value, structure in sorted(lungs.structures.items())]
    held = [(structure, mask) for structure, mask in held if mask.any()]
    if not held:
        raise InputError("There are no lungs to write as DICOM SEG; segment them first.")
    images = source_images(content, source)
    planes = [_planes(structure.name, mask, content, images) for structure, mask in held]
    described = [_description(number, structure, content) for number, (structure, _) in enumerate(held, start=1)]
    return _write(content, images, described, planes, path, ("LUNGS", "Lungs, research use", _LUNGS_SERIES))


def _planes(name: str, mask: NDArray[np.bool_], content: ReportContent, images: SourceImages) -> Planes:
    """The sections of a mask on the volume's grid in the CT's images, which a tilted gantry or gaps set apart."""
    whole = {}
    for k, part, (i, j) in planes_of(RTStructure(name, Role.ORGAN, mask), content.volume.grid, images.ct):
        whole[k] = np.zeros(images.shape, dtype=bool)
        whole[k][j : j + part.shape[0], i : i + part.shape[1]] = part
    return whole


def _description(
    number: int, structure: Structure, content: ReportContent, one: ReportedNodule | None = None
) -> SegmentDescription:
    drawn = one is not None and (one.decision.edited or one.decision.added)
    description = SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=_coded(structure.category),
        segmented_property_type=_coded(structure.type),
        algorithm_type=SegmentAlgorithmTypeValues.SEMIAUTOMATIC if drawn else SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=algorithm_name(content) if one else f"{MANUFACTURER} lungs",
            family=codes.ARTIFICIAL_INTELLIGENCE,
            version=SegmentationAILib.__version__,
            source=MANUFACTURER,
            # The detector's model did not outline the lungs.
            parameters=algorithm_parameters(content) if one else None,
        ),
        tracking_uid=one.uid if one else None,
        tracking_id=one.nodule.name if one else None,
        anatomic_regions=[_coded(structure.region)] if structure.region else None,
        display_color=CIELabColor.from_rgb(*(round(255 * part) for part in structure.colour)),
    )
    if structure.type_modifier:
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept.from_code(_coded(structure.type_modifier))
        ]
    if structure.region_modifier:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [
            hd.sr.CodedConcept.from_code(_coded(structure.region_modifier))
        ]
    return description


def _coded(code: Code) -> SRCode:
    return SRCode(code.value, code.scheme, code.meaning)


def _write(
    content: ReportContent,
    images: SourceImages,
    descriptions: Sequence[SegmentDescription],
    segments: Sequence[Planes],
    path: str | Path,
    series: tuple[str, str, int],
) -> Path:
    path = Path(path)
    label, text, number = series
    used = sorted({k for planes in segments for k in planes})
    slices = [images.ct.slices[k] for k in used]
    by_uid = {str(one.SOPInstanceUID): one for one in images.datasets}
    chosen = list(dict.fromkeys(one.sop_instance_uid for one in slices))
    measures = _measures(images)
    dataset = Segmentation(
        source_images=[by_uid[uid] for uid in chosen],
        further_source_images=[one for uid, one in by_uid.items() if uid not in chosen] or None,
        pixel_array=_pixels(segments, used, images.shape),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=list(descriptions),
        **new_instance(),
        series_number=number,
        content_label=label,
        content_description=text,
        series_description=text,
        pixel_measures=measures,
        plane_positions=[
            hd.PlanePositionSequence(hd.CoordinateSystemNames.PATIENT, [float(x) for x in one.position])
            for one in slices
        ],
    )
    # highdicom takes those of the CT, which seldom say how far apart the slices are.
    dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = measures
    complete(dataset, content)
    with atomic_write(path) as partial:
        dataset.save_as(partial)
    return path


def _measures(images: SourceImages) -> hd.PixelMeasuresSequence:
    return hd.PixelMeasuresSequence(
        pixel_spacing=[float(x) for x in images.ct.slices[0].spacing_ij[::-1]],
        slice_thickness=float(images.datasets[0].SliceThickness),
        spacing_between_slices=images.slice_spacing if images.ct.regular is not None else None,
    )


def _pixels(segments: Iterable[Planes], used: Sequence[int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Segment numbers [frame, j, i], or a mask for each segment [frame, j, i, segment] where two share a voxel."""
    place = {k: n for n, k in enumerate(used)}
    segments = list(segments)
    numbers = np.zeros((len(used), *shape), dtype=np.uint16)
    for number, planes in enumerate(segments, start=1):
        for k, plane in planes.items():
            if numbers[place[k]][plane].any():
                return np.stack([_stack(one, used, shape) for one in segments], axis=-1)
            numbers[place[k]][plane] = number
    return numbers.astype(np.uint8) if len(segments) < 256 else numbers


def _stack(planes: Planes, used: Sequence[int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    empty = np.zeros(shape, dtype=bool)
    return np.stack([planes.get(k, empty) for k in used]).astype(np.uint8)
