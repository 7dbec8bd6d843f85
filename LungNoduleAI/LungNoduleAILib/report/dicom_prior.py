"""A prior CT's nodules from its DICOM SR and SEG, so that the detector need not run on it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import DA
from scipy.optimize import linear_sum_assignment

from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.guidelines.findings import Lobe
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.report import dicom_codes as codes
from LungNoduleAILib.report.dicom_groups import Group, groups_of, is_measurement_report, items_named
from LungNoduleAILib.report.prior import PriorNodule, PriorReport
from SegmentationAILib.dicom_series import is_dicom
from SegmentationAILib.errors import InputError

# A nodule that was found again on the prior CT lies this close to where the report has it, or within its radius.
_SAME_PLACE_MM = 5.0
_FINDINGS = {code.meaning: code for code in codes.NODULE_FINDINGS}
_UNDEFINED_LENGTH = 0xFFFFFFFF
_Key = TypeVar("_Key")


def read_prior(path: str | Path) -> PriorReport:
    """Read a structured report by TID 1500, of this software or another, and the SEG that it refers to.

    Args:
        path: the report's file, beside which the SEG is looked for, or a folder that holds one report and the SEG,
            in whatever subfolders.

    Raises:
        InputError: there is no such report, there are several, or it is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"'{path}' does not exist; check the path of the prior report.")
    headers = _headers(path.rglob("*") if path.is_dir() else path.parent.iterdir())
    chosen = [path] if path.is_file() else [one for one, header in headers.items() if is_measurement_report(header)]
    if len(chosen) != 1:
        found = f"{len(chosen)} reports" if chosen else "no report"
        raise InputError(f"The folder '{path.name}' holds {found} by DICOM TID 1500; choose the file of one.")
    report = _report(chosen[0])
    try:
        return _prior(report, headers)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"The report '{chosen[0].name}' is damaged; fetch or export it again.") from error


def matched(follow_up: FollowUp, prior: PriorReport) -> dict[int, PriorNodule]:
    """What the prior report says of nodules of the current CT, by their ids.

    The prior nodules of ``follow_up`` may be the report's, or ones that were found on the prior CT again: each is the
    report's nodule at its place, within 5 mm or its radius, one to one so that distances are least together.
    """
    known = [one for one in prior.nodules if one.centre_ras is not None]
    if not known or not follow_up.pairs:
        return {}
    there = np.array([one.centre_ras for one in known])
    here = np.array([pair.prior.centre_ras for pair in follow_up.pairs])
    reach = np.array([max(_SAME_PLACE_MM, pair.prior.measurements.mean_diameter_mm / 2) for pair in follow_up.pairs])
    distance = np.linalg.norm(here[:, None] - there, axis=-1)
    cost = np.where(distance <= reach[:, None], distance / reach[:, None], len(known) + len(here))
    return {
        follow_up.pairs[i].current.id: known[j]
        for i, j in zip(*linear_sum_assignment(cost), strict=True)
        if distance[i, j] <= reach[i]
    }


def tracked(follow_up: FollowUp, prior: PriorReport) -> dict[int, str]:
    """Tracking identifiers that nodules of the current CT keep, by their ids, as ``matched`` finds them."""
    return {nodule_id: one.uid for nodule_id, one in matched(follow_up, prior).items() if one.uid}


def _headers(paths: Iterable[Path]) -> dict[Path, Dataset]:
    """What of files tells reports and SEGs; those that are not DICOM are left out."""
    tags = ["SOPClassUID", "SOPInstanceUID", "ContentTemplateSequence"]
    found = {}
    for path in sorted(one for one in paths if one.is_file()):
        try:
            if is_dicom(path):
                found[path] = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        except (OSError, InvalidDicomError, EOFError, ValueError):
            continue  # Another file's damage is no reason to refuse the report.
    return found


def _report(path: Path) -> Dataset:
    try:
        report = pydicom.dcmread(path)
    except (OSError, InvalidDicomError, EOFError, ValueError) as error:
        raise InputError(f"'{path.name}' is no DICOM file that can be read; choose the prior report.") from error
    if not _is_whole(report):
        raise InputError(f"The report '{path.name}' was not copied whole; fetch or export it again.")
    if not is_measurement_report(report):
        raise InputError(f"'{path.name}' is no DICOM report by TID 1500; choose the prior report's file.")
    return report


def _is_whole(report: Dataset) -> bool:
    """Whether no element ends before its length does: pydicom reads what is there, and would miss nodules."""
    return not any(
        isinstance(raw, RawDataElement)
        and raw.value is not None
        and raw.length != _UNDEFINED_LENGTH
        and len(raw.value) < raw.length
        for raw in report.elements()
    )


