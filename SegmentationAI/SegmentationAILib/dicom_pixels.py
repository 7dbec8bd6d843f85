"""Stored values of a DICOM file, whatever its transfer syntax."""

from __future__ import annotations

import struct
import tempfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ImplicitVRLittleEndian

from SegmentationAILib.errors import InputError

_MULTIFRAME_WORD_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7.3"

_TAGS = [
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "PixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
]


@dataclass(frozen=True, eq=False)
class StoredValues:
    """The pixels of a file before rescaling.

    Attributes:
        values: [frame, j, i] integers: sign extended, bits beyond BitsStored removed.
        padding: [frame, j, i] where the scanner measured nothing, or None where nothing is padded.
        padding_values: the stored values that mean padding, lowest and highest.
        inverted: MONOCHROME1, the lowest value is shown white.
        sum_of_ends: lowest plus highest value that BitsStored can hold.
    """

    values: NDArray[np.integer]
    padding: NDArray[np.bool_] | None
    padding_values: tuple[int, int]
    inverted: bool
    sum_of_ends: int

    def negative(self) -> StoredValues:
        """The image with its scale of values turned round."""
        low, high = self.padding_values
        return replace(
            self,
            values=self.sum_of_ends - self.values.astype(np.int64),
            padding_values=(self.sum_of_ends - high, self.sum_of_ends - low),
        )


def read_stored_values(path: Path) -> StoredValues:
    """Decode a file.

    Native, deflated and big-endian pixels are read by pydicom; compressed ones (RLE, JPEG lossless,
    JPEG-LS, JPEG 2000) are decoded by the GDCM in SimpleITK, which Slicer ships.

    Raises:
        InputError: the pixels are missing, cut short, or compressed in a way that cannot be decoded.
    """
    try:
        dataset = pydicom.dcmread(path, specific_tags=_TAGS, force=True)
        if "PixelData" not in dataset:
            raise EOFError("no pixel data")
        raw = _decode(dataset)
        raw = raw.reshape(-1, int(dataset.Rows), int(dataset.Columns))
        if len(raw) != int(dataset.get("NumberOfFrames") or 1):
            raise EOFError("pixels are missing")
        return _interpret(raw, dataset)
    except OSError as error:
        raise InputError(
            f"'{path.name}' cannot be read ({error.strerror}); check the file and its permissions."
        ) from error
    except InputError:
        raise
    except (EOFError, ValueError, TypeError, AttributeError, KeyError, RuntimeError, struct.error, zlib.error) as error:
        raise InputError(
            f"'{path.name}' is damaged or was not copied whole; copy or export the series again."
        ) from error


def _decode(dataset: FileDataset) -> NDArray[np.integer]:
    """Pixels as they are allocated, all frames one after the other.

    pydicom's ``pixel_array`` would clear bits beyond BitsStored, in which GE writes padding.
    """
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None:
        syntax = dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    if not syntax.is_encapsulated:
        order = "<" if syntax.is_little_endian else ">"
        words = np.frombuffer(dataset.PixelData, dtype=f"{order}u{int(dataset.BitsAllocated) // 8}")
        size = int(dataset.get("NumberOfFrames") or 1) * int(dataset.Rows) * int(dataset.Columns)
        return words[:size]  # an odd number of bytes is padded with one more
    if _is_decodable_by_gdcm(syntax):
        return _decode_by_gdcm(dataset, syntax)
    raise InputError(
        f"The images are compressed as '{syntax.name}', which cannot be decoded here; "
        "export the series uncompressed (Explicit VR Little Endian)."
    )


def _is_decodable_by_gdcm(syntax: UID) -> bool:
    # PS3.6 table A-1: RLE is 1.2.840.10008.1.2.5; in .4, JPEG and JPEG-LS are 50 to 81, JPEG 2000 90 to 93.
    stem, _, last = syntax.rpartition(".")
    return (stem, last) == ("1.2.840.10008.1.2", "5") or (stem == "1.2.840.10008.1.2.4" and int(last) <= 93)


def _decode_by_gdcm(dataset: Dataset, syntax: UID) -> NDArray[np.integer]:
    """Stored values through GDCM.

    GDCM applies rescaling and knows nothing of rescaling per frame, so it is given a file with the
    pixels alone.
    """
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # filled in on writing
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = _MULTIFRAME_WORD_SECONDARY_CAPTURE
    meta.MediaStorageSOPInstanceUID = "2.25.1"
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = "2.25.1"
    bare = FileDataset(None, {}, b"\0" * 128, meta, is_implicit_VR=False, is_little_endian=True)
    bare.SOPClassUID = _MULTIFRAME_WORD_SECONDARY_CAPTURE
    bare.SOPInstanceUID = "2.25.1"
    bare.NumberOfFrames = int(dataset.get("NumberOfFrames") or 1)
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.SamplesPerPixel = 1
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"):
        setattr(bare, keyword, dataset[keyword].value)
    bare.PixelRepresentation = int(dataset.get("PixelRepresentation") or 0)
    bare.add(dataset["PixelData"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pixels.dcm")
        pydicom.dcmwrite(path, bare)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))


def _interpret(raw: NDArray[np.integer], dataset: Dataset) -> StoredValues:
    allocated = int(dataset.BitsAllocated)
    stored = int(dataset.get("BitsStored") or allocated)
    high = int(dataset.get("HighBit", stored - 1))
    signed = int(dataset.get("PixelRepresentation") or 0) == 1
    if raw.dtype.kind not in "iu" or not 0 < stored <= high + 1 <= allocated or allocated not in (8, 16, 32):
        raise ValueError("not integer pixels")
    if stored == allocated:
        values = raw.astype(np.dtype(f"{'i' if signed else 'u'}{allocated // 8}"), copy=False)
    else:
        values = _stored_bits(raw, stored, high, signed)
    limits = _padding_limits(dataset, allocated, signed)
    padding = None
    if limits is not None:
        # Compared before bits beyond BitsStored are removed: GE pads 12-bit images with 63536.
        whole = raw.astype(np.dtype(f"u{allocated // 8}"), copy=False)
        whole = whole.view(f"i{allocated // 8}") if signed else whole
        padding = (whole >= limits[0]) & (whole <= limits[1])
        padding = padding if padding.any() else None
    return StoredValues(
        values,
        padding,
        limits or (0, 0),
        inverted=dataset.get("PhotometricInterpretation") == "MONOCHROME1",
        sum_of_ends=-1 if signed else 2**stored - 1,
    )


def _stored_bits(raw: NDArray[np.integer], stored: int, high: int, signed: bool) -> NDArray[np.int32]:
    """BitsStored bits that end at HighBit (PS3.5 8.1.1), sign extended, as int32."""
    bits = raw.astype(np.int64) >> (high + 1 - stored)
    bits &= (1 << stored) - 1
    if signed:
        bits = np.where(bits >= 1 << (stored - 1), bits - (1 << stored), bits)
    return bits.astype(np.int32 if signed or stored < 32 else np.uint32)


def _padding_limits(dataset: Dataset, allocated: int, signed: bool) -> tuple[int, int] | None:
    """Lowest and highest stored value of padding (PS3.3 C.7.5.1.1.2), by the pixels' own sign.

    Writers disagree on the sign: 63536 in a signed 16-bit image is −2000.
    """
    value = dataset.get("PixelPaddingValue")
    if value is None or isinstance(value, bytes | str) or value == "":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [int(v) % 2**allocated for v in (value, value if limit is None or limit == "" else limit)]
    if signed:
        ends = [v - 2**allocated if v >= 2 ** (allocated - 1) else v for v in ends]
    return min(ends), max(ends)
