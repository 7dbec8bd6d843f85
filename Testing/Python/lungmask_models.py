"""Weights files as lungmask publishes them, of small networks whose labels follow what a CT shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.catalog.lungmask_network import UNet


def network(classes: int, seed: int, hu: NDArray, width: int = 4, depth: int = 3) -> UNet:
    """Random but for its last layer, which gives each class a part of the slices [n, 256, 256] in HU."""
    torch.manual_seed(seed)
    made = UNet(classes, width, depth).eval()
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.5)
    image = torch.from_numpy((np.clip(hu, -1024, 600).astype(np.float32) + 1024) / 1624)[:, None]
    with torch.inference_mode():
        logits = made(image)
    with torch.no_grad():
        scale = logits.std((0, 2, 3)).clone()
        made.last.weight.div_(scale[:, None, None, None])
        made.last.bias.copy_((made.last.bias - logits.mean((0, 2, 3)).clone()) / scale)
    return made


def write_weights(path: Path, made: UNet) -> Path:
    """The file, with layers of the residual variant that lungmask saves and does not use."""
    state = dict(made.state_dict())
    state["down_path.0.residual_input_conv.weight"] = torch.zeros(1)
    # lungmask counts the classes by the last tensor.
    state["last.bias"] = state.pop("last.bias")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path
