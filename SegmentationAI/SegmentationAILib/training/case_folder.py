"""A user's folder of CTs with their annotations: which files belong together, and which patients validate.

A scan is an image file or a folder of DICOM files; its case id is the file's name without its ending,
or the folder's. A case's patient is in ``patients.csv`` (columns ``case`` and ``patient``) where the
folder has one, else the case id up to its first underscore.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import READERS

PATIENTS_FILE = "patients.csv"
_HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class CaseFiles:
    """A scan and what was drawn on it.

    Attributes:
        name: the case id.
        patient: whose scan it is.
        image: file or DICOM folder.
        drawn: file of masks or labels; None where there is none.
    """

    name: str
    patient: str
    image: Path
    drawn: Path | None

    def fingerprint(self, *others: object) -> str:
        """Changes when a file is written anew, or one of the others' ``repr`` changes."""
        parts = self.image.rglob("*") if self.image.is_dir() else [self.image]
        files = sorted(path for path in parts if path.is_file())
        told = hashlib.sha256(repr(others).encode())
        for path in [*files, *([self.drawn] if self.drawn else [])]:
            state = path.stat()
            told.update(f"{path.name} {state.st_size} {state.st_mtime_ns}\n".encode())
        return told.hexdigest()[:16]


@dataclass(frozen=True)
class PatientSplit:
    """Cases to learn from and cases of other patients that decide which weights are kept."""

    train: tuple[CaseFiles, ...]
    validation: tuple[CaseFiles, ...]

    def as_text(self) -> dict[str, list[str]]:
        """Case ids of each part, as a model's card states them."""
        return {"train": [case.name for case in self.train], "validation": [case.name for case in self.validation]}


def find_cases(folder: Path, drawn: str) -> list[CaseFiles]:
    """The scans of a folder, in the order of their names.

    Args:
        folder: of the scans.
        drawn: "mask" or "label"; drawings are ``<case>_<drawn>.*``, ``<case>_<drawn>s.*`` or ``<drawn>s/<case>.*``.

    Raises:
        InputError: there is no folder or no scan, two scans or drawings have one case id, a drawing is of
            no scan, or ``patients.csv`` cannot be read or lacks a case.
    """
    if not folder.is_dir():
        raise InputError(f"'{folder}' is no folder; give the folder that holds the scans.")
    endings = (f"_{drawn}", f"_{drawn}s")
    scans: dict[str, Path] = {}
    drawings: dict[str, Path] = {}
    for path in _visible(folder):
        if path.is_dir():
            if path.name != f"{drawn}s":
                _add(scans, path.name, path)
        elif (stem := _stem(path)) is not None:
            ending = next((end for end in endings if stem.endswith(end)), None)
            _add(*((drawings, stem.removesuffix(ending)) if ending else (scans, stem)), path)
    if (folder / f"{drawn}s").is_dir():
        for path in _visible(folder / f"{drawn}s"):
            if (stem := _stem(path)) is not None:
                _add(drawings, next((stem.removesuffix(end) for end in endings if stem.endswith(end)), stem), path)
    if not scans:
        raise InputError(
            f"The folder '{folder}' holds no scan; put one image file ({', '.join(READERS)}) or one DICOM folder for "
            "each scan there."
        )
    stray = sorted(set(drawings) - set(scans))
    if stray:
        raise InputError(
            f"'{drawings[stray[0]].name}' belongs to no scan; name it after its scan, '<case>_{drawn}.nii.gz'."
        )
    patients = _read_patients(folder / PATIENTS_FILE, scans)
    return [CaseFiles(name, patients[name], scans[name], drawings.get(name)) for name in sorted(scans)]


def split_by_patient(cases: Sequence[CaseFiles], telling: Collection[str]) -> PatientSplit:
    """Hold out one patient in five by a hash of the patient's name, so that added scans move no other.

    At least one patient with something to find is held out, and one is not.

    Args:
        cases: of all patients.
        telling: ids of the cases in which there is something to find.

    Raises:
        InputError: fewer than two patients have something to find.
    """
    finding = sorted({case.patient for case in cases if case.name in telling}, key=_share)
    if len(finding) < 2:
        raise InputError(
            "Training needs annotated scans of at least two patients, since one must be held out for validation; "
            f"there is {len(finding)} (the patient is the case id up to its first '_', or as {PATIENTS_FILE} says)."
        )
    held = {case.patient for case in cases if _share(case.patient) < _HELD_OUT_SHARE}
    held = (held | {finding[0]}) - {finding[-1]}
    return PatientSplit(
        tuple(case for case in cases if case.patient not in held),
        tuple(case for case in cases if case.patient in held),
    )


def _share(patient: str) -> float:
    """0…1, even over patients."""
    return int(hashlib.sha256(patient.encode()).hexdigest()[:8], 16) / 2**32


def _visible(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _stem(path: Path) -> str | None:
    suffix = max((end for end in READERS if path.name.lower().endswith(end)), key=len, default=None)
    return None if suffix is None else path.name[: -len(suffix)]


def _add(held: dict[str, Path], name: str, path: Path) -> None:
    if name in held:
        raise InputError(f"'{held[name].name}' and '{path.name}' are both of the case '{name}'; keep one of them.")
    held[name] = path


def _read_patients(path: Path, names: Collection[str]) -> dict[str, str]:
    if not path.exists():
        return {name: name.split("_")[0] for name in names}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"'{path.name}' cannot be read as CSV; give it the columns case and patient.") from error
    if not rows or not {"case", "patient"} <= set(rows[0]):
        raise InputError(f"'{path.name}' lacks the columns case and patient or has no row; give it both.")
    patients = {row["case"]: row["patient"] for row in rows if row["patient"]}
    missing = sorted(set(names) - set(patients))
    if missing:
        raise InputError(f"'{path.name}' names no patient for the case '{missing[0]}'; add a row for each scan.")
    return patients
