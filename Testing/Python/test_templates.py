"""Site protocols: each that is shipped loads and builds, and a broken file is named with its line."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from SegmentationAILib.errors import InputError
from SegmentationAILib.organ_model import STRUCTURES
from SegmentationAILib.organs import LUNG_STRUCTURES
from SegmentationAILib.radiotherapy.dose_metrics import parse_metric
from SegmentationAILib.radiotherapy.graph import rebuild
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.rules import sources
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.radiotherapy.template import Applied, Template, Unbuilt, apply, list_templates, read_template
from SegmentationAILib.resources import resource
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

SHIPPED = sorted(resource("Protocols").glob("*.yaml"))
TASKS = {
    "lungs": {one.tg263 for one in LUNG_STRUCTURES.values()},
    "organs": {one.tg263 for one in STRUCTURES.values()},
    "body": {"External"},
}
SITES = {"lung", "oesophagus", "breast", "mediastinum"}


def grid() -> Grid:
    """A chest in voxels of 5 mm whose axes run to L, P and S."""
    matrix = LPS_FROM_RAS @ np.diag([5.0, 5.0, 5.0, 1.0])
    matrix[:3, 3] = (150, 110, -120)
    return Grid((48, 45, 61), matrix)


@cache
def drawn(target: tuple[float, float, float]) -> dict[str, np.ndarray]:
    """A coarse chest in RAS mm with whatever a protocol may ask for; the target is a ball of 12 mm."""
    k, j, i = np.indices(grid().shape)
    ras = grid().ras(np.stack([i, j, k], axis=-1))

    def ellipsoid(centre, radii) -> np.ndarray:
        return (((ras - centre) / radii) ** 2).sum(axis=-1) <= 1

    def tube(r, a, radius) -> np.ndarray:
        return np.hypot(ras[..., 0] - r, ras[..., 1] - a) <= radius

    lung_l = ellipsoid((-65, 0, 0), (45, 70, 100))
    lung_r = ellipsoid((65, 0, 0), (45, 70, 100))
    gtv = ellipsoid(target, (12, 12, 12))
    return {
        "External": (ras[..., 0] / 140) ** 2 + (ras[..., 1] / 100) ** 2 <= 1,
        "Lung_L": lung_l,
        "Lung_R": lung_r,
        "Heart": ellipsoid((-15, 30, -50), (35, 30, 40)) & ~lung_l & ~lung_r,
        "A_Aorta": tube(-12, -35, 8),
        "Esophagus": tube(4, -30, 6),
        "Trachea": tube(0, -5, 8) & (ras[..., 2] > 30),
        "SpinalCord": tube(0, -70, 6),
        "Bone": tube(0, -70, 20) & ~tube(0, -70, 9),
        "Liver": ellipsoid((70, 0, -115), (50, 50, 20)) & ~lung_r,
        "Kidneys": ellipsoid((45, -50, -118), (20, 20, 15)) & ~lung_r,
        "GreatVes": tube(-12, -35, 8),
        "BrachialPlex_L": ellipsoid((-70, -10, 105), (25, 6, 6)),
        "BrachialPlex_R": ellipsoid((70, -10, 105), (25, 6, 6)),
        "Breast_L": ellipsoid((-75, 70, -20), (35, 20, 35)),
        "Breast_R": ellipsoid((75, 70, -20), (35, 20, 35)),
        "Glnd_Thyroid": ellipsoid((0, 10, 112), (25, 8, 6)),
        "GTVp": gtv,
        "GTVn": ellipsoid((20, -8, 20), (8, 8, 8)) & ~lung_r,
        "ITVp": gtv | ellipsoid((target[0], target[1], target[2] + 8), (12, 12, 12)),
        "CTVp": ellipsoid(target, (20, 20, 25)),
    }


TARGETS = {
    "lung": (-70.0, 0.0, 10.0),
    "oesophagus": (4.0, -30.0, -20.0),
    "mediastinum": (0.0, 20.0, 30.0),
    "breast": (75.0, 70.0, -20.0),
}


def phantom(template: Template, without: tuple[str, ...] = ()) -> StructureSet:
    """The drawn structures of a protocol, on the phantom."""
    masks = drawn(TARGETS[template.site])
    if template.name == "Breast, left":
        masks = drawn((-75.0, 70.0, -20.0))
    wanted = [one for one in template.structures if not one.rule and one.name not in without]
    return StructureSet(
        grid(), tuple(RTStructure(one.name, one.role, masks[one.name], one.colour) for one in wanted), "phantom"
    )


@pytest.fixture(scope="module", params=SHIPPED, ids=lambda path: path.stem)
def shipped(request) -> Template:
    return read_template(request.param)


def test_every_site_is_there():
    found = list_templates()
    assert found.problems == ()
    assert [one.path for one in found.templates] == SHIPPED
    assert {one.site for one in found.templates} == SITES


def test_a_shipped_template_says_where_its_numbers_are_from(shipped):
    assert shipped.source
    assert shipped.prescription.source
    assert all(one.source for one in shipped.goals)
    numbered = [one for one in shipped.structures if any(sign.isdigit() for sign in "".join(_numbers(one.rule)))]
    assert all(one.source for one in numbered)
    assert shipped.prescription.target in {one.name for one in shipped.structures if one.role is Role.PTV}


def _numbers(rule: str) -> list[str]:
    """A rule without its names."""
    words = rule
    for name in sources(parse_rule(rule)) if rule else ():
        words = words.replace(name, "")
    return [words]


def test_tasks_draw_what_the_template_says(shipped):
    for one in shipped.structures:
        assert not one.task or one.name in TASKS[one.task]


def test_colours_differ_and_goals_are_metrics(shipped):
    assert all(0 <= channel <= 1 for one in shipped.structures for channel in one.colour)
    assert all(parse_metric(goal.metric) for goal in shipped.goals)


@pytest.fixture(scope="module")
def applied(shipped) -> Applied:
    return apply(shipped, phantom(shipped))


def test_a_shipped_template_builds(shipped, applied):
    assert applied.unbuilt == ()
    held = applied.structure_set
    assert {one.name for one in held} == {one.name for one in shipped.structures}
    for one in shipped.structures:
        assert held[one.name].mask.any(), one.name
        assert held[one.name].role is one.role
        assert held[one.name].rule == one.rule
    target = held[shipped.prescription.target].mask
    assert not (target & ~held["External"].mask).any()
    gross = next(held[name].mask for name in ("GTVp", "CTVp") if name in held)
    kept = gross if shipped.site != "breast" else gross & target
    assert not (kept & ~target).any()
    for name in ("CTVp", "CTVn"):
        if name in held and held[name].rule:
            assert not (held[name].mask & held["Bone"].mask).any()
            assert held[name].mask.sum() > held[name.replace("C", "G")].mask.sum()


def test_a_rebuild_of_an_applied_template_changes_nothing(applied):
    held = applied.structure_set
    assert all(np.array_equal(one.mask, held[one.name].mask) for one in rebuild(held))


@pytest.fixture(scope="module")
def lung() -> Template:
    return read_template(resource("Protocols/lung_conventional.yaml"))


def test_what_is_missing_is_said(lung):
    applied = apply(lung, phantom(lung, without=("GTVn", "SpinalCord")))
    lacking = {one.name: one.missing for one in applied.unbuilt}
    assert lacking == {
        "CTVn": ("GTVn",),
        "SpinalCord_PRV05": ("SpinalCord",),
    }
    assert {"Lungs", "CTVp"} <= {one.name for one in applied.structure_set}
    assert str(Unbuilt("CTV", ("GTVn", "Bone"))) == "CTV needs GTVn, Bone"


def test_what_is_there_is_left_alone(lung):
    before = phantom(lung)
    by_hand = RTStructure("ctvP", Role.CTV, before["GTVp"].mask)
    before = before.with_structure(by_hand)
    applied = apply(lung, before)
    assert applied.structure_set["CTVp"] is by_hand
    assert applied.structure_set["Heart"] is before["Heart"]
    again = apply(lung, applied.structure_set)
    assert [one.mask is two.mask for one, two in zip(again.structure_set, applied.structure_set, strict=True)] == [
        True
    ] * len(list(applied.structure_set))


VALID = """\
name: Test
site: lung
source: nobody
prescription:
  dose_gy: 60
  fractions: 30
  target: PTVp
  source: nobody
