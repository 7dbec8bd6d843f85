"""The U-Net of lungmask, with its parameter names, so that its weights load as they are.

Hofmanninger et al., Eur Radiol Exp 2020;4:50; U-Net: Ronneberger et al., MICCAI 2015. Only what inference needs is
built, and the logarithm of the softmax, which moves no maximum, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import nn

from SegmentationAILib.catalog.weights import fit, read_weights
from SegmentationAILib.errors import InputError

_FIRST = "down_path.0.block.0.weight"
_LAST = "last.bias"


class Block(nn.Module):
    """Two convolutions, each followed by a rectifier and then the batch normalisation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs)]
        self.block = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x)


class Up(nn.Module):
    """Coarse features at twice the resolution, beside those of the way down."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        # The index keeps lungmask's name.
        self.up = nn.ModuleDict({"1": nn.Conv2d(inputs, outputs, 1)})
        self.conv_block = Block(inputs, outputs)

    def forward(self, x: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
        # lungmask interpolates first; the order changes nothing, and this one has a quarter of the products.
        x = F.interpolate(self.up["1"](x), scale_factor=2, mode="bilinear")
        return self.conv_block(torch.cat([x, fine], 1))


class UNet(nn.Module):
    """Logits [n, classes, j, i] of slices [n, 1, j, i], whose sides are multiples of 2 to the depth - 1."""

    def __init__(self, classes: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * 2**n for n in range(depth)]
        self.down_path = nn.ModuleList(
            Block(inputs, outputs) for inputs, outputs in zip([1, *widths], widths, strict=False)
        )
        self.up_path = nn.ModuleList(Up(widths[n + 1], widths[n]) for n in reversed(range(depth - 1)))
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = []
        for n, down in enumerate(self.down_path):
            x = down(F.avg_pool2d(x, 2) if n else x)
            found.append(x)
        found.pop()
        for up in self.up_path:
            x = up(x, found.pop())
        return self.last(x)


def read_lungmask(path: Path, classes: int) -> UNet:
    """Read a weights file of lungmask.

    Args:
        path: such as "unet_r231-d5d2fc3d.pth"; read as tensors alone.
        classes: with the background.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        InputError: the file is missing or damaged, holds more than weights, or is another network's.
    """
    state = read_weights(path)
    network = _shaped(state, path.name)
    if network.last.out_channels != classes:
        raise InputError(
            f"'{path.name}' tells {network.last.out_channels} classes apart and not {classes}; take the model's own "
            "weights from its publisher."
        )
    wanted = network.state_dict()
    # lungmask keeps layers of a residual variant that its networks do not use.
    fit(network, {name: value for name, value in state.items() if name in wanted})
    return network


def _shaped(state: Mapping[str, torch.Tensor], name: str) -> UNet:
    depth = len({key.split(".")[1] for key in state if key.startswith("down_path.")})
    if _FIRST not in state or _LAST not in state or depth < 2 or state[_FIRST].ndim != 4:
        raise InputError(f"'{name}' is not of lungmask's U-Net; take it from its publisher anew.")
    return UNet(len(state[_LAST]), len(state[_FIRST]), depth)
