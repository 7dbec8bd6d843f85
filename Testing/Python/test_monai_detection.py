"""MONAI detection bundles: the same boxes as MONAI's own detector, and nothing run that is no weight."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai_bundles import detection, write_bundle
from test_monai_bundle import OBLIQUE, RUN, SAFE, put, scan
from torch import nn

from SegmentationAILib import catalog
from SegmentationAILib.catalog import detecting
from SegmentationAILib.catalog.monai_detector import Detections, detect
from SegmentationAILib.catalog.monai_retinanet import Detector, read_detector
from SegmentationAILib.catalog.monai_transforms import Orient
from SegmentationAILib.engine.boxes import Anchors, Selection, decode, overlaps, suppressed
from SegmentationAILib.engine.sliding_window import FixedSteps
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Volume

LPS = np.diag([-0.7, -0.72, 1.5, 1.0])


class Getter(nn.ModuleDict):
    """What MONAI takes from torchvision, where torchvision is missing or does not fit torch."""

    def __init__(self, model: nn.Module, return_layers: dict[str, str]) -> None:
        names = [name for name, _ in model.named_children()]
        last = max(names.index(name) for name in return_layers)
        super().__init__({name: getattr(model, name) for name in names[: last + 1]})
        self.taken = return_layers

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = {}
        for name, part in self.items():
            x = part(x)
            if name in self.taken:
                found[self.taken[name]] = x
        return found


@pytest.fixture(scope="module")
def monai():
    return pytest.importorskip("monai", reason="monai is not installed")


@pytest.fixture
def parsed(monai, monkeypatch):
    """MONAI's own parser, which evaluates the configuration."""
    from monai.apps.detection.networks import retinanet_network  # noqa: PLC0415 - optional
    from monai.bundle import ConfigParser  # noqa: PLC0415 - optional
    from monai.networks.blocks import backbone_fpn_utils  # noqa: PLC0415 - optional

    torchvision = type("torchvision", (), {"_utils": type("_utils", (), {"IntermediateLayerGetter": Getter})})
    monkeypatch.setattr(backbone_fpn_utils, "torchvision_models", torchvision)
    # Which layers are trained does not matter here.
    monkeypatch.setattr(retinanet_network, "_validate_trainable_layers", lambda *_, **__: 5)

    def parse(config: dict):
        config = put(json.loads(json.dumps(config)), "whether_raw_luna16", True)
        parts = config["preprocessing"]["transforms"]
        config["preprocessing"]["transforms"] = [
            part for part in parts if part["_target_"] not in ("LoadImaged", "EnsureChannelFirstd")
        ]
        return ConfigParser(config)

    return parse


def lively(network: nn.Module) -> nn.Module:
    """Random weights whose scores and offsets differ from place to place."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith(("cls_logits.weight", "bbox_reg.weight")):
                parameter.normal_(std=0.02, generator=generator)
            elif "_head.conv" in name and parameter.ndim > 1:
                parameter.normal_(std=0.03, generator=generator)
        network.classification_head.cls_logits.bias.fill_(-3.0)
    return network.eval()


def by_monai(parser, network: nn.Module, volume: Volume):
    """World boxes (centre, size), scores and classes of the bundle's own detector."""
    from monai.data import MetaTensor  # noqa: PLC0415 - optional

    detector = parser.get_parsed_content("detector")
    parser.get_parsed_content("detector_ops")
    detector.network = network
    detector.eval()
    array = torch.from_numpy(volume.array.transpose(2, 1, 0).astype(np.float32).copy())[None]
    image = MetaTensor(array, affine=torch.from_numpy(np.array(volume.ijk_to_ras)))
    image = parser.get_parsed_content("preprocessing")({"image": image})["image"]
    windowed = image[0].numel() >= np.prod(detector.inferer.roi_size)
    with torch.inference_mode():
        [found] = detector([image.as_tensor()], use_inferer=windowed)
    world = parser.get_parsed_content("postprocessing")({**found, "image": image})
    return world["box"].numpy(), found["label_scores"].numpy(), found["label"].numpy()


