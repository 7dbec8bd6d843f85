"""DICOM RT Dose in: a volume in Gy on a regular grid."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError

from SegmentationAILib.dicom_pixels import read_stored_values
from SegmentationAILib.dicom_series import is_dicom, sop_class
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS, DicomSource, Grid, Volume

RT_DOSE_STORAGE = "1.2.840.10008.5.1.4.1.1.481.2"

# DS values have at most 16 characters, and writers compute offsets by adding up a step: 2.39999999999998.
_OFFSET_TOLERANCE_MM = 0.01
_DIRECTION_TOLERANCE = 1e-3
# PS3.3 C.8.8.3 leaves the reference of RELATIVE doses to the writer. A plan's hottest point is neither below
# half nor beyond four times its prescription, so that a maximum in either range tells 1 from 100 %.
_FRACTIONS, _PERCENTS = (0.5, 4.0), (50.0, 400.0)
_WHOLE_PLANS = ("PLAN", "MULTI_PLAN")


@dataclass(frozen=True, eq=False)
class RTDose:
    """A dose distribution and what it is the dose of.

    Attributes:
        volume: float32 [k, j, i] in Gy; ``source`` has the frame of reference and ``notes`` what the user
            should know.
        dose_type: DoseType, ``PHYSICAL`` or ``EFFECTIVE``, "" where the file does not say.
        summation: DoseSummationType, as ``PLAN``, ``FRACTION`` or ``BEAM``, "" where the file does not say.
        plan_uid: SOP instance of the referenced plan, "" where there is none.
    """

    volume: Volume
    dose_type: str = ""
    summation: str = ""
    plan_uid: str = ""


def read_dose(path: str | Path, *, prescription_gy: float | None = None) -> RTDose:
    """Read an RTDOSE file of any orientation, 16 or 32 bits.

    Frames in descending order are turned round; the k axis always runs along the normal i × j. Frames
    whose gaps are whole multiples of the smallest are filled in linearly, which leaves the trilinear
    dose between planes as it was.

    Args:
        path: the file.
        prescription_gy: what 100 % means where the file's doses are RELATIVE.

    Raises:
        InputError: the file is no RTDOSE, is damaged, holds a single plane or a difference of doses, does
            not say where its planes lie or what its values mean, has planes on no regular grid, or is
            relative and no prescription is given.
    """
    path = Path(path)
    try:
        return _read(path, prescription_gy)
    except (BytesLengthException, NotImplementedError) as error:
        # Of bytes that make no value, when it is asked for.
        raise _damaged(path) from error


def _read(path: Path, prescription_gy: float | None) -> RTDose:
    header = _header(path)
    try:
        offsets = _offsets(header, path.name)
        step, samples = _regular(offsets, path.name)
        grid = _first_plane_grid(header, offsets, step, path.name)
        scaling = float(header.get("DoseGridScaling") or 0)
    except InputError:
        raise
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise _damaged(path) from error
    if not np.isfinite(scaling) or scaling <= 0:
        raise InputError(
            f"'{path.name}' does not say what its values mean (DoseGridScaling is missing); export it again."
        )
    _check_kind(header, path.name)
    stored = read_stored_values(path).values
    if len(stored) != len(offsets):
        raise _damaged(path)
    values = stored[:: -1 if offsets[-1] < offsets[0] else 1] * scaling
    values, notes = _in_gy(values, header, path.name, prescription_gy)
    if samples is not None:
        values = _interpolated(values, samples)
        notes.append(f"{len(samples) - len(offsets)} planes of the dose are interpolated between uneven ones.")
    summation = str(header.get("DoseSummationType") or "")
    if summation and summation not in _WHOLE_PLANS:
        notes.append(f"This is the dose of a {summation.replace('_', ' ').lower()}, not of a whole plan.")
    uid = str(header.get("SOPInstanceUID") or "")
    source = DicomSource(
        str(header.get("StudyInstanceUID") or ""),
        str(header.get("SeriesInstanceUID") or ""),
        str(header.get("FrameOfReferenceUID") or ""),
        RT_DOSE_STORAGE,
        (uid,) * len(values),
    )
    array = values.astype(np.float32)
    grid = Grid(array.shape, grid)
    name = str(header.get("SeriesDescription") or "").strip() or "Dose"
    return RTDose(
        Volume(array, grid, name, "RTDOSE", source, tuple(notes)),
        str(header.get("DoseType") or ""),
        summation,
        _plan_uid(header),
    )


def _header(path: Path) -> Dataset:
    try:
        if not path.is_file() or not is_dicom(path):
            raise InputError(f"'{path.name}' is not a DICOM file; choose an RTDOSE file.")
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"'{path.name}' cannot be read ({error.strerror}); check its permissions.") from error
    except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, struct.error, zlib.error) as error:
        raise _damaged(path) from error
    if sop_class(header) != RT_DOSE_STORAGE:
        kind = str(header.get("Modality") or "something else")
        raise InputError(f"'{path.name}' holds no dose but {kind}; choose an RTDOSE file.")
    return header


def _damaged(path: Path) -> InputError:
    return InputError(f"'{path.name}' is damaged or was not copied whole; copy or export the dose again.")


def _check_kind(header: Dataset, name: str) -> None:
    if header.get("DoseType") == "ERROR":
        raise InputError(f"'{name}' holds the error of a dose (DoseType ERROR), not a dose; choose the plan's dose.")
    if str(header.get("DoseUnits") or "").strip() not in {"GY", "RELATIVE"}:
        raise InputError(f"'{name}' does not say whether its doses are in Gy (DoseUnits); export it again.")


def _offsets(header: Dataset, name: str) -> NDArray[np.float64]:
    """Places of the planes along the normal, mm from the first (PS3.3 C.8.8.3.2)."""
    count = int(header.get("NumberOfFrames") or 1)
    vector = header.get("GridFrameOffsetVector")
    if count < 2:
        raise InputError(f"'{name}' holds a single plane of dose; export the dose as one file with all planes.")
    if vector is None:
        raise InputError(f"'{name}' does not say where its planes lie (GridFrameOffsetVector); export it again.")
    offsets = np.array([float(v) for v in vector])
    if len(offsets) != count or not np.isfinite(offsets).all():
        raise InputError(f"'{name}' has {count} planes and places for {len(offsets)}; export it again.")
    # The first value is 0 where the offsets are relative, else the z of the first plane.
    along = offsets - offsets[0]
    if abs(offsets[0]) > _OFFSET_TOLERANCE_MM:
        position = np.array([float(v) for v in header.ImagePositionPatient])
        normal = np.cross(*_directions(header))
        on_z = abs(normal[2]) > 1 - _DIRECTION_TOLERANCE
        if not on_z or abs(offsets[0] - position[2]) > _OFFSET_TOLERANCE_MM:
            raise InputError(
                f"'{name}' has plane offsets that begin neither at 0 nor at its first plane's z; export it again."
            )
        along *= np.sign(normal[2])
    return along


def _regular(offsets: NDArray[np.float64], name: str) -> tuple[float, NDArray[np.float64] | None]:
    """mm between planes of the regular grid, and each one's fractional source plane, None where they are it."""
    ascending = offsets if offsets[-1] > offsets[0] else offsets[::-1]
    gaps = np.diff(ascending)
    if gaps.min() <= _OFFSET_TOLERANCE_MM:
        raise InputError(f"The planes of '{name}' are not in order or lie on each other; export it again.")
    length = ascending[-1] - ascending[0]
    even = np.linspace(ascending[0], ascending[-1], len(ascending))
    if np.abs(ascending - even).max() <= _OFFSET_TOLERANCE_MM:
        return float(length / len(gaps)), None
    count = round(length / gaps.min())
    even = np.linspace(ascending[0], ascending[-1], count + 1)
    nearest = even[np.round((ascending - ascending[0]) / length * count).astype(int)]
    if np.abs(ascending - nearest).max() > _OFFSET_TOLERANCE_MM:
        raise InputError(
            f"The planes of '{name}' are unevenly spaced ({gaps.min():.2f} to {gaps.max():.2f} mm); "
            "export the dose on a regular grid."
        )
    return float(length / count), np.interp(even, nearest, np.arange(len(ascending), dtype=np.float64))


