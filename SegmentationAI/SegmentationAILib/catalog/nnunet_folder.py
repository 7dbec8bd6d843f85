"""An nnU-Net v2 model as its training leaves it: ``plans.json``, ``dataset.json``, ``fold_*/checkpoint_*.pth``.

A checkpoint is a pickle, which could run code when it is read; torch's restricted reader, with the few numpy
types that nnU-Net's log holds, refuses anything but tensors and plain values.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from SegmentationAILib.catalog.integrity import checkpoint_of
from SegmentationAILib.catalog.nnunet_networks import Architecture, UNet, architecture_of, load_weights
from SegmentationAILib.errors import InputError

_RESAMPLING = {"resample_data_or_seg_to_shape", None}
_NORMALIZATIONS = ("CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization")
_NUMPY = [
    np.dtype,
    np.ndarray,
    np._core.multiarray.scalar,
    np._core.multiarray._reconstruct,
    *{type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")},
]


@dataclass(frozen=True)
class Intensity:
    """How a channel is scaled.

    Attributes:
        scheme: one of nnU-Net's normalisations.
        mean, deviation, low, high: of the training set's foreground, for "CTNormalization".
    """

    scheme: str
    mean: float = 0.0
    deviation: float = 1.0
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Plan:
    """What nnU-Net's files say of how a model is run.

    Attributes:
        configuration: its name, such as "3d_fullres".
        patch: side of a window along the array's axes after the transposition.
        spacing: mm, along the same axes.
        transpose: order of the axes (k, j, i) in which the network reads them.
        channels: how each is scaled.
        data_order: of the splines that resize the input; the logits are interpolated linearly.
        architecture: of the network.
        labels: value -> name, without background.
    """

    configuration: str
    patch: tuple[int, int, int]
    spacing: tuple[float, float, float]
    transpose: tuple[int, int, int]
    channels: tuple[Intensity, ...]
    data_order: int
    architecture: Architecture
    labels: Mapping[int, str]

    @property
    def classes(self) -> int:
        """Number of logits, background included."""
        return len(self.labels) + 1


@dataclass(frozen=True, eq=False)
class NnUNetModel:
    """A model ready to run: a network for each fold, in evaluation mode, on the CPU.

    Attributes:
        mirror: axes (0 is the first after the transposition) over whose flips nnU-Net may average.
    """

    plan: Plan
    networks: tuple[UNet, ...]
    mirror: tuple[int, ...]


def read_nnunet(
    folder: Path,
    *,
    folds: Sequence[int | str] | None = None,
    checkpoint: str | None = None,
    configuration: str | None = None,
) -> NnUNetModel:
    """Read a model's folder.

    Args:
        folder: that holds ``plans.json``, or a folder above it that holds one such folder.
        folds: numbers, or "all"; every fold that is there if not given. The logits of several are averaged.
        checkpoint: file in each fold's folder; as ``checkpoint_of`` chooses if not given.
        configuration: name; the one that the checkpoint was trained with if not given.

    Raises:
        InputError: a file is missing or damaged, the checkpoint holds more than weights, or the model is one that
            cannot be run: a cascade, a 2-D model, regions instead of labels, another network.
    """
    home = _home(Path(folder))
    plans, dataset = (_read_json(home / name) for name in ("plans.json", "dataset.json"))
    checkpoint = checkpoint or checkpoint_of(home, folds)
    names = [str(fold) for fold in folds] if folds is not None else _folds(home, checkpoint)
    contents = [_read_checkpoint(home / f"fold_{name}" / checkpoint) for name in names]
    trained_with = contents[0].get("init_args", {}).get("configuration")
    plan = _plan(plans, dataset, configuration or trained_with or home.name.rpartition("__")[2])
    networks = []
    for content in contents:
        network = _network(plan)
        load_weights(network, content["network_weights"])
        networks.append(network.eval().requires_grad_(False))
    mirror = contents[0].get("inference_allowed_mirroring_axes") or ()
    return NnUNetModel(plan, tuple(networks), tuple(int(axis) for axis in mirror))


def _network(plan: Plan) -> UNet:
    try:
        return UNet(len(plan.channels), plan.classes, plan.architecture)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"The model's plans.json describes no network that can be made ({reason}); take it from the model's "
            "publisher."
        ) from error


def _home(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"There is no folder '{folder.name}'; choose the folder of an nnU-Net v2 model.")
    found = [folder] if (folder / "plans.json").is_file() else sorted(p.parent for p in folder.rglob("plans.json"))
    if len(found) != 1:
        many = "several models" if found else "no plans.json"
        raise InputError(
            f"The folder '{folder.name}' holds {many}; choose the folder of one trained nnU-Net v2 model, which holds "
            "plans.json, dataset.json and the folds."
        )
    return found[0]


def _folds(home: Path, checkpoint: str) -> list[str]:
    found = sorted(path.parent.name.removeprefix("fold_") for path in home.glob(f"fold_*/{checkpoint}"))
    if not found:
        raise InputError(f"The model '{home.name}' has no fold with a {checkpoint}; copy its fold folders too.")
    return found


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"The model's folder has no {path.name}; copy the whole folder of the model.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"The model's {path.name} cannot be read ({error}); copy it anew.") from error


def _read_checkpoint(path: Path) -> dict[str, Any]:
    name = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise InputError(f"The model's folder has no {name}; choose folds that are there.")
    try:
        with torch.serialization.safe_globals(_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"The checkpoint {name} is damaged or holds more than weights, and is not read ({reason}); take it from "
            "its publisher anew."
        ) from error
    if not isinstance(content, dict) or "network_weights" not in content:
        raise InputError(f"The checkpoint {name} is not of nnU-Net v2: it has no 'network_weights'.")
    return content


def _plan(plans: Mapping, dataset: Mapping, name: str) -> Plan:
    try:
        configuration = _inherited(plans["configurations"], name)
        _refuse(configuration, dataset, name)
        channels = _channels(plans, configuration, dataset)
        patch = tuple(int(n) for n in configuration["patch_size"])
        spacing = tuple(float(mm) for mm in configuration["spacing"])
        transpose = tuple(int(axis) for axis in plans["transpose_forward"])
        if len(spacing) != 3 or not min(*patch, *spacing) > 0 or sorted(transpose) != [0, 1, 2]:
            raise ValueError(f"patch_size {patch}, spacing {spacing} or transpose_forward {transpose}")
        return Plan(
            name,
            patch,
            spacing,
            transpose,
            channels,
            _order(configuration, "data", 3),
            architecture_of(configuration, len(patch)),
            {int(value): label for label, value in dataset["labels"].items() if label != "background"},
        )
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(
            f"The model's plans.json or dataset.json lacks or garbles {error}; take both from the model's publisher."
        ) from error


def _inherited(configurations: Mapping, name: str) -> dict[str, Any]:
    """A configuration with what it takes over from others."""
    if name not in configurations:
        raise InputError(f"The plan has no configuration '{name}'; choose one of: {', '.join(configurations)}.")
    configuration = dict(configurations[name])
    seen = {name}
    while parent := configuration.pop("inherits_from", None):
        if parent in seen or parent not in configurations:
            raise InputError(f"The plan's configuration '{name}' inherits from '{parent}', which leads nowhere.")
        seen.add(parent)
        configuration = {**configurations[parent], **configuration}
    return configuration


def _refuse(configuration: Mapping, dataset: Mapping, name: str) -> None:
    if configuration.get("previous_stage") or configuration.get("previous_stage_name"):
        raise InputError(
            f"'{name}' is a cascade, whose second network reads the first one's result; choose the model's "
            "3d_fullres or 3d_lowres configuration."
        )
    if len(configuration["patch_size"]) != 3:
        raise InputError(f"'{name}' reads single slices; choose a 3-D configuration of the model.")
    labels = dataset["labels"]
    if any(isinstance(value, (list, tuple)) for value in labels.values()) or "ignore" in labels:
        raise InputError("The model was trained with regions or an ignored label, which cannot be run here yet.")
    values = sorted(int(value) for value in labels.values())
    if values != list(range(len(values))) or labels.get("background") != 0:
        raise InputError("The labels of dataset.json do not run from 0 (background) without gaps.")
    for kind in ("data", "probabilities"):
        function = configuration.get(f"resampling_fn_{kind}")
        settings = configuration.get(f"resampling_fn_{kind}_kwargs") or {}
        if function not in _RESAMPLING or settings.get("order_z", 0) != 0 or settings.get("force_separate_z"):
            raise InputError(f"The model resizes by '{function}' in a way that cannot be run here yet.")
    if (order := _order(configuration, "probabilities", 1)) != 1:
        raise InputError(f"The model resizes its logits by splines of order {order}; only those of order 1 can be run.")


def _order(configuration: Mapping, kind: str, default: int) -> int:
    return int((configuration.get(f"resampling_fn_{kind}_kwargs") or {}).get("order", default))


def _channels(plans: Mapping, configuration: Mapping, dataset: Mapping) -> tuple[Intensity, ...]:
    names = dataset.get("channel_names") or dataset["modality"]
    schemes = configuration["normalization_schemes"]
    if len(schemes) != len(names):
        raise InputError("plans.json and dataset.json name different numbers of channels.")
    found = []
    for n, scheme in enumerate(schemes):
        if scheme not in _NORMALIZATIONS:
            raise InputError(f"The model scales intensities by '{scheme}', which cannot be run here yet.")
        if configuration["use_mask_for_norm"][n]:
            raise InputError("The model scales intensities within a mask, which cannot be run here yet.")
        if scheme == "CTNormalization":
            held = plans["foreground_intensity_properties_per_channel"][str(n)]
            numbers = (held["mean"], held["std"], held["percentile_00_5"], held["percentile_99_5"])
            found.append(Intensity(scheme, *(float(x) for x in numbers)))
        else:
            found.append(Intensity(scheme))
    return tuple(found)
