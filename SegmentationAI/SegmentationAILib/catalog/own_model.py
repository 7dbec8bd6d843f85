"""A user's own model, described from its files as the catalogue describes others."""

from __future__ import annotations

import colorsys
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from SegmentationAILib.catalog.entry import MONAI_BUNDLE, NNUNET
from SegmentationAILib.catalog.integrity import checkpoint_of
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.local_names import propose
from SegmentationAILib.terminology import ANATOMICAL_STRUCTURE, Structure

# Task, value -> name, modality, settings.
Described = tuple[str, dict[int, str], str, dict[str, Any]]
_TISSUE = ["85756007", "Tissue"]
_SURE = 0.7
# A result has 8 bits for each voxel.
_MOST_LABELS = 255
# Turns of the colour circle between one structure and the next, so that no two are alike.
_GOLDEN = 0.618034


@dataclass(frozen=True)
class Training:
    """Which of an nnU-Net's trainings are run.

    Attributes:
        folds: numbers or "all", whose logits are averaged; every fold that is there if empty.
        checkpoint: file of each; as ``checkpoint_of`` chooses if empty.
    """

    folds: Sequence[str] = ()
    checkpoint: str = ""


def describe(
    folder: Path, name: str, structures: Mapping[str, Structure], training: Training | None = None
) -> dict[str, Any]:
    """A model as in catalog.json, with its own licence and structures in it.

    Args:
        folder: with the model's files, at any depth.
        name: of what the user gave; the id is made of it.
        structures: those that the catalogue knows, by id.
        training: of an nnU-Net.

    Raises:
        InputError: it is neither one network of nnU-Net v2 nor one MONAI bundle that segments or detects, reads more
            than one image, names no labels, or lacks a wanted fold.
    """
    # A dataset folder of nnU-Net can hold copies of these in deeper folders.
    networks = [path.parent for path in sorted(folder.rglob("plans.json")) if any(path.parent.glob("fold_*"))]
    bundles = [path.parents[1] for path in sorted(folder.rglob("configs/metadata.json"))]
    if len(networks) == 1 and not bundles:
        task, labels, modality, settings = _nnunet(networks[0], folder, training or Training())
        kind = NNUNET
    elif len(bundles) == 1 and not networks:
        if training is not None:
            raise InputError(f"'{name}' is a MONAI bundle; folds and checkpoints are chosen of an nnU-Net only.")
        task, labels, modality, settings = _bundle(bundles[0], folder)
        kind = MONAI_BUNDLE
    else:
        raise InputError(
            f"'{name}' is no model that can be used: it holds {len(networks)} networks of nnU-Net v2 (plans.json and "
            f"fold_0) and {len(bundles)} MONAI bundles (configs/metadata.json), and one of either is needed."
        )
    known = _by_name(structures)
    ids, own = {}, {}
    for n, (value, label) in enumerate(sorted(labels.items())):
        key = known.get(_plain(label))
        if key is None:
            key = f"own_{_plain(label) or value}"
            own[key] = _structure(label, n)
        ids[str(value)] = key
    return {
        "id": f"own-{re.sub(r'[^a-z0-9.]+', '-', name.lower()).strip('-.') or 'model'}",
        "title": name,
        "task": task,
        "kind": kind,
        "version": "-",
        "licence": {
            "name": "not stated",
            "url": "",
            "commercial": False,
            "terms": "Ask those who made the model what it may be used for.",
        },
        "citation": [],
        "source": "imported from this computer",
        "input": {"modality": modality, "spacing_mm": None, "intensity": "by the model's own files"},
        "memory": None,
        "labels": ids,
        "files": [],
        "settings": settings,
        "structures": own,
    }


