"""The graph of derived structures: what is made again, in which order, and what is refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.radiotherapy.graph import Edge, delete, dependants, describe, edges, rebuild, rename
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import Grid

GRID = Grid((32, 32, 32), np.eye(4))
RULES = {
    "GTVp": "",
    "Lung_L": "",
    "Lung_R": "",
    "SpinalCord": "",
    # Listed before what they are made of: the set's order is for showing only.
    "PTVp": "outside(expand(CTVp, 3), SpinalCord_PRV05, gap=1)",
    "CTVp": "ctv(GTVp, 4, within=Lungs)",
    "SpinalCord_PRV05": "expand(SpinalCord, 5)",
    "Lungs": "Lung_L + Lung_R",
    "Lungs-GTV": "Lungs - GTVp",
}


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(np.moveaxis(np.indices(GRID.shape), 0, -1) - np.array(centre), axis=-1) <= radius


DRAWN = {
    "GTVp": ball((16, 16, 8), 4),
    "Lung_L": ball((16, 16, 8), 8),
    "Lung_R": ball((16, 16, 24), 7),
    "SpinalCord": ball((16, 26, 16), 2),
}


def structure_set(rules: dict[str, str] = RULES) -> StructureSet:
    empty = np.zeros(GRID.shape, dtype=bool)
    return StructureSet(
        GRID, tuple(RTStructure(name, Role.ORGAN, DRAWN.get(name, empty), rule=rule) for name, rule in rules.items())
    )


class Builds:
    """Counts what is made again."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def progress(self) -> Progress:
        return Progress(lambda _, text: self.names.append(text))


@pytest.fixture(scope="module")
def built() -> StructureSet:
    return rebuild(structure_set())


def test_everything_is_made_after_its_sources(built):
    builds = Builds()
    rebuild(structure_set(), progress=builds.progress())
    assert sorted(builds.names) == sorted(name for name, rule in RULES.items() if rule)
    place = builds.names.index
    assert place("Lungs") < place("CTVp") < place("PTVp")
    assert place("SpinalCord_PRV05") < place("PTVp")
    lungs = DRAWN["Lung_L"] | DRAWN["Lung_R"]
    assert np.array_equal(built["Lungs"].mask, lungs)
    assert np.array_equal(built["Lungs-GTV"].mask, lungs & ~DRAWN["GTVp"])
    assert np.array_equal(built["CTVp"].mask, ball((16, 16, 8), 8))
    assert built["PTVp"].mask.sum() > built["CTVp"].mask.sum()
    assert [one.name for one in built] == list(RULES)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (["SpinalCord"], {"SpinalCord_PRV05", "PTVp"}),
        (["lung_r"], {"Lungs", "Lungs-GTV", "CTVp", "PTVp"}),
        (["GTVp"], {"CTVp", "PTVp", "Lungs-GTV"}),
        (["CTVp"], {"CTVp", "PTVp"}),
        (["PTVp"], {"PTVp"}),
        (["PTVp", "SpinalCord"], {"SpinalCord_PRV05", "PTVp"}),
        ([], set()),
    ],
)
def test_only_what_depends_on_a_change_is_made_again(built, changed, expected):
    builds = Builds()
    after = rebuild(built, changed, progress=builds.progress())
    assert set(builds.names) == expected
    assert len(builds.names) == len(expected)
    kept = [one.name for one in built if one.name not in expected]
    assert all(after[name].mask is built[name].mask for name in kept)
    assert all(np.array_equal(after[name].mask, built[name].mask) for name in expected)


def test_a_moved_source_moves_what_is_made_of_it(built):
    moved = replace(built["SpinalCord"], mask=ball((16, 26, 10), 2))
    after = rebuild(built.with_structure(moved), ["SpinalCord"])
    assert after["SpinalCord_PRV05"].mask[16, 26, 5]
    assert not built["SpinalCord_PRV05"].mask[16, 26, 5]


@st.composite
def layered_rules(draw: st.DrawFn) -> dict[str, str]:
    """Structures S0…Sn in any order, each made of earlier ones or drawn."""
    rules = {}
    for n in range(draw(st.integers(2, 8))):
        made_of = draw(st.lists(st.integers(0, n - 1), max_size=3, unique=True)) if n else []
        rules[f"S{n}"] = " + ".join(f"S{m}" for m in made_of)
    return dict(draw(st.permutations(list(rules.items()))))


@given(layered_rules(), st.data())
@settings(deadline=None, max_examples=50)
def test_a_change_reaches_exactly_its_dependants(rules, data):
    """A rebuild after a change gives what building all gives, and touches only what depends on it."""
    grid = Grid((1, 1, len(rules)), np.eye(4))

    def drawn(name: str) -> np.ndarray:
        return np.arange(len(rules)).reshape(grid.shape) == int(name[1:])

    whole = rebuild(StructureSet(grid, tuple(RTStructure(n, Role.ORGAN, drawn(n), rule=r) for n, r in rules.items())))
    changed = data.draw(st.sampled_from([name for name, rule in rules.items() if not rule]))
    fresh = whole.with_structure(replace(whole[changed], mask=~whole[changed].mask))
    builds = Builds()
    partly = rebuild(fresh, [changed], progress=builds.progress())
    assert set(builds.names) == set(dependants(whole, changed))
    assert all(np.array_equal(one.mask, partly[one.name].mask) for one in rebuild(fresh))


