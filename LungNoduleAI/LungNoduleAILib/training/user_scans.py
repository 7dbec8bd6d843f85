"""A user's scans with nodules, as masks or as centres with diameters, for fine-tuning the nodule network.

In a mask each label is a nodule; where there is but one label, each of its connected pieces is. In
``annotations.csv`` (LUNA16's columns) ``seriesuid`` is the case id or the DICOM series, and a scan
without a row has no nodules.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.evaluation.luna16 import read_references
from LungNoduleAILib.evaluation.matching import Reference
from LungNoduleAILib.training.backgrounds import Background, ball, without_marks
from LungNoduleAILib.training.lidc import NoduleCrop, make_crop
from LungNoduleAILib.training.nodule_patches import LEAST_DIAMETER_MM
from SegmentationAILib.checks import check_ct
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.preprocess import resample
from SegmentationAILib.training.case_folder import CaseFiles, PatientSplit, find_cases, split_by_patient
from SegmentationAILib.volume import Grid, Volume

ANNOTATIONS_FILE = "annotations.csv"
# A cache of another make-up is made again.
_FORMAT = 1
_MOST_NODULES = 255
# Around a nodule of which only the diameter is known its true outline may run anywhere up to here.
_ROUGH_SCALE, _ROUGH_MM = 1.3, 4.0
_ARRAYS = ("hu", "lungs", "nodules", "ignored", "spots", "rough")
_BOX_MARGIN_MM = 3
# LIDC's texture of a solid nodule; nobody rated a user's.
_UNRATED_TEXTURE = 5


@dataclass(frozen=True, eq=False)
class UserScans:
    """A user's scans, prepared.

    Attributes:
        train: to learn from.
        validation: of other patients.
        split: which cases those are.
    """

    train: tuple[Background, ...]
    validation: tuple[Background, ...]
    split: PatientSplit


def read_user_scans(folder: Path, cache: Path) -> UserScans:
    """Read a folder of scans with masks (``<case>_mask.*`` or ``masks/<case>.*``) or ``annotations.csv``.

    Args:
        folder: see ``case_folder`` for what it holds.
        cache: where prepared scans are kept, since preparing one takes half a minute; a scan is prepared
            again when one of its files changes.

    Raises:
        InputError: a scan, a mask or the table cannot be used, a scan has neither, or fewer than two
            patients have nodules.
    """
    cases = find_cases(folder, "mask")
    listed = _listed(folder / ANNOTATIONS_FILE)
    bare = next((case for case in cases if case.drawn is None), None)
    if listed is None and bare is not None:
        raise InputError(
            f"The scan '{bare.name}' has no mask; add '{bare.name}_mask.nii.gz' (all zero without nodules), or list "
            f"all nodules in {ANNOTATIONS_FILE}."
        )
    # What a DICOM series is called is known only once it is read.
    named = any(case.image.is_dir() or case.drawn for case in cases) or not listed
    if not named and not {case.name for case in cases} & {name for name, _ in listed}:
        raise InputError(
            f"No seriesuid of '{ANNOTATIONS_FILE}' is a scan of the folder: the table has '{listed[0][0]}', the folder "
            f"'{cases[0].name}'; name the files, or the rows, alike."
        )
    prepared = {case.name: _read(case, listed, cache) for case in cases}
    split = split_by_patient(cases, {name for name, one in prepared.items() if count_nodules(one)})
    return UserScans(
        tuple(prepared[case.name] for case in split.train),
        tuple(prepared[case.name] for case in split.validation),
        split,
    )


def own_crops(backgrounds: Sequence[Background]) -> list[NoduleCrop]:
    """The outlined nodules of 3 mm and more, cut out, so that they can be blended in elsewhere."""
    crops = []
    for background in backgrounds:
        for number, box in enumerate(ndimage.find_objects(background.nodules), start=1):
            if box is None or (background.rough is not None and background.rough[box].any()):
                continue
            window = tuple(slice(max(0, side.start - _BOX_MARGIN_MM), side.stop + _BOX_MARGIN_MM) for side in box)
            hu, mask = background.hu[window], background.nodules[window] == number
            grid = background.grid.crop([side.start for side in window], hu.shape)
            name = f"{background.name}:{number}"
            crop = make_crop(name, background.name, _UNRATED_TEXTURE, Volume(hu, grid), Volume(mask, grid))
            if crop.diameter_mm >= LEAST_DIAMETER_MM:
                crops.append(crop)
    return crops


def count_nodules(background: Background) -> int:
    """How many of the scan's nodules are in or near its lungs, and of 3 mm or more."""
    return len(np.unique(background.nodules[background.nodules > 0]))


def _listed(path: Path) -> list[tuple[str, Reference]] | None:
    return read_references(path) if path.exists() else None


def _read(case: CaseFiles, listed: list[tuple[str, Reference]] | None, cache: Path) -> Background:
    kept = cache / f"{case.name}-{case.fingerprint(_FORMAT, None if case.drawn else listed)}"
    if not kept.exists():
        _write(_prepare(case, listed), kept)
    # Read page by page as patches need them: a hundred scans are more than the memory holds.
    held = {name: np.load(kept / f"{name}.npy", mmap_mode="r") for name in _ARRAYS if (kept / f"{name}.npy").exists()}
    return Background(case.name, grid=Grid(held["hu"].shape, np.load(kept / "ijk_to_ras.npy")), **held)


