"""The language of rules: what is written is what is read, and an error says where it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.margin_recipes import Margins, PerAxis, per_axis, van_herk
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.rule_writing import clinical, expansion
from SegmentationAILib.radiotherapy.rules import SIDES, Call, Combination, Rule, Source, renamed, sources, terms

DISTANCES = st.floats(-200, 200, allow_nan=False)
# TG-263's names, names that need quotes, and names that look like the language's own words.
NAMES = st.one_of(
    st.sampled_from(
        ["GTVp", "Lung_L", "Lungs-GTV", "PTV_6000", "expand", "left", "PTV^Boost", "A_Aorta~", "3rd", 'a"b']
    ),
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=16),
)


def _calls(rules: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    sides = st.dictionaries(st.sampled_from(SIDES), DISTANCES, min_size=1).map(lambda d: tuple(d.items()))
    gaps = st.one_of(st.just(()), st.floats(0, 50).map(lambda gap: (("gap", gap),)))
    barriers = rules.map(lambda rule: (("barriers", rule), ("invaded", terms(rule)[-1])))
    return st.one_of(
        st.builds(Combination, st.sampled_from("+-&"), rules, rules),
        st.builds(lambda a, s: Call("expand", (a,), s), rules, sides),
        st.builds(lambda a, d, s: Call("expand", (a, d), s), rules, DISTANCES, sides),
        st.builds(
            lambda f, a: Call(f, tuple(a)),
            st.sampled_from(["union", "intersection"]),
            st.lists(rules, min_size=1, max_size=3),
        ),
        st.builds(lambda f, a, b, g: Call(f, (a, b), g), st.sampled_from(["outside", "inside"]), rules, rules, gaps),
        st.builds(lambda a, d, o: Call("ctv", (a, d), o), rules, DISTANCES, barriers),
    )


RULES = st.recursive(st.builds(Source, NAMES, st.booleans()), _calls, max_leaves=8)


@given(RULES)
def test_what_is_written_is_what_is_read(rule):
    assert parse_rule(str(rule)) == rule


@given(RULES, NAMES, NAMES)
def test_a_name_is_replaced_everywhere(rule, old, new):
    rule = Combination("-", rule, Source(old))
    there = {name.lower() for name in sources(rule)}
    after = renamed(rule, old, new)
    assert {name.lower() for name in sources(after)} == (there - {old.lower()}) | {new.lower()}
    assert parse_rule(str(after)) == after


@given(st.text(max_size=40))
def test_any_text_is_a_rule_or_refused_with_its_column(text):
    try:
        rule = parse_rule(text)
    except InputError as error:
        refusal = str(error)
    else:
        refusal = ""
        assert parse_rule(str(rule)) == rule
    assert not refusal or re.search(r", column \d+: .*; correct the rule\.$", refusal, re.DOTALL)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("A - B - C", "(A - B) - C"),
        ("A - B & C", "A - (B & C)"),
        ("A + B - C", "(A + B) - C"),
        ('"Lungs-GTV"', '"Lungs-GTV"'),
        ("Lungs-GTV", "Lungs - GTV"),
        ("expand( A,-3.50 )", "expand(A, -3.5)"),
    ],
)
def test_ranks_quotes_and_spaces(text, meaning):
    assert parse_rule(text) == parse_rule(meaning)


def test_parentheses_are_kept_where_they_matter():
    assert str(parse_rule("A - (B - C)")) == "A - (B - C)"
    assert str(parse_rule("((A) - B) - C")) == "A - B - C"
    assert str(parse_rule("(A + B) & C")) == "(A + B) & C"


def test_sources_are_named_once_in_order():
    rule = parse_rule("ctv(GTVp, 8, within=Lungs, barriers=Bone + Heart + gtvp, invaded=Heart)")
    assert sources(rule) == ("GTVp", "Lungs", "Bone", "Heart")


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a structure's name"),
        ("Lungs - ", 9, "a structure's name"),
        ("Lungs GTVp", 7, "an operator"),
        ("(Lungs - GTVp", 14, "')'"),
        ("shrink(GTVp, 3)", 1, "one of the functions expand"),
        ("expand(GTVp)", 12, "a distance in mm"),
        ("expand(GTVp, Heart)", 14, "a distance in mm"),
        ("expand(GTVp, 5, up=3)", 17, "one of the options left"),
        ("expand(GTVp, left=5, left=6)", 22, "left= only once"),
        ("expand(GTVp, left=Heart)", 19, "a distance in mm for left"),
        ("expand(GTVp, 1e999)", 14, "a distance in mm"),
        ("expand(GTVp, left=5, 3)", 22, "or ')'"),
        ("expand(5, GTVp)", 8, "a structure's name"),
        ("outside(PTV)", 12, "another structure: outside takes 2 structures"),
        ("outside(PTV, Cord, 2)", 20, "gap="),
        ("inside(PTV, External, gap=-2)", 27, "a gap of 0 mm or more"),
        ("union(Lung_L, Lung_R, gap=2)", 23, "no option"),
        ("ctv(GTVp, 8, barriers=Bone, invaded=Heart)", 29, "invaded= names Heart"),
        ("GTVp * 2", 6, "one of + - &"),
        ('GTVp - "Lungs', 8, "a name"),
        ("A" + " + A" * 200, 401, "more than 200 words"),
        ("(" * 5000, 201, "more than 200 words"),
    ],
)
def test_an_error_names_the_column_and_what_was_expected(text, column, expected):
    with pytest.raises(InputError) as caught:
        parse_rule(text)
    assert f"column {column}:" in str(caught.value)
    assert expected in str(caught.value)


def test_the_longest_rule_can_be_read_written_and_searched():
    chain = parse_rule("A" + " + A" * 99)
    nest = parse_rule("(" * 99 + "A" + ")" * 99)
    assert parse_rule(str(chain)) == chain
    assert len(terms(chain)) == 100
    assert nest == Source("A")


MARGINS = st.builds(Margins, *[st.floats(0, 50)] * 6)


def test_rules_from_values():
    van_herks = per_axis(van_herk, PerAxis(3, 3, 4), PerAxis(2, 2, 2))
    assert str(expansion("CTVp", Margins.isotropic(5))) == "expand(CTVp, 5)"
    assert str(expansion("CTV-1", Margins(superior=8))) == 'expand("CTV-1", superior=8)'
    assert str(expansion("CTVp", van_herks)) == (
        "expand(CTVp, left=8.9, right=8.9, anterior=8.9, posterior=8.9, superior=11.4, inferior=11.4)"
    )
    rule = clinical("GTVp", Margins.isotropic(8), within="Lungs", barriers=["Bone", "Heart"], invaded=["Heart"])
    assert str(rule) == "ctv(GTVp, 8, within=Lungs, barriers=Bone + Heart, invaded=Heart)"
    assert str(clinical("GTVp", Margins.isotropic(6))) == "ctv(GTVp, 6)"
    with pytest.raises(InputError, match="'Heart' is invaded but is no barrier"):
        clinical("GTVp", Margins.isotropic(8), barriers=["Bone"], invaded=["Heart"])


@given(NAMES, MARGINS, st.lists(NAMES, max_size=4), st.data())
def test_rules_from_values_can_be_read(gtv, margins, barriers, data):
    invaded = data.draw(st.lists(st.sampled_from(barriers), max_size=2)) if barriers else []
    for rule in (expansion(gtv, margins), clinical(gtv, margins, barriers=barriers, invaded=invaded)):
        assert parse_rule(str(rule)) == rule
