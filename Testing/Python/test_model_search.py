"""Finding models by words: their own, and those of what they find."""

from __future__ import annotations

import pytest
from tiny_models import entry_of, sha256

from SegmentationAILib import catalog
from SegmentationAILib.catalog.entry import ModelFile
from SegmentationAILib.catalog.search import matches, search
from SegmentationAILib.catalog.state import State, state_of

ENTRIES = [one for one in catalog.load() if one.task == "segmentation" and one.labels]


def ids(query: str, here: tuple[str, ...] = ()) -> list[str]:
    return [match.entry.id for match in search(ENTRIES, query, here)]


def found(query: str, model_id: str) -> set[str]:
    [match] = [one for one in search(ENTRIES, query) if one.entry.id == model_id]
    return {match.entry.label_ids[value] for value in match.values}


def test_nothing_typed_lists_all_and_what_is_built_in_first():
    assert ids("")[:2] == ["lungs", "organs"]
    assert len(ids("")) == len(ENTRIES)
    assert all(match.values == () for match in search(ENTRIES, " "))


def test_a_structure_finds_every_model_that_draws_it():
    expected = {one.id for one in ENTRIES if any("aort" in key for key in one.label_ids.values())}
    assert set(ids("aorta")) == expected != set()
    assert found("aorta", "totalsegmentator-total-3mm") == {"aorta"}


@pytest.mark.parametrize("query", ["oesophagus", "Esophagus", "ESOPH", "esophagus total"])
def test_english_and_american_spelling_and_beginnings(query):
    assert found(query, "totalsegmentator-total") == {"esophagus"}


def test_every_word_counts():
    assert found("lung upper left", "totalsegmentator-total") == {"lung_upper_lobe_left"}
    assert found("3mm spleen", "totalsegmentator-total-3mm") == {"spleen"}
    assert ids("3mm spleen") == ["monai-wholebody-ct-3mm", "totalsegmentator-total-3mm"]
    assert ids("aorta of a unicorn") == []


def test_a_title_comes_before_what_only_draws_it_and_what_is_here_before_both():
    assert ids("trunk")[0] == "totalsegmentator-body"
    assert ids("aorta", here=("moose-ct-cardiac",))[0] == "moose-ct-cardiac"
    assert ids("lung")[:2] == ["lungs", "organs"]


def test_a_structure_is_matched_by_itself():
    total = catalog.entry("totalsegmentator-total")
    values = [value for value in total.labels if matches(total, value, "adren l")]
    assert {total.label_ids[value] for value in values} == {"adrenal_gland_left"}


def test_states(tmp_path, monkeypatch):
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path))
    assert state_of(catalog.entry("lungs")) is State.BUILT_IN
    assert state_of(catalog.entry("totalsegmentator-body")) is State.TO_FETCH
    assert state_of(catalog.entry("totalsegmentator-heartchambers-highres")) is State.NEEDS_LICENCE
    (tmp_path / "w.pth").write_bytes(b"weights")
    entry = entry_of(ModelFile("w.pth", "https://example.org/w.pth", 7, sha256(b"weights")))
    folder = catalog.import_local(entry, tmp_path / "w.pth")
    assert state_of(entry) is State.INSTALLED
    (folder / "w.pth").write_bytes(b"other")
    assert state_of(entry) is State.DAMAGED
    assert not State.DAMAGED.runs
