"""Where the memory of a detector ends: the same boxes from what takes less, and the user is told."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_monai_bundle import scan
from test_monai_detection import LPS, SHAPES
from torch import nn

from SegmentationAILib.catalog import monai_detector, monai_image
from SegmentationAILib.catalog.monai_detector import Detections, detect
from SegmentationAILib.catalog.monai_retinanet import Detector
from SegmentationAILib.catalog.monai_transforms import Map, Orient
from SegmentationAILib.engine import memory_plan
from SegmentationAILib.engine.boxes import Anchors, Selection
from SegmentationAILib.engine.memory_plan import Placing
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.sliding_window import FixedSteps
from SegmentationAILib.errors import InputError

META = torch.device("meta")
WINDOWS = FixedSteps((16, 24, 16), overlap=0.25)


class Small(nn.Module):
    """Two levels of maps, on a device that holds few windows."""

    def __init__(self, full: Callable[[torch.Tensor], bool] = lambda _: False) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.levels = nn.ModuleList(nn.Conv3d(1, 4 + 12, by, stride=by) for by in (4, 8))
        self.full, self.read = full, []

    def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        if x.device != META:
            if self.full(x):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
            self.read.append(len(x))
        maps = [level(x) for level in self.levels]
        return {"classification": [one[:, :4] for one in maps], "box_regression": [one[:, 4:] for one in maps]}


def detector(network: nn.Module, windows: FixedSteps = WINDOWS) -> Detector:
    steps = [Orient("RAS"), Map(-1000, 500, -1, 1)]
    return Detector(steps, network.eval(), (8, 8, 8), windows, Anchors(SHAPES, (1.0, 2.0)), Selection(0.4, overlap=0.5))


def check_same(found: Detections, expected: Detections) -> None:
    assert len(expected.scores) > 20
    np.testing.assert_array_equal(found.classes, expected.classes)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.centres, expected.centres, atol=1e-3)
    np.testing.assert_allclose(found.sizes, expected.sizes, atol=1e-3)


VOLUME = scan(LPS, (20, 45, 40))


@pytest.fixture(autouse=True)
def _network_itself(monkeypatch):
    """No copy of it, whose windows nobody counts."""
    monkeypatch.setattr(monai_detector, "fast_on_cpu", lambda network: network)


def test_half_as_many_windows_give_the_same_boxes():
    whole = detect(detector(Small()), VOLUME, device="cpu")
    limited = Small(lambda x: len(x) > 2)
    progress = Progress()
    found = detect(detector(limited), VOLUME, device="cpu", batch=8, progress=progress)
    check_same(found, whole)
    assert progress.notes == [
        "Too little memory on cpu, 4 windows are read at once.",
        "Too little memory on cpu, 2 windows are read at once.",
    ]
    assert max(limited.read) == 2


def test_no_more_windows_are_read_at_once_than_there_are():
    network = Small()
    detect(detector(network, FixedSteps((16, 24, 24), overlap=0.0)), VOLUME, device="cpu", batch=64)
    assert network.read == [4, 2]


def test_maps_are_summed_on_the_host_and_then_the_cpu_does_all(monkeypatch):
    """The device is the CPU by another name, whose memory ends; what is asked of it is what a GPU would be asked."""
    expected = detect(detector(Small()), VOLUME, device="cpu")
    other = torch.device("cpu", 0)
    tried: list[Placing] = []
    inner = monai_detector._detect

    def first_fails(detector: Detector, image, placing: Placing, progress: Progress) -> Detections:
        tried.append(placing)
        if placing.device == other:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return inner(detector, image, placing, progress)

    monkeypatch.setattr(monai_detector, "_detect", first_fails)
    monkeypatch.setattr(monai_image, "choose_device", lambda _: other)
    progress = Progress()
    check_same(detect(detector(Small()), VOLUME, device="other", batch=2, progress=progress), expected)
    cpu = memory_plan.CPU
    assert tried == [Placing(other, 2, other), Placing(other, 1, other), Placing(other, 1, cpu), Placing(cpu, 1, cpu)]
    assert progress.notes == [
        "Too little memory on cpu:0, 1 windows are read at once.",
        "Too little memory on cpu:0, the logits are summed on the CPU.",
        "Too little memory on cpu:0, the CPU does all, which takes longer.",
    ]


def test_an_image_that_is_read_whole_needs_no_windows():
    network = Small()
    check_same(
        detect(detector(network, FixedSteps((64, 64, 64))), VOLUME, device="cpu", batch=8),
        detect(detector(Small(), FixedSteps((64, 64, 64))), VOLUME, device="cpu"),
    )
    assert network.read == [1]


def test_no_memory_at_all_is_one_sentence():
    with pytest.raises(InputError, match="more memory than this computer has free; close other programs"):
        detect(detector(Small(lambda _: True)), VOLUME, device="cpu", batch=4)


def test_too_little_memory_on_the_cpu_is_told_before(monkeypatch):
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: 1000)
    progress = Progress()
    found = detect(detector(Small()), VOLUME, device="cpu", progress=progress)
    assert len(found.scores) > 20
    [note] = progress.notes
    assert note.startswith("The model needs about 0.0 GB of memory and 0.0 GB are free")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_boxes_of_a_gpu_without_memory_are_those_of_one_with(monkeypatch):
    expected = detect(detector(Small()), VOLUME, device="cuda")
    monkeypatch.setattr(memory_plan, "free_bytes", lambda _: 1)
    check_same(detect(detector(Small()), VOLUME, device="cuda"), expected)