def _write(background: Background, kept: Path) -> None:
    partial = kept.with_name(f".partial-{kept.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for name in _ARRAYS:
        if getattr(background, name) is not None:
            np.save(partial / f"{name}.npy", getattr(background, name))
    np.save(partial / "ijk_to_ras.npy", background.grid.ijk_to_ras)
    partial.rename(kept)


@dataclass(frozen=True, eq=False)
class _Outline:
    """A nodule as drawn: bool [k, j, i] in its box, and its centre in RAS, mm."""

    inside: NDArray[np.bool_]
    grid: Grid
    centre_ras: NDArray[np.float64]

    @property
    def diameter_mm(self) -> float:
        return float(np.cbrt(6 * np.count_nonzero(self.inside) * self.grid.voxel_volume / np.pi))


def _prepare(case: CaseFiles, listed: list[tuple[str, Reference]] | None) -> Background:
    volume = load(case.image)
    check_ct(volume)
    if case.drawn is not None:
        outlines = _outlines(load(case.drawn), volume.grid, f"The mask of '{case.name}'")
        return _with_outlines(replace(without_marks(volume), name=case.name), outlines)
    series = "" if volume.source is None else volume.source.series_instance_uid
    references = [one for name, one in listed or [] if name in (case.name, series)]
    _check_references(references, volume.grid, case.name)
    return _with_balls(replace(without_marks(volume), name=case.name), references)


def _outlines(mask: Volume, scan: Grid, name: str) -> list[_Outline]:
    numbered = _numbered(mask.array, name)
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), start=1):
        inside = numbered[box] == number
        grid = mask.grid.crop([side.start for side in box], inside.shape)
        found.append(_Outline(inside, grid, grid.ras(np.argwhere(inside).mean(axis=0)[::-1])))
        _check_inside(found[-1].centre_ras, scan, name, "save it with the CT's geometry")
    return found


def _check_references(references: Sequence[Reference], scan: Grid, name: str) -> None:
    if len(references) > _MOST_NODULES:
        raise InputError(f"The scan '{name}' has {len(references)} nodules; {_MOST_NODULES} are the most.")
    for reference in references:
        where = f"A nodule of '{name}' in {ANNOTATIONS_FILE}"
        _check_inside(reference.centre_ras, scan, where, "give its centre in LPS, mm")


def _with_outlines(bare: Background, outlines: Sequence[_Outline]) -> Background:
    nodules, ignored = np.zeros_like(bare.nodules), np.zeros_like(bare.ignored)
    for number, outline in enumerate(outlines, start=1):
        share = resample(outline.inside.astype(np.float32), outline.grid, bare.grid, mode="area")
        if outline.diameter_mm < LEAST_DIAMETER_MM or not (share >= 0.5).any():
            ignored |= ball(bare.grid, outline.centre_ras, outline.diameter_mm + 4)
        else:
            nodules[share >= 0.5] = number
    return replace(bare, nodules=nodules, ignored=ignored)


def _with_balls(bare: Background, references: Sequence[Reference]) -> Background:
    nodules, ignored, rough = (np.zeros_like(array) for array in (bare.nodules, bare.ignored, bare.ignored))
    for number, reference in enumerate(references, start=1):
        centre, diameter = reference.centre_ras, reference.diameter_mm
        if diameter < LEAST_DIAMETER_MM:
            ignored |= ball(bare.grid, centre, diameter + 4)
        else:
            nodules[ball(bare.grid, centre, diameter)] = number
            rough |= ball(bare.grid, centre, _ROUGH_SCALE * diameter + _ROUGH_MM)
    return replace(bare, nodules=nodules, ignored=ignored, rough=rough)


def _numbered(array: NDArray, name: str) -> NDArray[np.uint8]:
    """Nodules by number, 1…n."""
    values = np.unique(array)
    if (values < 0).any() or (values != np.round(values)).any():
        raise InputError(f"{name} has values that are no labels ({values[0]:g}); give whole numbers, 0 for no nodule.")
    labels = values[values > 0]
    numbered = np.searchsorted(labels, array, side="right") if len(labels) > 1 else None
    count = len(labels)
    if numbered is None:
        numbered, count = ndimage.label(array > 0, structure=np.ones((3, 3, 3)))
    if count > _MOST_NODULES:
        raise InputError(f"{name} has {count} nodules; {_MOST_NODULES} are the most, so remove stray voxels.")
    return numbered.astype(np.uint8)


def _check_inside(centre_ras: Sequence[float], scan: Grid, name: str, remedy: str) -> None:
    ijk = scan.ijk(centre_ras)
    if (ijk < -0.5).any() or (ijk > np.array(scan.shape[::-1]) - 0.5).any():
        at = ", ".join(f"{x:.0f}" for x in np.multiply(centre_ras, (-1, -1, 1)))
        raise InputError(f"{name} lies outside its scan (at {at} mm, LPS); {remedy}.")
