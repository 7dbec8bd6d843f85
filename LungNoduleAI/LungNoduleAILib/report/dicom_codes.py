"""Codes of the DICOM report, both ways: what is written and what is read back.

SNOMED CT (SCT), DICOM (DCM) and UCUM by PS3.16: CID 6141 attenuation, CID 7469 and 7470 sizes, CID 7155 lobes. RadLex
has pulmonary nodules by their attenuation, their average diameter and the categories of Lung-RADS; the NCI Thesaurus
the words for what they look like, as in the DICOM edition of the LIDC (Fedorov et al., Med Phys 2020). What none of
them has is in the private scheme ``99THORAXAI``, which every report declares.
"""

from __future__ import annotations

from pydicom.sr.coding import Code

from LungNoduleAILib.guidelines.findings import Behaviour, Calcification, Kind, Lobe
from LungNoduleAILib.review import Verdict

PRIVATE = "99THORAXAI"


def private(value: str, meaning: str) -> Code:
    """A concept that no public scheme has."""
    return Code(value, PRIVATE, meaning)


MILLIMETRE = Code("mm", "UCUM", "mm")
CUBIC_MILLIMETRE = Code("mm3", "UCUM", "mm3")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")
DAY = Code("d", "UCUM", "day")
PERCENT = Code("%", "UCUM", "Percent")
MILLIGRAM = Code("mg", "UCUM", "mg")
RATIO = Code("1", "UCUM", "no units")
NODULES = Code("{nodules}", "UCUM", "nodules")

NODULE = Code("27925004", "SCT", "Nodule")
CHEST_CT = Code("24627-2", "LN", "CT Chest")
LUNG = Code("39607008", "SCT", "Lung")
RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")
ALTERED_STRUCTURE = Code("49755003", "SCT", "Morphologically Altered Structure")
MEAN = Code("373098007", "SCT", "Mean")
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
ACQUISITION_DATE = Code("126201", "DCM", "Acquisition Date")
COMMENT = Code("121106", "DCM", "Comment")
CENTRE = Code("111010", "DCM", "Center")
ARTIFICIAL_INTELLIGENCE = Code("123110", "DCM", "Artificial Intelligence")

VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long axis")
SHORT_AXIS = Code("103340004", "SCT", "Short axis")
AVERAGE_DIAMETER = Code("RID50155", "RADLEX", "average diameter")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
SCORE = private("score", "Detection score")
MASS = private("mass", "Mass by volume and attenuation")
# A size of the part is not to be taken for one of the whole, so its name says what it is of.
SOLID_VOLUME = private("solid-volume", "Volume of the solid part")
SOLID_LONG_AXIS = private("solid-long-axis", "Long axis of the solid part")
SOLID_SHORT_AXIS = private("solid-short-axis", "Short axis of the solid part")
DOUBLING_TIME = private("doubling-time", "Volume doubling time")
VOLUME_CHANGE = private("volume-change", "Volume change since the prior CT")
DIAMETER_CHANGE = private("diameter-change", "Average diameter change since prior CT")
DAYS_SINCE_PRIOR = private("days", "Time since the prior CT")
NODULE_COUNT = private("nodule-count", "Number of nodules")
RESOLVED_COUNT = private("resolved-count", "Number of nodules resolved since prior CT")
BROCK = private("brock", "Risk of malignancy by the Brock model")
MAYO = private("mayo", "Risk of malignancy by the Mayo model")
HERDER = private("herder", "Risk of malignancy by the Herder model")

ATTENUATION_TYPE = Code("C41144", "NCIt", "Texture")
KINDS = {
    Kind.SOLID: Code("RID50151", "RADLEX", "solid pulmonary nodule"),
    Kind.PART_SOLID: Code("RID50152", "RADLEX", "part-solid pulmonary nodule"),
    Kind.GROUND_GLASS: Code("RID50153", "RADLEX", "non-solid pulmonary nodule"),
}
CALCIFICATION = Code("C3672", "NCIt", "Calcification")
CALCIFICATIONS = {
    Calcification.NONE: Code("RID28473", "RADLEX", "absent"),
    Calcification.COMPLETE: private("complete", "Complete"),
    Calcification.CENTRAL: Code("RID5827", "RADLEX", "central calcification"),
    Calcification.POPCORN: Code("RID35453", "RADLEX", "popcorn calcification sign"),
    Calcification.CONCENTRIC_RINGS: private("rings", "Concentric rings"),
    Calcification.OTHER: private("other", "Other"),
}
LUNG_RADS = Code("RID50134", "RADLEX", "Lung-RADS assessment")
LUNG_RADS_LOWEST = private("lung-rads-low", "Lowest possible Lung-RADS assessment")
LUNG_RADS_HIGHEST = private("lung-rads-high", "Highest possible Lung-RADS assessment")
CATEGORIES = {
    "0": Code("RID50135", "RADLEX", "Lung-RADS 0"),
    "1": Code("RID50136", "RADLEX", "Lung-RADS 1"),
    "2": Code("RID50137", "RADLEX", "Lung-RADS 2"),
    "3": Code("RID50138", "RADLEX", "Lung-RADS 3"),
    "4A": Code("RID50139", "RADLEX", "Lung-RADS 4A"),
    "4B": Code("RID50140", "RADLEX", "Lung-RADS 4B"),
    "4X": Code("RID50141", "RADLEX", "Lung-RADS 4X"),
}
BEHAVIOUR = private("behaviour", "Behaviour since the prior CT")
BEHAVIOURS = {one: private(one.name.lower().replace("_", "-"), one.value.capitalize()) for one in Behaviour}
REVIEW = private("review", "Review by the reader")
VERDICTS = {one: private(one.name.lower(), one.value.capitalize()) for one in Verdict}

SIDES = {"left": LEFT, "right": RIGHT}
_UPPER = Code("45653009", "SCT", "Upper lobe of lung")
_MIDDLE = Code("72481006", "SCT", "Middle lobe of right lung")
_LOWER = Code("90572001", "SCT", "Lower lobe of lung")
# Each lobe with its side; the code of the middle lobe holds it.
LOBES: dict[Lobe, tuple[Code, Code | None]] = {
    Lobe.RIGHT_UPPER: (_UPPER, RIGHT),
    Lobe.RIGHT_MIDDLE: (_MIDDLE, None),
    Lobe.RIGHT_LOWER: (_LOWER, RIGHT),
    Lobe.LEFT_UPPER: (_UPPER, LEFT),
    Lobe.LEFT_LOWER: (_LOWER, LEFT),
}


# What other writers call a lung nodule.
NODULE_FINDINGS = (
    NODULE,
    Code("786838002", "SCT", "Pulmonary nodule"),
    Code("4147007", "SCT", "Mass"),
    Code("52988006", "SCT", "Lesion"),
    Code("RID50149", "RADLEX", "pulmonary nodule"),
    *KINDS.values(),
)
DIAMETER = Code("81827009", "SCT", "Diameter")
LENGTH = Code("410668003", "SCT", "Length")


def same(one: Code, other: Code) -> bool:
    """Whether two codes are of one concept; its words may differ, and SNOMED's former codes (SRT) count."""
    return one == other or (one.value, one.scheme_designator.upper()) == (other.value, other.scheme_designator.upper())
