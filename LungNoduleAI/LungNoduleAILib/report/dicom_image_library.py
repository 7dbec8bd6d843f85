"""The images that a report is about, as TID 1600 lists them.

highdicom describes every image at length, 4 kB for each; what they share is said once here.
"""

from __future__ import annotations

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentSequence,
    DateContentItem,
    ImageContentItem,
    RelationshipTypeValues,
    UIDRefContentItem,
)
from pydicom.sr.codedict import codes as standard
from pydicom.valuerep import DA

from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.dicom_source import SourceImages


def image_library(images: SourceImages) -> ContainerContentItem:
    """One group with modality, frame of reference and, where the CT says it, the day; then the images."""
    described = RelationshipTypeValues.HAS_ACQ_CONTEXT
    group = ContainerContentItem(name=standard.DCM.ImageLibraryGroup, relationship_type=RelationshipTypeValues.CONTAINS)
    group.ContentSequence = ContentSequence()
    group.ContentSequence.append(
        CodeContentItem(
            name=standard.DCM.Modality, value=standard.cid29.ComputedTomography, relationship_type=described
        )
    )
    day = str(images.datasets[0].get("AcquisitionDate") or "")
    if len(day) == len("YYYYMMDD") and day.isdigit():
        group.ContentSequence.append(
            DateContentItem(name=codes.ACQUISITION_DATE, value=DA(day), relationship_type=described)
        )
    group.ContentSequence.append(
        UIDRefContentItem(
            name=standard.DCM.FrameOfReferenceUID,
            value=images.ct.series.frame_of_reference_uid,
            relationship_type=described,
        )
    )
    for dataset in images.datasets:
        group.ContentSequence.append(
            ImageContentItem(
                name=standard.SCT.Source,
                referenced_sop_class_uid=dataset.SOPClassUID,
                referenced_sop_instance_uid=dataset.SOPInstanceUID,
                relationship_type=RelationshipTypeValues.CONTAINS,
            )
        )
    library = ContainerContentItem(name=standard.DCM.ImageLibrary, relationship_type=RelationshipTypeValues.CONTAINS)
    library.ContentSequence = ContentSequence([group])
    return library
