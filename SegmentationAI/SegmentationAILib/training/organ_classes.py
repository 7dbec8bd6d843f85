"""What the thoracic organ network tells apart, and what the training sets call it.

Names and values of structures are TotalSegmentator's (class map of version 2; Wasserthal et al.,
Radiol AI 2023). Its right and left are the patient's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BACKGROUND, BODY, LUNG_RIGHT, LUNG_LEFT, AIRWAY, HEART, AORTA, OESOPHAGUS = range(8)
SPINAL_CORD, BONE, LIVER, SPLEEN, KIDNEY, STOMACH, VENA_CAVA = range(8, 15)
CLASS_NAMES = (
    "background",
    "body",
    "lung_right",
    "lung_left",
    "airway",
    "heart",
    "aorta",
    "oesophagus",
    "spinal_cord",
    "bone",
    "liver",
    "spleen",
    "kidney",
    "stomach",
    "vena_cava",
)
# None of the classes that the scan's reader drew; which those are goes with the label.
REST = 253
# Inside the body and neither lung, airway nor bone: any of SOFT_CLASSES.
SOFT = 254
# Nothing is known.
UNKNOWN = 255
SOFT_CLASSES = (BODY, HEART, AORTA, OESOPHAGUS, SPINAL_CORD, LIVER, SPLEEN, KIDNEY, STOMACH, VENA_CAVA)
# Of the lobes, for a network that tells them apart.
LOBES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)


def _pair(name: str, first: str = "left") -> tuple[str, str]:
    second = "right" if first == "left" else "left"
    return f"{name}_{first}", f"{name}_{second}"


# Index is the label value.
STRUCTURES = (
    "",
    "spleen",
    *_pair("kidney", "right"),
    "gallbladder",
    "liver",
    "stomach",
    "pancreas",
    *_pair("adrenal_gland", "right"),
    *LOBES,
    "esophagus",
    "trachea",
    "thyroid_gland",
    "small_bowel",
    "duodenum",
    "colon",
    "urinary_bladder",
    "prostate",
    *_pair("kidney_cyst"),
    "sacrum",
    "vertebrae_S1",
    *(f"vertebrae_L{n}" for n in range(5, 0, -1)),
    *(f"vertebrae_T{n}" for n in range(12, 0, -1)),
    *(f"vertebrae_C{n}" for n in range(7, 0, -1)),
    "heart",
    "aorta",
    "pulmonary_vein",
    "brachiocephalic_trunk",
    *_pair("subclavian_artery", "right"),
    *_pair("common_carotid_artery", "right"),
    *_pair("brachiocephalic_vein"),
    "atrial_appendage_left",
    "superior_vena_cava",
    "inferior_vena_cava",
    "portal_vein_and_splenic_vein",
    *_pair("iliac_artery"),
    *_pair("iliac_vena"),
    *_pair("humerus"),
    *_pair("scapula"),
    *_pair("clavicula"),
    *_pair("femur"),
    *_pair("hip"),
    "spinal_cord",
    *_pair("gluteus_maximus"),
    *_pair("gluteus_medius"),
    *_pair("gluteus_minimus"),
    *_pair("autochthon"),
    *_pair("iliopsoas"),
    "brain",
    "skull",
    *(f"rib_left_{n}" for n in range(1, 13)),
    *(f"rib_right_{n}" for n in range(1, 13)),
    "sternum",
    "costal_cartilages",
)

_CLASS_OF_START = {
    "lung_upper_lobe_left": LUNG_LEFT,
    "lung_lower_lobe_left": LUNG_LEFT,
    "lung_": LUNG_RIGHT,
    "trachea": AIRWAY,
    "heart": HEART,
    "atrial_appendage": HEART,
    "aorta": AORTA,
    "esophagus": OESOPHAGUS,
    "spinal_cord": SPINAL_CORD,
    "vertebrae": BONE,
    "sacrum": BONE,
    "humerus": BONE,
    "scapula": BONE,
    "clavicula": BONE,
    "femur": BONE,
    "hip": BONE,
    "skull": BONE,
    "rib_": BONE,
    "sternum": BONE,
    "liver": LIVER,
    "spleen": SPLEEN,
    "kidney": KIDNEY,
    "stomach": STOMACH,
    "superior_vena_cava": VENA_CAVA,
    "inferior_vena_cava": VENA_CAVA,
}


def class_of(structure: str) -> int:
    """The class of a named structure; ``BODY`` for those that the network does not tell apart.

    Raises:
        KeyError: TotalSegmentator has no such structure.
    """
    if structure not in STRUCTURES[1:]:
        raise KeyError(structure)
    return next((value for start, value in _CLASS_OF_START.items() if structure.startswith(start)), BODY)


def class_table() -> NDArray[np.uint8]:
    """[256] class of each structure value; 0, where no structure is, becomes ``BODY``."""
    table = np.full(256, UNKNOWN, dtype=np.uint8)
    table[0] = BODY
    for value, name in enumerate(STRUCTURES[1:], start=1):
        table[value] = class_of(name)
    return table


def mirrored_classes() -> NDArray[np.uint8]:
    """[256] each class after right and left are exchanged."""
    table = np.arange(256, dtype=np.uint8)
    table[[LUNG_RIGHT, LUNG_LEFT]] = LUNG_LEFT, LUNG_RIGHT
    return table
