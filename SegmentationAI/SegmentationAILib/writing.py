"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator, Sequence
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
                f"'{path.name}' could not be written to '{path.parent}'; check that the disk has room and that no "
                "other program has the file open."
            ) from error


@contextlib.contextmanager
def written_together(folder: str | Path) -> Iterator[Path]:
    """A folder to write files to; all of them come into ``folder``, over those of their names, if the block succeeds,
    else none does, those that were there stay, and ``folder`` is not made.

    Raises:
        InputError: the folder cannot be written to, or writing failed, as on a full disk.
    """
    folder = Path(folder).absolute()
    check_writable(folder)
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    with (
        tempfile.TemporaryDirectory(dir=existing, prefix=".partial-") as made,
        tempfile.TemporaryDirectory(dir=existing, prefix=".replaced-") as replaced,
    ):
        try:
            yield Path(made)
            folder.mkdir(parents=True, exist_ok=True)
            _move(sorted(Path(made).iterdir()), folder, Path(replaced))
        except InputError as error:
            # The block wrote to a folder that the user never sees.
            raise InputError(str(error).replace(made, str(folder))) from error
        except OSError as error:
            raise InputError(
                f"The results could not be written to '{folder}'; check that the disk has room and that no other "
                "program has the files open."
            ) from error


def _move(paths: Sequence[Path], folder: Path, replaced: Path) -> None:
    """All paths into a folder, or none; what is in their way goes to ``replaced``."""
    moved: list[tuple[Path, Path]] = []
    try:
        for path in paths:
            target = folder / path.name
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder is in the way", str(target))
            if target.exists():
                moved.append((target, target.rename(replaced / path.name)))
            moved.append((path, path.rename(target)))
    except OSError:
        for before, now in reversed(moved):
            now.rename(before)
        raise
