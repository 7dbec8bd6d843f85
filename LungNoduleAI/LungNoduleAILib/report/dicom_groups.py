"""Measurement groups of any DICOM SR by TID 1500, read as they stand: other writers keep to it more or less."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as standard
from pydicom.sr.coding import Code

from LungNoduleAILib.report import dicom_codes as codes
from SegmentationAILib.volume import LPS_FROM_RAS

_TEMPLATE = "1500"
# What a unit is in mm, mm³, HU, days or as a fraction of what is measured.
_SCALES = {"mm": 1.0, "cm": 10.0, "mm3": 1.0, "cm3": 1e3, "ml": 1e3, "mL": 1e3, "[hnsf'U]": 1.0, "1": 1.0}


@dataclass(frozen=True, eq=False)
class Group:
    """A measurement group (TID 1410, 1411 or 1501).

    Attributes:
        uid, name: tracking identifiers, "" where it has none.
        finding: what it is about, None where it does not say.
        site: code of the finding site, None as above; ``side``: its laterality.
        numbers: each measurement's name with its value in mm, mm³ or HU; a unit that is not known is left out.
        answers: each evaluation's name with its value.
        segment: SOP Instance UID and number of the segment that it is measured on.
        points_ras: of each place in space that it holds, its name with [n, 3] RAS, mm.
        frame_of_reference_uid: of those places, "" where it has none.
    """

    uid: str = ""
    name: str = ""
    finding: Code | None = None
    site: Code | None = None
    side: Code | None = None
    numbers: tuple[tuple[Code, float], ...] = ()
    answers: tuple[tuple[Code, Code], ...] = ()
    segment: tuple[str, int] | None = None
    points_ras: tuple[tuple[Code, NDArray[np.float64]], ...] = field(default=())
    frame_of_reference_uid: str = ""

    def number(self, *names: Code) -> float | None:
        """The first measurement with one of the names, tried in turn."""
        return next((value for name in names for found, value in self.numbers if codes.same(found, name)), None)

    def answer(self, name: Code) -> Code | None:
        return next((value for found, value in self.answers if codes.same(found, name)), None)

    def points(self, name: Code) -> NDArray[np.float64] | None:
        return next((points for found, points in self.points_ras if codes.same(found, name)), None)


def is_measurement_report(dataset: Dataset) -> bool:
    """Whether a data set is a structured report by TID 1500."""
    templates = dataset.get("ContentTemplateSequence") or []
    return any(str(one.get("TemplateIdentifier", "")) == _TEMPLATE for one in templates)


def items_named(dataset: Dataset, name: Code) -> Iterator[Dataset]:
    """Content items with that name, at any depth."""
    for item in dataset.get("ContentSequence") or []:
        found = _code(item, "ConceptNameCodeSequence")
        if found is not None and codes.same(found, name):
            yield item
        yield from items_named(item, name)


def groups_of(report: Dataset) -> tuple[Group, ...]:
    """The measurement groups in their order."""
    return tuple(_group(item) for item in items_named(report, standard.DCM.MeasurementGroup))


def _group(container: Dataset) -> Group:
    values: dict[str, object] = {}
    numbers, answers, points = [], [], []
    for item in container.get("ContentSequence") or []:
        name = _code(item, "ConceptNameCodeSequence")
        kind = item.get("ValueType")
        if name is None:
            continue
        if kind == "NUM":
            value = _number(item)
            if value is not None:
                numbers.append((name, value))
        elif kind == "SCOORD3D":
            lps = np.array(item.GraphicData, dtype=np.float64).reshape(-1, 3)
            points.append((name, lps @ LPS_FROM_RAS[:3, :3]))
            values["frame_of_reference_uid"] = str(item.get("ReferencedFrameOfReferenceUID") or "")
        elif kind == "IMAGE" and "ReferencedSegmentNumber" in item.ReferencedSOPSequence[0]:
            one = item.ReferencedSOPSequence[0]
            number = one.ReferencedSegmentNumber
            number = number if isinstance(number, int) else number[0]
            values["segment"] = (str(one.ReferencedSOPInstanceUID), int(number))
        elif codes.same(name, standard.DCM.TrackingIdentifier):
            values["name"] = str(item.get("TextValue") or "")
        elif codes.same(name, standard.DCM.TrackingUniqueIdentifier):
            values["uid"] = str(item.get("UID") or "")
        elif kind == "CODE":
            value = _code(item, "ConceptCodeSequence")
            if value is not None and codes.same(name, standard.DCM.Finding):
                values["finding"] = value
            elif value is not None and codes.same(name, standard.SCT.FindingSite):
                sides = [_code(side, "ConceptCodeSequence") for side in items_named(item, standard.SCT.Laterality)]
                values |= {"site": value, "side": sides[0] if sides else None}
            elif value is not None:
                answers.append((name, value))
    return Group(**values, numbers=tuple(numbers), answers=tuple(answers), points_ras=tuple(points))


def _number(item: Dataset) -> float | None:
    measured = item.get("MeasuredValueSequence") or []
    if not measured or measured[0].get("NumericValue") is None:
        return None
    unit = _code(measured[0], "MeasurementUnitsCodeSequence")
    scale = _SCALES.get(unit.value) if unit is not None else None
    return None if scale is None else float(measured[0].NumericValue) * scale


def _code(item: Dataset, keyword: str) -> Code | None:
    sequence = item.get(keyword) or []
    if not sequence:
        return None
    one = sequence[0]
    value = one.get("CodeValue") or one.get("LongCodeValue") or one.get("URNCodeValue")
    return Code(str(value), str(one.get("CodingSchemeDesignator") or ""), str(one.get("CodeMeaning") or ""))
