"""A MONAI bundle: ``configs/inference.json``, ``configs/metadata.json`` and weights, read without running any of it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from SegmentationAILib.catalog.monai_config import Config
from SegmentationAILib.catalog.monai_transforms import Step, steps_of, transforms_of
from SegmentationAILib.catalog.monai_unest import UNesT
from SegmentationAILib.catalog.weights import fit, read_weights
from SegmentationAILib.engine.sliding_window import FixedSteps
from SegmentationAILib.errors import InputError

CONFIGS = ("inference.json", "inference.yaml", "inference.yml")
# Networks of monai.networks.nets that read one image and answer with logits on its voxels.
NETWORKS = ("DynUNet", "SegResNet", "SwinUNETR", "UNet")
# Networks that bundles define in scripts of their own, which are never run: written anew here.
OWN_NETWORKS = {"scripts.networks.unest_base_patch_4.UNesT": UNesT}
WayBack = Literal["labels", "probabilities", "logits"]
# Arguments of older versions that change nothing.
_OUTDATED = ("img_size",)
_INFERERS = ("SlidingWindowInferer", "SimpleInferer")
_PADDINGS = ("constant", "replicate", "reflect")
# Labels are 8 bits where they come into the scene.
_MOST_CLASSES = 256
# Arguments of the inferer that say where and how fast, and not what, is computed.
_SPEED = ("sw_batch_size", "device", "sw_device", "progress", "cache_roi_weight_map", "buffer_steps", "buffer_dim")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A segmentation bundle, ready to run.

    Attributes:
        steps: that prepare the image.
        network: in evaluation mode, on the CPU.
        classes: number of logits; class 0 is background.
        windows: that the network reads; None where it reads the whole image at once.
        back: what is brought back to the volume's voxels: the labels of the nearest voxels, or interpolated
            probabilities or logits, of which the highest is taken there.
    """

    steps: Sequence[Step]
    network: torch.nn.Module
    classes: int
    windows: FixedSteps | None
    back: WayBack


def read_bundle(folder: Path, *, weights: Path | None = None) -> Bundle:
    """Read a bundle.

    Args:
        folder: of the bundle, with "configs" in it.
        weights: ``models/model.pt`` if not given; read as tensors alone, or ``*.safetensors``.

    Raises:
        InputError: a file is missing or damaged, the weights hold more than weights, monai is not installed, or the
            configuration needs an expression, a transform or a network that is not run here.
    """
    folder = Path(folder)
    config = open_config(folder)
    steps = steps_of(config)
    windows = _windows(config)
    back = _way_back(config)
    name, arguments = _network(config)
    state = read_weights(weights or folder / "models" / "model.pt")
    network = _built(name, arguments)
    if isinstance(network, UNesT) and (windows is None or set(windows.side) != {UNesT.SIDE}):
        raise InputError(f"The bundle's network reads windows of {UNesT.SIDE} voxels a side alone; set its roi_size.")
    fit(network, state)
    return Bundle(steps, network, arguments["out_channels"], windows, back)


