"""A MONAI bundle that detects with a RetinaNet, read without running any of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from SegmentationAILib.catalog.monai_config import Call, Config
from SegmentationAILib.catalog.monai_folder import open_config
from SegmentationAILib.catalog.monai_transforms import Step, steps_of, transforms_of
from SegmentationAILib.catalog.weights import fit, read_weights
from SegmentationAILib.engine.boxes import Anchors, Selection
from SegmentationAILib.engine.sliding_window import FixedSteps
from SegmentationAILib.errors import InputError

# The bundle's images may have been resampled beforehand; a volume has not.
_RAW = {"whether_raw_luna16": True}
_BACKBONES = ("resnet10", "resnet18", "resnet34", "resnet50")
_BACKBONE_WORDS = {"spatial_dims", "n_input_channels", "conv1_t_stride", "conv1_t_size"}
_SETTINGS = {"score_thresh": "score", "topk_candidates_per_level": "candidates", "nms_thresh": "overlap"}
_SETTINGS["detections_per_img"] = "most"
# Where boxes lie and what they are called is told in another form here.
_AFTERWARDS = ("ClipBoxToImaged", "AffineBoxToWorldCoordinated", "ConvertBoxModed", "DeleteItemsd")


@dataclass(frozen=True, eq=False)
class Detector:
    """A detection bundle, ready to run.

    Attributes:
        steps: that prepare the image.
        network: image [1, 1, i, j, k] -> "classification" and "box_regression", each a list of maps; on the CPU.
        divisible: what the image's sides are padded to multiples of.
        windows: that the network reads where the image is as large as one.
        anchors: that the boxes are measured from.
        selection: which are kept.
    """

    steps: Sequence[Step]
    network: torch.nn.Module
    divisible: tuple[int, int, int]
    windows: FixedSteps
    anchors: Anchors
    selection: Selection


class Pyramid(torch.nn.Module):
    """Features of a ResNet at several resolutions, as MONAI's ``BackboneWithFPN`` has them, by the same names."""

    def __init__(self, backbone: torch.nn.Module, layers: Sequence[int]) -> None:
        from monai.networks.blocks.feature_pyramid_network import (  # noqa: PLC0415 - optional, and slow to import
            FeaturePyramidNetwork,
            LastLevelMaxPool,
        )

        super().__init__()
        self._taken = [f"layer{n}" for n in layers]
        self.body = torch.nn.ModuleDict()
        for name, part in backbone.named_children():
            self.body[name] = part
            if name == self._taken[-1]:
                break
        self.out_channels = 256
        widths = [backbone.in_planes // 8 * 2 ** (n - 1) for n in layers]
        self.fpn = FeaturePyramidNetwork(3, widths, self.out_channels, extra_blocks=LastLevelMaxPool(3))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        taken = {}
        for name, part in self.body.items():
            x = part(x)
            if name in self._taken:
                taken[str(len(taken))] = x
        return list(self.fpn(taken).values())


def read_detector(folder: Path, *, weights: Path | None = None) -> Detector:
    """Read a bundle.

    Args:
        folder: of the bundle, with "configs" in it.
        weights: ``models/model.pt`` if not given; read as tensors alone, or ``*.safetensors``.

    Raises:
        InputError: a file is missing or damaged, the weights hold more than weights, monai is not installed, or the
            configuration is not that of a RetinaNet that can be run here.
    """
    folder = Path(folder)
    config = open_config(folder, _RAW)
    steps = steps_of(config)
    for name, _ in transforms_of(config, "postprocessing"):
        if name not in _AFTERWARDS:
            raise InputError(f"The bundle treats its boxes with {name}, which cannot be run here.")
    try:
        anchors = _anchors(config)
        selection, windows = _detector(config)
        backbone, layers = _backbone(config)
        component = config.component("network_def")
        given = config.arguments({**component, "feature_extractor": None}, "network_def")
        divisible = tuple(int(n) for n in given["size_divisible"])
        sound = config.target(component) == "RetinaNet" and given["num_anchors"] == len(anchors.shapes)
        if not sound or given["spatial_dims"] != 3 or len(divisible) != 3 or min(divisible) < 1:
            raise ValueError("network_def")
        classes = int(given["num_classes"])
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise InputError(f"The bundle is no RetinaNet in three dimensions that can be run here ({error}).") from error
    state = read_weights(weights or folder / "models" / "model.pt")
    network = _built(backbone, layers, classes, len(anchors.shapes), divisible)
    fit(network, state)
    return Detector(steps, network, divisible, windows, anchors, selection)


def _anchors(config: Config) -> Anchors:
    component = config.component("anchor_generator")
    if config.target(component) != "AnchorGeneratorWithAnchorShape":
        raise ValueError(component["_target_"])
    given = config.arguments(component, "anchor_generator")
    shapes, scales = given.pop("base_anchor_shapes"), given.pop("feature_map_scales")
    if given.get("indexing", "ij") != "ij" or any(len(shape) != 3 for shape in shapes):
        raise ValueError("anchor_generator")
    return Anchors(tuple(tuple(float(n) for n in shape) for shape in shapes), tuple(float(n) for n in scales))


def _detector(config: Config) -> tuple[Selection, FixedSteps]:
    """What is set by the calls that the configuration names."""
    selection, windows = Selection(), None
    for n, text in enumerate(config.written("detector_ops")):
        call = config.call(text, f"detector_ops#{n}")
        if call.arguments:
            raise ValueError(call.function)
        if call.function == "@detector.set_box_selector_parameters":
            selection = Selection(**{_SETTINGS[key]: value for key, value in call.words.items()})
        elif call.function == "@detector.set_sliding_window_inferer":
            windows = _windows(call.words)
        elif call.function != "@detector.set_target_keys":
            raise ValueError(call.function)
    if windows is None:
        raise ValueError("detector_ops sets no windows")
    return selection, windows


def _windows(words: Mapping[str, Any]) -> FixedSteps:
    side = tuple(int(n) for n in words["roi_size"])
    overlap, mode = float(words.get("overlap", 0.5)), words.get("mode", "constant")
    known = {"roi_size", "overlap", "mode", "sw_batch_size", "device", "sw_device"}
    if set(words) - known or mode not in ("constant", "gaussian") or len(side) != 3 or min(side) < 1:
        raise ValueError("set_sliding_window_inferer")
    if not 0 <= overlap < 1:
        raise ValueError(f"overlap {overlap}")
    return FixedSteps(side, overlap=overlap, sigma=0.125 if mode == "gaussian" else None)


def _backbone(config: Config) -> tuple[Call, list[int]]:
    features = config.call(config.written("feature_extractor"), "feature_extractor")
    expected = "monai.apps.detection.networks.retinanet_network.resnet_fpn_feature_extractor"
    reference, dimensions, pretrained, layers = features.arguments[:4]
    if features.function != expected or features.words or dimensions != 3 or pretrained:
        raise ValueError(features.function)
    if sorted(set(layers)) != layers or not set(layers) <= {1, 2, 3, 4}:
        raise ValueError(f"layers {layers}")
    place = reference.removeprefix("@")
    backbone = config.call(config.written(place), place)
    name = backbone.function.removeprefix("monai.networks.nets.resnet.")
    if name not in _BACKBONES or backbone.arguments or set(backbone.words) - _BACKBONE_WORDS:
        raise ValueError(backbone.function)
    if backbone.words["spatial_dims"] != 3 or backbone.words["n_input_channels"] != 1:
        raise ValueError("backbone")
    return Call(name, [], backbone.words), layers


def _built(
    backbone: Call, layers: list[int], classes: int, anchors: int, divisible: tuple[int, int, int]
) -> torch.nn.Module:
    try:
        from monai.apps.detection.networks.retinanet_network import RetinaNet  # noqa: PLC0415 - optional, slow
        from monai.networks.nets import resnet  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise InputError(
            "MONAI bundles need the Python package 'monai'; install it with 'pip install monai'."
        ) from error
    try:
        body = getattr(resnet, backbone.function)(**backbone.words)
        return RetinaNet(3, classes, anchors, Pyramid(body, layers), divisible)
    except Exception as error:
        raise InputError(f"The bundle's network cannot be made of its arguments ({error}).") from error