def _nnunet(network: Path, folder: Path, training: Training) -> Described:
    held = _json(network / "dataset.json")
    labels = held.get("labels")
    if not isinstance(labels, dict) or not all(type(value) is int for value in labels.values()):
        raise InputError(
            f"'{network.name}/dataset.json' has no labels of the form name: value; overlapping regions and nnU-Net v1 "
            "cannot be used."
        )
    named = {value: name for name, value in labels.items() if value != 0}
    if not named:
        raise InputError(f"'{network.name}/dataset.json' names no labels besides the background; nothing can be drawn.")
    if not all(1 <= value <= _MOST_LABELS for value in named):
        raise InputError(
            f"'{network.name}/dataset.json' has labels from {min(named)} to {max(named)}; only labels from 1 to "
            f"{_MOST_LABELS} can be drawn."
        )
    channels = held.get("channel_names", held.get("modality", {}))
    if not isinstance(channels, dict) or not all(isinstance(name, str) for name in channels.values()):
        raise InputError(f"'{network.name}/dataset.json' does not name what images it reads; give the whole model.")
    if len(channels) != 1:
        raise InputError(f"'{network.name}' reads {len(channels)} images of a patient; only models of one can be used.")
    folds = list(training.folds) or None
    checkpoint = training.checkpoint or checkpoint_of(network, folds)
    there = sorted(path.parent.name.removeprefix("fold_") for path in network.glob(f"fold_*/{checkpoint}"))
    if missing := set(folds or there[:1] or ["0"]) - set(there):
        raise InputError(
            f"'{network.name}' has no {checkpoint} in fold {', '.join(sorted(missing))}; folds that have it: "
            f"{', '.join(there) or 'none'}."
        )
    part = {
        "folder": network.relative_to(folder).as_posix(),
        "folds": folds,
        "labels": {str(value): value for value in sorted(named)},
    }
    if training.checkpoint:
        part["checkpoint"] = training.checkpoint
    return "segmentation", named, _modality(next(iter(channels.values()))), {"parts": [part]}


def _bundle(bundle: Path, folder: Path) -> Described:
    held = _json(bundle / "configs" / "metadata.json")
    try:
        image = held["network_data_format"]["inputs"]["image"]
        output = held["network_data_format"]["outputs"]["pred"]
        channels, modality = int(image["num_channels"]), str(image.get("modality", "CT"))
        classes = {int(value): str(name) for value, name in output.get("channel_def", {}).items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"The metadata.json of '{bundle.name}' does not say what the model reads and gives (network_data_format); "
            "complete it."
        ) from error
    if channels != 1:
        raise InputError(f"'{bundle.name}' reads {channels} images of a patient; only models of one can be used.")
    if output.get("format") == "segmentation":
        task, named, settings = "segmentation", {value: name for value, name in classes.items() if value != 0}, {}
    elif output.get("type") == "object" and output.get("format") == "dict":
        task, settings = "detection", {"box_class": 0}
        named = {value + 1: name for value, name in classes.items()} or {1: _finding(held)}
    else:
        raise InputError(f"'{bundle.name}' neither segments nor detects; of MONAI bundles only those can be imported.")
    if not named:
        raise InputError(f"The metadata.json of '{bundle.name}' names no labels (channel_def); add them.")
    weights = next((path for path in (bundle / "models/model.pt", bundle / "models/model.ts") if path.is_file()), None)
    if weights is None:
        raise InputError(f"'{bundle.name}' has no weights (models/model.pt); give the whole bundle.")
    settings |= {"bundle": bundle.relative_to(folder).as_posix(), "weights": weights.relative_to(folder).as_posix()}
    return task, named, _modality(modality), settings


def _finding(metadata: Mapping[str, Any]) -> str:
    """What a detector of one class finds, by what its authors say that it does."""
    told = f"{metadata.get('task', '')} {metadata.get('description', '')}".lower()
    return "lung nodules" if "nodule" in told and "lung" in told else "finding"


def _modality(name: str) -> str:
    return "CT" if "CT" in name.upper() else "MR"


def _json(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"'{path.parent.name}/{path.name}' is missing or damaged; give the whole model.") from error
    if not isinstance(held, dict):
        raise InputError(f"'{path.parent.name}/{path.name}' is damaged; give the whole model.")
    return held


def _structure(label: str, n: int) -> dict[str, Any]:
    proposal = propose(label)
    sure = proposal is not None and proposal.confidence >= _SURE
    return {
        "name": label.replace("_", " "),
        "category": [ANATOMICAL_STRUCTURE.value, ANATOMICAL_STRUCTURE.meaning],
        "type": _TISSUE,
        "colour": [round(255 * share) for share in colorsys.hsv_to_rgb(n * _GOLDEN % 1, 0.6, 0.9)],
        "tg263": proposal.name if sure else "",
    }


def _by_name(structures: Mapping[str, Structure]) -> dict[str, str]:
    """Plain name -> id, of what the catalogue, its user interface and TG-263 call a structure."""
    names = {_plain(one.tg263): key for key, one in structures.items() if one.tg263}
    names |= {_plain(one.name): key for key, one in structures.items()}
    return names | {_plain(key): key for key in structures}


def _plain(name: str) -> str:
    """Without capitals and signs, with the side at the end."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    sides = [word for word in words if word in ("left", "right")]
    return "_".join([word for word in words if word not in sides] + sides)