def open_config(folder: Path, others: Mapping[str, Any] | None = None) -> Config:
    """The configuration of a bundle for one image; ``others`` are values instead of those in it.

    Raises:
        InputError: a file is missing or damaged, or the bundle reads several images.
    """
    found = [folder / "configs" / name for name in CONFIGS if (folder / "configs" / name).is_file()]
    if not found:
        raise InputError(f"'{folder.name}' has no configs/inference.json; give the whole bundle.")
    try:
        kind = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        channels = kind["network_data_format"]["inputs"]["image"]["num_channels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"'{folder.name}' has no whole configs/metadata.json; give the whole bundle.") from error
    if channels != 1:
        raise InputError(f"'{folder.name}' reads {channels} images of a patient; only models of one can be run.")
    return Config(found[0], others)


def _network(config: Config) -> tuple[str, dict[str, Any]]:
    """Name, as in ``NETWORKS`` or ``OWN_NETWORKS``, and arguments."""
    place = next((name for name in ("network_def", "network", "net") if name in config), "network_def")
    component = config.component(place)
    name = component["_target_"].removeprefix("monai.networks.nets.")
    if name not in (*NETWORKS, *OWN_NETWORKS):
        own = [target.rpartition(".")[2] for target in OWN_NETWORKS]
        raise InputError(
            f"The bundle's network is {component['_target_']}, which is not run here; those that are: "
            f"{', '.join([*NETWORKS, *own])}."
        )
    arguments = config.arguments(component, place)
    if arguments.get("spatial_dims", 3) != 3 or arguments.get("in_channels", 1) != 1:
        raise InputError("The bundle's network does not read one 3-D image and cannot be run here.")
    if not isinstance(arguments.get("out_channels"), int) or not 2 <= arguments["out_channels"] <= _MOST_CLASSES:
        raise InputError("The bundle's network does not say how many classes it tells apart (out_channels).")
    return name, arguments


def _built(name: str, arguments: Mapping[str, Any]) -> torch.nn.Module:
    build = OWN_NETWORKS.get(name) or _of_monai(name)
    known = inspect.signature(build).parameters
    arguments = {key: value for key, value in arguments.items() if key in known or key not in _OUTDATED}
    if unknown := set(arguments) - set(known):
        raise InputError(f"The bundle's {name} has arguments that are not known here: {', '.join(sorted(unknown))}.")
    try:
        return build(**arguments)
    except Exception as error:
        raise InputError(f"The bundle's network cannot be made of its arguments ({error}).") from error


def _of_monai(name: str) -> type[torch.nn.Module]:
    try:
        from monai.networks import nets  # noqa: PLC0415 - optional, and slow to import
    except ImportError as error:
        raise InputError(
            "MONAI bundles need the Python package 'monai'; install it with 'pip install monai'."
        ) from error
    return getattr(nets, name)


def _windows(config: Config) -> FixedSteps | None:
    component = config.component("inferer")
    name = config.target(component)
    if name not in _INFERERS:
        raise InputError(
            f"The bundle's inferer is {name}, which cannot be run here; those that can are: {', '.join(_INFERERS)}."
        )
    if name == "SimpleInferer":
        return None
    given = config.arguments({key: value for key, value in component.items() if key not in _SPEED}, "inferer")
    try:
        side = given.pop("roi_size")
        side = tuple(int(n) for n in (side if isinstance(side, list) else [side] * 3))
        overlap = float(given.pop("overlap", 0.25))
        mode, padding = given.pop("mode", "constant"), given.pop("padding_mode", "constant")
        sigma = float(given.pop("sigma_scale", 0.125))
        value = float(given.pop("cval", 0.0))
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The bundle's inferer cannot be run here: it garbles {error}.") from error
    sound = len(side) == 3 and min(side) > 0 and 0 <= overlap < 1 and sigma > 0 and value == 0
    if given or not sound or mode not in ("constant", "gaussian") or padding not in _PADDINGS:
        more = f" ({', '.join(given)})" if given else ""
        raise InputError(f"The bundle's inferer has windows that cannot be run here{more}.")
    return FixedSteps(side, padding=padding, overlap=overlap, sigma=sigma if mode == "gaussian" else None)


def _way_back(config: Config) -> WayBack:
    """What is brought back to the volume's voxels.

    Raises:
        InputError: the logits are not turned into the one label of the highest.
    """
    now: WayBack = "logits"
    back: WayBack | None = None
    for name, arguments in transforms_of(config, "postprocessing"):
        if name == "Activationsd" and arguments in ({"softmax": True}, {"softmax": True, "sigmoid": False}):
            now = "probabilities"
        elif name == "AsDiscreted" and arguments == {"argmax": True}:
            now = "labels"
        elif name == "Invertd" and set(arguments) <= {"nearest_interp"}:
            back = "labels" if arguments.get("nearest_interp", True) else now
            if now == "labels" and not arguments.get("nearest_interp", True):
                raise InputError("The bundle interpolates between labels, which cannot be run here.")
        elif name not in ("SaveImaged", "EnsureTyped"):
            raise InputError(
                f"The bundle treats its result with {name} {arguments or ''}, which cannot be run here; only softmax, "
                "Invertd and argmax can."
            )
    if now != "labels":
        raise InputError("The bundle does not take the highest class (AsDiscreted with argmax) and cannot be run here.")
    return back or "labels"
