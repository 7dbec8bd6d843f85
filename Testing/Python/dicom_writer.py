"""DICOM series for tests: written with whatever a test wants to be odd about them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from SegmentationAILib.volume import LPS_FROM_RAS, Grid

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCODED_BY_ITK = {JPEGLosslessSV1: "JPEG", JPEG2000Lossless: "JPEG2000"}

Edit = Callable[[Dataset, int], None]


@dataclass(frozen=True)
class Encoding:
    """How values become bits.

    ``slope`` and ``intercept`` are for each slice in turn, over and over.
    """

    slope: Sequence[float] = (1.0,)
    intercept: Sequence[float] = (-1024.0,)
    signed: bool = False
    bits_stored: int = 16
    high_bit: int | None = None
    junk_in_high_bits: bool = False
    syntax: str = ExplicitVRLittleEndian
    photometric: str = "MONOCHROME2"


@dataclass(frozen=True)
class Identity:
    """UIDs and texts of a series."""

    series_uid: str = "1.2.3.4"
    number: int = 3
    description: str = "chest"
    modality: str = "CT"
    sop_class: str = CTImageStorage
    extra: dict[str, object] = field(default_factory=dict)


def write_series(
    folder: Path,
    hu: NDArray,
    grid: Grid,
    *,
    encoding: Encoding = Encoding(),
    identity: Identity = Identity(),
    seed: int = 0,
    edit: Edit | None = None,
) -> list[Path]:
    """A file for each k of ``hu`` [k, j, i], named and numbered in random order.

    Args:
        edit: called with each data set and its k before it is written.

    Returns:
        the paths in the order of k.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = np.random.default_rng(seed).permutation(len(hu))
    paths = []
    for k, plane in enumerate(hu):
        dataset = image(plane, grid, k, encoding, identity)
        dataset.InstanceNumber = int(names[k]) + 1
        if edit is not None:
            edit(dataset, k)
        paths.append(folder / f"IM{names[k]:04d}")
        pydicom.dcmwrite(paths[-1], dataset)
    return paths


def image(plane: NDArray, grid: Grid, k: int, encoding: Encoding, identity: Identity) -> FileDataset:
    """A single-frame image with the HU of ``plane`` [j, i] at slice k of the grid."""
    dataset = _dataset(encoding, identity, f"{identity.series_uid}.{k + 1}")
    slope, intercept = (values[k % len(values)] for values in (encoding.slope, encoding.intercept))
    dataset.RescaleSlope, dataset.RescaleIntercept = repr(slope), repr(intercept)
    _put_plane(dataset, grid)
    dataset.ImagePositionPatient = _lps(grid.ras([0, 0, k]))
    _put_pixels(dataset, stored_values(plane, slope, intercept), encoding)
    return dataset


def enhanced(hu: NDArray, grid: Grid, order: Sequence[int], encoding: Encoding, identity: Identity) -> FileDataset:
    """A multi-frame image; frame n holds slice ``order[n]``, with its own position and rescaling."""
    dataset = _dataset(encoding, identity, f"{identity.series_uid}.1")
    dataset.NumberOfFrames = len(order)
    plane = Dataset()
    _put_plane(plane, grid)
    measures, orientation = Dataset(), Dataset()
    measures.PixelSpacing = plane.PixelSpacing
    orientation.ImageOrientationPatient = plane.ImageOrientationPatient
    shared = Dataset()
    shared.PixelMeasuresSequence = DicomSequence([measures])
    shared.PlaneOrientationSequence = DicomSequence([orientation])
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    frames, stored = [], []
    for k in order:
        slope, intercept = (values[k % len(values)] for values in (encoding.slope, encoding.intercept))
        position, rescale, frame = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = _lps(grid.ras([0, 0, k]))
        rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = repr(slope), repr(intercept), "HU"
        frame.PlanePositionSequence = DicomSequence([position])
        frame.PixelValueTransformationSequence = DicomSequence([rescale])
        frames.append(frame)
        stored.append(stored_values(hu[k], slope, intercept))
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    _put_pixels(dataset, np.stack(stored), encoding)
    return dataset


