"""Where the time of a network's run goes, and what the limit is: its FLOPs against what the device multiplies."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import network_pairs
from benchmarks.network_pairs import Case, nnunet_ours, parts
from SegmentationAILib.catalog import nnunet_runner
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.label_stream import LabelStream
from SegmentationAILib.engine.precision import inference_dtype
from SegmentationAILib.engine.sliding_window import Runner

# Of a convolution like those that take most of such a network's time.
_CHANNELS, _SIDE = 64, 64

_STAGES = (
    (network_pairs, "read_nnunet", "read the model"),
    (nnunet_runner, "placing_for", "plan the memory"),
    (nnunet_runner, "_upload", "upload"),
    (nnunet_runner, "_nonzero", "crop to what is not 0"),
    (nnunet_runner, "_scaled", "normalise"),
    (nnunet_runner, "resize", "resample"),
    (Runner, "logits", "network"),
    (LabelStream, "take", "resample back and take the highest"),
)


def nnunet(case: Case) -> dict[str, Any]:
    """Seconds of each stage of our run of an nnU-Net model, and of the limit."""
    windows = 0
    with timed() as seconds:
        logits = Runner.logits

        def counted(self: Runner, some: torch.Tensor, flips: list) -> torch.Tensor:
            nonlocal windows
            windows += len(some) * len(flips)
            return logits(self, some, flips)

        with patch.object(Runner, "logits", counted):
            start = time.perf_counter()
            nnunet_ours(case)
            whole = time.perf_counter() - start
    seconds["sum the windows and all else"] = whole - sum(seconds.values())
    network, shape = parts(case)
    flops, rate = window_flops(network, shape), device_flops()
    limit = windows * flops / rate
    return {
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "windows": windows,
        "gflop_per_window": round(flops / 1e9, 1),
        "device_gflop_per_second": round(rate / 1e9, 1),
        "limit_seconds": round(limit, 3),
    }


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Seconds spent in each stage while the context lasts; no stage lies within another."""
    seconds: dict[str, float] = defaultdict(float)

    def watch(function: Callable, name: str) -> Callable:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = function(*arguments, **options)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name] += time.perf_counter() - start
            return found

        return call

    with ExitStack() as patched:
        for owner, attribute, name in _STAGES:
            patched.enter_context(patch.object(owner, attribute, watch(getattr(owner, attribute), name)))
        yield seconds


def window_flops(network: torch.nn.Module, window: tuple[int, ...]) -> int:
    """Products and sums of a network's convolutions as they are defined, for one window."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.to("meta")(torch.empty(1, *window, device="meta"))
    return counter.get_total_flops()


def device_flops() -> float:
    """In a second, by a 3×3×3 convolution of torch in the precision that networks run in; the best of several."""
    device = choose_device()
    dtype = inference_dtype(device)
    conv = torch.nn.Conv3d(_CHANNELS, _CHANNELS, 3, padding=1).to(device, dtype)
    x = torch.randn(1, _CHANNELS, _SIDE, _SIDE, _SIDE, device=device, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(5):
            start = time.perf_counter()
            conv(x)
            if device.type == "cuda":
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - start)
    return 2 * 27 * _CHANNELS**2 * _SIDE**3 / best
