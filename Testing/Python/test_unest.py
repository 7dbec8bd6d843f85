"""UNesT, the whole-brain bundle's network: the bundle's weights fit it and mean in it what they mean in the bundle."""

from __future__ import annotations

import json
from contextlib import nullcontext
from itertools import pairwise

import numpy as np
import pytest
import torch
from monai_bundles import metadata, transform, write_bundle
from test_monai_bundle import RUN, put

from SegmentationAILib import catalog
from SegmentationAILib.catalog import monai_runner, running
from SegmentationAILib.catalog.monai_folder import OWN_NETWORKS, read_bundle
from SegmentationAILib.catalog.monai_runner import segment
from SegmentationAILib.catalog.monai_unest import UNesT
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid, Volume

TARGET = "scripts.networks.unest_base_patch_4.UNesT"
WHOLE = {"out_channels": 133, "depths": (2, 2, 8), "embed_dim": (128, 256, 512), "num_heads": (4, 8, 16)}
SMALL = {"out_channels": 5, "feature_size": 1, "depths": [1, 2, 1], "embed_dim": [8, 16, 32], "num_heads": [1, 2, 4]}


def made(settings: dict) -> UNesT:
    return UNesT(1, patch_size=4, **settings).eval()


def state_of(network: UNesT) -> dict[str, torch.Tensor]:
    """Weights that are the same on every machine, none of them 0."""
    found = {}
    for n, (name, held) in enumerate(sorted(network.state_dict().items())):
        wave = torch.sin(0.37 * torch.arange(held.numel(), dtype=torch.float64) ** 1.1 + n).reshape(held.shape)
        fan = max(1, held[0].numel()) if held.ndim > 1 else 4
        found[name] = (wave * 1.4 / fan**0.5 + (name.endswith("weight") and held.ndim == 1)).float()
    return found


def image() -> torch.Tensor:
    i, j, k = torch.meshgrid(*[torch.arange(96, dtype=torch.float64)] * 3, indexing="ij")
    return torch.sin(0.11 * i + 0.05 * j) + torch.cos(0.07 * j * k / 9) + 0.3 * torch.sin(0.9 * k + i)


def names_of(depths, widths, full: int, classes: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the bundle's weights; the decoder has ``full`` channels at full resolution."""
    found = {"nestViT.patch_embed.proj.weight": (widths[0], 1, 4, 4, 4), "nestViT.patch_embed.proj.bias": (widths[0],)}
    for n, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        level = f"nestViT.levels.{n}"
        found[f"{level}.pos_embed"] = (1, 8 ** (2 - n), 216, width)
        for layer in range(depth):
            home = f"{level}.transformer_encoder.{layer}"
            linear = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
            for name, (rows, columns) in linear.items():
                found[f"{home}.{name}.weight"] = (rows * width, columns * width)
                found[f"{home}.{name}.bias"] = (rows * width,)
            found |= {f"{home}.norm{m}.{part}": (width,) for m in (1, 2) for part in ("weight", "bias")}
    for n, (coarse, fine) in enumerate(pairwise(widths), start=1):
        found[f"nestViT.levels.{n}.pool.conv.weight"] = (fine, coarse, 3, 3, 3)
        found |= {f"nestViT.levels.{n}.pool.{name}": (fine,) for name in ("conv.bias", "norm.weight", "norm.bias")}
    found |= {f"nestViT.norm.{part}": (widths[2],) for part in ("weight", "bias")}

    def residual(home: str, taken: int, given: int) -> None:
        found[f"{home}.conv1.conv.weight"] = (given, taken, 3, 3, 3)
        found[f"{home}.conv2.conv.weight"] = (given, given, 3, 3, 3)
        if taken != given:
            found[f"{home}.conv3.conv.weight"] = (given, taken, 1, 1, 1)

    residual("encoder1.layer", 1, full)
    found["encoder2.transp_conv_init.conv.weight"] = (widths[0], 2 * full, 2, 2, 2)
    found["encoder2.blocks.0.conv.weight"] = (2 * full, 2 * full, 1, 1, 1)
    residual("encoder3.layer", widths[0], 4 * full)
    residual("encoder4.layer", widths[1], 8 * full)
    found["encoder10.conv.weight"] = (32 * full, 16 * full, 3, 3, 3)
    found |= {"encoder10.conv.bias": (32 * full,), "encoder10.adn.A.weight": (1,)}
    for n in range(1, 6):
        found[f"decoder{n}.transp_conv.conv.weight"] = (2**n * full, 2 ** (n - 1) * full, 2, 2, 2)
        residual(f"decoder{n}.conv_block", 2**n * full, 2 ** (n - 1) * full)
    return found | {"out.conv.conv.weight": (classes, full, 1, 1, 1), "out.conv.conv.bias": (classes,)}


@pytest.mark.parametrize(("settings", "full"), [(WHOLE, 32), (SMALL, 2)], ids=["whole", "small"])
def test_weights_have_the_names_and_shapes_of_the_bundle(settings, full):
    with torch.device("meta"):
        state = made(settings).state_dict()
    expected = names_of(settings["depths"], settings["embed_dim"], full, settings["out_channels"])
    assert {name: tuple(held.shape) for name, held in state.items()} == expected


@pytest.fixture(scope="module")
def network() -> UNesT:
    network = made(SMALL)
    network.load_state_dict(state_of(network))
    return network


# What the bundle's own code answers with these weights to this image.
ANSWERS = {
    (0, 0, 0): [1.3249, 1.1069, 0.4271, -0.1855, -0.2156],
    (31, 64, 95): [0.4840, 0.6312, 0.6943, 0.6322, 0.4431],
    (48, 48, 48): [1.3314, 0.7786, -0.0101, -0.3462, 0.0732],
    (95, 20, 7): [1.0659, 0.7341, 0.2127, -0.0389, 0.1876],
}


@torch.inference_mode()
def test_the_network_answers_as_the_bundles_own(network):
    found = network(image().float()[None, None])[0]
    assert found.shape == (5, 96, 96, 96)
    for at, logits in ANSWERS.items():
        np.testing.assert_allclose(found[(slice(None), *at)], logits, atol=1e-3)


def bundle(folder, settings: dict = SMALL, window: int = 96, target: str = TARGET, state=None):
    """As the model zoo's whole-brain bundle has it."""
    definition = {"_target_": target, "in_channels": 1, "patch_size": 4, **settings}
    back = {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "nearest_interp": False}
    config = {
        "imports": ["$import glob", "$import os"],
        "network_def": definition,
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                transform("LoadImaged"),
                transform("EnsureChannelFirstd"),
                transform("NormalizeIntensityd", nonzero="True", channel_wise="True"),
                transform("EnsureTyped"),
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [window] * 3,
            "sw_batch_size": 4,
            "overlap": 0.7,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {**back, "orig_keys": "image", "meta_key_postfix": "meta_dict", "to_tensor": True},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "meta_keys": "pred_meta_dict", "output_dir": "eval"},
            ],
        },
    }
    held = metadata(5)
    held["network_data_format"]["inputs"]["image"]["modality"] = "MRI"
    return write_bundle(folder, config, {"weights": torch.zeros(1)} if state is None else state, held)


