"""Finding image series among DICOM files: headers only, no pixels.

Positions and directions are LPS in mm as DICOM writes them; `dicom_volume` turns them into RAS.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

# PS3.4 table B.5-1: objects whose frames are reconstructed planes. Secondary captures, dose, structure
# sets, segmentations and reports are not in it.
PLANAR_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # Enhanced CT
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # Legacy Converted Enhanced CT
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PT",
    "1.2.840.10008.5.1.4.1.1.128.1": "PT",
    "1.2.840.10008.5.1.4.1.1.130": "PT",
}
# PS3.4: the directory of a medium, hanging protocols, palettes and implants belong to no series.
WITHOUT_SERIES = {
    "1.2.840.10008.1.3.10",
    "1.2.840.10008.5.1.4.38.1",
    "1.2.840.10008.5.1.4.39.1",
    "1.2.840.10008.5.1.4.43.1",
    "1.2.840.10008.5.1.4.44.1",
    "1.2.840.10008.5.1.4.45.1",
}
# Group 0008 in little endian: how a data set begins that was stored without the DICOM file preamble.
_BARE_DATASET = b"\x08\x00"

# What pydicom raises of damaged bytes, as it reads them or, later, makes values of them.
_DAMAGE = (
    InvalidDicomError,
    BytesLengthException,
    NotImplementedError,
    EOFError,
    ValueError,
    KeyError,
    AttributeError,
    struct.error,
    zlib.error,
)
_TAGS = [
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "SeriesNumber",
    "SeriesDescription",
    "ImageType",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]


@dataclass(frozen=True, eq=False)
class Slice:
    """One reconstructed plane: a file, or a frame of a multi-frame file.

    Attributes:
        frame: index in the file, from 0.
        size_ij: columns and rows.
        spacing_ij: mm between columns and between rows; None where the header does not say.
        position: LPS of the first voxel's centre, mm; None where the header does not say.
        directions: 2×3, unit vectors in LPS along i (a row of the image) and j; None as above.
        thickness: mm between slices as the header says it, 0 where it does not; only used where
            there is a single slice.
        slope, intercept: stored value to HU.
        unit: RescaleType, "HU" where the header does not say.
    """

    path: Path
    frame: int
    sop_instance_uid: str
    size_ij: tuple[int, int]
    spacing_ij: tuple[float, float] | None
    position: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None
    thickness: float
    slope: float
    intercept: float
    unit: str


@dataclass(frozen=True, eq=False)
class Series:
    """The planes of one series, in no particular order, and what identifies it."""

    uid: str
    study_uid: str
    frame_of_reference_uid: str
    sop_class_uid: str
    modality: str
    number: str
    description: str
    slices: tuple[Slice, ...]

    @property
    def name(self) -> str:
        """What the user sees; made of modality, description and number, never of patient data."""
        return " ".join(part for part in (self.modality, self.description, self.number) if part)


@dataclass(frozen=True, eq=False)
class Header:
    """What of a DICOM file decides whether it belongs to an image series.

    ``kind`` tells the user what was found where nothing could be used: a modality or "localizer".
    """

    path: Path
    dataset: Dataset
    kind: str

    @property
    def series_uid(self) -> str:
        return str(self.dataset.get("SeriesInstanceUID") or "")

    @property
    def is_image(self) -> bool:
        dataset = self.dataset
        return (
            sop_class(dataset) in PLANAR_IMAGES
            and int(dataset.get("SamplesPerPixel") or 1) == 1
            and not _is_localizer(dataset.get("ImageType"))
        )


@contextmanager
def reading_threads() -> Iterator[ThreadPoolExecutor]:
    """Threads that, when the block ends early, leave what they have not begun."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def is_dicom(path: Path) -> bool:
    """Whether a file begins as a DICOM file does, or as a data set without the file preamble."""
    with path.open("rb") as file:
        head = file.read(132)
    return head[128:132] == b"DICM" or (head[:2] == _BARE_DATASET and head[2:4] != b"\0\0" and len(head) == 132)


