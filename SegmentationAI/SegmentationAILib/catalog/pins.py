"""SHA-256 of files whose publishers name no hash, as they were when first fetched here (trust on first use)."""

from __future__ import annotations

import json
from contextlib import suppress

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.store import models_folder
from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import atomic_write

FIRST_USE = "first use"
_FILE = "first-use-hashes.json"


def of(url: str) -> str | None:
    """The SHA-256 noted for an address, None where nothing was fetched from it yet.

    Raises:
        InputError: the notes are damaged.
    """
    return _held().get(url)


def is_noted(entry: Entry) -> bool:
    """Whether a file of a model was fetched here before that nobody but ourselves knows the hash of."""
    with suppress(InputError):  # told when something is fetched
        return any(file.hash is None and file.url and of(file.url) for file in entry.files)
    return False


def note(url: str, sha256: str) -> None:
    """Note the SHA-256 of what an address gave."""
    held = _held() | {url: sha256}
    with atomic_write(models_folder() / _FILE) as file:
        file.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _held() -> dict[str, str]:
    try:
        held = json.loads((models_folder() / _FILE).read_text(encoding="utf-8"))
        return {str(url): str(sha256) for url, sha256 in held.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        # To go on without them would take whatever a server gives.
        raise InputError(
            f"'{models_folder() / _FILE}', which holds the hashes of files as they were first fetched, cannot be read; "
            "put back a copy of it, or delete it to trust what is fetched next."
        ) from error