def _prior(report: Dataset, headers: Mapping[Path, Dataset]) -> PriorReport:
    notes = []
    groups = groups_of(report)
    kept = [one for one in groups if one.finding is None or _key(one.finding, _FINDINGS)]
    if len(kept) < len(groups):
        notes.append(f"{len(groups) - len(kept)} of the report's measurement groups are not about nodules.")
    masks = _masks(kept, headers, notes)
    nodules = tuple(_prior_nodule(n, one, masks.get(one.segment)) for n, one in enumerate(kept, start=1))
    bare = sum(one.mask is None or not one.volume_mm3 for one in nodules)
    if bare:
        notes.append(f"{bare} of {len(nodules)} nodules have no outline or volume in the report and its SEG.")
    return PriorReport(_exam(report), _series(report), nodules, tuple(notes))


def _masks(groups: list[Group], headers: Mapping[Path, Dataset], notes: list[str]) -> dict[tuple[str, int], NoduleMask]:
    """By the SEG's SOP Instance UID and the segment's number."""
    from LungNoduleAILib.report.dicom_segments import read_segments  # noqa: PLC0415 - not every Slicer has highdicom

    paths = {str(h.SOPInstanceUID): p for p, h in headers.items() if h.get("SOPClassUID") == SegmentationStorage}
    masks = {}
    for uid in dict.fromkeys(one.segment[0] for one in groups if one.segment):
        if uid not in paths:
            notes.append("The DICOM SEG that the report refers to is not in its folder.")
            continue
        numbers = [one.segment[1] for one in groups if one.segment and one.segment[0] == uid]
        try:
            read = read_segments(paths[uid], numbers)
        except InputError as error:
            notes.append(str(error))
            continue
        masks |= {(uid, number): mask for number, mask in read.items()}
    return masks


def _prior_nodule(number: int, group: Group, mask: NoduleMask | None) -> PriorNodule:
    lobe = _lobe(group)
    volume = group.number(codes.VOLUME)
    return PriorNodule(
        id=number,
        uid=group.uid,
        name=group.name or f"nodule {number}",
        centre_ras=_centre(group, mask),
        volume_mm3=_mask_volume(mask) if volume is None and mask is not None else volume,
        long_axis_mm=group.number(codes.LONG_AXIS, codes.LENGTH),
        short_axis_mm=group.number(codes.SHORT_AXIS),
        mean_diameter_mm=group.number(codes.AVERAGE_DIAMETER, codes.DIAMETER),
        mean_hu=group.number(codes.ATTENUATION),
        score=group.number(codes.SCORE),
        lung=lobe.value.split()[0] if lobe else _key(group.side, codes.SIDES) or "",
        lobe=lobe,
        kind=_key(group.answer(codes.ATTENUATION_TYPE), codes.KINDS),
        category=_key(group.answer(codes.LUNG_RADS), codes.CATEGORIES) or "",
        mask=mask,
    )


def _key(code: Code | None, table: Mapping[_Key, Code]) -> _Key | None:
    """What a code stands for; None where the table has none such."""
    return next((key for key, held in table.items() if code is not None and codes.same(code, held)), None)


def _lobe(group: Group) -> Lobe | None:
    for lobe, (place, side) in codes.LOBES.items():
        sided = side is None or (group.side is not None and codes.same(group.side, side))
        if sided and group.site is not None and codes.same(group.site, place):
            return lobe
    return None


def _centre(group: Group, mask: NoduleMask | None) -> tuple[float, float, float] | None:
    """As the report says it, else the middle of the mask or of the places in space that it holds."""
    points = group.points(codes.CENTRE)
    if points is None and mask is not None:
        kji = np.argwhere(mask.occupancy > 0)
        weights = mask.occupancy[tuple(kji.T)]
        points = np.average(mask.grid.ras(kji[:, ::-1]), axis=0, weights=weights)[None]
    if points is None and group.points_ras:
        points = np.concatenate([found for _, found in group.points_ras])
    return None if points is None else _triple(points.mean(axis=0))


def _triple(point: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])


def _mask_volume(mask: NoduleMask) -> float:
    return float(mask.occupancy.sum()) * mask.grid.voxel_volume


def _exam(report: Dataset) -> Exam:
    """The CT's own day where the report says it, else the study's; the report itself may be of a later one."""
    acquired = [str(item.get("Date") or "") for item in items_named(report, codes.ACQUISITION_DATE)]
    days = (_date(text) for text in (*acquired, str(report.get("StudyDate") or "")))
    return Exam(str(report.get("PatientID") or "").strip(), next((day for day in days if day is not None), None))


def _date(text: str) -> date | None:
    try:
        return date(*DA(text).timetuple()[:3]) if text else None
    except ValueError:
        return None


def _series(report: Dataset) -> str:
    """The series of images that the report names as evidence; "" for none or several."""
    found = {
        str(series.SeriesInstanceUID)
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.ReferencedSeriesSequence
        if any(one.ReferencedSOPClassUID != SegmentationStorage for one in series.ReferencedSOPSequence)
    }
    return found.pop() if len(found) == 1 else ""
