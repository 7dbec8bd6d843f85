"""How many windows a network reads at once and where the logits are summed, by what memory there is.

What a network takes is measured: on a GPU by one window, else by following its tensors with no data in them.
Where the memory ends nonetheless, the run is done again in a way that takes less: half as many windows at once,
then sums on the host, then all of it on the CPU. The window itself is never made smaller: instance norm and the
overlap see its size, so the labels would be others.
"""

from __future__ import annotations

import copy
import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar
from weakref import finalize

import psutil
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from SegmentationAILib.engine.precision import inference_dtype, inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

T = TypeVar("T")
Shape = tuple[int, int, int]

CPU = torch.device("cpu")
# Windows at once: more of nnU-Net's size do not make an H100 any busier.
_MOST_WINDOWS = 8
# More than networks of the catalogue take for a window.
_AMPLE_BYTES = 8 << 30
# Of the free memory; the rest is for what fragments and for the convolutions' own workspaces.
_SHARE = 0.8
_SIGNS = ("not enough memory", "can't allocate memory", "out of memory", "alloc_failed", "cannot allocate memory")


@dataclass(frozen=True)
class Placing:
    """Where and in how large pieces a network runs.

    Attributes:
        device: of the network.
        batch: windows that it reads at once.
        sums: device of the sums of logits and of the labels.
    """

    device: torch.device
    batch: int
    sums: torch.device

    def smaller(self) -> tuple[Placing, str] | None:
        """The next one that takes less of the device's memory, and a sentence for the user; None if there is none."""
        if self.batch > 1:
            half = self.batch // 2
            return replace(self, batch=half), f"too little memory on {self.device}, {half} windows are read at once."
        if self.sums != CPU:
            return replace(self, sums=CPU), f"too little memory on {self.device}, the logits are summed on the CPU."
        if self.device != CPU:
            return Placing(CPU, 1, CPU), f"too little memory on {self.device}, the CPU does all, which takes longer."
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether that is what torch, a GPU's library or Python raises where memory ends."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)


def with_less_memory(attempt: Callable[[Placing], T], placing: Placing, progress: Progress) -> T:
    """What ``attempt`` gives, tried with less and less memory; each step is noted in the progress.

    Args:
        attempt: pure; raises where the memory ends.
        placing: tried first.
        progress: told of each step.

    Raises:
        InputError: the memory of the CPU is too small, too.
    """
    while True:
        try:
            return attempt(placing)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            following = placing.smaller()
        # Outside of the handler, where the error's frames no longer hold the tensors.
        gc.collect()
        if placing.device.type == "cuda":
            torch.cuda.empty_cache()
        if following is None:
            raise InputError(
                "The model needs more memory than this computer has free; close other programs, crop the volume, or "
                "choose a model of lower resolution."
            )
        placing, sentence = following
        progress.note(sentence[0].upper() + sentence[1:])


def placing_for(
    network: torch.nn.Module,
    window: tuple[int, ...],
    sums_bytes: int,
    device: torch.device,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Placing:
    """What fits into the free memory.

    Args:
        network: on the device.
        window: shape (channel, k, j, i) of what it reads.
        sums_bytes: of the sums of logits.
        device: that it runs on.
        batch: windows at once, instead of as many as fit.
        progress: noted where the memory seems too small.
    """
    if device.type != "cuda":
        free = free_bytes(device)
        # To follow the tensors takes a second or two, which is not spent where the answer is clear.
        need = 0 if free - sums_bytes > _AMPLE_BYTES else window_bytes(network, window, device) + sums_bytes
        if progress is not None and need > free:
            progress.note(
                f"The model needs about {need / 2**30:.1f} GB of memory and {free / 2**30:.1f} GB are free; it may be "
                "slow or stop. Close other programs or choose a model of lower resolution."
            )
        # A window of usual size keeps all cores busy.
        return Placing(device, batch or 1, device)
    each = measured_bytes(network, window, device)
    room = _SHARE * free_bytes(device)
    sums = device if each + sums_bytes <= room else CPU
    left = room - (sums_bytes if sums == device else 0)
    fitting = max(1, min(_MOST_WINDOWS, int(left // max(each, 1))))
    # Powers of two, so that halving keeps to them.
    return Placing(device, batch or 2 ** int(math.log2(fitting)), sums)


def free_bytes(device: torch.device) -> int:
    """Memory that a run may take, that which torch keeps in reserve included."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available


def measured_bytes(network: torch.nn.Module, window: tuple[int, ...], device: torch.device) -> int:
    """What one window takes on a GPU while the network reads it; as ``window_bytes`` where even one is too much."""
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    try:
        with torch.inference_mode(), inference_precision(device)():
            network(torch.zeros(1, *window, device=device))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return window_bytes(network, window, device)
    return torch.cuda.max_memory_allocated(device) - before


def window_bytes(network: torch.nn.Module, window: tuple[int, ...], device: torch.device) -> int:
    """The most that a network's tensors take at a time while it reads one window; the network does not run.

    Args:
        network: anywhere; its weights are not counted.
        window: shape (channel, k, j, i).
        device: whose precision counts.
    """
    held = [*network.parameters(), *network.buffers()]
    empty = copy.deepcopy(network, {id(tensor): _empty(tensor) for tensor in held})
    with torch.no_grad(), _Living() as living:
        empty(torch.empty(1, *window, device="meta"))
    return living.most * torch.finfo(inference_dtype(device)).bits // 32


def _empty(tensor: torch.Tensor) -> torch.Tensor:
    without = torch.empty_like(tensor, device="meta")
    return torch.nn.Parameter(without, requires_grad=False) if isinstance(tensor, torch.nn.Parameter) else without


class _Living(TorchDispatchMode):
    """Counts the bytes of the tensors that live."""

    def __init__(self) -> None:
        super().__init__()
        self._now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for one in found if isinstance(found, tuple | list) else (found,):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage())
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            return
        self._known.add(storage._cdata)
        self._now += storage.nbytes()
        self.most = max(self.most, self._now)
        finalize(storage, self._gone, storage._cdata, storage.nbytes())

    def _gone(self, key: int, count: int) -> None:
        self._known.discard(key)
        self._now -= count