def enhanced_identity() -> Identity:
    return Identity(sop_class=EnhancedCTImageStorage)


def stored_values(hu: NDArray, slope: float, intercept: float) -> NDArray[np.int64]:
    return np.round((np.asarray(hu, dtype=np.float64) - intercept) / slope).astype(np.int64)


def _dataset(encoding: Encoding, identity: Identity, uid: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength = 0  # filled in on writing
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = identity.sop_class
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = encoding.syntax
    meta.ImplementationClassUID = "1.2.3"
    dataset = FileDataset(
        None,
        {},
        b"\0" * 128,
        meta,
        is_implicit_VR=encoding.syntax == ImplicitVRLittleEndian,
        is_little_endian=encoding.syntax != ExplicitVRBigEndian,
    )
    dataset.SOPClassUID = identity.sop_class
    dataset.SOPInstanceUID = uid
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = identity.series_uid
    dataset.FrameOfReferenceUID = "1.2.3.9"
    dataset.PatientName = "Doe^Jane"
    dataset.PatientID = "SECRET"
    dataset.Modality = identity.modality
    dataset.SeriesNumber = identity.number
    dataset.SeriesDescription = identity.description
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword, value in identity.extra.items():
        setattr(dataset, keyword, value)
    return dataset


def _put_plane(dataset: Dataset, grid: Grid) -> None:
    directions = LPS_FROM_RAS[:3, :3] @ grid.directions
    dataset.ImageOrientationPatient = [_text(v) for v in directions[:, :2].T.ravel()]
    dataset.PixelSpacing = [_text(grid.spacing[1]), _text(grid.spacing[0])]


def _put_pixels(dataset: Dataset, stored: NDArray[np.int64], encoding: Encoding) -> None:
    bits, signed = encoding.bits_stored, encoding.signed
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert low <= stored.min() <= stored.max() <= high, "the test's values do not fit its bits"
    high_bit = bits - 1 if encoding.high_bit is None else encoding.high_bit
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = encoding.photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, high_bit
    dataset.PixelRepresentation = int(signed)
    words = (stored & (2**bits - 1)) << (high_bit + 1 - bits)
    if encoding.junk_in_high_bits:
        free = 0xFFFF & ~((2**bits - 1) << (high_bit + 1 - bits))
        words |= np.random.default_rng(1).integers(0, 2**16, words.shape) & free
    elif signed and high_bit == bits - 1:
        words = stored & 0xFFFF
    words = words.astype(np.uint16)
    if encoding.syntax in ENCODED_BY_ITK:
        dataset["PixelData"] = _encoded_by_itk(words, signed, ENCODED_BY_ITK[encoding.syntax])
        return
    order = ">" if encoding.syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = words.astype(f"{order}u2").tobytes()
    dataset["PixelData"].VR = "OW"
    if encoding.syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        uid = dataset.SOPInstanceUID
        dataset.compress(RLELossless, encoding_plugin="pydicom")
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid


def _encoded_by_itk(words: NDArray[np.uint16], signed: bool, compressor: str) -> pydicom.DataElement:
    """The compressed pixels of a file that GDCM wrote."""
    itk_image = sitk.GetImageFromArray(words.view(np.int16) if signed else words)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO("GDCMImageIO")
    writer.SetCompressor(compressor)
    writer.UseCompressionOn()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "encoded.dcm")
        writer.SetFileName(str(path))
        writer.Execute(itk_image)
        return pydicom.dcmread(path)["PixelData"]


def _lps(ras: NDArray[np.float64]) -> list[str]:
    return [_text(v) for v in LPS_FROM_RAS[:3, :3] @ ras]


def _text(value: float) -> str:
    """A decimal string of at most 16 characters (PS3.5 table 6.2-1)."""
    return next(text for digits in range(14, 5, -1) if len(text := f"{value:.{digits}g}") <= 16)


def pattern() -> NDArray[np.int64]:
    """[j, i] HU of −1000…2999: a ramp with texture, so that every predictor of a codec is used."""
    j, i = np.indices((40, 48))
    return (j * 97 + i * 41 + (i * j) % 13 * 17) % 4000 - 1000
