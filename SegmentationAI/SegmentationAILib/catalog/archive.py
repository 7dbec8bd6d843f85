"""Zips from the network or a user, unpacked so that nothing lands outside the folder and nothing fills the disk."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

_BLOCK = 1 << 20
# What macOS puts into zips beside the files themselves.
_CLUTTER = ("__MACOSX", ".DS_Store")
# What Python's readers of zips raise of damaged ones, of names that are no text among them.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    ValueError,
)


def unpack(path: Path, folder: Path, most: Callable[[int], int], progress: Progress) -> None:
    """Unpack a zip into a folder.

    Args:
        path: the zip.
        folder: made where it does not exist.
        most: of the zip's bytes, how many its contents may have.
        progress: told of the bytes.

    Raises:
        InputError: it is no zip or damaged, a name leads out of the folder or is there twice, it holds a link or a
            password, its contents have more bytes than ``most`` or than the disk has room for. What was unpacked
            by then stays; the caller throws its folder away.
        Cancelled: the user cancelled.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _safe(archive, path.name)
            size = sum(member.file_size for member in members)
            limit = most(path.stat().st_size)
            if size > limit:
                raise InputError(
                    f"'{path.name}' was refused: it unpacks to {megabytes(size)}, and at most {megabytes(limit)} are "
                    "expected."
                )
            check_room(folder, size)
            written = 0
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                # "x": two names of a zip can be one file where capitals are all the same.
                with archive.open(member) as source, target.open("xb") as file:
                    # zipfile gives no more bytes than the zip says, so that a zip that lies about them ends here too.
                    while block := source.read(_BLOCK):
                        written += len(block)
                        file.write(block)
                        progress(written / max(size, 1), f"Unpacking {path.name}")
    except FileExistsError as error:
        raise InputError(f"'{path.name}' was refused: it holds '{Path(error.filename).name}' twice.") from error
    except InputError:
        raise
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        # bz2 tells of damage without a number, and a damaged place in the zip is not one to go to.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(path, error) from error
        raise InputError(
            f"'{path.name}' could not be unpacked ({error.strerror}); check that the disk has room."
        ) from error


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"'{path.name}' was refused: it is no zip, or damaged ({error}); get it again.")


def check_room(folder: Path, size: int) -> None:
    """Whether the disk of a folder, which need not exist yet, has room for ``size`` bytes.

    Raises:
        InputError: it has not.
    """
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if size > free:
        raise InputError(
            f"The model needs {megabytes(size)} and the disk of '{folder.name or folder}' has {megabytes(free)} free; "
            "free some space, or choose another models' folder with the environment variable THORAXAI_MODELS."
        )


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e8 else f"{size / 1e6:,.0f} MB"


def _safe(archive: zipfile.ZipFile, name: str) -> list[zipfile.ZipInfo]:
    """The files of a zip.

    Raises:
        InputError: one is not to be unpacked.
    """
    files = []
    for member in archive.infolist():
        inner = PurePosixPath(member.filename)
        on_windows = PureWindowsPath(member.filename)
        if inner.is_absolute() or on_windows.drive or on_windows.root or ".." in (*inner.parts, *on_windows.parts):
            raise InputError(f"'{name}' was refused: it holds '{member.filename}', which leads out of its folder.")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise InputError(f"'{name}' was refused: it holds '{member.filename}', a link or a device.")
        if member.flag_bits & 1:
            raise InputError(f"'{name}' was refused: it is locked with a password; unpack it and import the folder.")
        if not member.is_dir() and not any(part in _CLUTTER or part.startswith("._") for part in inner.parts):
            files.append(member)
    return files
