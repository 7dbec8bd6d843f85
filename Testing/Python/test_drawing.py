"""What a protocol's tasks draw: only what is missing, never over what the user drew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from SegmentationAILib.errors import InputError
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_external
from SegmentationAILib.radiotherapy import drawing
from SegmentationAILib.radiotherapy.drawing import draw_missing
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet
from SegmentationAILib.radiotherapy.template import TemplateStructure, list_templates

COLOUR = (0.5, 0.5, 0.5)
ORGANS = (
    TemplateStructure("GTVp", Role.GTV, COLOUR),
    TemplateStructure("External", Role.EXTERNAL, COLOUR, task="body"),
    TemplateStructure("Lung_L", Role.ORGAN, COLOUR, task="lungs"),
    TemplateStructure("Lung_R", Role.ORGAN, COLOUR, task="lungs"),
    TemplateStructure("Lungs", Role.ORGAN, COLOUR, rule="Lung_L + Lung_R"),
)


@pytest.fixture(scope="module")
def template():
    return replace(list_templates().templates[0], structures=ORGANS)


def empty_set(volume):
    return StructureSet(volume.grid)


def test_lungs_and_body_are_drawn_where_the_phantom_has_them(phantom, template):
    drawn = draw_missing(template, empty_set(phantom.volume), phantom.volume, device="cpu")
    assert {one.name for one in drawn} == {"External", "Lung_L", "Lung_R"}
    assert dice(drawn["Lung_R"].mask, phantom.right_lung) > 0.95
    assert dice(drawn["Lung_L"].mask, phantom.left_lung) > 0.95
    inside = drawn["External"].mask
    assert not (~inside & (phantom.right_lung | phantom.left_lung)).any()
    assert drawn["External"].role is Role.EXTERNAL
    assert {one.origin for one in drawn} == {Origin.AUTOMATIC}
    assert drawn["Lung_L"].code is not None


def test_what_the_user_drew_stays_and_its_task_does_not_run(phantom, template, monkeypatch):
    def refuse(*_arguments):
        raise AssertionError("nothing of this task is missing")

    monkeypatch.setitem(drawing.TASKS, "lungs", refuse)
    own = np.zeros(phantom.volume.shape, dtype=bool)
    held = StructureSet(phantom.volume.grid, tuple(RTStructure(name, Role.ORGAN, own) for name in ("lung_l", "Lung_R")))
    drawn = draw_missing(template, held, phantom.volume, device="cpu")
    assert drawn["Lung_L"].mask is own
    assert "External" in drawn


def test_an_unknown_task_is_said_before_any_work(phantom, template, monkeypatch):
    wrong = replace(template, structures=(*ORGANS, TemplateStructure("Heart", Role.ORGAN, COLOUR, task="hearts")))
    monkeypatch.setitem(drawing.TASKS, "lungs", lambda *_: pytest.fail("work was done"))
    with pytest.raises(InputError, match=r"names the task 'hearts', .* one of: lungs, organs, body"):
        draw_missing(wrong, empty_set(phantom.volume), phantom.volume)


def test_a_ct_of_air_has_no_external(phantom):
    air = replace(phantom.volume, array=np.full(phantom.volume.shape, -1000, dtype=np.int16))
    with pytest.raises(InputError, match="shows no body"):
        segment_external(air, device="cpu")
