"""The network that looks at a mark again: whether the middle of a crop is a nodule's."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import nn

from SegmentationAILib.engine.unet_blocks import Residual, blocks_to_channels, convolution

# Of a crop, in voxels of 1 mm: the largest nodule and what lies around it.
SIDE = 32
_HIDDEN = 64


@dataclass(frozen=True)
class CandidateWidths:
    """Number of feature maps at 2, 4 and 8 mm."""

    half: int = 24
    quarter: int = 48
    eighth: int = 96


class CandidateNetwork(nn.Module):
    """Residual network (He et al., CVPR 2016) on a crop of 32 mm, as false-positive reduction is done for LUNA16
    (Setio et al., Med Image Anal 2017).

    Its layers down to 8 mm are those of ``NoduleNetwork`` by shape and name, so that it can begin with what the
    search has learnt. What lies in the crop's middle is told apart from what lies around it.
    """

    def __init__(self, widths: CandidateWidths | None = None) -> None:
        super().__init__()
        self.widths = w = widths or CandidateWidths()
        self.stem = convolution(8, w.half)
        self.at_half = Residual(w.half)
        self.down_quarter = convolution(w.half, w.quarter, kernel=2, stride=2)
        self.at_quarter = nn.Sequential(Residual(w.quarter), Residual(w.quarter))
        self.down_eighth = convolution(w.quarter, w.eighth, kernel=2, stride=2)
        self.at_eighth = nn.Sequential(Residual(w.eighth), Residual(w.eighth))
        self.decide = nn.Sequential(
            nn.Linear(w.half + w.quarter + 3 * w.eighth, _HIDDEN), nn.ReLU(), nn.Dropout(0.2), nn.Linear(_HIDDEN, 1)
        )

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Logits [n] of crops [n, 1, 32, 32, 32] from ``network.normalized``."""
        half = self.at_half(self.stem(blocks_to_channels(crops)))
        quarter = self.at_quarter(self.down_quarter(half))
        eighth = self.at_eighth(self.down_eighth(quarter))
        everywhere = [eighth.mean(dim=(2, 3, 4)), eighth.amax(dim=(2, 3, 4))]
        return self.decide(torch.cat([_middle(half, 4), _middle(quarter, 2), _middle(eighth, 2), *everywhere], 1))[:, 0]

    def begin_with(self, search: nn.Module) -> None:
        """Take over the layers that another network has by the same name and shape."""
        own = self.state_dict()
        held = {name: value for name, value in search.state_dict().items() if name in own}
        self.load_state_dict(own | {name: value for name, value in held.items() if value.shape == own[name].shape})

    def configuration(self) -> dict[str, int]:
        """What makes an equal, untrained network: ``CandidateNetwork(CandidateWidths(**configuration))``."""
        return asdict(self.widths)


def _middle(features: torch.Tensor, side: int) -> torch.Tensor:
    """Mean over the cube of that side in the middle, [n, maps]."""
    start = features.shape[-1] // 2 - side // 2
    inside = slice(start, start + side)
    return features[:, :, inside, inside, inside].mean(dim=(2, 3, 4))
