"""A DICOM series as a Volume: HU on one regular, right-angled grid in RAS."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.dicom_pixels import StoredValues, read_stored_values
from SegmentationAILib.dicom_rescale import AIR_HU, looks_negative, rescale
from SegmentationAILib.dicom_series import Series, Slice, reading_threads
from SegmentationAILib.dicom_stack import Stack, stack_slices
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import LPS_FROM_RAS, DicomSource, Grid, Volume

# A slice this close to a place of the regular grid is taken as it is, in slices.
_ON_GRID = 0.05


def read_series(
    series: Series,
    *,
    interpolate_missing: bool = False,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> Volume:
    """Read a series.

    The k axis is the normal (row direction × column direction), so the grid is right handed, and
    slices are ordered by position along it. Each slice is rescaled by its own slope and intercept;
    HU are int16 where all are whole and fit, else float32. What was corrected is said in ``notes``:
    padding set to −1024 HU, duplicates left out, a tilted gantry undone, missing slices
    interpolated. ``source.sop_instance_uids`` has an entry for each slice, "" where it is
    interpolated; frames of a multi-frame file share one.

    Args:
        interpolate_missing: where slices are missing or unevenly spaced, interpolate linearly
            between neighbours instead of refusing.

    Raises:
        InputError: geometry is missing or differs between slices, slices are missing or unevenly
            spaced, different images lie at one place, the values are not HU, or a file is damaged.
    """
    stack = stack_slices(series, interpolate_missing=interpolate_missing)
    array, notes = _read(stack, series, progress)
    uids = [s.sop_instance_uid for s in stack.slices]
    if stack.samples is not None:
        array, uids = _interpolate(array, uids, stack.samples)
        notes.append(f"{uids.count('')} of {len(uids)} slices were missing or off the grid and are interpolated.")
    source = DicomSource(series.study_uid, series.uid, series.frame_of_reference_uid, series.sop_class_uid, tuple(uids))
    grid = Grid(array.shape, LPS_FROM_RAS @ stack.ijk_to_lps(upright=False))
    volume = Volume(array, grid, series.name, series.modality, source, tuple(notes))
    return _straighten(volume, stack) if stack.drift.any() else volume


def _read(stack: Stack, series: Series, progress: Progress) -> tuple[NDArray, list[str]]:
    """[k, j, i] HU (or the modality's own values), and what was corrected."""
    is_ct = series.modality == "CT"
    frames: dict[Path, list[Slice]] = defaultdict(list)
    for one in chain(stack.slices, *stack.duplicates.values()):
        frames[one.path].append(one)
    middle = stack.slices[len(stack.slices) // 2]
    negative = is_ct and looks_negative(
        _stored(middle.path, frames[middle.path]), middle.frame, middle.slope, middle.intercept
    )

    def read(path: Path) -> tuple[list[NDArray], bool]:
        stored = _stored(path, frames[path])
        stored = stored.negative() if negative else stored
        planes = [rescale(stored, s.frame, s.slope, s.intercept, pad_with_air=is_ct) for s in frames[path]]
        return planes, stored.padding is not None

    planes: dict[tuple[Path, int], NDArray] = {}
    padded = False
    with reading_threads() as pool:
        for done, (path, (read_planes, has_padding)) in enumerate(zip(frames, pool.map(read, frames), strict=True), 1):
            progress(done / len(frames), "Reading slices")
            planes |= {(path, one.frame): plane for one, plane in zip(frames[path], read_planes, strict=True)}
            padded |= has_padding
    _check_duplicates(stack, planes, series.name)

    notes = []
    if negative:
        notes.append("The images are stored as negatives (MONOCHROME1) and are turned back.")
    if stack.duplicates:
        count = sum(map(len, stack.duplicates.values()))
        notes.append("1 duplicate slice is left out." if count == 1 else f"{count} duplicate slices are left out.")
    if is_ct and padded:
        notes.append(f"Padding around the field of view is set to {AIR_HU} HU.")
    return np.stack([planes.pop((s.path, s.frame)) for s in stack.slices]), notes


def _stored(path: Path, slices: Sequence[Slice]) -> StoredValues:
    stored = read_stored_values(path)
    if any(one.frame >= len(stored.values) for one in slices):
        raise InputError(f"'{path.name}' has fewer frames than its header says; copy or export the series again.")
    return stored


def _check_duplicates(stack: Stack, planes: dict[tuple[Path, int], NDArray], name: str) -> None:
    for k, others in stack.duplicates.items():
        kept = stack.slices[k]
        if not all(np.array_equal(planes[s.path, s.frame], planes[kept.path, kept.frame]) for s in others):
            raise InputError(
                f"The series '{name}' holds different images at one place (slice {k + 1}), as from several time points "
                "or reconstructions; export one of them alone."
            )


def _interpolate(array: NDArray, uids: Sequence[str], samples: NDArray[np.float64]) -> tuple[NDArray, list[str]]:
    """Slices at fractional indices; those at a slice keep its values and UID, others get ""."""
    result = np.empty((len(samples), *array.shape[1:]), dtype=array.dtype)
    names = []
    for k, sample in enumerate(samples):
        near = round(sample)
        if abs(sample - near) <= _ON_GRID:
            result[k] = array[near]
            names.append(uids[near])
            continue
        below = int(sample)
        between = array[below] + (sample - below) * (array[below + 1].astype(np.float32) - array[below])
        result[k] = _as_type(between, array.dtype)
        names.append("")
    return result, names


def _straighten(volume: Volume, stack: Stack) -> Volume:
    """Undo a tilted gantry: slices shift in their plane onto a right-angled grid that holds them all.

    The slices' planes, spacing and values across planes stay as they were acquired.
    """
    from SegmentationAILib.preprocess import resample  # noqa: PLC0415 - torch only where it is needed

    upright = Grid(volume.shape, LPS_FROM_RAS @ stack.ijk_to_lps(upright=True))
    size = np.array(volume.shape[:0:-1])
    drift = upright.ijk(volume.grid.ras([0, 0, volume.shape[0] - 1]))[:2]
    start = np.floor(np.minimum(drift, 0) + 1e-6).astype(int)
    end = np.ceil(np.maximum(drift, 0) - 1e-6).astype(int) + size
    width, height = end - start
    target = upright.crop((0, start[1], start[0]), (volume.shape[0], height, width))
    fill = AIR_HU if volume.modality == "CT" else 0
    array = _as_type(resample(volume.array, volume.grid, target, fill=fill), volume.array.dtype)
    note = (
        f"The gantry was tilted by {stack.tilt_deg:.1f}°; slices are shifted in their plane onto a right-angled grid."
    )
    return replace(volume, array=array, grid=target, notes=(*volume.notes, note))


def _as_type(values: NDArray, dtype: np.dtype) -> NDArray:
    return np.round(values).astype(dtype) if np.issubdtype(dtype, np.integer) else values.astype(dtype)
