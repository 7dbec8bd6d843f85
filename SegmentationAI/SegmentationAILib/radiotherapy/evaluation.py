"""What a dose does to a structure set: DVHs, and a protocol's goals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.radiotherapy.dvh import DVH, dose_grid_dvh, structure_dvhs
from SegmentationAILib.radiotherapy.dvh_report import (
    DVHCurves,
    dvh_curves,
    plot,
    write_curves,
    write_goals,
    write_metrics,
)
from SegmentationAILib.radiotherapy.goals import GoalResult, evaluate_goals
from SegmentationAILib.radiotherapy.structure_set import StructureSet
from SegmentationAILib.volume import Volume

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.template import Template


@dataclass(frozen=True, eq=False)
class DoseEvaluation:
    """DVHs of a structure set and the verdicts on its goals.

    Attributes:
        dvhs: of the structures that are not empty.
        curves: the same at common doses.
        results: of the template's goals, empty without a template.
        warnings: sentences on what lies outside the dose grid.
        dose_grid: the DVH of the whole grid.
        prescription_gy: what percentages of dose refer to, None without one.
    """

    dvhs: tuple[DVH, ...]
    curves: DVHCurves
    results: tuple[GoalResult, ...]
    warnings: tuple[str, ...]
    dose_grid: DVH
    prescription_gy: float | None


def evaluate_dose(
    dose: Volume,
    structure_set: StructureSet,
    template: Template | None = None,
    *,
    prescription_gy: float | None = None,
    progress: Progress | None = None,
) -> DoseEvaluation:
    """The DVH of each structure and each goal's verdict.

    Args:
        dose: Gy.
        structure_set: on any grid in the same frame of reference.
        template: whose goals are evaluated.
        prescription_gy: another than the template's.
        progress: told of each structure.

    Raises:
        InputError: dose and structures are in different frames of reference, or all structures are empty.
    """
    progress = progress or Progress()
    if prescription_gy is None and template is not None:
        prescription_gy = template.prescription.dose_gy
    dvhs = structure_dvhs(dose, structure_set, progress=progress.part(0.0, 0.8))
    curves = dvh_curves(dvhs)
    progress(0.8, "Dose of the whole grid")
    whole = dose_grid_dvh(dose)
    goals = template.goals if template else ()
    results = evaluate_goals(goals, dvhs, prescription_gy=prescription_gy, dose_grid=whole)
    progress(1.0, "Dose evaluated")
    warnings = tuple(dvh.warning for dvh in dvhs if dvh.warning)
    return DoseEvaluation(dvhs, curves, results, warnings, whole, prescription_gy)


def write_evaluation(folder: Path, evaluation: DoseEvaluation, structure_set: StructureSet) -> list[Path]:
    """dvh.csv, dvh.png, metrics.csv and, where there are goals, goals.csv.

    Raises:
        InputError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    context = {"prescription_gy": evaluation.prescription_gy, "dose_grid": evaluation.dose_grid}
    colours = {one.name: one.colour for one in structure_set}
    written = [
        write_curves(folder / "dvh.csv", evaluation.curves),
        plot(folder / "dvh.png", evaluation.curves, colours=colours),
        write_metrics(folder / "metrics.csv", evaluation.dvhs, **context),
    ]
    if evaluation.results:
        written.append(write_goals(folder / "goals.csv", evaluation.results))
    return written
