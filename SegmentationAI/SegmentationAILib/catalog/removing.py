"""Taking a fetched or imported model away again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.store import RECORD, record_of, strangers
from SegmentationAILib.catalog.workshop import discard_partial
from SegmentationAILib.errors import InputError


def remove(entry: Entry) -> list[Path]:
    """Delete what fetching or importing a model made, and what is left of broken downloads of it.

    Returns:
        Files in the model's folder that were put there by someone else; they stay.

    Raises:
        InputError: the model comes with ThoraxAI, is not installed, or a file cannot be deleted.
    """
    if entry.built_in:
        raise InputError(f"'{entry.id}' comes with ThoraxAI and cannot be removed.")
    partial = discard_partial(entry.folder)
    record = record_of(entry)
    if record is None:
        if partial:
            return []
        raise InputError(f"'{entry.id}' is not installed; 'thoraxai models list' shows what is.")
    others = strangers(record.folder)
    paths = [record.folder / file.path for file in record.files]
    try:
        for path in (*paths, record.folder / RECORD):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"'{error.filename}' could not be deleted ({error.strerror}); close the programs that use the model."
        ) from error
    folders = {parent for path in paths for parent in path.parents if parent.is_relative_to(record.folder)}
    for folder in sorted({*folders, record.folder}, key=lambda one: len(one.parts), reverse=True):
        # One that holds someone else's file stays.
        with suppress(OSError):
            folder.rmdir()
    return others
