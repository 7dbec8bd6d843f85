"""Making a model's folder beside the models, and giving it its place in one step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.store import FORMAT, RECORD, VARIABLE, Origin, Stored, hash_of, models_folder, strangers
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import check_writable

# Of models in the making; a hidden name, which no model has.
WORK = ".work"


@dataclass(frozen=True)
class Workshop:
    """Where one model is made, beside the models.

    Attributes:
        made: becomes the model's folder; empty at first, and gone at the end.
        spare: for what must not be in it, such as zips; gone at the end.
        partial: downloads that broke off; stays.
    """

    made: Path
    spare: Path
    partial: Path


@contextmanager
def workshop(folder: str) -> Iterator[Workshop]:
    """A place to make the model of that folder; no other process has it at the same time.

    Raises:
        InputError: the models' folder cannot be written to, another process makes this model, or the system refused
            what the block did with files.
    """
    import filelock  # noqa: PLC0415 - only to fetch and import

    root = models_folder() / WORK / folder
    places = Workshop(root / "made", root / "spare", root / "partial")
    try:
        check_writable(models_folder())
    except InputError as error:
        raise InputError(
            f"The models' folder '{models_folder()}' cannot be written to; choose another with the environment "
            f"variable {VARIABLE}."
        ) from error
    root.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(root.with_name(f"{folder}.lock"), timeout=0):
            # What a process that was killed left behind.
            _clear(places)
            places.made.mkdir()
            places.spare.mkdir()
            try:
                yield places
            finally:
                _clear(places)
                with suppress(OSError):
                    places.partial.rmdir()
                with suppress(OSError):
                    root.rmdir()
    except filelock.Timeout as error:
        raise InputError(f"'{folder}' is being fetched or imported by another program; wait for it.") from error
    except OSError as error:
        raise InputError(
            f"'{folder}' could not be put into '{models_folder()}' ({error.strerror}); check that the disk has room, "
            "and end programs that use the model."
        ) from error


def discard_partial(folder: str) -> bool:
    """Throw away what broken downloads of a model left; whether there was anything.

    Raises:
        InputError: another process fetches this model.
    """
    partial = models_folder() / WORK / folder / "partial"
    if not partial.is_dir():
        return False
    with workshop(folder):
        shutil.rmtree(partial)
    return True


def _clear(places: Workshop) -> None:
    shutil.rmtree(places.made, ignore_errors=True)
    shutil.rmtree(places.spare, ignore_errors=True)


def land(
    places: Workshop,
    entry: Entry,
    ids: Sequence[str],
    origins: Sequence[Origin],
    progress: Progress,
    own: Mapping[str, Any] | None = None,
) -> Path:
    """Give the folder that was made its record and its name in one step; the model that was there before goes.

    Raises:
        InputError: there are files of someone else in the model's folder.
        Cancelled: the user cancelled.
    """
    made = places.made
    paths = sorted(path for path in made.rglob("*") if path.is_file())
    files = []
    for n, path in enumerate(paths):
        digest = hash_of(path, "sha256", progress.part(n / len(paths), (n + 1) / len(paths)))
        files.append(Stored(path.relative_to(made).as_posix(), path.stat().st_size, digest))
    text = {
        "format": FORMAT,
        "ids": list(ids),
        "version": entry.version,
        "source": entry.source,
        "licence": asdict(entry.licence),
        "citation": list(entry.citation),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "origins": [asdict(origin) for origin in origins],
        "files": [asdict(file) for file in files],
    }
    if own is not None:
        text["own"] = own
    (made / RECORD).write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    target, before = models_folder() / entry.folder, places.spare / "replaced"
    if target.exists():
        if others := strangers(target):
            raise InputError(
                f"'{target}' holds '{others[0].name}', which is not of the model; move it elsewhere first."
            )
        # A folder cannot be renamed onto another.
        target.rename(before)
    try:
        made.rename(target)
    except OSError:
        if before.exists():
            before.rename(target)
        raise
    return target
