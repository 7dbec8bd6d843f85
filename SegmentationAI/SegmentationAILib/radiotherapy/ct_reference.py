"""The CT series that a structure set refers to: its image planes, UIDs and patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from SegmentationAILib.dicom_series import Header, Series, Slice, find_series, series_of
from SegmentationAILib.dicom_stack import stack_slices
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS, Grid


@dataclass(frozen=True, eq=False)
class CTReference:
    """A CT's image planes.

    Attributes:
        series: its UIDs.
        header: the first image's attributes, for patient and study.
        slices: in order along the normal.
        grids: the grid [1, j, i] of each slice, where it was acquired.
        regular: the grid [k, j, i] of all, None where slices are missing or unevenly spaced.
    """

    series: Series
    header: Dataset
    slices: tuple[Slice, ...]
    grids: tuple[Grid, ...]
    regular: Grid | None


def ct_reference(reference: str | Path | Sequence[Dataset] | None, series_uid: str = "") -> CTReference:
    """The image planes of a CT series.

    Args:
        reference: a folder with the series (searched with its subfolders), or its data sets; None where
            the CT did not come from DICOM, which is refused with what to do.
        series_uid: which series, where there are several; "" for the only one.

    Raises:
        InputError: there is no such series, there are several, its geometry is missing or differs
            between slices, or it has no frame of reference.
    """
    if reference is None:
        raise InputError(
            "An RTSTRUCT refers to the CT's DICOM images, and this CT did not come from DICOM; export the CT as a "
            "DICOM series first (write_ct_series), and give its folder."
        )
    found = (
        find_series(Path(reference))
        if isinstance(reference, str | Path)
        else [_series_of_datasets([one for one in reference if not series_uid or one.SeriesInstanceUID == series_uid])]
    )
    if series_uid:
        found = [series for series in found if series.uid == series_uid]
        if not found:
            raise InputError(
                f"The reference does not hold the CT series that the structures were drawn on ({series_uid}); "
                "choose its folder."
            )
    if len(found) > 1:
        names = "; ".join(f"'{series.name}' ({series.uid})" for series in found)
        raise InputError(f"The reference holds {len(found)} series: {names}; give the folder of one of them.")
    series = found[0]
    if not series.frame_of_reference_uid:
        raise InputError(
            f"The series '{series.name}' has no frame of reference, which an RTSTRUCT must name; export the CT again."
        )
    stack = stack_slices(series, interpolate_missing=True)
    whole = Grid((len(stack.slices), *stack.slices[0].size_ij[::-1]), LPS_FROM_RAS @ stack.ijk_to_lps(upright=False))
    grids = []
    for one in stack.slices:
        matrix = stack.ijk_to_lps(upright=True)
        matrix[:3, 3] = one.position
        grids.append(Grid((1, *whole.shape[1:]), LPS_FROM_RAS @ matrix))
    header = (
        pydicom.dcmread(stack.slices[0].path, stop_before_pixels=True)
        if isinstance(reference, str | Path)
        else next(one for one in reference if one.SOPInstanceUID == stack.slices[0].sop_instance_uid)
    )
    return CTReference(series, header, stack.slices, tuple(grids), whole if stack.samples is None else None)


def _series_of_datasets(datasets: Sequence[Dataset]) -> Series:
    headers = [Header(Path(str(getattr(one, "filename", "") or "")), one, "") for one in datasets]
    images = [header for header in headers if header.is_image]
    if not images:
        raise InputError("The reference holds no CT images; give the data sets of the CT series.")
    if len({header.series_uid for header in images}) > 1:
        raise InputError("The reference holds the images of several series; give those of one.")
    return series_of(images)
