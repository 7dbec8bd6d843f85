"""Roles of structures in DICOM: RT ROI Interpreted Type, therapeutic role codes, and what names say.

PS3.3 C.8.8.8 has no interpreted type for ITV and PRV. An ITV is written as CTV, which it contains
(ICRU Report 83), a PRV as AVOIDANCE, a region where dose is to be kept low; codes say what they are
(PS3.16 CID 9503, 9534, 9535).
"""

from __future__ import annotations

import re

from pydicom.dataset import Dataset

from SegmentationAILib.radiotherapy.structure_set import Role
from SegmentationAILib.terminology import Code

_TARGET = Code("130041", "DCM", "RT Target")
_DOSE_CALCULATION = Code("130042", "DCM", "RT Dose Calculation Structure")

INTERPRETED_TYPES = {
    Role.GTV: "GTV",
    Role.CTV: "CTV",
    Role.ITV: "CTV",
    Role.PTV: "PTV",
    Role.PRV: "AVOIDANCE",
    Role.ORGAN: "ORGAN",
    Role.EXTERNAL: "EXTERNAL",
    Role.AVOIDANCE: "AVOIDANCE",
}
# Category and type of the therapeutic role; the outline of the patient has none.
ROLE_CODES = {
    Role.GTV: (_TARGET, Code("228791009", "SCT", "GTV")),
    Role.CTV: (_TARGET, Code("228792002", "SCT", "CTV")),
    Role.ITV: (_TARGET, Code("130056", "DCM", "ITV")),
    Role.PTV: (_TARGET, Code("228793007", "SCT", "PTV")),
    Role.PRV: (_DOSE_CALCULATION, Code("130057", "DCM", "Planning Organ At Risk Volume")),
    Role.ORGAN: (_DOSE_CALCULATION, Code("130060", "DCM", "Organ At Risk")),
    Role.AVOIDANCE: (_DOSE_CALCULATION, Code("130058", "DCM", "Avoidance Volume")),
}
_ROLES_BY_CODE = {code.value: role for role, (_, code) in ROLE_CODES.items()}
_ROLES_BY_TYPE = {role.value: role for role in Role}
_TARGET_NAME = re.compile(r"^i?(gtv|ctv|itv|ptv)(?![a-z]{2})", re.IGNORECASE)
_PRV_NAME = re.compile(r"(?:^|[^a-z])prv(?![a-z])", re.IGNORECASE)
_EXTERNAL_NAMES = {"external", "body", "skin", "patient", "outer contour"}


def code_item(code: Code) -> Dataset:
    """A code as an item of a code sequence."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def code_of(item: Dataset) -> Code | None:
    """The code of an item of a code sequence, None where it is incomplete."""
    value = item.get("CodeValue") or item.get("LongCodeValue")
    scheme = item.get("CodingSchemeDesignator")
    return Code(str(value), str(scheme), str(item.get("CodeMeaning") or "")) if value and scheme else None


def role_of(name: str, interpreted_type: str, observation: Dataset) -> tuple[Role, bool]:
    """The role of a structure from another system, and whether it had to be guessed.

    A therapeutic role code counts first, then the interpreted type, but for what systems write of
    every structure: ORGAN or nothing for a name such as GTV-1, CTV or PTV for an ITV, ORGAN or
    AVOIDANCE for a PRV.

    Args:
        interpreted_type: RT ROI Interpreted Type, "" where there is none.
        observation: the structure's item of the RT ROI Observations Sequence.

    Returns:
        the role, and True where neither code, type nor name tell it.
    """
    for item in (*observation.get("TherapeuticRoleTypeCodeSequence", ()),):
        role = _ROLES_BY_CODE.get(str(item.get("CodeValue")))
        if role is not None:
            return role, False
    kind = interpreted_type.strip().upper()
    by_name = _role_in_name(name)
    if by_name is Role.ITV and kind in ("", "ORGAN", "GTV", "CTV", "PTV"):
        return Role.ITV, False
    if by_name is Role.PRV and kind in ("", "ORGAN", "AVOIDANCE"):
        return Role.PRV, False
    if kind in ("", "ORGAN") and by_name is not None:
        return by_name, False
    known = _ROLES_BY_TYPE.get(kind)
    return (Role.ORGAN, True) if known is None else (known, False)


def _role_in_name(name: str) -> Role | None:
    target = _TARGET_NAME.match(name.strip())
    if target:
        return Role.ITV if name.strip().lower().startswith("i") else Role(target.group(1).upper())
    if _PRV_NAME.search(name):
        return Role.PRV
    return Role.EXTERNAL if name.strip().lower() in _EXTERNAL_NAMES else None
