"""The folder of fetched and imported models: for each a folder, with a record of what it is and its files' hashes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource

VARIABLE = "THORAXAI_MODELS"
RECORD = "model.json"
FORMAT = 1
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Stored:
    """A file of an installed model: path below its folder with "/", bytes, SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Origin:
    """A file that the model was made from.

    Attributes:
        name: of the file or folder.
        url: "" where it was local.
        sha256: "" for a folder.
        checked: the hash that it was compared with, as "algorithm:value"; "" where nobody names one.
        by: who names it: "publisher", "others", "first use" where it was noted when first fetched, or "".
    """

    name: str
    url: str = ""
    bytes: int = 0
    sha256: str = ""
    checked: str = ""
    by: str = ""


@dataclass(frozen=True)
class Record:
    """What ``model.json`` tells of an installed model.

    Attributes:
        folder: where it is.
        ids: of the entries that it serves.
        licence: id, name, url, commercial and terms that the user agreed to.
        citation: what to cite in work with it.
        date: when it landed, ISO 8601, UTC.
        own: the entry, where the model is the user's and in no catalogue.
    """

    folder: Path
    ids: Sequence[str]
    files: Sequence[Stored]
    origins: Sequence[Origin]
    licence: Mapping[str, Any]
    citation: Sequence[str]
    date: str
    own: Mapping[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """One hash of all files, by which a result names the model it was made with."""
        lines = sorted(f"{file.sha256}  {file.path}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()


def models_folder() -> Path:
    """Where models are kept: the folder that THORAXAI_MODELS names, else one in the user's cache folder."""
    if chosen := os.environ.get(VARIABLE):
        return Path(chosen).expanduser().absolute()
    return _cache_folder() / "models"


@lru_cache(maxsize=1)
def _cache_folder() -> Path:
    from platformdirs import user_cache_path  # comes with pooch  # noqa: PLC0415

    return user_cache_path("ThoraxAI", appauthor=False)


def installed(entry: Entry) -> Path | None:
    """The folder of a model whose files are all there and of the right size; None where it must be fetched.

    Of a built-in model, the folder of Resources that its files' names start from.
    """
    if entry.built_in:
        return resource("catalog.json").parent if all(resource(file.name) for file in entry.files) else None
    record = record_of(entry)
    if record is None:
        return None
    whole = all(_size(record.folder / file.path) == file.bytes for file in record.files)
    return record.folder if whole else None


def record_of(entry: Entry) -> Record | None:
    """The record of an installed model, None where there is none or it cannot be read."""
    folder = _folder()
    return _read(folder / entry.folder) if folder else None


def provenance(entry: Entry) -> dict[str, Any]:
    """What a result keeps of the model that it was made with, as JSON can hold it: id, version, SHA-256 (of the
    weights of a built-in model, "" where it has none, else ``Record.sha256``), licence and citation.

    Raises:
        InputError: the model is not installed.
    """
    record = None if entry.built_in else record_of(entry)
    if record is None and not entry.built_in:
        raise InputError(f"'{entry.id}' is not installed; fetch it with 'thoraxai models fetch {entry.id}'.")
    return {
        "id": entry.id,
        "version": entry.version,
        "sha256": record.sha256 if record else next((file.hash.value for file in entry.files if file.hash), ""),
        "licence": asdict(entry.licence),
        "citation": list(entry.citation),
    }


def records() -> Iterator[Record]:
    """All installed models, by folder name."""
    folder = _folder()
    if folder and folder.is_dir():
        for path in sorted(folder.iterdir()):
            if record := _read(path):
                yield record


def hash_of(path: Path, algorithm: str, progress: Progress) -> str:
    """Hexadecimal hash of a file.

    Raises:
        Cancelled: the user cancelled.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    size, done = max(path.stat().st_size, 1), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(done / size, f"Checking {path.name}")
    return digest.hexdigest()


def strangers(folder: Path) -> list[Path]:
    """Files in a model's folder that neither fetching nor importing made."""
    record = _read(folder)
    ours = {folder / file.path for file in record.files} | {folder / RECORD} if record else set()
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in ours)


def _folder() -> Path | None:
    """The models' folder; None where what tells it is not installed yet, so that nothing can have been fetched."""
    try:
        return models_folder()
    except ImportError:
        return None


def _read(folder: Path) -> Record | None:
    try:
        held = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if held["format"] > FORMAT or not all(_is_inside(file["path"]) for file in held["files"]):
            return None
        return Record(
            folder=folder,
            ids=tuple(held["ids"]),
            files=tuple(Stored(**file) for file in held["files"]),
            origins=tuple(Origin(**origin) for origin in held["origins"]),
            licence=held["licence"],
            citation=tuple(held["citation"]),
            date=held["date"],
            own=held.get("own"),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_inside(path: str) -> bool:
    """Whether a path of a record stays in the model's folder."""
    return ".." not in Path(path).parts and not Path(path).is_absolute()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