def corners(centres, sizes) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1))


def check_same(ours: Detections, boxes, scores, classes) -> None:
    """Matched one to one at an intersection over union of 0.99, scores within 0.001."""
    assert len(ours.scores) == len(scores) > 20
    over = overlaps(corners(ours.centres, ours.sizes), corners(boxes[:, :3], boxes[:, 3:])).numpy()
    over[ours.classes[:, None] != classes[None, :]] = 0.0
    partner = over.argmax(axis=1)
    assert sorted(partner) == list(range(len(scores)))
    assert over.max(axis=1).min() >= 0.99
    assert np.abs(ours.scores - scores[partner]).max() <= 1e-3


@pytest.mark.parametrize(
    ("window", "mode"),
    [((512, 512, 192), "constant"), ((32, 48, 24), "constant"), ((48, 32, 16), "gaussian")],
    ids=["whole", "windows", "gaussian, padded"],
)
def test_boxes_are_those_of_monai(tmp_path, parsed, window, mode):
    config = detection(window, mode)
    parser = parsed(config)
    torch.manual_seed(1)
    network = lively(parser.get_parsed_content("network_def"))
    home = write_bundle(tmp_path, config, network.state_dict())
    volume = scan(LPS, (20, 45, 40))
    check_same(detect(read_detector(home), volume, device="cpu"), *by_monai(parser, network, volume))


SHAPES = ((6.0, 8.0, 4.0), (10.0, 10.0, 6.0))


class Maps(nn.Module):
    """Answers with two levels of maps that show one box of class 1."""

    def __init__(self, offset: float = 0.0) -> None:
        super().__init__()
        self.offset = offset

    def forward(self, x: torch.Tensor) -> dict[str, list[torch.Tensor]]:
        sizes = [[n // by for n in x.shape[2:]] for by in (4, 8)]
        logits = [torch.full((1, 4, *size), -9.0) for size in sizes]
        moves = [torch.zeros(1, 12, *size) for size in sizes]
        # The second shape at place (2, 1, 3) of the first level, and within it a weaker double.
        logits[0][0, 3, 2, 1, 3] = 2.0
        logits[0][0, 1, 2, 1, 3] = 1.0
        moves[0][0, 6, 2, 1, 3] = self.offset
        return {"classification": logits, "box_regression": moves}


def held(offset: float = 0.0) -> Detector:
    anchors, windows = Anchors(SHAPES, (1.0, 2.0)), FixedSteps((64, 64, 64))
    return Detector([Orient("RAS")], Maps(offset), (8, 8, 8), windows, anchors, Selection(0.1, overlap=0.22))


@pytest.mark.parametrize("matrix", [LPS, OBLIQUE], ids=["straight", "oblique"])
def test_boxes_lie_where_the_image_shows_them(matrix):
    volume = scan(matrix, (20, 30, 40))
    found = detect(held(0.1), volume, device="cpu")
    grid = volume.grid.canonical("RAS")
    # Place (2, 1, 3), 4 voxels each, counted from their middle; moved by a tenth of 10 voxels.
    np.testing.assert_allclose(found.centres, grid.ras([[2 * 4 + 2 + 1.0, 1 * 4 + 2, 3 * 4 + 2]]), atol=1e-4)
    np.testing.assert_allclose(found.sizes, [np.array([10, 10, 6]) * grid.spacing], rtol=1e-6)
    np.testing.assert_allclose(found.directions, grid.directions)
    assert found.classes.tolist() == [1]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-2.0)), rtol=1e-6)


def test_boxes_end_where_the_image_ends():
    """The padding that makes sides divisible shows nothing."""
    shape = (12, 30, 40)
    found = detect(held(), scan(LPS, shape), device="cpu")
    grid = scan(LPS, shape).grid.canonical("RAS")
    top = (found.centres - grid.ras([0, 0, 0])) @ grid.directions / grid.spacing + found.sizes / grid.spacing / 2
    np.testing.assert_allclose(top[0], [15, 11, 12], atol=1e-5)


