"""Models on disk: what is written is read again, and what was damaged is refused."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from SegmentationAILib.engine.model_folder import ModelCard, read_model, write_model
from SegmentationAILib.errors import InputError

CARD = ModelCard(
    kind="nodule",
    configuration={"half": 8},
    spacing_mm=1.0,
    hu_range=(-1000.0, 400.0),
    classes=("background", "nodule"),
    recipe={"steps": 3},
    seed=7,
    step=2,
    figures={"score": 0.5, "log diameter error": math.nan},
    training={"split": {"train": ["a"], "validation": ["b"]}},
)


def make_network(seed=0, width=4):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv3d(1, width, 3), nn.BatchNorm3d(width), nn.Conv3d(width, 1, 1))
    network[1].running_var.mul_(3e5)
    return network


@pytest.fixture
def stem(tmp_path):
    return write_model(tmp_path / "nodules-1.2", CARD, make_network())


def test_card_and_weights_come_back(stem):
    model = read_model(stem, "nodule")
    assert replace(model.card, figures={}) == replace(CARD, figures={})
    assert model.card.figures["score"] == 0.5
    assert math.isnan(model.card.figures["log diameter error"])
    network = make_network(seed=1)
    model.load_into(network)
    for name, value in make_network().state_dict().items():
        # 11 bits of significand
        torch.testing.assert_close(network.state_dict()[name], value, rtol=2**-11, atol=1e-7)


def test_files_lie_at_the_stem_and_either_names_the_model(stem):
    assert sorted(path.name for path in stem.parent.iterdir()) == ["nodules-1.2.json", "nodules-1.2.safetensors"]
    for ending in (".json", ".safetensors"):
        assert read_model(stem.with_name(stem.name + ending)).sha256 == read_model(stem).sha256


def test_folder_gets_files_called_model(tmp_path):
    write_model(tmp_path, CARD, make_network())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert read_model(tmp_path).card.step == CARD.step


def test_kernels_are_half_as_long_in_half_precision_and_norms_are_exact(stem, tmp_path):
    weights = make_network().state_dict()
    held = read_model(stem).weights
    assert all(value.dtype is not torch.float16 for value in held.values())
    assert torch.equal(held["0.weight"], weights["0.weight"].half().float())
    assert torch.equal(held["1.running_var"], weights["1.running_var"])
    exact = read_model(write_model(tmp_path / "exact", CARD, make_network(), half=False)).weights
    assert all(torch.equal(exact[name], value) for name, value in weights.items())
    sizes = [json.loads((tmp_path / f"{name}.json").read_text())["weights"]["bytes"] for name in ("exact", stem.name)]
    kernels = sum(value.numel() for value in weights.values() if value.ndim > 1)
    assert sizes[0] - sizes[1] == pytest.approx(2 * kernels, abs=16)


def test_kernel_beyond_the_range_of_half_precision_is_kept_whole(tmp_path):
    network = make_network()
    network[0].weight.data[0] = 1e6
    held = read_model(write_model(tmp_path / "large", CARD, network)).weights
    assert torch.equal(held["0.weight"], network[0].weight)


def test_same_model_gives_the_same_bytes(stem, tmp_path):
    other = write_model(tmp_path / "again" / stem.name, CARD, make_network())
    for ending in (".json", ".safetensors"):
        first, second = (path.with_name(path.name + ending).read_bytes() for path in (stem, other))
        assert first == second


def test_changed_weights_are_refused_with_both_hashes(stem):
    path = stem.with_name(f"{stem.name}.safetensors")
    weights = bytearray(path.read_bytes())
    expected = hashlib.sha256(weights).hexdigest()
    weights[-1] ^= 1
    path.write_bytes(weights)
    with pytest.raises(InputError) as problem:
        read_model(stem)
    assert path.name in str(problem.value)
    assert expected in str(problem.value)
    assert hashlib.sha256(weights).hexdigest() in str(problem.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card.clear(), "no model card"),
        (lambda card: card.update(hu_range=[1]), "no model card"),
        (lambda card: card.update(format=99), "update ThoraxAI"),
        (lambda card: card.update(kind="organs"), "kind 'organs'; choose one of kind 'nodule'"),
    ],
)
def test_wrong_card_is_refused(stem, change, said):
    path = stem.with_name(f"{stem.name}.json")
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))
    with pytest.raises(InputError, match=said):
        read_model(stem, "nodule")


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_missing_file_is_named(stem, ending):
    path = stem.with_name(stem.name + ending)
    path.unlink()
    with pytest.raises(InputError, match=f"{stem.name}.*{ending}' cannot be read"):
        read_model(stem)


def test_file_of_weights_that_is_none_is_refused(stem):
    weights, card = (stem.with_name(stem.name + ending) for ending in (".safetensors", ".json"))
    weights.write_bytes(b"pickle")
    text = json.loads(card.read_text())
    text["weights"]["sha256"] = hashlib.sha256(b"pickle").hexdigest()
    card.write_text(json.dumps(text))
    with pytest.raises(InputError, match="no safetensors file"):
        read_model(stem)


def test_weights_of_another_network_are_refused(stem):
    with pytest.raises(InputError, match="do not fit"):
        read_model(stem).load_into(make_network(width=5))


def test_failed_write_leaves_the_model_that_was_there(stem):
    before = read_model(stem).sha256
    with pytest.raises(ValueError, match="JSON compliant"):
        write_model(stem, replace(CARD, recipe={"learning_rate": math.inf}), make_network(seed=3))
    assert read_model(stem).sha256 == before
    assert len(list(stem.parent.iterdir())) == 2


def test_unknown_kind_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose one of: nodule, organs"):
        write_model(tmp_path / "x", replace(CARD, kind="lobes"), make_network())
