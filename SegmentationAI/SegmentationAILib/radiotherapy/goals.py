"""Whether a dose meets a protocol's goals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dose_metrics import Metric, evaluate, parse_metric
from SegmentationAILib.radiotherapy.dvh import DVH
from SegmentationAILib.radiotherapy.goal import Goal


class Verdict(str, Enum):
    PASS = "pass"
    FAIL = "fail"
    NOT_EVALUATED = "cannot be evaluated"


@dataclass(frozen=True)
class GoalResult:
    """A goal and what became of it.

    Attributes:
        goal: what was asked.
        verdict: pass, fail or cannot be evaluated.
        value: the metric, in the unit in the goal's brackets; NaN where it has none.
        reason: why it cannot be evaluated, or what to know of the value; "" where there is nothing to say.
    """

    goal: Goal
    verdict: Verdict
    value: float = math.nan
    reason: str = ""

    @property
    def margin(self) -> float:
        """How far the value is on the right side of the limit, negative where it fails, NaN without one."""
        return self.goal.value - self.value if self.goal.comparison == "<=" else self.value - self.goal.value


def evaluate_goals(
    goals: Iterable[Goal],
    dvhs: Sequence[DVH],
    *,
    prescription_gy: float | None = None,
    dose_grid: DVH | None = None,
) -> tuple[GoalResult, ...]:
    """Each goal's verdict, in order.

    Where part of a structure lies outside the dose grid, its dose there is unknown but lies between zero and
    the highest dose on the grid's outermost voxels, since dose falls away from the beams. A goal passes or
    fails only where both give the same verdict.

    Args:
        goals: as of a protocol; names of structures match without regard to case.
        dvhs: of the structures that there are.
        prescription_gy: what percentages of dose refer to.
        dose_grid: as for ``dose_metrics.evaluate``.
    """
    by_name = {dvh.name.lower(): dvh for dvh in dvhs}
    return tuple(_result(goal, by_name.get(goal.structure.lower()), prescription_gy, dose_grid) for goal in goals)


def _result(goal: Goal, dvh: DVH | None, prescription_gy: float | None, dose_grid: DVH | None) -> GoalResult:
    if dvh is None:
        return GoalResult(goal, Verdict.NOT_EVALUATED, reason=f"There is no structure '{goal.structure}' with a dose.")
    try:
        metric = parse_metric(goal.metric)
        value = evaluate(metric, dvh, prescription_gy=prescription_gy, dose_grid=dose_grid)
        if not dvh.warning:
            return GoalResult(goal, _verdict(goal, value), value)
        most = dvh.taking_outside_at(dvh.outside_limit_gy)
        highest = evaluate(metric, most, prescription_gy=prescription_gy, dose_grid=dose_grid)
    except InputError as error:
        return GoalResult(goal, Verdict.NOT_EVALUATED, reason=str(error))
    verdict = _verdict(goal, value)
    if _verdict(goal, highest) == verdict:
        return GoalResult(goal, verdict, value, dvh.warning)
    return GoalResult(goal, Verdict.NOT_EVALUATED, value, f"{dvh.warning} {_range(metric, value, highest)}")


def _verdict(goal: Goal, value: float) -> Verdict:
    met = value <= goal.value if goal.comparison == "<=" else value >= goal.value
    return Verdict.PASS if met else Verdict.FAIL


def _range(metric: Metric, one: float, other: float) -> str:
    low, high = sorted((one, other))
    return f"{metric} lies between {low:.3g} and {high:.3g}, on both sides of the goal."
