"""Whose CT it is and of which day, so that two are compared only if they may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

# Some scanners write that there was none.
_NO_AGENT = ("none", "no", "without", "native")
_TAGS = ("PatientID", "SliceThickness", "ContrastBolusAgent")
# The study may have begun the day before, so the image's own day comes first.
_DATES = ("AcquisitionDate", "ContentDate", "SeriesDate", "StudyDate")


@dataclass(frozen=True)
class Exam:
    """What a CT's header says of it.

    Attributes:
        patient_id: compared, never shown; "" where it is not known.
        date: of the CT, None where it is not known.
        slice_thickness_mm: None where it is not known.
        contrast: whether contrast medium was given; None where the header does not say.
    """

    patient_id: str = field(default="", repr=False)
    date: date | None = None
    slice_thickness_mm: float | None = None
    contrast: bool | None = None


def read_exam(folder: str | Path, volume: Volume) -> Exam:
    """Read the header of the series that a volume was loaded from.

    Args:
        folder: of the DICOM files.
        volume: loaded from there.

    Raises:
        InputError: the folder does not hold the volume's series.
    """
    # What the scene tells of a CT waits for no DICOM library.
    import pydicom  # noqa: PLC0415

    from SegmentationAILib.dicom_series import find_series  # noqa: PLC0415

    uid = volume.source.series_instance_uid if volume.source else ""
    for series in find_series(Path(folder)):
        if uid and series.uid == uid:
            header = pydicom.dcmread(series.slices[0].path, stop_before_pixels=True, specific_tags=[*_TAGS, *_DATES])
            found = (date_of(str(header.get(keyword, "") or "")) for keyword in _DATES)
            day = next((one for one in found if one is not None), None)
            thickness = header.get("SliceThickness")
            agent = str(header.get("ContrastBolusAgent", "") or "").strip().lower()
            return Exam(
                str(header.get("PatientID", "") or "").strip(),
                day,
                float(thickness) if thickness else None,
                agent not in _NO_AGENT if agent else None,
            )
    raise InputError(
        f"The folder '{Path(folder).name}' does not hold the series of the volume '{volume.name}'; choose the folder "
        "that it was loaded from."
    )


def days_between(current: Exam, prior: Exam) -> int:
    """Days from the prior CT to the current one, for ``compare``.

    Raises:
        InputError: the CTs are of two patients, a date is missing, or the prior CT is not the earlier one.
    """
    _check_patient(current, prior)
    for name, exam in (("current", current), ("prior", prior)):
        if exam.date is None:
            raise InputError(f"The {name} CT has no date; enter the number of days between the two CTs.")
    days = (current.date - prior.date).days
    if days < 0:
        raise InputError(f"The prior CT was taken {-days} days after the current one; exchange the two.")
    if days == 0:
        raise InputError("Both CTs are of the same day, so that no growth can be told; choose an earlier prior CT.")
    return days


def interval(current: Exam, prior: Exam, days: float | None) -> float:
    """Days between two CTs: as entered, else by their dates.

    Raises:
        InputError: they are of two patients, or no days were entered and a date is missing or in the wrong order.
    """
    if days is None:
        return days_between(current, prior)
    # What was entered stands for the dates alone.
    _check_patient(current, prior)
    return days


def _check_patient(current: Exam, prior: Exam) -> None:
    if current.patient_id and prior.patient_id and current.patient_id != prior.patient_id:
        raise InputError("The prior CT is of another patient; choose a CT of the same patient.")


def date_of(text: str) -> date | None:
    """A DICOM date, also with the dots of ACR-NEMA; None where it is none."""
    digits = text.strip().replace(".", "")[:8]
    if len(digits) < 8 or not digits.isdecimal():
        return None
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None
