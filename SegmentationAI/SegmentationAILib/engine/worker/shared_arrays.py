"""Arrays in shared memory: written by one process, read by another without a copy, freed whatever happens to either.

Whoever receives a segment takes its name away as it attaches, so that the memory lives exactly as long as the
arrays on it. Its name is announced before it is made, so that the survivor of a crash can free what the other
left. Only if both end between making and attaching does it stay, until the system restarts.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError

# Where Linux keeps shared memory as files.
_FOLDER = Path("/dev/shm")
_ALIGNMENT = 64
_PIECE_BYTES = 8_000_000
_tracker_lock = threading.Lock()


def new_name() -> str:
    """A name that no other segment has; macOS allows 30 characters."""
    return f"thoraxai-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class Layout:
    """Where an array lies in its segment.

    Attributes:
        dtype: as ``numpy.dtype.str``.
        shape: of the array.
        offset: of its first byte.
    """

    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def end(self) -> int:
        """Offset after the last byte."""
        return self.offset + np.dtype(self.dtype).itemsize * int(np.prod(self.shape, dtype=np.int64))


class Segment:
    """Arrays, copied into memory that another process can attach to; freed by ``release``."""

    def __init__(self, name: str, arrays: Sequence[NDArray]) -> None:
        """Make the memory; ``fill`` copies the arrays.

        Args:
            name: as ``new_name`` gives it.
            arrays: of numbers or booleans, of any shape and strides.

        Raises:
            InputError: the system has not that much shared memory.
        """
        self.layout: list[Layout] = []
        end = 0
        for array in arrays:
            if array.dtype.hasobject:
                raise TypeError(f"an array of {array.dtype} cannot be shared")
            start = -(-end // _ALIGNMENT) * _ALIGNMENT
            self.layout.append(Layout(array.dtype.str, array.shape, start))
            end = self.layout[-1].end
        self.name = name
        self._memory: SharedMemory | None = _make(name, max(end, 1))
        self._size = max(end, 1)
        self._pieces = _pieces(_views(self._memory, self.layout), arrays)
        self._filled = 0

    @property
    def whole(self) -> bool:
        """Whether all arrays are copied."""
        return self._pieces is None

    def fill(self, most_bytes: int | None = None) -> None:
        """Copy the arrays, or the next of them; no more where the other side took the name away as it ended.

        Args:
            most_bytes: about how much at most, so that who calls is not held up; all if not given.

        Raises:
            InputError: the system has not that much shared memory.
        """
        copied = 0
        while self._pieces is not None and (most_bytes is None or copied < most_bytes):
            piece = next(self._pieces, None)
            if piece is None:
                self._pieces = None
                return
            view, array = piece
            if not self._reserve(min(self._size, self._filled + view.nbytes + _ALIGNMENT)):
                self._pieces = None
                return
            np.copyto(view, array)
            copied += view.nbytes

    def _reserve(self, end: int) -> bool:
        """Linux gives pages as they are written, and kills who writes more than there is: have them before.

        Returns:
            Whether the memory still has its name, and so somebody who may read it.
        """
        if not _FOLDER.is_dir() or end <= self._filled:
            return True
        try:
            file = os.open(_FOLDER / self.name, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            os.posix_fallocate(file, self._filled, end - self._filled)
        except OSError as error:
            raise _too_large(self._size) from error
        finally:
            os.close(file)
        self._filled = end
        return True

    def release(self) -> None:
        """Free the memory, but for who has attached to it."""
        if self._memory is not None:
            discard(self.name)
            self._memory = self._pieces = None


def attach(name: str, layout: Sequence[Layout]) -> list[NDArray]:
    """The arrays of another process's segment; they keep the memory, and nobody can attach to it any more.

    Raises:
        FileNotFoundError: there is no such segment.
    """
    with _untracked():
        memory = SharedMemory(name, **_UNTRACKED)
    discard(name)
    if layout and max(one.end for one in layout) > memory.size:
        raise ValueError("the shared memory is smaller than its arrays")
    return _views(memory, layout)


def discard(name: str) -> None:
    """Take a segment's name away, if it is there; its memory goes with the last process that has it."""
    if sys.platform == "win32":
        return
    if _FOLDER.is_dir():
        (_FOLDER / name).unlink(missing_ok=True)
        return
    with _untracked(), suppress(FileNotFoundError):
        SharedMemory(name, **_UNTRACKED).unlink()


class _Mapped:
    """Gives numpy an array that keeps its shared memory, which is closed with the last such array."""

    def __init__(self, memory: SharedMemory, address: int, layout: Layout) -> None:
        self._memory = memory
        self.__array_interface__ = {
            "version": 3,
            "typestr": layout.dtype,
            "shape": layout.shape,
            "data": (address + layout.offset, False),
        }


def _views(memory: SharedMemory, layout: Sequence[Layout]) -> list[NDArray]:
    address = np.frombuffer(memory.buf, np.uint8).ctypes.data
    return [np.asarray(_Mapped(memory, address, one)) for one in layout]


def _pieces(views: Sequence[NDArray], arrays: Sequence[NDArray]) -> Iterator[tuple[NDArray, NDArray]]:
    """Where to copy what, in the order of the memory, each small enough to take no time that a user notices."""
    for view, array in zip(views, arrays, strict=True):
        if view.ndim == 0 or view.nbytes <= _PIECE_BYTES:
            yield view, array
            continue
        rows = max(1, _PIECE_BYTES // max(1, view[0].nbytes))
        for start in range(0, len(view), rows):
            yield view[start : start + rows], array[start : start + rows]


def _make(name: str, size: int) -> SharedMemory:
    if _FOLDER.is_dir() and size > shutil.disk_usage(_FOLDER).free:
        raise _too_large(size)
    try:
        with _untracked():
            return SharedMemory(name, create=True, size=size, **_UNTRACKED)
    except (OSError, OverflowError) as error:
        discard(name)
        raise _too_large(size) from error


def _too_large(size: int) -> InputError:
    return InputError(
        f"The system has not the {size / 1e6:.0f} MB of shared memory that this run needs; close other programs, "
        "or crop the volume (in a container, give it more shared memory)."
    )


# multiprocessing's tracker would take away a segment when any process that attached to it ends, and to start, it
# runs sys.executable, which may be an application. Python 3.13 can leave it out (CPython issue 82300).
_UNTRACKED: dict[str, Any] = {"track": False} if sys.version_info >= (3, 13) else {}


@contextmanager
def _untracked() -> Iterator[None]:
    if _UNTRACKED or sys.platform == "win32":
        yield
        return
    with _tracker_lock:
        held = resource_tracker.register, resource_tracker.unregister
        resource_tracker.register = resource_tracker.unregister = lambda _name, _kind: None
        try:
            yield
        finally:
            resource_tracker.register, resource_tracker.unregister = held