structures:
  - name: GTVp
    role: GTV
    colour: "#ff0000"
  - name: PTVp
    role: PTV
    colour: "#00ff00"
    rule: expand(GTVp, 5)
goals:
  - structure: PTVp
    metric: D95%[Gy]
    comparison: ">="
    value: 57
    source: nobody
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("dose_gy: 60", "dose_gy: sixty", 5, "'dose_gy' must be a number, not 'sixty'"),
        ("dose_gy: 60", "dose_gy: -60", 5, "'dose_gy' must be more than 0"),
        ("dose_gy: 60", "dose_gy: 6000", 5, "'dose_gy' must be 200 or less"),
        ("fractions: 30", "fractions: 30.5", 6, "'fractions' must be a whole number"),
        ("  fractions: 30\n", "", 4, "'prescription' lacks 'fractions'"),
        ("  fractions: 30\n", "  fraction: 30\n", 6, "'fraction' is not known here"),
        ("  dose_gy: 60\n", "  dose_gy: 60\n  dose: 60\n", 6, "'dose' is not known here; known are dose_gy"),
        ("  dose_gy: 60\n", "  dose_gy: 60\n  dose_gy: 50\n", 6, "'dose_gy' stands here a second time"),
        ("target: PTVp", "target: PTVn", 7, "'PTVn' is not among the structures"),
        ("name: GTVp\n", "name: Gross tumour\n", 10, "'name' must be a name without spaces"),
        ("name: GTVp\n", "name: GTVp_of_the_left_lung\n", 10, "at most 16 characters"),
        ("name: PTVp\n", "name: gtvp\n", 13, "a second structure is named 'gtvp'"),
        ("role: GTV", "role: TUMOUR", 11, "'role' must be one of GTV, CTV"),
        ('"#ff0000"', "red", 12, "'colour' must be a colour such as"),
        ("expand(GTVp, 5)", "expand(GTVp)", 16, "column 12: expected a distance in mm"),
        ("expand(GTVp, 5)", "expand(GTVn, 5)", 16, "'GTVn' is not among the structures"),
        ("expand(GTVp, 5)", "expand(PTVp, 5)", 16, "cannot be made of themselves: PTVp needs PTVp"),
        ("    rule: expand", "    task: organs\n    rule: expand", 13, "either of task and rule"),
        ("metric: D95%[Gy]", "metric: D95", 19, "'D95' is no dose metric"),
        ("structure: PTVp", "structure: Heart", 18, "'Heart' is not among the structures"),
        ('">="', '"<"', 20, "'comparison' must be one of <=, >="),
        ("value: 57", "value: [57]", 21, "'value' must be a number, not [57]"),
        ("    source: nobody\n", "", 18, "entry 1 lacks 'source'"),
        ("  - structure: PTVp", "  - structure: PTVp: 3", 18, "this is no YAML"),
        ('colour: "#ff0000"', 'colour: "#ff0000', 12, "'colour' must be a colour such as"),
        ('colour: "#00ff00"', 'colour: "#00ff00', 20, "this is no YAML"),
        ("site: lung", "site: lung\n\tx: 1", 3, "this is no YAML"),
        (VALID, "- a\n- b\n", 1, "the file must be a list of keys and values"),
        (VALID, "", 1, "the file must be a list of keys and values"),
        (VALID, "[" * 1000, 1, "this is no YAML"),
        (VALID, "a: &a [*a]\n", 1, "'a' is not known here"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, old, new, line, words):
    path = tmp_path / "mine.yaml"
    path.write_text(VALID, encoding="utf-8")
    read_template(path)
    assert old in VALID
    path.write_text(VALID.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_template(path)
    assert str(caught.value).startswith(f"'mine.yaml', line {line}: "), str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"'mine\.yaml' cannot be read"):
        read_template(path)
    with pytest.raises(InputError, match=r"'gone\.yaml' cannot be read"):
        read_template(Path("gone.yaml"))


