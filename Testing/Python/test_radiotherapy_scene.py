"""Structure sets, DVHs and goals in a real MRML scene."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from geometry import AXIS_ORDERS, oblique_grid
from vtk.util.numpy_support import vtk_to_numpy

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dvh_report import DVHCurves
from SegmentationAILib.radiotherapy.goal import Goal
from SegmentationAILib.radiotherapy.goals import GoalResult, Verdict
from SegmentationAILib.radiotherapy.scene import add_structure_set, structure_set_from_node, update_structures
from SegmentationAILib.radiotherapy.structure_set import Origin, Role, RTStructure, StructureSet, role_of_name
from SegmentationAILib.radiotherapy.table_scene import add_dvh, add_goals
from SegmentationAILib.scene import add_volume, volume_from_node
from SegmentationAILib.terminology import Code
from SegmentationAILib.volume import Volume

HEART = Code("80891009", "SCT", "Heart")


@pytest.fixture(params=[0, 13, 40])
def ct(request, slicer_host):
    slicer.mrmlScene.Clear()
    grid = oblique_grid(AXIS_ORDERS[request.param], angles_deg=(5, -8, 11), spacing=(1.5, 1.5, 3.0), shape=(24, 30, 36))
    return add_volume(Volume(np.zeros(grid.shape, dtype=np.int16), grid, "chest", modality="CT"))


def ball(grid, radius_mm, shift=(0.0, 0.0, 0.0)):
    centre = grid.ras((np.array(grid.shape[::-1]) - 1) / 2) + shift
    places = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    return np.linalg.norm(places - centre, axis=-1) <= radius_mm


def plan(grid):
    gtv = RTStructure("GTVp", Role.GTV, ball(grid, 8), (1.0, 0.0, 0.0), Origin.AUTOMATIC, model="nodules 1a2b")
    ptv = RTStructure("PTVp", Role.PTV, ball(grid, 13), (0.0, 0.0, 1.0), rule='expand(GTVp, 5, superior=8) - "A-B"')
    heart = RTStructure("Heart", Role.ORGAN, ball(grid, 9, (10, 0, 0)), (0.8, 0.4, 0.3), Origin.MANUAL, code=HEART)
    return StructureSet(grid, (gtv, ptv, heart), "plan")


def grid_of(ct):
    return volume_from_node(ct).grid


def test_a_structure_set_comes_back_from_the_scene_as_it_was(ct):
    before = plan(grid_of(ct))
    after = structure_set_from_node(add_structure_set(before, ct), ct)
    assert [one.name for one in after] == ["GTVp", "PTVp", "Heart"]
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert (one.role, one.rule, one.origin, one.model) == (other.role, other.rule, other.origin, other.model)
        assert one.colour == pytest.approx(other.colour)
    assert after["heart"].code == HEART


def test_only_what_changed_is_written(ct):
    node = add_structure_set(plan(grid_of(ct)), ct)
    segments = node.GetSegmentation()
    before = structure_set_from_node(node, ct)
    heart = segments.GetSegment("Heart").GetRepresentation("Binary labelmap")
    larger = replace(before["PTVp"], mask=ball(before.grid, 15))
    after = StructureSet(before.grid, (before["Heart"], larger), before.name)
    update_structures(node, ct, after, before)
    assert segments.GetSegment("Heart").GetRepresentation("Binary labelmap") is heart
    found = structure_set_from_node(node, ct)
    assert {one.name for one in found} == {"PTVp", "Heart"}
    assert np.array_equal(found["PTVp"].mask, larger.mask)
    assert found["PTVp"].rule == larger.rule


def test_segments_made_elsewhere_have_the_role_of_their_name(ct):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "drawn")
    for name in ("PTV_High", "Liver"):
        node.GetSegmentation().AddEmptySegment(name, name)
    found = structure_set_from_node(node, ct)
    assert [(one.role, one.origin) for one in found] == [(Role.PTV, Origin.MANUAL), (Role.ORGAN, Origin.MANUAL)]
    assert not any(one.mask.any() for one in found)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("GTVn1", Role.GTV),
        ("ctv", Role.CTV),
        ("ITVp", Role.ITV),
        ("SpinalCord_PRV05", Role.PRV),
        ("Body", Role.EXTERNAL),
        ("Lungs-GTV", Role.ORGAN),
    ],
)
def test_roles_by_name(name, role):
    assert role_of_name(name) is role


def test_no_selection_is_said(ct):
    with pytest.raises(InputError, match="No structure set is selected"):
        structure_set_from_node(None, ct)


def test_dvh_and_goals_lie_in_tables_and_a_plot_in_the_structures_colours(ct):
    held = plan(grid_of(ct))
    curves = DVHCurves(np.arange(5.0), {"GTVp": np.linspace(100, 0, 5), "Heart": np.linspace(80, 0, 5)})
    chart = add_dvh(curves, {one.name: one.colour for one in held}, ct)
    series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [one.GetName() for one in series] == ["GTVp", "Heart"]
    assert series[0].GetColor() == (1.0, 0.0, 0.0)
    table = series[1].GetTableNode().GetTable()
    assert np.array_equal(vtk_to_numpy(table.GetColumnByName(series[1].GetYColumnName())), curves.percent["Heart"])
    assert np.array_equal(vtk_to_numpy(table.GetColumnByName(series[1].GetXColumnName())), curves.dose_gy)

    goal = Goal("Heart", "Mean[Gy]", "<=", 26.0, source="a paper")
    results = [GoalResult(goal, Verdict.FAIL, 30.123), GoalResult(goal, Verdict.NOT_EVALUATED, reason="no dose")]
    table = add_goals(results, ct).GetTable()
    rows = [[table.GetValue(row, column).ToString() for column in range(3)] for row in range(2)]
    assert rows == [["Heart Mean <= 26 Gy", "30.12", "fail"], ["Heart Mean <= 26 Gy", "", "cannot be evaluated"]]
