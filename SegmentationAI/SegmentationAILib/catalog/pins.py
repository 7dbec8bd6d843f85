"""SHA-256 of files whose publishers name no hash, as they were when first fetched here (trust on first use)."""

from __future__ import annotations

import json

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.store import models_folder
from SegmentationAILib.writing import atomic_write

FIRST_USE = "first use"
_FILE = "first-use-hashes.json"


def of(url: str) -> str | None:
    """The SHA-256 noted for an address, None where nothing was fetched from it yet."""
    return _held().get(url)


def is_noted(entry: Entry) -> bool:
    """Whether a file of a model was fetched here before that nobody but ourselves knows the hash of."""
    return any(file.hash is None and file.url and of(file.url) for file in entry.files)


def note(url: str, sha256: str) -> None:
    """Note the SHA-256 of what an address gave."""
    held = _held() | {url: sha256}
    with atomic_write(models_folder() / _FILE) as file:
        file.write_text(json.dumps(held, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _held() -> dict[str, str]:
    try:
        return dict(json.loads((models_folder() / _FILE).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
