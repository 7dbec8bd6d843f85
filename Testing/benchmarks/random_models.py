"""Model folders of usual size with random weights, whose labels are as smooth as a trained model's.

The weights do not matter to the time, but the labels do: noise would be all boundary, and of two classes that are
nearly as likely over many voxels, rounding would choose. So the last layer is fitted to tell smoothed densities
apart. An nnU-Net's last block before it is set, too: one number for each voxel, which is fitted to the density, is
cut off at as many heights as there are features, so that the last layer can make steps of them, with all the width of
a class far from a tie. All other layers are random, and what these two read has gone through all of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai_bundles import NONZERO, SEGRESNET, detection, inference, metadata, write_bundle
from nnunet_models import plans, write_model
from torch import nn

# Of the classes, those that the fitted layer tells apart; the others cost as much and win nowhere.
_TOLD_APART = 12
_SIDE = 64
# Between the two cuts that make a step, in standard deviations of what is cut.
_STEP = 0.02
# Raised when the models are made otherwise, so that those of earlier runs are not taken.
_EDITION = 2


def kept(name: str, write: Callable[[Path], Path]) -> Path:
    """The model's folder, written unless an earlier run has."""
    home = Path(tempfile.gettempdir()) / f"thoraxai-bench-{_EDITION}" / name
    if not home.exists():
        home.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as made:
            write(Path(made) / name)
            shutil.move(Path(made) / name, home)
    return next(path.parent for name in ("plans.json", "configs") for path in home.rglob(name))


def nnunet_folder(name: str, features: tuple[int, ...], spacing: float, classes: int) -> Path:
    """A ``PlainConvUNet`` that reads 128³ windows, as TotalSegmentator's do."""
    held = plans(patch=(128, 128, 128), spacing=(spacing,) * 3)
    settings = held["configurations"]["3d_fullres"]["architecture"]["arch_kwargs"]
    stages = len(features)
    settings |= {
        "n_stages": stages,
        "features_per_stage": list(features),
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
    }
    return kept(name, lambda home: write_model(home, held, classes, partial(_nnunet, held, classes)))


def _nnunet(held: dict[str, Any], classes: int, seed: int) -> nn.Module:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans  # noqa: PLC0415 - optional

    torch.manual_seed(seed)
    made = held["configurations"]["3d_fullres"]["architecture"]
    network = get_network_from_plans(
        made["network_class_name"], made["arch_kwargs"], made["_kw_requires_import"], 1, classes, deep_supervision=False
    )
    block = network.decoder.stages[-1].convs[-1]
    return fitted(stepped(network, block.conv, block.norm), classes, by_features=True)


def bundle_folder(name: str, spacing: float, classes: int) -> Path:
    """A bundle like MONAI's ``wholeBody_ct_segmentation``: its SegResNet, its windows of 96³, its transforms."""
    network = SEGRESNET | {
        "out_channels": classes,
        "init_filters": 32,
        "blocks_down": [1, 2, 2, 4],
        "blocks_up": [1, 1, 1],
    }
    held = inference(network, intensity=NONZERO, window=96) | {"pixdim": [spacing] * 3}

    def write(home: Path) -> Path:
        from monai.bundle import ConfigParser  # noqa: PLC0415 - optional

        torch.manual_seed(0)
        made = ConfigParser({"network_def": network}).get_parsed_content("network_def")
        return write_bundle(home, held, fitted(made, classes).state_dict(), metadata(classes))

    return kept(name, write)


def detector_folder(name: str) -> Path:
    """A bundle like MONAI's ``lung_nodule_ct_detection``: its ResNet-50 with feature pyramid."""
    from test_monai_detection import lively  # noqa: PLC0415 - needs pytest

    held = detection(backbone="resnet50")

    def write(home: Path) -> Path:
        torch.manual_seed(0)
        return write_bundle(home, held, lively(parsed(held).get_parsed_content("network_def")).state_dict())

    return kept(name, write)


