"""A trained network on disk: ``<stem>.safetensors`` with its weights beside ``<stem>.json`` that says what it is.

Nothing in either file is code, and reading checks the weights' SHA-256. The same run on the same
library versions writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import atomic_write

FORMAT = 1
KINDS = ("nodule", "organs", "ratings", "tumour", "candidate")
# Of a model that is a folder of its own.
FOLDER_STEM = "model"
WEIGHTS_SUFFIX, CARD_SUFFIX = ".safetensors", ".json"
_LIBRARIES = ("numpy", "safetensors", "scipy", "torch")


@dataclass(frozen=True)
class ModelCard:
    """What a network is, what it reads and how it was made.

    Attributes:
        kind: one of ``KINDS``.
        configuration: of the network, as its ``configuration()`` gives it.
        spacing_mm: of the voxels that it reads.
        hu_range: lowest and highest HU that it tells apart.
        classes: name of each value that it gives a voxel, or of each rating that it gives a nodule.
        recipe: how it was fitted.
        seed: of weights and patches.
        step: of the weights that were kept.
        figures: of the validation at that step.
        training: what it was trained on: sets, licences, split; values that JSON can hold.
    """

    kind: str
    configuration: Mapping[str, Any]
    spacing_mm: float
    hu_range: tuple[float, float]
    classes: Sequence[str]
    recipe: Mapping[str, Any]
    seed: int
    step: int
    figures: Mapping[str, float]
    training: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Model:
    """A model as read.

    Attributes:
        card: what it is.
        weights: by the parameter's name, on the CPU; float32 whatever the file holds.
        sha256: of the file of weights.
    """

    card: ModelCard
    weights: Mapping[str, torch.Tensor]
    sha256: str

    def load_into(self, network: nn.Module) -> None:
        """Copy the weights into a network of the card's configuration.

        Raises:
            InputError: they are another network's.
        """
        try:
            network.load_state_dict(dict(self.weights))
        except RuntimeError as error:
            raise InputError(
                f"The weights do not fit a network of kind '{self.card.kind}'; use a model that this version reads."
            ) from error


def write_model(path: Path, card: ModelCard, network: nn.Module, *, half: bool = True) -> Path:
    """Write both files; where one cannot be written, what was there stays.

    Args:
        path: stem, such as ``Models/nodules`` for ``nodules.safetensors`` and ``nodules.json``, or an
            existing folder, which gets ``model.safetensors`` and ``model.json``.
        card: what the network is.
        network: whose weights are written.
        half: hold the kernels in float16. Norms and biases stay float32: they are small, and running
            variances leave float16's range.

    Returns:
        The stem.

    Raises:
        InputError: the folder cannot be written to, or the network is of no known kind.
    """
    if card.kind not in KINDS:
        raise InputError(f"There is no kind of model '{card.kind}'; choose one of: {', '.join(KINDS)}.")
    stem = stem_of(path)
    tensors = {name: _stored(value, half) for name, value in network.state_dict().items()}
    weights = save(tensors)
    text = {
        "format": FORMAT,
        "kind": card.kind,
        "configuration": dict(card.configuration),
        "spacing_mm": card.spacing_mm,
        "hu_range": list(card.hu_range),
        "classes": list(card.classes),
        "recipe": dict(card.recipe),
        "seed": card.seed,
        "step": card.step,
        "figures": {name: value if math.isfinite(value) else None for name, value in card.figures.items()},
        "training": dict(card.training),
        "weights": {
            "file": _beside(stem, WEIGHTS_SUFFIX).name,
            "sha256": hashlib.sha256(weights).hexdigest(),
            "bytes": len(weights),
            "kernels": "float16" if half else "float32",
        },
        "libraries": {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }
    # Both are whole before either takes its place; the weights go first, so that a card is never without them.
    with (
        atomic_write(_beside(stem, CARD_SUFFIX)) as card_file,
        atomic_write(_beside(stem, WEIGHTS_SUFFIX)) as weights_file,
    ):
        weights_file.write_bytes(weights)
        card_file.write_text(json.dumps(text, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return stem


def read_model(path: Path, kind: str | None = None) -> Model:
    """Read a model and check that its weights are those that the card names.

    Args:
        path: as for ``write_model``; the name of either file will do.
        kind: that it must have.

    Raises:
        InputError: a file is missing or damaged, the weights have another SHA-256 than the card names,
            the format is a newer one, or the model is of another kind.
    """
    stem = stem_of(path)
    card_path, weights_path = _beside(stem, CARD_SUFFIX), _beside(stem, WEIGHTS_SUFFIX)
    text, weights = _read(card_path), _read(weights_path)
    card, expected = _parsed(text, card_path)
    sha256 = hashlib.sha256(weights).hexdigest()
    if sha256 != expected:
        raise InputError(
            f"'{weights_path.name}' is damaged or of another model: its SHA-256 is {sha256}, '{card_path.name}' names "
            f"{expected}; copy both files again."
        )
    if kind is not None and card.kind != kind:
        raise InputError(f"'{card_path.name}' is a model of kind '{card.kind}'; choose one of kind '{kind}'.")
    try:
        tensors = load(weights)
    except SafetensorError as error:
        raise InputError(f"'{weights_path.name}' is no safetensors file; copy it again.") from error
    return Model(
        card, {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}, sha256
    )


def stem_of(path: Path) -> Path:
    """The path of both files without their endings; a folder's files are called ``model``."""
    path = Path(path)
    if path.is_dir():
        return path / FOLDER_STEM
    return path.with_suffix("") if path.suffix in (WEIGHTS_SUFFIX, CARD_SUFFIX) else path


def _beside(stem: Path, suffix: str) -> Path:
    """The stem may itself have dots, as ``nodules-1.2`` has."""
    return stem.with_name(stem.name + suffix)


def _stored(value: torch.Tensor, half: bool) -> torch.Tensor:
    value = value.detach().cpu().contiguous()
    if not half or not value.is_floating_point() or value.ndim <= 1:
        return value
    small = value.half()
    return small if torch.isfinite(small).all() else value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read ({error.strerror}); a model is a pair of files that end in {WEIGHTS_SUFFIX} and "
            f"{CARD_SUFFIX}."
        ) from error


def _parsed(text: bytes, path: Path) -> tuple[ModelCard, str]:
    """The card and the SHA-256 that it names."""
    try:
        held = json.loads(text)
        if held["format"] > FORMAT:
            raise InputError(
                f"'{path.name}' has format {held['format']}, and this version reads up to {FORMAT}; update ThoraxAI."
            )
        low, high = held["hu_range"]
        card = ModelCard(
            kind=held["kind"],
            configuration=held["configuration"],
            spacing_mm=float(held["spacing_mm"]),
            hu_range=(float(low), float(high)),
            classes=tuple(held["classes"]),
            recipe=held["recipe"],
            seed=int(held["seed"]),
            step=int(held["step"]),
            figures={name: math.nan if value is None else value for name, value in held["figures"].items()},
            training=held["training"],
        )
        return card, str(held["weights"]["sha256"])
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"'{path.name}' is no model card, or is damaged; copy it again.") from error
