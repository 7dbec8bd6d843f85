"""What a segment is, in codes: SNOMED CT by DICOM PS3.16, and the colour to draw it in.

Lung, trachea: CID 7155; lesions: CID 7159; laterality: CID 244. Names and colours of anatomy follow
3D Slicer's General Anatomy list, so that segments look as users expect.
"""

from __future__ import annotations

from dataclasses import dataclass

GENERAL_ANATOMY = "Segmentation category and type - 3D Slicer General Anatomy list"
DICOM_MASTER = "Segmentation category and type - DICOM master list"
ANATOMIC_REGIONS = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.3 section 8.8)."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Structure:
    """What a label value or a segment stands for.

    Attributes:
        name: shown to the user.
        colour: red, green, blue in 0…1.
        context: the terminology list that the category and type are in.
        tg263: the name in AAPM TG-263, "" where it has none.
    """

    name: str
    category: Code
    type: Code
    colour: tuple[float, float, float]
    context: str = GENERAL_ANATOMY
    type_modifier: Code | None = None
    region: Code | None = None
    region_modifier: Code | None = None
    tg263: str = ""


ANATOMICAL_STRUCTURE = Code("123037004", "SCT", "Anatomical Structure")
ALTERED_STRUCTURE = Code("49755003", "SCT", "Morphologically Altered Structure")
LUNG = Code("39607008", "SCT", "Lung")
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")

RIGHT_LUNG = Structure(
    "right lung", ANATOMICAL_STRUCTURE, LUNG, (197 / 255, 165 / 255, 145 / 255), type_modifier=RIGHT, tg263="Lung_R"
)
LEFT_LUNG = Structure(
    "left lung", ANATOMICAL_STRUCTURE, LUNG, (197 / 255, 165 / 255, 145 / 255), type_modifier=LEFT, tg263="Lung_L"
)
AIRWAY = Structure(
    "trachea and bronchi",
    ANATOMICAL_STRUCTURE,
    Code("44567001", "SCT", "Trachea"),
    (182 / 255, 228 / 255, 255 / 255),
    tg263="Trachea",
)


def lung_nodule(name: str, colour: tuple[float, float, float], laterality: Code | None = None) -> Structure:
    """A nodule in a lung; ``laterality`` is LEFT, RIGHT or None where it is not known."""
    return Structure(
        name,
        ALTERED_STRUCTURE,
        Code("27925004", "SCT", "Nodule"),
        colour,
        context=DICOM_MASTER,
        region=LUNG,
        region_modifier=laterality,
    )