def brain(shape=(60, 70, 96)) -> Volume:
    array = (100 * (image().numpy()[tuple(slice(n) for n in shape)] + 2)).astype(np.int16)
    array[:10] = 0
    return Volume(array, Grid(shape, np.eye(4)), "phantom", "MR")


@torch.inference_mode()
def test_a_bundle_runs_and_its_scripts_do_not(tmp_path, monkeypatch, network):
    """Of the bundle's own scripts, which would leave a file behind, nothing is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    # In single precision, whatever the CPU multiplies fastest.
    monkeypatch.setattr(monai_runner, "inference_precision", lambda _: nullcontext)
    home = bundle(tmp_path / "given", state=network.state_dict())
    scripts = home / "scripts" / "networks"
    scripts.mkdir(parents=True)
    for path in (scripts.parent / "__init__.py", scripts / "__init__.py", scripts / "unest_base_patch_4.py"):
        path.write_text("open('hostile.txt', 'w').write('ran')")
    volume = brain()
    found = segment(read_bundle(home), volume, device="cpu")
    seen = torch.from_numpy(volume.array.astype(np.float32))
    inside = seen[seen != 0]
    seen = torch.where(seen != 0, (seen - inside.mean()) / inside.std(correction=0), seen)
    # The volume is smaller than a window, which is read with 0 around it.
    before = [(96 - n) // 2 for n in volume.array.shape]
    window = torch.zeros(96, 96, 96)
    within = tuple(slice(b, b + n) for b, n in zip(before, volume.array.shape, strict=True))
    window[within] = seen
    expected = network(window.permute(2, 1, 0)[None, None])[0].argmax(dim=0).permute(2, 1, 0)[within].numpy()
    assert len(np.unique(expected)) >= 3
    assert (found == expected).mean() > 0.9995
    entry = catalog.entry(catalog.import_local(None, home).name)
    assert entry.input.modality == "MR"
    np.testing.assert_array_equal(running.run(entry, volume, device="cpu").array, found)
    with pytest.raises(InputError, match="reads MR and the volume is CT"):
        running.run(entry, Volume(volume.array, volume.grid, "phantom", "CT"), device="cpu")
    assert not (tmp_path / "hostile.txt").exists()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"window": 64}, "windows of 96 voxels a side alone"),
        ({"target": "scripts.networks.unest.UNesT"}, "which is not run here; those that are: .*UNesT"),
        ({"target": f"os.{TARGET}"}, "which is not run here"),
        ({"settings": {**SMALL, "colour": 1}}, "not known here: colour"),
        ({"settings": {**SMALL, "embed_dim": [8, 16, 24]}}, "cannot be made of its arguments"),
        ({"settings": {**SMALL, "num_heads": [3, 2, 4]}}, "cannot be made of its arguments"),
        ({"settings": {**SMALL, "patch_size": 2}}, "cannot be made of its arguments"),
        ({}, "do not fit its network"),
    ],
)
def test_what_is_no_such_bundle_is_refused(tmp_path, changed, sentence):
    with pytest.raises(InputError, match=sentence):
        read_bundle(bundle(tmp_path, **changed))


@pytest.mark.parametrize("place", ["network_def#depths", "network_def#embed_dim", "inferer#overlap"])
def test_expressions_are_refused_and_not_run(tmp_path, monkeypatch, place):
    monkeypatch.chdir(tmp_path)
    home = bundle(tmp_path)
    path = home / "configs" / "inference.json"
    path.write_text(json.dumps(put(json.loads(path.read_text()), place, RUN)))
    with pytest.raises(InputError, match="would run code and is not evaluated"):
        read_bundle(home)
    assert not (tmp_path / "hostile.txt").exists()


def test_the_catalogues_bundle_is_one_of_those_that_run():
    entry = catalog.entry("monai-wholebrain-unest")
    assert TARGET in OWN_NETWORKS
    assert len(entry.labels) + 1 == WHOLE["out_channels"]
    assert set(entry.settings["window"]) == {UNesT.SIDE}
