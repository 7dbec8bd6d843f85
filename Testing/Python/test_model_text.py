"""What the panel says of models: short, and as precise as it is known."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import pytest
from tiny_models import LICENCE, entry_of

from SegmentationAILib import catalog
from SegmentationAILib.catalog.entry import Licence
from SegmentationAILib.catalog.search import Match
from SegmentationAILib.catalog.state import State
from SegmentationAILib.catalog.timing import Estimate
from SegmentationAILib.widgets.model_text import card_html, duration, named, names_missing, row_text, size, terms_html

TOTAL = catalog.entry("totalsegmentator-total")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (7.4, "7 s"), (43, "45 s"), (89, "90 s"), (100, "2 min"), (1200, "20 min")]
)
def test_durations_are_no_more_precise_than_estimates_are(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(3, "1 MB"), (135_386_075, "135 MB"), (1_169_624_951, "1.2 GB")])
def test_sizes_are_those_of_a_browser(count, text):
    assert size(count) == text


def test_many_names_are_counted():
    assert named(["a", "b"], 2) == "a, b"
    assert named(["a", "b", "c", "d"], 2) == "a, b and 2 more"


def test_a_row_tells_what_was_found_by_the_words():
    [aorta] = [value for value, key in TOTAL.label_ids.items() if key == "aorta"]
    title, facts = row_text(Match(TOTAL, (aorta,)), State.TO_FETCH, None).split("\n")
    assert title == "TotalSegmentator, 1.5 mm"
    assert facts.split(" \N{MIDDLE DOT} ") == ["aorta", "Apache-2.0", "1.2 GB"]
    lobes = tuple(value for value, key in TOTAL.label_ids.items() if "lobe" in key)
    assert "\n5 of 117 structures" in row_text(Match(TOTAL, lobes), State.TO_FETCH, None)
    facts = row_text(Match(TOTAL), State.INSTALLED, Estimate(43.0, 2)).split("\n")[1]
    assert facts.split(" \N{MIDDLE DOT} ") == ["117 structures", "Apache-2.0", "~45 s", "installed"]


def test_what_may_not_be_sold_says_so_everywhere():
    entry = catalog.entry("totalsegmentator-heartchambers-highres")
    assert "non-commercial" in row_text(Match(entry), State.NEEDS_LICENCE, None)
    assert "no commercial use" in card_html(entry, State.NEEDS_LICENCE, None)
    assert "no commercial use" in terms_html(entry, "models")
    assert escape(entry.note) in card_html(entry, State.NEEDS_LICENCE, None)


def test_a_licence_that_nobody_stated_is_not_invented():
    entry = entry_of(licence=Licence("own", "not stated", "", False, "Ask."))
    assert "licence not stated" in row_text(Match(entry), State.INSTALLED, None)
    assert "commercial" not in card_html(entry, State.INSTALLED, None)


def test_marks_of_the_model_are_text_not_markup():
    entry = entry_of(title="<img src=x>", licence=replace(LICENCE, name="<b>free</b>"), citation=("<script>",))
    for html in (card_html(entry, State.TO_FETCH, None), terms_html(entry, "<folder>")):
        assert "<img" not in html
        assert "<script" not in html
        assert "<folder" not in html
        assert "<b>free" not in html


def test_the_terms_name_every_citation_server_and_folder():
    html = terms_html(TOTAL, "/models/total")
    assert all(line in html for line in TOTAL.citation)
    assert "1.2 GB from github.com" in html
    assert "/models/total" in html


def test_what_was_wanted_and_not_found_is_named():
    found = ["right lung", "left lung"]
    lungs = catalog.entry("lungs")
    assert names_missing(lungs, None, found) == "trachea and bronchi"
    assert names_missing(lungs, ["lung_left"], found) == ""