def test_the_users_folder_is_listed_and_one_broken_file_does_not_hide_it(tmp_path):
    (tmp_path / "a.yaml").write_text(VALID, encoding="utf-8")
    (tmp_path / "b.yml").write_text(VALID.replace("dose_gy: 60", "dose_gy: x"), encoding="utf-8")
    shutil.copy(SHIPPED[0], tmp_path / "c.yaml")
    found = list_templates([tmp_path])
    assert [one.path for one in found.templates] == [*SHIPPED, tmp_path / "a.yaml", tmp_path / "c.yaml"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("'b.yml', line 5:")


def test_goals_are_read_as_they_stand(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(VALID, encoding="utf-8")
    template = read_template(path)
    (goal,) = template.goals
    assert (goal.structure, goal.metric, goal.comparison, goal.value, goal.priority) == (
        "PTVp",
        "D95%[Gy]",
        ">=",
        57,
        1,
    )
    assert str(goal) == "PTVp D95% >= 57 Gy"
    assert replace(goal, metric="HI").metric == "HI"
    with pytest.raises(InputError, match="no dose metric"):
        replace(goal, metric="dose")
    with pytest.raises(InputError, match="write <= or >="):
        replace(goal, comparison="=")
    assert template.prescription.dose_gy == 60
    assert template.structures[1].colour == (0, 1, 0)


def test_what_is_made_for_want_of_better_is_said():
    mask = np.zeros(grid().shape, dtype=bool)
    mask[20:24, 20:24, 15:20] = True
    lung = np.zeros(grid().shape, dtype=bool)
    lung[10:40, 10:35, 8:28] = True
    held = StructureSet(
        grid(),
        (
            RTStructure("GTVp", Role.GTV, mask),
            RTStructure("Lung_L", Role.ORGAN, lung),
            RTStructure("Lung_R", Role.ORGAN, ~lung),
            RTStructure("External", Role.EXTERNAL, np.ones(grid().shape, dtype=bool)),
        ),
    )
    [template] = [one for one in list_templates().templates if one.path.stem == "lung_conventional"]
    applied = apply(template, held)
    assert "PTV_6000" in applied.structure_set
    said = [str(one) for one in applied.incomplete]
    assert "CTVp is made without Bone, Heart, A_Aorta, Esophagus, Trachea" in said
    assert "CTV is made without CTVn" in said
    assert "CTVn needs GTVn" in [str(one) for one in applied.unbuilt]
