"""What the DICOM objects that are written here share: identity, equipment and decimal strings."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

import SegmentationAILib

MANUFACTURER = "ThoraxAI"
# Patient and study of the images; nothing else of them is copied.
_PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
_STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
    "StudyDescription",
)
# Type 2: to be there, if empty.
MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "AccessionNumber",
)


def new_object(
    sop_class: str,
    modality: str,
    like: Dataset,
    now: datetime,
    *,
    syntax: str = ExplicitVRLittleEndian,
    extra_text: str = "",
) -> FileDataset:
    """A DICOM object of a new instance and series, with patient and study of another.

    Args:
        syntax: explicit or implicit little endian; values of more than 64 KiB, as contours may be, need
            the latter.
        like: the images' attributes; what it lacks is left empty.
        extra_text: names that the object will hold; where they need it, all is in UTF-8.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # filled in on writing
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(None)
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = lasting_uid(MANUFACTURER)
    meta.ImplementationVersionName = f"{MANUFACTURER} {SegmentationAILib.__version__}"[:16]
    dataset = FileDataset(
        None, {}, b"\0" * 128, meta, is_implicit_VR=syntax == ImplicitVRLittleEndian, is_little_endian=True
    )
    charset = like.get("SpecificCharacterSet")
    dataset.SpecificCharacterSet = charset if charset and extra_text.isascii() else "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.InstanceCreationDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = now.strftime("%H%M%S")
    dataset.Modality = modality
    dataset.SeriesInstanceUID = generate_uid(None)
    for keyword in (*_PATIENT, *_STUDY):
        if keyword in like:
            dataset[keyword] = like[keyword]
        elif keyword in MAY_BE_EMPTY:
            setattr(dataset, keyword, "")
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = SegmentationAILib.__version__
    return dataset


def lasting_uid(name: str) -> str:
    """The UID of something that this software names, always the same, by a UUID of the name (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def decimal_strings(values: Iterable[float]) -> list[str]:
    """Each as a decimal string of at most 16 bytes (PS3.5 table 6.2-1), as exact as that allows."""
    return [format_number_as_ds(float(value)) for value in values]