def test_cycles_are_refused_with_their_chain():
    looped = structure_set({"A": "B - D", "B": "expand(C, 2)", "C": "A + D", "D": ""})
    for act in (rebuild, describe, lambda s: rebuild(s, ["D"])):
        with pytest.raises(InputError, match="themselves") as caught:
            act(looped)
        assert any(
            chain in str(caught.value) for chain in ("A needs B needs C", "B needs C needs A", "C needs A needs B")
        )
    with pytest.raises(InputError, match="A needs A"):
        rebuild(structure_set({"A": "A + B", "B": ""}))


def test_missing_sources_are_refused_with_their_chain():
    rules = {"PTVp": "expand(CTVp, 5)", "CTVp": "expand(GTVp, 5)", "Heart": "", "Heart_PRV": "expand(Heart, 3)"}
    with pytest.raises(InputError, match="PTVp needs CTVp needs GTVp, which is not in the set"):
        rebuild(structure_set(rules))
    with pytest.raises(InputError, match="no structure 'Hart'"):
        rebuild(structure_set(rules), ["Hart"])
    builds = Builds()
    rebuild(structure_set(rules), ["Heart"], progress=builds.progress())
    assert builds.names == ["Heart_PRV"]


def test_an_unreadable_rule_is_named():
    with pytest.raises(InputError, match=r"'CTVp' cannot be made\. In the rule 'expand\(GTVp\)', column 12"):
        rebuild(structure_set({"GTVp": "", "CTVp": "expand(GTVp)"}))


def test_a_cancelled_rebuild_stops():
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        rebuild(structure_set(), progress=Progress(cancel=token))


def test_description():
    lines = describe(structure_set()).splitlines()
    assert len(lines) == len(RULES)
    assert "CTVp = ctv(GTVp, 4, within=Lungs)" in lines
    names = [line.split(" = ")[0] for line in lines]
    assert names.index("GTVp") < names.index("CTVp") < names.index("PTVp")
    assert Edge("Lungs", "Lungs-GTV") in edges(structure_set())
    assert len(edges(structure_set())) == 2 + 2 + 1 + 2 + 2
    assert dependants(structure_set(), "gtvp")[-1] in {"PTVp", "Lungs-GTV"}
    assert set(dependants(structure_set(), "gtvp")) == {"CTVp", "PTVp", "Lungs-GTV"}


def test_renaming_a_source_renames_it_in_every_rule(built):
    after = rename(rename(built, "gtvp", "GTV-1"), "Lungs", "Lungs^All")
    assert after["CTVp"].rule == 'ctv("GTV-1", 4, within=Lungs^All)'
    assert after["Lungs-GTV"].rule == 'Lungs^All - "GTV-1"'
    assert after["PTVp"].rule == RULES["PTVp"]
    assert next(one.name for one in after) == "GTV-1"
    again = rebuild(after)
    assert all(np.array_equal(again[one.name].mask, one.mask) for one in after)


def test_a_change_of_case_is_a_renaming(built):
    assert rename(built, "GTVp", "gtvP")["CTVp"].rule == "ctv(gtvP, 4, within=Lungs)"


@pytest.mark.parametrize(
    ("old", "new", "words"), [("GTVp", "lungs", "named"), ("GTVp", " ", "empty"), ("CTV", "X", "no structure")]
)
def test_renaming_is_refused(built, old, new, words):
    with pytest.raises(InputError, match=words):
        rename(built, old, new)


def test_deleting_a_source(built):
    with pytest.raises(InputError, match="'Lungs' cannot be deleted: CTVp, Lungs-GTV would lose"):
        delete(built, "lungs")
    after = delete(built, "lungs", keep_dependants=True)
    assert "Lungs" not in after
    assert after["CTVp"].rule == ""
    assert after["CTVp"].mask is built["CTVp"].mask
    assert after["PTVp"].rule == RULES["PTVp"]
    rebuild(after)
    assert "PTVp" not in delete(built, "PTVp")


def test_what_is_optional_counts_as_soon_as_it_is_there():
    """A barrier that nobody drew stops nothing; drawn, it does, and what is made of it is made again."""
    rules = {"GTVp": "", "Lung_L": "", "CTVp": "ctv(GTVp, 4, within=Lung_L, barriers=Heart? + Bone?)"}
    without = rebuild(structure_set(rules))
    assert np.array_equal(without["CTVp"].mask, rebuild(structure_set(RULES))["CTVp"].mask)
    heart = RTStructure("Heart", Role.ORGAN, ball((16, 22, 8), 4) & ~DRAWN["GTVp"])
    builds = Builds()
    with_heart = rebuild(without.with_structure(heart), ["Heart"], progress=builds.progress())
    assert builds.names == ["CTVp"]
    assert (without["CTVp"].mask & heart.mask).any()
    assert not (with_heart["CTVp"].mask & heart.mask).any()
    assert Edge("Heart", "CTVp") in edges(with_heart)
