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


def _organ(name: str, code: str, meaning: str, rgb: tuple[int, int, int], tg263: str) -> Structure:
    colour = (rgb[0] / 255, rgb[1] / 255, rgb[2] / 255)
    return Structure(name, ANATOMICAL_STRUCTURE, Code(code, "SCT", meaning), colour, tg263=tg263)


HEART = _organ("heart", "80891009", "Heart", (206, 110, 84), "Heart")
AORTA = _organ("aorta", "15825003", "Aorta", (224, 97, 76), "A_Aorta")
OESOPHAGUS = _organ("oesophagus", "32849002", "Esophagus", (211, 171, 143), "Esophagus")
SPINAL_CORD = _organ("spinal cord", "2748008", "Spinal cord", (244, 214, 49), "SpinalCord")
BONE = _organ("bone", "272673000", "Bone", (241, 214, 145), "Bone")
LIVER = _organ("liver", "10200004", "Liver", (221, 130, 101), "Liver")
SPLEEN = _organ("spleen", "78961009", "Spleen", (157, 108, 162), "Spleen")
KIDNEYS = _organ("kidneys", "64033007", "Kidney", (185, 102, 83), "Kidneys")
STOMACH = _organ("stomach", "69695003", "Stomach", (216, 132, 105), "Stomach")
VENA_CAVA = _organ("vena cava", "181367001", "Vena cava", (0, 151, 206), "V_Venacava")


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
