"""The torch device that a task runs on."""

from __future__ import annotations

import torch

from SegmentationAILib.errors import InputError


def available_devices() -> list[str]:
    """Names of the devices that torch can use here, the preferred first; the CPU is always last."""
    names = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``"auto"`` takes the first GPU, or the CPU where there is none.

    Raises:
        InputError: there is no such device here.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(devices[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in devices:
        raise InputError(f"There is no device '{name}' on this machine; choose one of: auto, {', '.join(devices)}.")
    return torch.device(wanted)
