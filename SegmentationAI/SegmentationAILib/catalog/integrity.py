"""Whether a model's files are those that its catalogue entry and its record name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from SegmentationAILib.catalog.entry import NNUNET, Entry
from SegmentationAILib.catalog.store import hash_of, record_of
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource

# What training leaves of each fold: at its end, and at its best so far.
FINAL, BEST = CHECKPOINTS = ("checkpoint_final.pth", "checkpoint_best.pth")


@dataclass(frozen=True)
class Damage:
    """A file that is not what it should be.

    Attributes:
        path: below the model's folder.
        expected: "algorithm:value".
        found: likewise, "" where the file is missing.
    """

    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        is_now = f"is {self.found}" if self.found else "is missing"
        return f"'{self.path}' {is_now}, and should be {self.expected}"


def verify(entry: Entry, progress: Progress = Progress()) -> list[Damage]:  # noqa: B008 - immutable
    """Hash every file of an installed model again.

    Returns:
        What is not as it was; empty where all is.

    Raises:
        InputError: the model is not installed.
        Cancelled: the user cancelled.
    """
    if entry.built_in:
        wanted = [
            (file.name, resource(file.name), file.hash.algorithm, file.hash.value) for file in entry.files if file.hash
        ]
    else:
        record = record_of(entry)
        if record is None:
            raise InputError(f"'{entry.id}' is not installed; fetch it with 'thoraxai models fetch {entry.id}'.")
        wanted = [(file.path, record.folder / file.path, "sha256", file.sha256) for file in record.files]
        wanted += [(path, record.folder / path, known.algorithm, known.value) for path, known in entry.contains.items()]
    damages = []
    for n, (name, path, algorithm, value) in enumerate(wanted):
        part = progress.part(n / len(wanted), (n + 1) / len(wanted))
        found = hash_of(path, algorithm, part) if path is not None and path.is_file() else ""
        if found != value:
            damages.append(Damage(name, f"{algorithm}:{value}", found and f"{algorithm}:{found}"))
    return damages


def check_contents(entry: Entry, folder: Path, progress: Progress) -> None:
    """Whether a folder holds what the runner of the model will look for.

    Raises:
        InputError: a file is missing, or has another hash than the publisher's.
        Cancelled: the user cancelled.
    """
    for path, known in entry.contains.items():
        file = folder / path
        if not file.is_file():
            raise _incomplete(entry, path)
        found = hash_of(file, known.algorithm, progress)
        if found != known.value:
            raise InputError(
                f"'{path}' of '{entry.id}' was refused: it is {known.algorithm}:{found}, and must be {known}; get it "
                "again."
            )
    for file in entry.files:
        if not file.unpack and not (folder / file.name).is_file():
            raise _incomplete(entry, file.name)
    if entry.kind == NNUNET:
        for part in entry.settings["parts"]:
            network_folder(folder, part["folder"])


def network_folder(model: Path, part: str) -> Path:
    """The folder of one of nnU-Net's networks, with plans.json, dataset.json and a folder for each fold.

    Args:
        model: the model's folder.
        part: folder below it that is the network's, or has it as its only subfolder with a plans.json.

    Raises:
        InputError: there is none, or it is not whole.
    """
    folder = model / part
    plans = [path for path in (folder / "plans.json", *sorted(folder.glob("*/plans.json"))) if path.is_file()]
    if len(plans) != 1:
        raise InputError(
            f"'{part}' holds {len(plans) or 'no'} nnU-Net networks (folders with plans.json); give the folder of one "
            "trained configuration, such as nnUNetTrainer__nnUNetPlans__3d_fullres."
        )
    found = plans[0].parent
    if not (found / "dataset.json").is_file():
        raise InputError(f"'{found.name}' has no dataset.json, so nobody knows its labels; give the whole folder.")
    if not any(found.glob("fold_*/checkpoint_*.pth")):
        raise InputError(f"'{found.name}' has no weights (fold_0/checkpoint_final.pth); give the whole folder.")
    return found


def checkpoint_of(home: Path, folds: Sequence[int | str] | None = None) -> str:
    """The file of each fold that is read: ``FINAL``, or ``BEST`` where training has not come to its end.

    Args:
        home: folder that holds the folds.
        folds: that are wanted, which must all have it; if not given, one that has it will do, as in nnU-Net.
    """
    enough = any if folds is None else all
    there = sorted(home.glob("fold_*")) if folds is None else [home / f"fold_{fold}" for fold in folds]
    return next((name for name in CHECKPOINTS if enough((path / name).is_file() for path in there)), FINAL)


def _incomplete(entry: Entry, path: str) -> InputError:
    return InputError(
        f"'{entry.id}' was refused: '{path}' is not in it; give the whole model as its publisher packs it."
    )
