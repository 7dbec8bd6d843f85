"""The CT's DICOM images as SEG and SR refer to them, and what of a report goes into both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import format_number_as_ds

import SegmentationAILib
from LungNoduleAILib.report.content import ReportContent
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.ct_reference import CTReference, ct_reference
from SegmentationAILib.radiotherapy.dicom_objects import MANUFACTURER, MAY_BE_EMPTY

RESEARCH_USE = "Research use only: not for diagnosis. Found and measured by software; the clinician decides."
# What identifies the device in the equipment module; it is software, and each installation is alike.
SERIAL_NUMBER = SegmentationAILib.__version__


@dataclass(frozen=True, eq=False)
class SourceImages:
    """The images that a report is about.

    Attributes:
        ct: their planes.
        datasets: the header of each file, in the order of the planes.
    """

    ct: CTReference
    datasets: tuple[Dataset, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.ct.slices[0].size_ij[::-1]

    @property
    def slice_spacing(self) -> float:
        """mm; the thickness where the slices are unevenly spaced."""
        return float(self.ct.regular.spacing[2]) if self.ct.regular is not None else self.ct.slices[0].thickness or 1.0


def new_instance() -> dict[str, Any]:
    """What SEG and SR say alike of themselves, by highdicom's names: a series of its own, and what made it."""
    return {
        "series_instance_uid": generate_uid(None),
        "sop_instance_uid": generate_uid(None),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": SegmentationAILib.__version__,
        "device_serial_number": SERIAL_NUMBER,
    }


def source_images(content: ReportContent, folder: str | Path) -> SourceImages:
    """The headers of the series that a report's CT was read from.

    Attributes that the standard wants to be there, if empty, are added where the files lack them.

    Args:
        folder: with the series, searched with its subfolders.

    Raises:
        InputError: the CT did not come from DICOM, has no frame of reference, or is not in the folder.
    """
    source = content.volume.source
    if source is None or not source.series_instance_uid:
        raise InputError(
            "DICOM SEG and SR refer to the CT's DICOM images, and this CT did not come from DICOM; write the report as "
            "PDF, HTML or JSON, or load the CT from its DICOM folder."
        )
    if not source.frame_of_reference_uid:
        raise InputError(
            "The CT has no DICOM frame of reference, which SEG and SR must name; export the CT from the scanner or "
            "archive again."
        )
    ct = ct_reference(folder, source.series_instance_uid)
    paths = dict.fromkeys(one.path for one in ct.slices)
    datasets = tuple(pydicom.dcmread(path, stop_before_pixels=True) for path in paths)
    images = SourceImages(ct, datasets)
    for dataset in datasets:
        for keyword in MAY_BE_EMPTY:
            if keyword not in dataset:
                setattr(dataset, keyword, "")
        if not dataset.get("SliceThickness"):
            dataset.SliceThickness = format_number_as_ds(images.slice_spacing)
    return images


def complete(dataset: Dataset, content: ReportContent) -> None:
    """What versions of highdicom set in different ways: when the content was made, and UTF-8 for its texts."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ContentDate = content.made_at.strftime("%Y%m%d")
    dataset.ContentTime = content.made_at.strftime("%H%M%S")


def algorithm_parameters(content: ReportContent) -> dict[str, str]:
    """What makes the result again: model, hash of its weights, device and options."""
    named = {
        "model": content.task.model,
        "weights-sha256": content.model_hash or "none",
        "device": content.task.device,
        **content.task.options,
    }
    return {name: str(value) for name, value in named.items()}


def algorithm_name(content: ReportContent) -> str:
    return f"{MANUFACTURER} {content.task.model}"
