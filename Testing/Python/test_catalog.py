"""The list of models: by its schema, without gaps, with codes and names that exist elsewhere."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from pydicom.sr.codedict import codes

from SegmentationAILib import catalog, organ_model
from SegmentationAILib.catalog import listing, store, timing
from SegmentationAILib.catalog.entry import KINDS
from SegmentationAILib.catalog.state import State, state_of
from SegmentationAILib.catalog.tasks import task_for
from SegmentationAILib.errors import InputError
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.radiotherapy import tg263
from SegmentationAILib.resources import resource
from SegmentationAILib.terminology import Structure
from SegmentationAILib.volume import Grid

pytestmark = pytest.mark.usefixtures("models")

ROOT = Path(__file__).resolve().parents[2]
CATALOG = ROOT / "Resources" / "catalog.json"
HELD = json.loads(CATALOG.read_text(encoding="utf-8"))
SCHEMA = json.loads(CATALOG.with_suffix(".schema.json").read_text(encoding="utf-8"))
ENTRIES = catalog.load().entries
BY_ID = {entry.id: entry for entry in ENTRIES}
# Without a TG-263 name: findings, and a region that the report does not name.
NO_TG263 = {"face", "intracerebral_hemorrhage", "liver_lesions", "tumour"}
TOTALSEGMENTATOR = {entry.id for entry in ENTRIES if entry.id.startswith("totalsegmentator-")}


def without(model: dict, key: str) -> dict:
    return {name: value for name, value in model.items() if name != key}


def test_schema_is_one_and_fits():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(HELD, SCHEMA)


@pytest.mark.parametrize("key", SCHEMA["$defs"]["model"]["required"])
def test_schema_misses_every_gap(key):
    model = HELD["models"][-1]
    with pytest.raises(jsonschema.ValidationError, match=key):
        jsonschema.validate(HELD | {"models": [without(model, key)]}, SCHEMA)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "unknown"},
        {"files": [{"url": "http://example.org/x", "bytes": 1, "hash": None, "no_hash": "not published"}]},
        {"files": [{"url": "https://example.org/x", "bytes": 1, "hash": None}]},
        {
            "files": [
                {"url": "https://example.org/x", "bytes": 1, "hash": {"algorithm": "crc", "value": "0", "by": "x"}}
            ]
        },
        {"labels": {"0": "liver"}},
        {"settings": {}},
        {"citation": []},
        {"files": []},
    ],
)
def test_schema_misses_nothing_wrong(change):
    model = HELD["models"][-1] | change
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(HELD | {"models": [model]}, SCHEMA)


def test_ids_and_references():
    ids = [model["id"] for model in HELD["models"]]
    assert len(ids) == len(set(ids))
    assert {model["licence"] for model in HELD["models"]} == set(HELD["licences"])
    used = {key for model in HELD["models"] for key in model["labels"].values()}
    assert used == set(HELD["structures"])
    assert {entry.kind for entry in ENTRIES} == set(KINDS)


def test_the_models_that_users_were_promised_are_there():
    assert {entry.id for entry in ENTRIES} == {
        "lungs",
        "nodules",
        "nodule-ratings",
        "organs",
        "tumour-click",
        "monai-lung-nodule-ct-detection",
        "monai-wholebody-ct-1.5mm",
        "monai-wholebody-ct-3mm",
        "monai-wholebrain-unest",
        "totalsegmentator-total",
        "totalsegmentator-total-3mm",
        "totalsegmentator-lung-vessels",
        "totalsegmentator-lung-nodules",
        "totalsegmentator-pleural-pericard-effusion",
        "totalsegmentator-body",
        "totalsegmentator-cerebral-bleed",
        "totalsegmentator-liver-lesions",
        "totalsegmentator-breasts",
        "totalsegmentator-heartchambers-highres",
        "totalsegmentator-vertebrae-body",
        "lungmask-r231",
        "lungmask-ltrclobes",
        "moose-ct-cardiac",
    }
    counts = {"totalsegmentator-total": 117, "totalsegmentator-total-3mm": 117, "monai-wholebody-ct-3mm": 104}
    counts |= {"monai-wholebrain-unest": 132, "lungmask-ltrclobes": 5, "totalsegmentator-heartchambers-highres": 7}
    assert {name: len(BY_ID[name].labels) for name in counts} == counts


def test_codes_are_of_snomed():
    """Every SCTID ends in a check digit (Verhoeff, SNOMED CT release file specification, 5.5)."""
    slots = ("category", "type", "type_modifier", "region", "region_modifier")
    found = {one[slot][0] for one in HELD["structures"].values() for slot in slots if slot in one}
    assert [value for value in found if verhoeff(value) != 0] == []


def verhoeff(number: str) -> int:
    """0 where the check digit is right: products of the dihedral group D5 of the digits, each turned by its place."""
    turn = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)
    check = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit)
        for _ in range(place % 8):
            value = turn[value]
        check = dihedral(check, value)
    return check


def dihedral(a: int, b: int) -> int:
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b - 5) % 5
    return 5 + (a - 5 - b) % 5 if b < 5 else (a - b) % 5


def test_check_digit_tells():
    assert verhoeff("80891009") == 0
    assert all(verhoeff(wrong) for wrong in ("80891008", "80981009", "80891090"))


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("heart", codes.SCT.Heart),
        ("liver", codes.SCT.Liver),
        ("aorta", codes.SCT.Aorta),
        ("kidney_left", codes.SCT.Kidney),
        ("lung_middle_lobe_right", codes.SCT.MiddleLobeOfRightLung),
        ("subclavian_artery_left", codes.SCT.SubclavianArtery),
        ("brain_hippocampus_left", codes.SCT.Hippocampus),
        ("vertebrae_L5", codes.SCT.L5Vertebra),
        ("lung_nodules", codes.SCT.Nodule),
    ],
)
def test_codes_are_those_of_dicom(key, code):
    assert HELD["structures"][key]["type"][0] == code.value


def test_sides_of_names_codes_and_tg263_agree():
    side = {"24028007": ("right", "_R"), "7771000": ("left", "_L")}
    for key, structure in HELD["structures"].items():
        modifier = structure.get("type_modifier") or structure.get("region_modifier")
        words = [word for word in ("left", "right") if word in structure["name"].split()]
        assert words == [word for word in ("left", "right") if word in key.split("_")], key
        if modifier:
            word, ending = side[modifier[0]]
            assert words == [word], key
            name = structure.get("tg263", "")
            other = "_L" if ending == "_R" else "_R"
            assert not name.endswith(other), key


def test_tg263_names_are_names_of_tg263():
    without_name = set()
    for key, structure in HELD["structures"].items():
        if "tg263" in structure:
            assert tg263.entry(structure["tg263"]).name == structure["tg263"]
        elif not key.startswith("brain_"):
            without_name.add(key)
    assert without_name == NO_TG263


@pytest.mark.parametrize("model", sorted(TOTALSEGMENTATOR))
def test_totalsegmentators_classes_have_the_names_that_tg263_gives_them(model):
    task = {"totalsegmentator-total-3mm": "total"}.get(model, model.removeprefix("totalsegmentator-").replace("-", "_"))
    for value, key in BY_ID[model].label_ids.items():
        known = tg263.of_totalsegmentator(task, key)
        assert BY_ID[model].labels[value].tg263 == (known.name if known else ""), key


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.kind == "nnunet"], ids=lambda entry: entry.id)
def test_networks_give_every_label_once(entry):
    given = [value for part in entry.settings["parts"] for value in part["labels"].values()]
    assert sorted(given) == sorted(entry.labels)
    for part in entry.settings["parts"]:
        assert list(map(int, part["labels"])) == list(range(1, len(part["labels"]) + 1))
    if crop := entry.settings.get("crop"):
        assert set(crop["structures"]) <= set(BY_ID[crop["model"]].label_ids.values())


def test_entries_that_share_a_folder_share_their_files():
    folders: dict[str, list[object]] = {}
    for entry in ENTRIES:
        folders.setdefault(entry.folder, []).append(entry.files)
    assert all(files == group[0] for group in folders.values() for files in group)


@pytest.mark.parametrize("entry", [one for one in ENTRIES if one.built_in and one.files], ids=lambda entry: entry.id)
def test_built_in_models_are_those_in_resources(entry):
    assert catalog.installed(entry) == resource("Models").parent
    assert catalog.verify(entry) == []
    card = json.loads((resource("Models") / f"{entry.id}.json").read_text())
    assert entry.files[0].hash.value == card["weights"]["sha256"]
    assert entry.files[0].size == card["weights"]["bytes"]
    assert entry.input.spacing_mm == (card["spacing_mm"],) * 3


def test_every_built_in_model_is_listed():
    there = {path.stem for path in resource("Models").glob("*.safetensors")}
    assert there == {Path(file.name).stem for entry in ENTRIES if entry.built_in for file in entry.files}


def test_a_method_without_weights_is_always_there():
    lungs = BY_ID["lungs"]
    assert catalog.installed(lungs) == resource("Models").parent
    assert catalog.verify(lungs) == []
    assert catalog.provenance(lungs)["sha256"] == ""
    drawn = {value: named(one) for value, one in LUNG_STRUCTURES.items()}
    assert drawn == {value: named(one) for value, one in lungs.labels.items()}


def test_labels_of_the_organs_are_those_that_it_draws():
    drawn = organ_model.built_in().structures
    listed = BY_ID["organs"].labels
    assert {value: named(one) for value, one in drawn.items()} == {value: named(one) for value, one in listed.items()}


def named(structure: Structure) -> tuple[object, ...]:
    return structure.name, structure.category, structure.type, structure.type_modifier, structure.tg263


def test_unknown_models_and_newer_lists(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"'nothing'.*thoraxai models list"):
        catalog.entry("nothing")
    newer = tmp_path / "catalog.json"
    newer.write_text(json.dumps(HELD | {"format": listing.FORMAT + 1}))
    monkeypatch.setattr(listing, "resource", lambda name: newer)
    listing._shipped.cache_clear()
    try:
        with pytest.raises(InputError, match="update ThoraxAI"):
            catalog.load()
    finally:
        listing._shipped.cache_clear()


def test_licence_number_and_non_commercial_are_said():
    terms = BY_ID["totalsegmentator-heartchambers-highres"].terms
    assert "no commercial use" in terms
    assert "licence number" in terms
    assert [entry.id for entry in ENTRIES if not entry.licence.commercial] == ["totalsegmentator-heartchambers-highres"]


def test_before_the_packages_are_installed_the_list_is_there(monkeypatch):
    """A fresh Slicer opens the panel before anything was installed."""
    monkeypatch.delenv("THORAXAI_MODELS")
    store._cache_folder.cache_clear()
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.setitem(sys.modules, "pooch", None)
    monkeypatch.setitem(sys.modules, "filelock", None)
    assert [one.id for one in catalog.load()] == [one.id for one in ENTRIES]
    assert state_of(BY_ID["organs"]) is State.BUILT_IN
    assert state_of(BY_ID["totalsegmentator-body"]) is State.TO_FETCH
    assert timing.estimate(task_for("lungs"), Grid((2, 2, 2), np.eye(4))) is None
