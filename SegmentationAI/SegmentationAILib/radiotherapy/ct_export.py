"""A CT as a DICOM series, for one that came from elsewhere: an RTSTRUCT needs images to refer to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import CTImageStorage, generate_uid

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.radiotherapy.dicom_objects import decimal_strings, new_object
from SegmentationAILib.volume import LPS_FROM_RAS, DicomSource, Grid, Volume
from SegmentationAILib.writing import check_writable

_INT16 = np.iinfo(np.int16)


def write_ct_series(
    volume: Volume,
    folder: str | Path,
    *,
    patient_name: str = "",
    patient_id: str = "",
    patient_position: str = "HFS",
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> DicomSource:
    """Write a CT as a DICOM series of a new study; the folder is whole or not there at all.

    Slices are those of ``volume.grid.canonical()``: they run closest to axial, from feet to head.
    Whole HU are kept exactly, others rounded.

    Args:
        volume: HU.
        folder: new or empty.
        patient_name, patient_id: written as they are; planning systems ask for both.
        patient_position: how the patient lay on the table (PS3.3 C.7.3.1.1.2), which files other than
            DICOM do not say; it does not move voxels.
        progress: told of each slice.

    Returns:
        the series, with its images in the order of the canonical grid's k axis.

    Raises:
        InputError: the values are not HU of a CT, the grid is sheared, the folder holds files, or it
            cannot be written to.
    """
    folder = Path(folder).absolute()
    if not volume.grid.is_orthogonal:
        raise InputError("The CT's axes are not at right angles, which DICOM images must have; resample it first.")
    if volume.modality not in ("", "CT"):
        raise InputError(f"The volume holds {volume.modality} and not CT values; choose the CT.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"'{folder}' is not empty; choose a new folder for the CT's DICOM files.")
    grid = volume.grid.canonical()
    hu = _whole_hu(reorient(volume.array, volume.grid, grid))
    check_writable(folder.parent)
    folder.parent.mkdir(parents=True, exist_ok=True)
    images = _images(hu, grid, _patient(patient_name, patient_id), patient_position, volume.name)
    uids = []
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".partial-") as partial:
            whole = Path(partial, folder.name)
            whole.mkdir()
            for k, image in enumerate(images):
                progress(k / len(hu), "Writing slices")
                pydicom.dcmwrite(whole / f"CT{k + 1:04d}.dcm", image)
                uids.append(str(image.SOPInstanceUID))
            if folder.exists():
                folder.rmdir()
            whole.rename(folder)
    except OSError as error:
        raise InputError(f"The CT could not be written to '{folder}'; check that the disk has room.") from error
    progress(1.0, "CT written")
    return DicomSource(
        str(image.StudyInstanceUID),
        str(image.SeriesInstanceUID),
        str(image.FrameOfReferenceUID),
        str(CTImageStorage),
        tuple(uids),
    )


def _whole_hu(array: NDArray) -> NDArray[np.int16]:
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite([low, high]).all() and _INT16.min <= low and high <= _INT16.max):
        raise InputError(f"The volume holds values from {low:g} to {high:g}, which are not HU; choose the CT.")
    return np.ascontiguousarray(np.round(array), dtype="<i2")


def _patient(name: str, identifier: str) -> Dataset:
    patient = Dataset()
    patient.PatientName = name
    patient.PatientID = identifier
    patient.StudyInstanceUID = generate_uid(None)
    return patient


def _images(
    hu: NDArray[np.int16], grid: Grid, patient: Dataset, position: str, description: str
) -> Iterator[FileDataset]:
    """The data set of each slice in turn."""
    now = datetime.now()
    patient.StudyDate, patient.StudyTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    patient.StudyID = "1"
    series_uid, frame_uid = generate_uid(None), generate_uid(None)
    directions = (LPS_FROM_RAS[:3, :3] @ grid.directions)[:, :2].T
    for k, plane in enumerate(hu):
        image = new_object(CTImageStorage, "CT", patient, now, extra_text=f"{patient.PatientName}{description}")
        image.SeriesInstanceUID = series_uid
        image.FrameOfReferenceUID = frame_uid
        image.PositionReferenceIndicator = ""
        image.SeriesNumber = 1
        image.SeriesDescription = description[:64]
        image.AcquisitionNumber = ""
        image.InstanceNumber = k + 1
        image.ImageType = ["DERIVED", "SECONDARY", "AXIAL"]
        image.Laterality = ""
        image.PatientPosition = position
        image.KVP = ""
        image.SliceThickness = decimal_strings([grid.spacing[2]])[0]
        image.PixelSpacing = decimal_strings([grid.spacing[1], grid.spacing[0]])
        image.ImageOrientationPatient = decimal_strings(directions.ravel())
        image.ImagePositionPatient = decimal_strings(LPS_FROM_RAS[:3, :3] @ grid.ras([0, 0, k]))
        image.Rows, image.Columns = plane.shape
        image.SamplesPerPixel = 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit = 16, 16, 15
        image.PixelRepresentation = 1
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = "0", "1", "HU"
        image.PixelData = plane.tobytes()
        image["PixelData"].VR = "OW"
        yield image
