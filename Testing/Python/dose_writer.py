"""RTDOSE files for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from SegmentationAILib.radiotherapy.dose import RT_DOSE_STORAGE
from SegmentationAILib.volume import LPS_FROM_RAS, Grid


def write_dose(
    path: Path, gy: NDArray, grid: Grid, *, bits: int = 32, offsets: list[float] | None = None, **extra
) -> Path:
    """An RTDOSE of ``gy`` [k, j, i] on a right-angled grid whose k axis runs along i × j.

    Args:
        offsets: GridFrameOffsetVector, relative and regular where not given.
        extra: attributes to set instead; None leaves one out.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RT_DOSE_STORAGE
    meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(None, {}, b"\0" * 128, meta)
    dataset.SOPClassUID, dataset.SOPInstanceUID = RT_DOSE_STORAGE, "1.2.3.4.5"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.9"
    dataset.Modality = "RTDOSE"
    dataset.DoseUnits, dataset.DoseType, dataset.DoseSummationType = "GY", "PHYSICAL", "PLAN"
    plan = Dataset()
    plan.ReferencedSOPClassUID, plan.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.481.5", "1.2.3.7"
    dataset.ReferencedRTPlanSequence = [plan]
    lps = LPS_FROM_RAS @ grid.ijk_to_ras
    dataset.ImagePositionPatient = [f"{v:.8g}" for v in lps[:3, 3]]
    dataset.ImageOrientationPatient = [f"{v:.10f}" for v in (lps[:3, :2] / grid.spacing[:2]).T.ravel()]
    dataset.PixelSpacing = [float(grid.spacing[1]), float(grid.spacing[0])]
    dataset.GridFrameOffsetVector = offsets or [float(k * grid.spacing[2]) for k in range(grid.shape[0])]
    scaling = float(gy.max()) / (2**bits - 1)
    dataset.DoseGridScaling = f"{scaling:.10e}"[:16]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = gy.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    stored = np.minimum(np.round(gy / float(dataset.DoseGridScaling)), 2**bits - 1)
    dataset.PixelData = stored.astype(f"<u{bits // 8}").tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in extra.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path