def parsed(config: dict[str, Any]) -> Any:
    """MONAI's own parser of a detection bundle, made to run without torchvision, which has no build for every torch."""
    from unittest.mock import patch  # noqa: PLC0415

    from monai.apps.detection.networks import retinanet_network  # noqa: PLC0415 - optional
    from monai.bundle import ConfigParser  # noqa: PLC0415 - optional
    from monai.networks.blocks import backbone_fpn_utils  # noqa: PLC0415 - optional
    from test_monai_detection import Getter  # noqa: PLC0415 - needs pytest

    torchvision = type("torchvision", (), {"_utils": type("_utils", (), {"IntermediateLayerGetter": Getter})})
    patch.object(backbone_fpn_utils, "torchvision_models", torchvision).start()
    patch.object(retinanet_network, "_validate_trainable_layers", lambda *_, **__: 5).start()
    parts = config["preprocessing"]["transforms"]
    read = ("LoadImaged", "EnsureChannelFirstd")
    kept_parts = [part for part in parts if part["_target_"] not in read]
    changed = {"transforms": kept_parts, "_target_": "Compose"}
    return ConfigParser(config | {"whether_raw_luna16": True, "preprocessing": changed})


@torch.inference_mode()
def fitted(network: nn.Module, classes: int, *, by_features: bool = False) -> nn.Module:
    """The network with a last layer that tells smoothed intensities apart, by least squares.

    Args:
        network: random, or ``stepped``.
        classes: that it gives.
        by_features: tell apart what the first feature orders, as in a stepped network all do.
    """
    last = [part for part in network.modules() if isinstance(part, nn.Conv3d) and part.out_channels == classes][-1]
    patch, inputs = _read_by(network, last)
    told_apart = min(_TOLD_APART, last.in_channels // 2 + 1)
    told = (inputs[:, 0] if by_features else patch.flatten().double()).contiguous()
    edges = torch.quantile(told[::5], torch.linspace(0, 1, told_apart + 1, dtype=torch.float64)[1:-1])
    wanted = nn.functional.one_hot(torch.bucketize(told, edges), classes).double()
    found = torch.linalg.lstsq(inputs, wanted, driver="gelsd").solution
    found[-1, told_apart:] -= 10.0
    last.weight.copy_(found[:-1].T.reshape(last.weight.shape))
    last.bias.copy_(found[-1])
    return network


@torch.inference_mode()
def stepped(network: nn.Module, conv: nn.Conv3d, norm: nn.InstanceNorm3d) -> nn.Module:
    """The network with a block of which every channel is the same fit of the intensity, cut off at another height.

    Args:
        network: that the block is part of.
        conv: of the block; its kernel's middle is the fit.
        norm: after it, whose shift is the height at which the rectifier after it cuts off.
    """
    patch, inputs = _read_by(network, conv)
    fit = torch.linalg.lstsq(inputs, patch.flatten()[:, None].double(), driver="gelsd").solution
    conv.weight.zero_()
    conv.weight[:, :, 1, 1, 1] = fit[:-1, 0].float()
    conv.bias.zero_()
    steps = min(_TOLD_APART - 1, conv.out_channels // 2)
    cut = (inputs @ fit)[:, 0]
    cut = (cut - cut.mean()) / cut.std()
    edges = torch.quantile(cut[::5], torch.linspace(0, 1, steps + 2, dtype=torch.float64)[1:-1]).float()
    heights = torch.cat([edges - _STEP / 2, edges + _STEP / 2])
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    norm.bias[: len(heights)] = -heights
    return network


def _read_by(network: nn.Module, part: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Smooth noise [1, 1, k, j, i], and what a part of the network reads of it: float64 [voxel, channel and a 1]."""
    seen: list[torch.Tensor] = []
    hook = part.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    coarse = torch.randn(1, 1, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    patch = nn.functional.interpolate(coarse, size=(_SIDE,) * 3, mode="trilinear")
    network.eval()(patch)
    hook.remove()
    features = seen[0][0].flatten(1).T.double()
    return patch, torch.cat([features, torch.ones(len(features), 1)], dim=1)
