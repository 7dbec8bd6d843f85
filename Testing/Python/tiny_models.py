"""Models of a few bytes, and what is left of them on the disk."""

from __future__ import annotations

import hashlib
import io
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from model_server import ModelServer

from SegmentationAILib.catalog.entry import Entry, Hash, Licence, ModelFile, ModelInput

CONTENT = bytes(range(256)) * 4096  # 1 MiB
LICENCE = Licence("CC-BY-4.0", "Creative Commons", "https://creativecommons.org", True, "With credit.")


def sha256(content: bytes) -> Hash:
    return Hash("sha256", hashlib.sha256(content).hexdigest())


def entry_of(*files: ModelFile, **changes) -> Entry:
    entry = Entry(
        id="net",
        title="A network",
        task="segmentation",
        kind="lungmask",
        version="1",
        licence=LICENCE,
        citation=("Somebody 2020",),
        source="https://example.org",
        input=ModelInput("CT", None, "HU"),
        labels={},
        label_ids={},
        files=files,
        folder="net",
    )
    return replace(entry, **changes)


def weights(server: ModelServer, content: bytes = CONTENT, **changes) -> ModelFile:
    file = ModelFile("w.pth", server.url + "w.pth", len(content), sha256(content))
    return replace(file, **changes)


@contextmanager
def filling_disk(most: int = 200_000) -> Iterator[None]:
    """The system itself refuses to write more than so many bytes to a file, as a full disk does."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def left(models: Path) -> list[str]:
    """All files below the models' folder but the locks, which are empty."""
    return sorted(
        path.relative_to(models).as_posix() for path in models.rglob("*") if path.is_file() and path.suffix != ".lock"
    )
