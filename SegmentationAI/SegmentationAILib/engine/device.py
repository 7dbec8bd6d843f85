"""The torch device that a task runs on."""

from __future__ import annotations

import torch

from SegmentationAILib.engine.cuda_driver import architecture_supported
from SegmentationAILib.errors import InputError


def available_devices() -> list[str]:
    """Names of the devices that torch can use here, the preferred first; the CPU is always last."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [f"cuda:{index}" for index in range(count) if _has_code(index)]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``"auto"`` takes the first GPU, or the CPU where there is none.

    Raises:
        InputError: there is no such device here, or this PyTorch has no code for it.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(devices[0])
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in devices:
        _refuse_gpu_without_code(wanted)
        raise InputError(f"There is no device '{name}' on this machine; choose one of: auto, {', '.join(devices)}.")
    return torch.device(wanted)


def _has_code(index: int) -> bool:
    """Whether this PyTorch was built for a GPU; only NVIDIA's name their architectures by numbers."""
    if torch.version.cuda is None:
        return True
    return architecture_supported(torch.cuda.get_device_capability(index), torch.cuda.get_arch_list())


def _refuse_gpu_without_code(name: str) -> None:
    kind, _, number = name.partition(":")
    if kind != "cuda" or not number.isdecimal() or not torch.cuda.is_available():
        return
    if int(number) < torch.cuda.device_count():
        major, minor = torch.cuda.get_device_capability(int(number))
        raise InputError(
            f"The GPU '{torch.cuda.get_device_name(int(number))}' (compute capability {major}.{minor}) is too old or "
            f"too new for this PyTorch, which is built for {' '.join(torch.cuda.get_arch_list())}; choose the CPU, or "
            "install another version of PyTorch."
        )