def sop_class(dataset: Dataset) -> str:
    """SOP class of a data set, from the file's meta header where the data set itself lost it."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    return str(dataset.get("SOPClassUID") or meta.get("MediaStorageSOPClassUID") or "")


def find_series(folder: Path, *, recursive: bool = True, progress: Progress = Progress()) -> list[Series]:  # noqa: B008 - immutable
    """The image series below a folder, ordered by number, description and UID.

    Files that are not DICOM, DICOMDIR, localizers, secondary captures, reports, dose and structure
    sets are passed over.

    Raises:
        InputError: there is no image series, or a DICOM file is damaged or cannot be read.
    """
    paths = list(_files(folder, recursive))
    groups: dict[str, list[Header]] = defaultdict(list)
    passed_over: Counter[str] = Counter()
    with reading_threads() as pool:
        for count, header in enumerate(pool.map(read_header, paths), start=1):
            progress(count / len(paths), "Reading headers")
            if header is None:
                continue
            if header.is_image:
                groups[header.series_uid].append(header)
            else:
                passed_over[header.kind] += 1
    if not groups:
        raise InputError(_nothing_found(folder, passed_over))
    found = [series_of(headers) for headers in groups.values()]
    return sorted(found, key=lambda s: (_as_number(s.number), s.description, s.uid))


def read_header(path: Path) -> Header | None:
    """The header of a DICOM file, or None where the file is something else.

    Raises:
        InputError: the file cannot be opened, or its header is damaged.
    """
    try:
        if not is_dicom(path):
            return None
        with path.open("rb") as file:
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=_TAGS, force=True)
            stopped_at, length = file.tell(), file.seek(0, os.SEEK_END)
        uid = sop_class(dataset)
        if uid in WITHOUT_SERIES:
            return None
        if not dataset.get("SeriesInstanceUID"):
            if _has_preamble(path):
                raise _damaged(path)
            return None
        deflated = dataset.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
        if uid in PLANAR_IMAGES and stopped_at == length and not deflated:
            raise _damaged(path)
        kind = str(dataset.get("Modality") or UID(uid).name)
        return Header(path, dataset, "localizer" if _is_localizer(dataset.get("ImageType")) else kind)
    except InputError:
        raise
    except OSError as error:
        if error.errno is None:
            raise _damaged(path) from error
        raise InputError(
            f"'{path.name}' cannot be read ({error.strerror}); check the file and its permissions."
        ) from error
    except _DAMAGE as error:
        raise _damaged(path) from error


def _files(folder: Path, recursive: bool) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders[:] = sorted(folders) if recursive else []
        for name in sorted(names):
            path = Path(base, name)
            if name.upper() != "DICOMDIR" and path.is_file():
                yield path


def _has_preamble(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def _damaged(path: Path) -> InputError:
    return InputError(f"'{path.name}' is damaged or was not copied whole; copy or export the series again.")


def _is_localizer(image_type: Iterable[str] | None) -> bool:
    # PS3.3 C.8.2.1.1.1: value 3 of a CT's image type is AXIAL or LOCALIZER.
    return image_type is not None and "LOCALIZER" in image_type


def _as_number(text: str) -> float:
    return float(text) if text.isdigit() else float("inf")


def _nothing_found(folder: Path, passed_over: Counter[str]) -> str:
    if not passed_over:
        return f"The folder '{folder.name}' holds no DICOM images; choose the folder with the CT series."
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(passed_over.items()))
    return (
        f"The folder '{folder.name}' holds no CT images (DICOM files there: {kinds}); "
        "choose the folder with the CT series."
    )


def series_of(headers: list[Header]) -> Series:
    """The planes that the headers of one series hold.

    Raises:
        InputError: a header is damaged.
    """
    first = headers[0].dataset
    slices: list[Slice] = []
    for header in headers:
        try:
            slices += _slices(header.path, header.dataset)
        except (*_DAMAGE, TypeError, IndexError, OverflowError) as error:
            raise _damaged(header.path) from error
    try:
        return Series(
            uid=headers[0].series_uid,
            study_uid=str(first.get("StudyInstanceUID") or ""),
            frame_of_reference_uid=str(first.get("FrameOfReferenceUID") or ""),
            sop_class_uid=sop_class(first),
            modality=PLANAR_IMAGES[sop_class(first)],
            number=str(first.get("SeriesNumber") or ""),
            description=str(first.get("SeriesDescription") or "").strip(),
            slices=tuple(slices),
        )
    except _DAMAGE as error:
        raise _damaged(headers[0].path) from error


def _slices(path: Path, dataset: Dataset) -> Iterator[Slice]:
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    if per_frame is None:
        yield _slice(path, 0, dataset, [dataset])
        return
    shared = dataset.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for index, frame in enumerate(per_frame):
        groups = [item for groups in (frame, shared[0]) for item in _macros(groups)]
        if not any(_is_localizer(item.get("FrameType")) for item in groups):
            yield _slice(path, index, dataset, [*groups, dataset])


def _macros(groups: Dataset) -> list[Dataset]:
    """The items of the functional group macros of a frame (PS3.3 C.7.6.16): each holds one."""
    return [element.value[0] for element in groups if element.VR == "SQ" and len(element.value) > 0]


def _slice(path: Path, frame: int, dataset: Dataset, places: list[Dataset]) -> Slice:
    """One plane; an attribute is taken from the first of ``places`` that has it."""

    def value(keyword: str):
        return next((v for v in (place.get(keyword) for place in places) if v is not None and v != ""), None)

    def numbers(keyword: str, count: int) -> NDArray[np.float64] | None:
        found = value(keyword)
        return None if found is None else np.array([float(v) for v in found], dtype=np.float64).reshape(count)

    def number(keyword: str, default: float) -> float:
        found = value(keyword)
        return default if found is None else float(found)

    spacing = numbers("PixelSpacing", 2)
    directions = numbers("ImageOrientationPatient", 6)
    return Slice(
        path=path,
        frame=frame,
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
        size_ij=(int(dataset.Columns), int(dataset.Rows)),
        # PS3.3 10.7.1.3: the first value is the spacing between rows.
        spacing_ij=None if spacing is None else (float(spacing[1]), float(spacing[0])),
        position=numbers("ImagePositionPatient", 3),
        directions=None if directions is None else directions.reshape(2, 3),
        thickness=number("SpacingBetweenSlices", 0.0) or number("SliceThickness", 0.0),
        slope=number("RescaleSlope", 1.0),
        intercept=number("RescaleIntercept", 0.0),
        unit=str(value("RescaleType") or "HU").strip().upper(),
    )
