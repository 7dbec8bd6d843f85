"""MONAI bundles: the same labels as MONAI's own workflow, and nothing run that is no weight."""

from __future__ import annotations

import json
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai_bundles import DYNUNET, NONZERO, RANGE, SEGRESNET, SWIN, UNET, inference, metadata, transform, write_bundle
from nnunet_models import taught
from numpy.typing import NDArray
from safetensors.torch import save_file
from test_nnunet import ct

from SegmentationAILib import catalog
from SegmentationAILib.catalog import monai_runner, running
from SegmentationAILib.catalog.entry import ModelInput
from SegmentationAILib.catalog.monai_config import Config
from SegmentationAILib.catalog.monai_folder import read_bundle
from SegmentationAILib.catalog.monai_runner import segment
from SegmentationAILib.catalog.weights import read_weights
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid, Volume

CLASSES = 5
OBLIQUE = np.array([[0.88, 0.1, 0.12, 5.0], [-0.11, 0.87, 0.3, -7.0], [-0.05, -0.2, 1.96, 40.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def monai():
    return pytest.importorskip("monai", reason="monai is not installed")


@pytest.fixture(scope="module")
def weights_of(monai):
    """Weights of a network, once for each class of network."""
    nets = pytest.importorskip("monai.networks.nets")
    known: dict[str, dict[str, torch.Tensor]] = {}

    def make(definition: dict) -> dict[str, torch.Tensor]:
        name = definition["_target_"].rpartition(".")[2]
        if name not in known:
            torch.manual_seed(0)
            arguments = {key: value for key, value in definition.items() if key not in ("_target_", "img_size")}
            made = getattr(nets, name)(**arguments)
            # It reads no patches as small as those that teach.
            known[name] = (made if name == "SwinUNETR" else taught(made, CLASSES, steps=40, seed=0)).state_dict()
        return known[name]

    return make


def scan(matrix: NDArray, shape=(24, 50, 46)) -> Volume:
    q, r = np.linalg.qr(matrix[:3, :3])
    straight = np.array(matrix)
    straight[:3, :3] = q @ np.diag(np.diag(r))
    return Volume(ct(shape, blur=6.0), Grid(shape, straight), "phantom", "CT")


def by_monai(home: Path, volume: Volume) -> NDArray:
    """The labels that the bundle's own configuration gives, everything in it evaluated by MONAI."""
    from monai.bundle import ConfigParser  # noqa: PLC0415 - optional
    from monai.data import MetaTensor  # noqa: PLC0415 - optional

    config = json.loads((home / "configs" / "inference.json").read_text())
    del config["datalist"]
    for name in ("preprocessing", "postprocessing"):
        config[name]["transforms"] = [
            one
            for one in config[name]["transforms"]
            if one["_target_"] not in ("LoadImaged", "EnsureChannelFirstd", "SaveImaged")
        ]
    config["network_def"].pop("img_size", None)
    parser = ConfigParser(config)
    parser["device"] = torch.device("cpu")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(home / "models" / "model.pt", weights_only=True))
    network.eval()
    array = torch.from_numpy(volume.array.transpose(2, 1, 0).astype(np.float32).copy())[None]
    image = MetaTensor(array, affine=torch.from_numpy(np.array(volume.ijk_to_ras)))
    given = parser.get_parsed_content("preprocessing")({"image": image})
    with torch.inference_mode():
        given["pred"] = parser.get_parsed_content("inferer")(given["image"][None], network)[0]
    found = parser.get_parsed_content("postprocessing")(given)["pred"]
    return found[0].numpy().astype(np.uint8).transpose(2, 1, 0)


LPS = np.diag([-0.9, -0.9, 2.0, 1.0])
# Its origin's digits decide the voxels halfway between two.
FAR = np.array([[-0.82, 0, 0, 105.753203], [0, -0.82, 0, 31.171984], [0, 0, 1.25, -229.0], [0, 0, 0, 1.0]])
SIDEWAYS = np.array([[0, 0, 2.1, -9.0], [0.8, 0, 0, 3.0], [0, -1.3, 0, 1.0], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("definition", "settings", "matrix"),
    [
        (SEGRESNET, {"intensity": NONZERO}, LPS),
        (SEGRESNET, {"intensity": NONZERO, "mode": "gaussian", "padding_mode": "replicate", "window": 32}, SIDEWAYS),
        (UNET, {"intensity": RANGE, "labels_first": False}, LPS),
        (UNET, {"intensity": RANGE, "labels_first": False, "mode": "gaussian"}, OBLIQUE),
        (UNET, {"intensity": RANGE}, np.diag([0.75, 0.75, 3.0, 1.0])),
        (DYNUNET, {"intensity": RANGE, "overlap": 0.6, "window": 20}, np.diag([-1.5005, 1.5, 1.5, 1.0])),
        (UNET, {"intensity": RANGE}, FAR),
        (SWIN, {"intensity": RANGE, "window": 64}, LPS),
    ],
    ids=["whole body", "gaussian", "spleen", "oblique", "halfway between voxels", "same spacing", "far", "transformer"],
)
def test_labels_are_those_of_monai(tmp_path, weights_of, monkeypatch, definition, settings, matrix):
    home = write_bundle(tmp_path, inference(definition, **settings), weights_of(definition))
    volume = scan(matrix)
    theirs = by_monai(home, volume)
    # As MONAI on a CPU, whatever the CPU multiplies fastest.
    monkeypatch.setattr(monai_runner, "inference_precision", lambda _: nullcontext)
    ours = segment(read_bundle(home), volume, device="cpu")
    large = [value for value in range(CLASSES) if np.count_nonzero(theirs == value) > 100]
    assert len(large) >= 3
    assert (ours == theirs).mean() >= 0.9995
    for value in large:
        both = np.count_nonzero((ours == value) & (theirs == value))
        assert 2 * both / (np.count_nonzero(ours == value) + np.count_nonzero(theirs == value)) >= 0.999


SAFE = {"weights": torch.zeros(2)}


class Hostile:
    def __reduce__(self):
        return os.system, ("echo hostile code ran > hostile.txt",)


RUN = "$__import__('os').system('echo hostile code ran > hostile.txt')"


@pytest.fixture
def unharmed(tmp_path, monkeypatch):
    """Where nothing hostile may have written when the test is over."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not (tmp_path / "hostile.txt").exists()


def put(config: dict, place: str, value) -> dict:
    *parts, last = place.split("#")
    inner = config
    for part in parts:
        inner = inner[int(part)] if isinstance(inner, list) else inner[part]
    inner[int(last) if isinstance(inner, list) else last] = value
    return config


@pytest.mark.parametrize(
    "place",
    [
        "pixdim",
        "network_def",
        "network_def#out_channels",
        "preprocessing",
        "preprocessing#transforms#3",
        "preprocessing#transforms#5#nonzero",
        "inferer#roi_size",
        "postprocessing#transforms#1#argmax",
        "displayable_configs#sw_overlap",
        "displayable_configs#highres",
    ],
)
@pytest.mark.parametrize(
    "expression",
    [RUN, f"$[{RUN[1:]}, 1.5, 1.5]", f"$1 if {RUN[1:]} else 2", "$(lambda: 3)()", "$@bundle_root.join(@image_key)"],
)
def test_expressions_are_refused_by_name_and_not_run(unharmed, place, expression):
    home = write_bundle(unharmed, put(inference(), place, expression), SAFE)
    with pytest.raises(InputError, match="would run code and is not evaluated"):
        read_bundle(home)


def test_expressions_that_are_not_needed_are_left_alone(unharmed):
    config = {**inference(), "imports": [RUN], "initialize": [RUN], "run": [RUN], "evaluator": RUN, "dataset": RUN}
    for n, key in enumerate(("keys", "transform")):
        put(config, f"postprocessing#transforms#{n}#{key}", RUN)
    with pytest.raises(InputError, match="damaged or hold more than weights"):
        read_bundle(write_bundle(unharmed, config, {"model": SAFE, "more": Hostile()}))


def test_pickled_code_is_not_run(unharmed):
    path = unharmed / "model.pt"
    torch.save({"weights": torch.zeros(2), "more": Hostile()}, path)
    with pytest.raises(InputError, match="hold more than weights, and are not read"):
        read_weights(path)
    path.rename(path.with_suffix(".safetensors"))
    with pytest.raises(InputError, match="hold more than weights, and are not read"):
        read_weights(path.with_suffix(".safetensors"))
    program = unharmed / "model.ts"
    program.write_bytes(b"")
    with pytest.raises(InputError, match="TorchScript program, which is not run"):
        read_weights(program)


@pytest.mark.parametrize("wrapped", [lambda state: state, lambda state: {"model": state}])
def test_weights_are_read_from_either_format(tmp_path, wrapped):
    torch.save(wrapped(SAFE), tmp_path / "model.pt")
    save_file(SAFE, tmp_path / "model.safetensors")
    for name in ("model.pt", "model.safetensors"):
        assert torch.equal(read_weights(tmp_path / name)["weights"], SAFE["weights"])


def value_of(tmp_path: Path, text: str, **others):
    path = tmp_path / "inference.json"
    path.write_text(json.dumps({"wanted": text, **others}))
    return Config(path).value("@wanted", "wanted")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain @text $ with signs", "plain @text $ with signs"),
        ("@deep#list#1", 7),
        ("@deep::list::0", -3),
        ("$@root + '/models/' + @name", "./models/model.pt"),
        ("$not @yes", False),
        ("$[1.5, -1.5] if @yes else [3, 3]", [1.5, -1.5]),
        ("$'a' if not @yes else 'b'", "b"),
        ("$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')", None),
    ],
)
def test_literal_forms_are_read(tmp_path, text, expected):
    others = {"deep": {"list": ["$-3", 7]}, "root": ".", "name": "model.pt", "yes": True}
    assert value_of(tmp_path, text, **others) == expected


@pytest.mark.parametrize(
    ("others", "sentence"),
    [
        ({"a": "@b", "b": "@a"}, "refers to itself"),
        ({"a": ["@b"] * 20, "b": ["@c"] * 99, "c": ["@d"] * 99, "d": 1}, "refers to itself or to too much"),
        ({"a": "$@b + @b", "b": "$@c + @c", "c": "x" * 400}, "not evaluated"),
        ({"a": "@nowhere"}, "no 'nowhere'"),
        ({"a": "$" + "(" * 400}, "not evaluated"),
        ({"a": "$'" + "x" * 2000 + "'"}, "not evaluated"),
        ({"a": "%other.json#x"}, "not evaluated"),
        ({"a": {"_target_": "os.system", "command": "ls"}}, "no plain value"),
    ],
)
def test_references_that_lead_nowhere_end(tmp_path, others, sentence):
    with pytest.raises(InputError, match=sentence):
        value_of(tmp_path, "@a", **others)


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("preprocessing#transforms#3", transform("CropForegroundd", source_key="image"), "with CropForegroundd"),
        ("preprocessing#transforms#3#axcodes", "ASL", "uses Orientationd in a way"),
        ("preprocessing#transforms#4#mode", "nearest", "uses Spacingd in a way"),
        ("preprocessing#transforms#4#scale_extent", True, "Spacingd with scale_extent"),
        ("preprocessing#transforms#4#pixdim", [1.5, 0, 1.5], "uses Spacingd in a way"),
        ("inferer#_target_", "SliceInferer", "inferer is SliceInferer"),
        ("inferer#roi_size", [24, 24], "windows that cannot"),
        ("inferer#roi_size", [24, 24, -1], "windows that cannot"),
        ("inferer#process_fn", 1, "windows that cannot be run here .process_fn"),
        ("postprocessing#transforms#0", transform("Activationsd", sigmoid=True), "treats its result with Activationsd"),
        ("postprocessing#transforms#1", transform("AsDiscreted", threshold=0.5), "treats its result with AsDiscreted"),
        ("postprocessing#transforms#2#nearest_interp", False, "interpolates between labels"),
        ("network_def#_target_", "scripts.networks.unest.UNesT", "scripts.networks.unest.UNesT, which is not run"),
        ("network_def#_target_", "os.system", "os.system, which is not run here"),
        ("network_def#_requires_", RUN, "uses _requires_"),
    ],
)
def test_what_cannot_be_run_is_named(tmp_path, place, value, sentence):
    with pytest.raises(InputError, match=sentence):
        read_bundle(write_bundle(tmp_path, put(inference(), place, value), SAFE))


def test_several_images_and_missing_files_are_named(tmp_path):
    held = metadata()
    held["network_data_format"]["inputs"]["image"]["num_channels"] = 4
    with pytest.raises(InputError, match="reads 4 images"):
        read_bundle(write_bundle(tmp_path / "four", inference(), SAFE, held))
    with pytest.raises(InputError, match=r"no configs/inference\.json"):
        read_bundle(tmp_path)


def test_weights_and_arguments_of_another_network_are_refused(tmp_path, weights_of):
    with pytest.raises(InputError, match="do not fit its network"):
        read_bundle(write_bundle(tmp_path / "a", inference(), weights_of(UNET)))
    with pytest.raises(InputError, match="not known here: colour"):
        read_bundle(write_bundle(tmp_path / "b", inference({**UNET, "colour": 1}), SAFE))
    with pytest.raises(InputError, match="does not read one 3-D image"):
        read_bundle(write_bundle(tmp_path / "c", inference({**UNET, "spatial_dims": 2}), SAFE))


def test_a_bundle_in_yaml_is_the_same(tmp_path, weights_of):
    home = write_bundle(tmp_path, inference(UNET, intensity=RANGE), weights_of(UNET))
    volume = scan(LPS)
    expected = segment(read_bundle(home), volume, device="cpu")
    held = json.loads((home / "configs" / "inference.json").read_text())
    (home / "configs" / "inference.json").unlink()
    (home / "configs" / "inference.yaml").write_text(yaml.safe_dump(held))
    np.testing.assert_array_equal(segment(read_bundle(home), volume, device="cpu"), expected)


def test_a_sheared_volume_is_refused(tmp_path, weights_of):
    bundle = read_bundle(write_bundle(tmp_path, inference(UNET, intensity=RANGE), weights_of(UNET)))
    sheared = np.diag([0.9, 0.9, 2.0, 1.0])
    sheared[1, 2] = 0.5
    with pytest.raises(InputError, match="not at right angles"):
        segment(bundle, Volume(ct(), Grid(ct().shape, sheared)), device="cpu")


def test_an_imported_bundle_runs_like_any_model(tmp_path, monkeypatch, weights_of):
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    home = write_bundle(tmp_path, inference(UNET, intensity=RANGE), weights_of(UNET))
    name = catalog.import_local(None, home).name
    found = running.run(catalog.entry(name), scan(LPS), device="cpu")
    np.testing.assert_array_equal(found.array, segment(read_bundle(home), scan(LPS), device="cpu"))
    assert {structure.name for structure in found.structures.values()} <= {f"structure {n}" for n in range(1, CLASSES)}
    coarse = replace(catalog.entry(name), input=ModelInput("CT", (3.0, 3.0, 3.0), ""))
    assert (running.run(coarse, scan(LPS), device="cpu").array != found.array).any()
