"""NVIDIA GPUs as the CUDA driver lists them: known before torch is installed or imported.

The driver's order is torch's order (``cuda:0``, ``cuda:1``, ...), which nvidia-smi's is not, and
CUDA_VISIBLE_DEVICES applies. Source of calls and constants: CUDA Driver API, cuda.h.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_SUCCESS = 0
_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
_CAPABILITY_MINOR = 76


@dataclass(frozen=True)
class Gpu:
    """A GPU; ``index`` is torch's, ``memory`` is all of it in bytes, ``capability`` is (major, minor)."""

    index: int
    name: str
    memory: int
    capability: tuple[int, int]

    @property
    def device(self) -> str:
        """torch's name for it."""
        return f"cuda:{self.index}"


@dataclass(frozen=True)
class CudaDriver:
    """What the driver says: the newest CUDA (major, minor) that it runs, and its GPUs."""

    cuda: tuple[int, int]
    gpus: tuple[Gpu, ...]


def query(load: Callable[[str], ctypes.CDLL] = ctypes.CDLL) -> CudaDriver | None:
    """Ask the driver; None where there is no working NVIDIA driver. Takes up to a second the first time."""
    try:
        library = load(_LIBRARY)
    except OSError:
        return None
    if library.cuInit(0) != _SUCCESS:
        return None
    version = _integer(library.cuDriverGetVersion)
    gpus = tuple(_gpu(library, index) for index in range(_integer(library.cuDeviceGetCount)))
    return CudaDriver((version // 1000, version % 1000 // 10), gpus)


def architecture_supported(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Whether code built for ``["sm_80", "compute_90", ...]`` runs on a GPU of that capability.

    Machine code (sm) runs on its own major version from its minor version on; intermediate code
    (compute) on anything newer (CUDA C Programming Guide, compatibility of binaries and PTX).
    """
    for name in built_for:
        kind, _, number = name.partition("_")
        digits = re.match(r"\d+", number)
        if digits is None:
            continue
        major, minor = divmod(int(digits.group()), 10)
        if kind == "compute" and (major, minor) <= capability:
            return True
        if kind == "sm" and major == capability[0] and minor <= capability[1]:
            return True
    return False


def _gpu(library: ctypes.CDLL, index: int) -> Gpu:
    device = ctypes.c_int()
    library.cuDeviceGet(ctypes.byref(device), index)
    name = ctypes.create_string_buffer(256)
    library.cuDeviceGetName(name, len(name), device)
    memory = ctypes.c_size_t()
    library.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = tuple(
        _integer(library.cuDeviceGetAttribute, attribute, device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR)
    )
    return Gpu(index, name.value.decode(errors="replace"), memory.value, capability)


def _integer(function: Callable[..., int], *arguments: object) -> int:
    value = ctypes.c_int()
    return value.value if function(ctypes.byref(value), *arguments) == _SUCCESS else 0
