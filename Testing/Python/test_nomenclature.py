"""Names of AAPM TG-263: the list is sound, the grammar is kept, local names are understood and never renamed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SegmentationAILib import terminology
from SegmentationAILib.radiotherapy.local_names import propose
from SegmentationAILib.radiotherapy.nomenclature import check, check_set
from SegmentationAILib.radiotherapy.tg263 import LONGEST, entries, entry, of_totalsegmentator

SIDES = {"L": "left", "R": "right"}


def test_names_fit_planning_systems():
    for names in ([one.name for one in entries()], [one.reverse for one in entries()]):
        assert len({name.lower() for name in names}) == len(names)
        assert all(0 < len(name) <= LONGEST for name in names)
    assert all(sorted(one.name.split("_")) == sorted(one.reverse.split("_")) for one in entries())


def test_every_name_follows_the_rules_in_both_orders():
    assert [one.name for one in entries() if check(one.name)] == []
    assert [one.reverse for one in entries() if check(one.reverse)] == []


def test_both_sides_or_none():
    names = {one.name for one in entries()}
    other = {"L": "R", "R": "L"}
    one_sided = {one.name for one in entries() if one.side and one.name[:-1] + other[one.side] not in names}
    assert one_sided == {"Atrium_Append_L"}


def test_codes_are_snomed_identifiers():
    """SNOMED CT identifiers end in a Verhoeff check digit; the two before it say that they are concepts."""
    coded = [one.snomed for one in entries() if one.snomed]
    assert len(coded) > 150
    assert all(code.isdigit() and code[-3:-1] in ("00", "10") and verhoeff(code) == 0 for code in coded)


def verhoeff(code: str) -> int:
    """0 where the check digit is right (Verhoeff 1969): products in the dihedral group of the pentagon."""

    def product(a: int, b: int) -> int:
        turn = a + b if a < 5 else a - b
        return turn % 5 + 5 * ((a < 5) != (b < 5))

    permutation, total = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % 8):
            value = permutation[value]
        total = product(total, value)
    return total


def test_the_codes_that_the_project_writes_are_the_same():
    for structure in vars(terminology).values():
        if isinstance(structure, terminology.Structure) and structure.tg263:
            assert entry(structure.tg263).snomed == structure.type.value


@pytest.mark.parametrize(
    ("task", "class_name", "name"),
    [
        ("total", "lung_upper_lobe_left", "Lung_LUL"),
        ("total", "vertebrae_T7", "VB_T07"),
        ("total", "rib_right_3", "Rib03_R"),
        ("total", "spinal_cord", "SpinalCord"),
        ("total", "superior_vena_cava", "V_Venacava_S"),
        ("heartchambers_highres", "heart_atrium_left", "Atrium_L"),
        ("pleural_pericard_effusion", "pleural_effusion", "Effusion_Pleural"),
        ("lung_vessels", "lung_airways", "Bronchus"),
    ],
)
def test_totalsegmentator_classes(task, class_name, name):
    assert of_totalsegmentator(task, class_name).name == name


def test_totalsegmentator_total_is_complete():
    total = [one for entry_ in entries() for one in entry_.totalsegmentator if one.startswith("total:")]
    assert len(total) == len(set(total)) == 117
    assert of_totalsegmentator("total", "tail") is None


def test_every_synonym_leads_home():
    for one in entries():
        for synonym in one.synonyms:
            said = f"{synonym} {SIDES[one.side]}" if one.side else synonym
            assert propose(said).name == one.name, said
        for held in one.totalsegmentator:
            assert propose(held.partition(":")[2]).name == one.name, held


@pytest.mark.parametrize(
    ("local", "name"),
    [
        ("spinal cord", "SpinalCord"),
        ("LT LUNG", "Lung_L"),
        ("Lung, Right", "Lung_R"),
        ("Lunge links", "Lung_L"),
        ("Poumon G", "Lung_L"),
        ("Polmone dx", "Lung_R"),
        ("pulmón izquierdo", "Lung_L"),
        ("Long rechts", "Lung_R"),
        ("cord PRV 5mm", "SpinalCord_PRV05"),
        ("SpinalCord+3mm", "SpinalCord_PRV03"),
        ("PRV cord", "SpinalCord_PRV"),
        ("optic nerve left PRV 3", "OpticNrv_PRV03_L"),
        ("oesophagus", "Esophagus"),
        ("Ösophagus", "Esophagus"),
        ("Myelon", "SpinalCord"),
        ("Herz", "Heart"),
        ("moelle", "SpinalCord"),
        ("cœur", "Heart"),
        ("Kidney Lt", "Kidney_L"),
        ("bowel bag", "Bag_Bowel"),
        ("BWK 5", "VB_T05"),
        ("Th12", "VB_T12"),
        ("L3", "VB_L3"),
        ("rippe 4 re", "Rib04_R"),
        ("lungs minus gtv", "Lungs-GTV"),
        ("PTV 60Gy", "PTV_6000"),
        ("PTV60", "PTV_6000"),
        ("PTV1_50.4Gy", "PTV1_5040"),
        ("GTV-1", "GTV1"),
        ("ptv high", "PTV_High"),
        ("Heart_AI", "Heart"),
        ("esophogus", "Esophagus"),
    ],
)
def test_local_names(local, name):
    proposal = propose(local)
    assert proposal.name == name
    assert check(proposal.name) == []
    assert 0.5 <= proposal.confidence < 1
    assert local in proposal.reason or len(proposal.reason) > 20


def test_confidence_says_how_far_to_trust():
    assert propose("SpinalCord_PRV05").confidence == propose("Lung_L").confidence == 1
    assert propose("lung").confidence < 0.7 < propose("lungs").confidence
    assert propose("lung").name == "Lungs"
    assert "side" in propose("lung").reason
    assert propose("esophogus").confidence < propose("oesophagus").confidence
    assert propose("PTV60").confidence < propose("PTV 60 Gy").confidence


@pytest.mark.parametrize(
    "unknown", ["", "  ", "couch", "asdf", "T13", "Rib 13 left", "left right lung", "-", "minus GTV"]
)
def test_nothing_is_guessed(unknown):
    assert propose(unknown) is None


@given(st.text(max_size=20))
def test_any_text_is_judged(text):
    proposal = propose(text)
    assert check(text) != [] or len(text) <= LONGEST
    assert proposal is None or (0 < proposal.confidence <= 1 and len(proposal.name) <= LONGEST)
    assert all(finding.text.endswith(".") for finding in check(text))


@pytest.mark.parametrize(
    "name",
    [
        "GTV",
        "GTVp",
        "GTVn1",
        "CTVp2",
        "ITVp",
        "IGTVp",
        "ICTV",
        "PTVp_6000",
        "PTV_High",
        "PTV_Low02",
        "PTV!",
        "PTV_50.4Gy",
        "PTV_Liver_20Gyx3",
        "GTVp1_CT1PT1",
        "PTVp1-03",
        "PTV-Heart",
        "CTV_Heart",
        "PTV^Boost",
        "GTVpar",
        "CTVsb",
        "zPTV_6000",
        "xLung_L",
        "z_Ring",
        "Lungs-GTV",
        "Lungs-PTV-GTV",
        "Kidney_L-GTV",
        "SpinalCord_PRV",
        "SpinalCord_PRV05",
        "OpticNrv_PRV03_L",
        "L_Lung",
        "Heart~",
        "Lung~_L",
        "Heart^Senior",
    ],
)
def test_names_by_the_rules(name):
    assert check(name) == []


@pytest.mark.parametrize(
    ("name", "part", "proposal"),
    [
        ("", "no name", ""),
        ("spinal cord", "a space", "SpinalCord"),
        ("Heart/Lung", "'/'", ""),
        ("Left_Lung_Upper_Lobe", "20 characters", "Lung_LUL"),
        ("lung_l", "other capitals", "Lung_L"),
        ("SpinalCord_PRV5", "two, in mm", "SpinalCord_PRV05"),
        ("Oesophagus", "not a name of TG-263", "Esophagus"),
        ("Lung", "which side", "Lungs"),
        ("Foo", "no name known here", ""),
        ("Esophogus", "spelt nearly like", "Esophagus"),
        ("Lungs-Foo", "'Foo'", ""),
        ("PTV_Foo", "'Foo' behind the target", ""),
        ("PTV-Foo", "takes away 'Foo'", ""),
        ("PTV_6000cGy", "6000cGy", "PTV_6000"),
        ("ptv_60", "not a name", "PTV_6000"),
        ("PTV_High_Low", "behind the target", ""),
    ],
)
def test_names_against_the_rules(name, part, proposal):
    (finding,) = check(name)
    assert part in finding.text
    assert finding.proposal == proposal
    assert (f"write '{proposal}'" in finding.text) == bool(proposal)


def test_a_set_of_names():
    assert check_set(["Lung_L", "Lung_R", "Heart", "PTV_6000"]) == []
    assert check_set(["L_Lung", "R_Lung", "Heart"]) == []
    twins = check_set(["PTV_High", "Heart", "Heart"])
    assert [finding.text for finding in twins if "one name" in finding.text]
    (mixed,) = check_set(["Lung_L", "R_Lung", "Heart"])
    assert mixed.proposal == "Lung_R"
