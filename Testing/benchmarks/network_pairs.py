"""The catalogue's engine against the original code of the same models: nnU-Net's predictor, MONAI's bundle workflow."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import random_models
from SegmentationAILib.catalog import monai_detector, monai_runner, nnunet_runner
from SegmentationAILib.catalog.monai_detector import Detections
from SegmentationAILib.catalog.monai_folder import read_bundle
from SegmentationAILib.catalog.monai_retinanet import read_detector
from SegmentationAILib.catalog.nnunet_folder import read_nnunet
from SegmentationAILib.engine.boxes import overlaps
from SegmentationAILib.engine.freed_memory import freed_memory_kept
from SegmentationAILib.files import load
from SegmentationAILib.volume import Volume

DEMO_CT = Path(__file__).resolve().parents[2] / "Resources" / "Demo" / "LIDC-IDRI-0003.nrrd"
CLASSES = 117
# Of TotalSegmentator's networks.
FULL = (32, 64, 128, 256, 320, 320)


@dataclass(frozen=True)
class Case:
    """A model's folder and what it reads."""

    folder: Path
    volume: Volume

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Along (k, j, i), mm."""
        return tuple(float(mm) for mm in self.volume.spacing[::-1])


def chest(first: tuple[int, int, int], shape: tuple[int, int, int]) -> Volume:
    """Part of the demo CT."""
    volume = load(DEMO_CT)
    window = tuple(slice(a, a + n) for a, n in zip(first, shape, strict=True))
    array = np.ascontiguousarray(volume.array[window])
    return Volume(array, volume.grid.crop(first, array.shape), "bench", "CT")


def nnunet_case(folder: Callable[[], Path], first: tuple[int, int, int], shape: tuple[int, int, int]) -> Case:
    return Case(folder(), chest(first, shape))


NNUNET_1_5_MM = partial(random_models.nnunet_folder, "nnunet-1.5mm", FULL, 1.5, CLASSES)
NNUNET_3_MM = partial(random_models.nnunet_folder, "nnunet-3mm", FULL, 3.0, CLASSES)
BUNDLE_3_MM = partial(random_models.bundle_folder, "segresnet-3mm", 3.0, 105)
DETECTOR = partial(random_models.detector_folder, "retinanet")


def nnunet_ours(case: Case) -> NDArray:
    with freed_memory_kept():
        return nnunet_runner.segment(read_nnunet(case.folder), case.volume.array[None], case.spacing)


def nnunet_theirs(case: Case) -> NDArray:
    for variable in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(variable, tempfile.gettempdir())
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor  # noqa: PLC0415 - optional

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    predictor = nnUNetPredictor(
        use_mirroring=False, perform_everything_on_device=device.type == "cuda", device=device, allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(str(case.folder), None)
    array = case.volume.array[None].astype(np.float32)
    return predictor.predict_single_npy_array(array, {"spacing": list(case.spacing)})


def same_labels(ours: NDArray, theirs: NDArray) -> float:
    return float((ours == theirs).mean())


def bundle_ours(case: Case) -> NDArray:
    with freed_memory_kept():
        return monai_runner.segment(read_bundle(case.folder), case.volume)


def bundle_theirs(case: Case) -> NDArray:
    """Everything in the bundle's configuration evaluated by MONAI, but for reading and writing files."""
    from test_monai_bundle import by_monai  # noqa: PLC0415 - needs pytest

    return by_monai(case.folder, case.volume)


def detector_ours(case: Case) -> Detections:
    with freed_memory_kept():
        return monai_detector.detect(read_detector(case.folder), case.volume)


def detector_theirs(case: Case) -> tuple[NDArray, NDArray, NDArray]:
    """World boxes (centre, size), scores and classes."""
    from test_monai_detection import by_monai  # noqa: PLC0415 - needs pytest

    parser = random_models.parsed(json.loads((case.folder / "configs" / "inference.json").read_text()))
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(case.folder / "models" / "model.pt", weights_only=True))
    return by_monai(parser, network.eval(), case.volume)


def same_boxes(ours: Detections, theirs: tuple[NDArray, NDArray, NDArray]) -> float:
    """Share of the boxes, of whichever side has more, that have their like: IoU at least 0.99, scores within 0.001."""
    boxes, scores, _ = theirs
    if not len(scores) or not len(ours.scores):
        return float(len(scores) == len(ours.scores))
    sides = [(ours.centres, ours.sizes), (boxes[:, :3], boxes[:, 3:])]
    ends = [torch.from_numpy(np.concatenate([c - s / 2, c + s / 2], axis=1).astype(np.float64)) for c, s in sides]
    like = (overlaps(*ends).numpy() >= 0.99) & (np.abs(ours.scores[:, None] - scores[None]) <= 1e-3)
    return float(like.any(axis=1).sum()) / max(like.shape)


def rival_bytes(shape: tuple[int, int, int], classes: int = CLASSES) -> int:
    """What nnU-Net takes at least: float32 logits of every class on the image's grid."""
    return 4 * classes * int(np.prod(shape))


def parts(case: Any) -> tuple[torch.nn.Module, tuple[int, ...]]:
    """The network of an nnU-Net case and the shape of its window."""
    model = read_nnunet(case.folder)
    return model.networks[0], (1, *model.plan.patch)