def _directions(header: Dataset) -> NDArray[np.float64]:
    """2×3, unit vectors in LPS along i and j."""
    return np.array([float(v) for v in header.ImageOrientationPatient]).reshape(2, 3)


def _first_plane_grid(header: Dataset, offsets: NDArray[np.float64], step: float, name: str) -> NDArray[np.float64]:
    """4×4 ijk_to_ras from the plane that lies lowest along the normal."""
    if any(header.get(key) is None for key in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")):
        raise InputError(
            f"'{name}' does not say where its doses lie (position, orientation or pixel spacing is missing); "
            "export it again."
        )
    i, j = _directions(header)
    if np.abs(np.array([i @ i, j @ j, 1 + i @ j]) - 1).max() > _DIRECTION_TOLERANCE:
        raise InputError(f"'{name}' has an invalid image orientation; export it again.")
    between_rows, between_columns = (float(v) for v in header.PixelSpacing)
    normal = np.cross(i, j)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = i * between_columns, j * between_rows, normal * step
    matrix[:3, 3] = np.array([float(v) for v in header.ImagePositionPatient]) + normal * offsets.min()
    return LPS_FROM_RAS @ matrix


def _in_gy(
    values: NDArray[np.float64], header: Dataset, name: str, prescription_gy: float | None
) -> tuple[NDArray[np.float64], list[str]]:
    notes = []
    if header.get("DoseType") == "EFFECTIVE":
        notes.append("The doses are corrected for biological effect (DoseType EFFECTIVE).")
    if header.DoseUnits == "GY":
        return values, notes
    if prescription_gy is None or not prescription_gy > 0:
        raise InputError(f"The doses of '{name}' are relative; give the prescribed dose in Gy.")
    highest = float(values.max())
    for (low, high), whole in ((_FRACTIONS, 1.0), (_PERCENTS, 100.0)):
        if low <= highest <= high:
            notes.append(f"The doses were relative; {whole:g} is taken for the prescribed {prescription_gy:g} Gy.")
            return values * (prescription_gy / whole), notes
    raise InputError(
        f"The doses of '{name}' are relative and reach {highest:g}, which is neither a fraction nor a percentage "
        "of a prescription; export the dose in Gy."
    )


def _interpolated(values: NDArray[np.float64], samples: NDArray[np.float64]) -> NDArray[np.float64]:
    below = np.minimum(samples.astype(int), len(values) - 2)
    part = (samples - below)[:, None, None]
    return values[below] * (1 - part) + values[below + 1] * part


def _plan_uid(header: Dataset) -> str:
    referenced = header.get("ReferencedRTPlanSequence")
    return str(referenced[0].get("ReferencedSOPInstanceUID") or "") if referenced else ""
