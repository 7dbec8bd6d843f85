"""DVHs, goals and comparisons as tables and plots of the scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer

from SegmentationAILib.scene import add_table, scene_batch
from SegmentationAILib.scene_hierarchy import place_beside

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.dvh_report import DVHCurves
    from SegmentationAILib.radiotherapy.goals import GoalResult


def add_dvh(
    curves: DVHCurves,
    colours: Mapping[str, tuple[float, float, float]],
    dose_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLPlotChartNode:
    """A table of the curves and a plot of them, in the structures' colours by their names, beside the dose."""
    name = f"{dose_node.GetName()} DVH"
    with scene_batch():
        table = add_table(
            name, [("Dose (Gy)", curves.dose_gy), *((key, values) for key, values in curves.percent.items())]
        )
        chart = slicer.vtkMRMLPlotChartNode()
        chart.SetName(f"{name} plot")
        chart.SetTitle(name)
        chart.SetXAxisTitle("Dose (Gy)")
        chart.SetYAxisTitle("Volume (%)")
        slicer.mrmlScene.AddNode(chart)
        for key in curves.percent:
            series = slicer.vtkMRMLPlotSeriesNode()
            series.SetName(key)
            series.SetAndObserveTableNodeID(table.GetID())
            series.SetXColumnName("Dose (Gy)")
            series.SetYColumnName(key)
            series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
            series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
            series.SetColor(*colours[key])
            slicer.mrmlScene.AddNode(series)
            chart.AddAndObservePlotSeriesNodeID(series.GetID())
        for node in (table, chart):
            place_beside(node, dose_node)
    return chart


def add_goals(results: Sequence[GoalResult], dose_node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLTableNode:
    """A table with a row for each goal, beside the dose."""
    columns = (
        ("Goal", [str(one.goal) for one in results]),
        ("Value", ["" if np.isnan(one.value) else f"{one.value:.4g}" for one in results]),
        ("Verdict", [one.verdict.value for one in results]),
        ("Remark", [one.reason for one in results]),
        ("Source", [one.goal.source for one in results]),
    )
    with scene_batch():
        table = add_table(f"{dose_node.GetName()} goals", columns)
        place_beside(table, dose_node)
    return table


def add_comparison(
    name: str, columns: Sequence[tuple[str, Sequence]], beside: slicer.vtkMRMLNode
) -> slicer.vtkMRMLTableNode:
    """A table of how two structure sets agree, beside one of them in the subject hierarchy."""
    with scene_batch():
        table = add_table(name, columns)
        place_beside(table, beside)
    return table