def test_an_image_without_a_box_has_none():
    detector = replace(held(), selection=Selection(0.99))
    assert detect(detector, scan(LPS), device="cpu").centres.shape == (0, 3)


boxes = st.lists(
    st.tuples(*[st.floats(0, 30, width=32)] * 3, *[st.floats(1, 12, width=32)] * 3, st.integers(0, 1)),
    min_size=1,
    max_size=30,
)


@given(boxes, st.floats(0.05, 0.9))
def test_no_two_kept_boxes_overlap_and_each_dropped_one_has_a_reason(drawn, overlap):
    low, size = (torch.tensor([one[n : n + 3] for one in drawn]) for n in (0, 3))
    corners, kinds = torch.cat([low, low + size], dim=1), torch.tensor([one[6] for one in drawn])
    scores = torch.linspace(1, 0, len(drawn))
    kept = suppressed(corners, scores, kinds, overlap, len(drawn)).tolist()
    over = (overlaps(corners, corners) > overlap) & (kinds[:, None] == kinds[None, :])
    assert not any(over[a, b] for a in kept for b in kept if a != b)
    assert all(any(over[n, k] for k in kept if k < n) for n in range(len(drawn)) if n not in kept)


def test_offsets_move_by_shares_of_the_anchor_and_grow_only_so_far():
    anchor = torch.tensor([[0.0, 0, 0, 4, 8, 2]])
    found = decode(torch.tensor([[0.5, 0, 0, np.log(2.0), 99.0, 0]]), anchor)
    np.testing.assert_allclose(found, [[0, 4 - 250, 0, 8, 4 + 250, 2]], rtol=1e-5)


@pytest.mark.parametrize(
    "place",
    [
        "anchor_generator#feature_map_scales",
        "backbone",
        "feature_extractor",
        "network_def#num_classes",
        "detector_ops#1",
        "preprocessing#transforms#5#a_min",
        "infer_patch_size",
    ],
)
@pytest.mark.parametrize("expression", [RUN, f"$(lambda x=1: {RUN[1:]})()"])
def test_expressions_are_refused_and_not_run(tmp_path, monkeypatch, place, expression):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"not evaluated|be run here"):
        read_detector(write_bundle(tmp_path, put(detection(), place, expression), SAFE))
    assert not (tmp_path / "hostile.txt").exists()


def test_an_expression_is_told_of_in_its_own_words(tmp_path):
    with pytest.raises(InputError, match=r"^'detector_ops#1' of the bundle's .* write its value there instead\.$"):
        read_detector(write_bundle(tmp_path, put(detection(), "detector_ops#1", CALL.format(RUN[1:])), SAFE))


CALL = "$@detector.set_box_selector_parameters(score_thresh={})"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("detector_ops#1", CALL.format(RUN[1:])),
        ("detector_ops#1", "$@detector.__class__.__base__()"),
        ("detector_ops#1", "$@detector.set_box_selector_parameters(**@detector)"),
        ("backbone", "$monai.networks.nets.resnet.resnet50(pretrained=True,spatial_dims=3,n_input_channels=1)"),
        ("backbone", "$os.system('ls')"),
        ("network_def#_target_", "scripts.Network"),
        ("network_def#num_anchors", 4),
        ("network_def#size_divisible", [16, 16]),
        ("anchor_generator#_target_", "AnchorGenerator"),
        ("postprocessing#transforms#0#_target_", "scripts.Boxes"),
    ],
)
def test_detectors_that_cannot_be_run_are_refused(tmp_path, place, value):
    with pytest.raises(InputError, match=r"not evaluated|be run here"):
        read_detector(write_bundle(tmp_path, put(detection(), place, value), SAFE))


def test_only_detectors_detect():
    with pytest.raises(InputError, match="does not detect"):
        detecting.run(catalog.entry("monai-wholebody-ct-3mm"), scan(LPS))
    with pytest.raises(InputError, match="not installed"):
        detecting.run(catalog.entry("monai-lung-nodule-ct-detection"), scan(LPS))
