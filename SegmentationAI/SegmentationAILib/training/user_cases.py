"""A user's CTs with label maps, for fine-tuning the organ network.

``labels.json`` names the values (``{"1": "heart", "2": "aorta"}``) by the network's own classes, for all
scans of the folder. A voxel of value 0 is none of those that are named; 255 says nothing of a voxel.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.checks import check_ct
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.preprocess import resample
from SegmentationAILib.training.case_folder import CaseFiles, PatientSplit, find_cases, split_by_patient
from SegmentationAILib.training.fit import Patches
from SegmentationAILib.training.organ_cases import ScanCase, unlabelled_case, working_grid
from SegmentationAILib.training.organ_classes import BACKGROUND, CLASS_NAMES, REST, SOFT, UNKNOWN
from SegmentationAILib.volume import Volume

NAMES_FILE = "labels.json"
# A cache of another make-up is made again.
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class UserCases:
    """A user's scans, prepared.

    Attributes:
        train: to learn from.
        validation: of other patients.
        split: which cases those are.
        drawn: bool [classes] that the user drew.
    """

    train: tuple[ScanCase, ...]
    validation: tuple[ScanCase, ...]
    split: PatientSplit
    drawn: NDArray[np.bool_]


class DrawnPatches:
    """Patches that also say which classes their reader drew, as ``drawn``, bool [classes]."""

    def __init__(self, patches: Patches, drawn: NDArray[np.bool_]) -> None:
        self._patches = patches
        self._drawn = torch.from_numpy(drawn)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {**self._patches[index], "drawn": self._drawn}


def read_user_cases(folder: Path, cache: Path) -> UserCases:
    """Read a folder of CTs with label maps (``<case>_labels.*`` or ``labels/<case>.*``) and ``labels.json``.

    Args:
        folder: see ``case_folder`` for what it holds.
        cache: where prepared scans are kept; a scan is prepared again when one of its files changes.

    Raises:
        InputError: ``labels.json`` is missing or names a class that the network does not know, a scan or
            label map cannot be used, or fewer than two patients have labels.
    """
    cases = find_cases(folder, "label")
    table = _read_table(folder / NAMES_FILE)
    bare = next((case for case in cases if case.drawn is None), None)
    if bare is not None:
        raise InputError(
            f"The scan '{bare.name}' has no labels; add '{bare.name}_labels.nii.gz', or leave the scan out."
        )
    drawn = np.zeros(len(CLASS_NAMES), dtype=bool)
    drawn[table[table < len(CLASS_NAMES)]] = True
    prepared = {case.name: _read(case, table, drawn, cache) for case in cases}
    named = np.flatnonzero(drawn)
    split = split_by_patient(cases, {name for name, one in prepared.items() if np.isin(one.classes, named).any()})
    return UserCases(
        tuple(prepared[case.name] for case in split.train),
        tuple(prepared[case.name] for case in split.validation),
        split,
        drawn,
    )


def _read_table(path: Path) -> NDArray[np.uint8]:
    """[256] class of each label value; ``SOFT``, which no reader draws, for those without a name."""
    example = '{"1": "heart"}'
    try:
        named = {int(value): str(name) for value, name in json.loads(path.read_text(encoding="utf-8")).items()}
    except FileNotFoundError as error:
        raise InputError(
            f"The folder has no '{path.name}'; write one that names the label values: {example}."
        ) from error
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"'{path.name}' cannot be read; it names the label values like this: {example}.") from error
    table = np.full(256, SOFT, dtype=np.uint8)
    table[0], table[UNKNOWN] = REST, UNKNOWN
    for value, name in named.items():
        if value == 0 and name == CLASS_NAMES[BACKGROUND]:
            continue
        if not 0 < value < UNKNOWN:
            raise InputError(
                f"'{path.name}' names the value {value} '{name}'; 0 is none of the classes and {UNKNOWN} unknown; "
                f"use 1 to {UNKNOWN - 1}."
            )
        if name not in CLASS_NAMES[1:]:
            raise InputError(
                f"'{path.name}' names the value {value} '{name}', which the network does not know; choose from "
                f"{', '.join(CLASS_NAMES[1:])}."
            )
        table[value] = CLASS_NAMES.index(name)
    if not (table < len(CLASS_NAMES)).any():
        raise InputError(f"'{path.name}' names no class; name the label values like this: {example}.")
    return table


def _read(case: CaseFiles, table: NDArray[np.uint8], drawn: NDArray[np.bool_], cache: Path) -> ScanCase:
    kept = cache / f"{case.name}-{case.fingerprint(_FORMAT, table.tolist())}.npz"
    if not kept.exists():
        made = _prepare(case, table, drawn)
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_name(f".partial-{kept.name}")
        np.savez_compressed(partial, hu=made.hu, classes=made.classes)
        partial.replace(kept)
    with np.load(kept) as held:
        return ScanCase(case.name, held["hu"], held["classes"])


def _prepare(case: CaseFiles, table: NDArray[np.uint8], drawn: NDArray[np.bool_]) -> ScanCase:
    volume, labels = load(case.image), load(case.drawn)
    check_ct(volume)
    _check_labels(labels, table, case.name)
    bare = unlabelled_case(volume, case.name)
    grid = working_grid(volume)
    classes = table[resample(labels.array.astype(np.uint8), labels.grid, grid, mode="nearest", fill=UNKNOWN)]
    if (classes == UNKNOWN).all():
        raise InputError(f"The labels of '{case.name}' lie outside its scan; save them with the CT's geometry.")
    # What is certain of a voxel that the reader left out, so that the network does not forget it.
    certain = np.isin(bare.classes, np.flatnonzero(~drawn)) & (classes == REST)
    classes[certain] = bare.classes[certain]
    return ScanCase(case.name, bare.hu, classes)


def _check_labels(labels: Volume, table: NDArray[np.uint8], name: str) -> None:
    values = np.unique(labels.array)
    if (values < 0).any() or (values > UNKNOWN).any() or (values != np.round(values)).any():
        raise InputError(
            f"The labels of '{name}' have values that are no labels; give whole numbers of 0 to {UNKNOWN}."
        )
    nameless = [int(value) for value in values if table[int(value)] == SOFT]
    if nameless:
        raise InputError(
            f"The labels of '{name}' have the value {nameless[0]}, which '{NAMES_FILE}' does not name; add it."
        )
