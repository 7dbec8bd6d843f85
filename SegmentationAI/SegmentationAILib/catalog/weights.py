"""A model's weights, read as tensors alone: a file of them is a pickle, which could run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from SegmentationAILib.errors import InputError


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """Names and tensors of a weights file.

    Raises:
        InputError: it is missing, damaged, or holds more than weights.
    """
    if not path.is_file():
        raise InputError(f"The model has no weights '{path.name}'; give the whole model.")
    if path.suffix == ".ts":
        raise InputError(f"'{path.name}' is a TorchScript program, which is not run; use the model's .pt file.")
    try:
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(
            f"The weights '{path.name}' are damaged or hold more than weights, and are not read; take them from their "
            "publisher anew."
        ) from error
    for key in ("model", "state_dict", "network_weights"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(part, torch.Tensor) for part in content.values()):
        raise InputError(f"'{path.name}' holds no weights by name; take it from its publisher anew.")
    return content


def fit(network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> None:
    """Put weights into a network and make it ready to answer.

    Raises:
        InputError: they are another network's.
    """
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"The model's weights do not fit its network ({reason}); take both from its publisher."
        ) from error
    network.eval().requires_grad_(False)
