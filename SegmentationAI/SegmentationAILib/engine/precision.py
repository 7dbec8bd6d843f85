"""Which floating-point format a device multiplies fastest in without spoiling the result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch


def inference_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 or float16 where the device has units for it, else float32.

    A CPU without bfloat16 instructions emulates them, a hundred times slower than float32.
    """
    if device.type == "cuda":
        # As MONAI and nnU-Net; bfloat16 has three bits fewer, which move labels.
        return torch.float16
    if device.type == "cpu" and cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def inference_precision(device: torch.device) -> Callable[[], AbstractContextManager]:
    """Makes the context that a forward pass runs in: products in the fast format, sums in float32."""
    return _autocast(device, inference_dtype(device))


def training_precision(device: torch.device) -> Callable[[], AbstractContextManager]:
    """As for inference, but never float16, whose gradients underflow without loss scaling."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return _autocast(device, torch.bfloat16 if fast else torch.float32)
    return inference_precision(device)


@cache
def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 itself (AVX512-BF16 or AMX)."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def _autocast(device: torch.device, dtype: torch.dtype) -> Callable[[], AbstractContextManager]:
    if dtype is torch.float32:
        return nullcontext
    return lambda: torch.autocast(device.type, dtype)
