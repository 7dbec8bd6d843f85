"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from SegmentationAILib.errors import InputError


def check_writable(folder: str | Path) -> None:
    """Whether files can be put in a folder, or the folder made; leaves no trace.

    A file is really made and removed, since permission bits tell nothing of read-only and full disks,
    of access lists, or of what root may do.

    Raises:
        InputError: they cannot.
    """
    folder = Path(folder).absolute()
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), None)
    try:
        if existing is None:
            raise FileNotFoundError
        with tempfile.TemporaryFile(dir=existing) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise InputError(f"The folder '{folder}' cannot be written to; choose another output folder.") from error


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; it becomes ``path`` if the block succeeds, else it goes.

    The folder is made where it does not exist.

    Raises:
        InputError: the folder cannot be written to, or writing failed, as on a full disk.
    """
    path = Path(path)
    check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".partial-") as folder:
        partial = Path(folder, path.name)
        try:
            yield partial
            partial.replace(path)
        except OSError as error:
            raise InputError(
                f"'{path.name}' could not be written to '{path.parent}'; check that the disk has room."
            ) from error


@contextlib.contextmanager
def written_together(folder: str | Path) -> Iterator[Path]:
    """A folder to write files to; they come into ``folder``, over those of their names, if the block succeeds, else
    they go, and ``folder`` is not made.

    Raises:
        InputError: the folder cannot be written to, or writing failed, as on a full disk.
    """
    folder = Path(folder).absolute()
    check_writable(folder)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    with tempfile.TemporaryDirectory(dir=existing, prefix=".partial-") as made:
        try:
            yield Path(made)
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(Path(made).iterdir()):
                path.replace(folder / path.name)
        except InputError as error:
            raise InputError(str(error).replace(made, str(folder))) from error
        except OSError as error:
            raise InputError(
                f"The results could not be written to '{folder}'; check that the disk has room."
            ) from error
