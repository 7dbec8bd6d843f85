"""DVHs and goals as tables, curves and a picture."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dose_metrics import evaluate
from SegmentationAILib.radiotherapy.dvh import DVH
from SegmentationAILib.radiotherapy.goals import GoalResult
from SegmentationAILib.writing import atomic_write

# ICRU Report 83 (2010) asks for D2, D50, D95 and D98 of targets and for mean dose and VD of organs.
METRICS = (
    *("Mean[Gy]", "Min[Gy]", "Max[Gy]", "D0.03cc[Gy]", "D2%[Gy]", "D50%[Gy]", "D95%[Gy]", "D98%[Gy]"),
    *("V5Gy[%]", "V20Gy[%]", "HI"),
)
_STEP_GY = 0.1
_BRIGHTEST = 0.6
_STYLES = ("solid", "dashed", "dotted", "dashdot")

Colour = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class DVHCurves:
    """DVHs at common doses, as a plot or a table needs them.

    Attributes:
        dose_gy: [n].
        percent: structure -> [n] volume that gets at least that dose, in % of the structure.
    """

    dose_gy: NDArray[np.float64]
    percent: dict[str, NDArray[np.float64]]


def dvh_curves(dvhs: Sequence[DVH], *, step_gy: float = _STEP_GY) -> DVHCurves:
    """The curves from 0 Gy to just beyond the highest dose.

    Raises:
        InputError: there is no DVH.
    """
    if not dvhs:
        raise InputError("There is no structure with a dose; choose a structure set that is not empty.")
    highest = max(dvh.max_gy for dvh in dvhs)
    dose = step_gy * np.arange(int(np.floor(highest / step_gy)) + 2)
    return DVHCurves(dose, {dvh.name: 100 * dvh.volume_at(dose) / dvh.volume_cc for dvh in dvhs})


def write_metrics(path: str | Path, dvhs: Sequence[DVH], *, metrics: Sequence[str] = METRICS, **context) -> Path:
    """A CSV with a row for each structure; a metric that has no value is left empty.

    Args:
        context: ``prescription_gy`` and ``dose_grid``, as for ``dose_metrics.evaluate``.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        [dvh.name, f"{dvh.volume_cc:.4g}", f"{100 * dvh.outside_fraction:.2f}"]
        + [_value(metric, dvh, context) for metric in metrics]
        for dvh in dvhs
    ]
    return _write(path, ["Structure", "Volume [cc]", "Outside the dose grid [%]", *metrics], rows)


def write_curves(path: str | Path, curves: DVHCurves) -> Path:
    """A CSV with a row for each dose and a column for each structure.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        [f"{dose:.4g}", *(f"{column[n]:.4f}" for column in curves.percent.values())]
        for n, dose in enumerate(curves.dose_gy)
    ]
    return _write(path, ["Dose [Gy]", *(f"{name} [%]" for name in curves.percent)], rows)


def write_goals(path: str | Path, results: Sequence[GoalResult]) -> Path:
    """A CSV with a row for each goal.

    Raises:
        InputError: the file cannot be written.
    """
    rows = [
        [
            *(one.goal.structure, one.goal.metric, one.goal.comparison, f"{one.goal.value:g}"),
            "" if np.isnan(one.value) else f"{one.value:.4g}",
            *(one.verdict.value, one.goal.priority, one.reason, one.goal.source),
        ]
        for one in results
    ]
    return _write(
        path, ["Structure", "Metric", "Comparison", "Goal", "Value", "Verdict", "Priority", "Reason", "Source"], rows
    )


def plot(path: str | Path, curves: DVHCurves, *, colours: dict[str, Colour] | None = None, title: str = "") -> Path:
    """A PNG of the curves.

    Args:
        colours: structure -> red, green, blue in 0…1; matplotlib's own where not given.

    Raises:
        InputError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import, and only plots need it

    figure = Figure(figsize=(9, 6), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    drawn: Counter[tuple] = Counter()
    for name, percent in curves.percent.items():
        colour = _dark_enough((colours or {}).get(name))
        # Sets give structures of a kind one colour; the style of the line tells them apart.
        style = _STYLES[drawn[colour] % len(_STYLES)] if colour else "solid"
        drawn[colour] += 1
        axes.plot(curves.dose_gy, percent, label=name, color=colour, linestyle=style, linewidth=1.5)
    axes.set(xlabel="Dose [Gy]", ylabel="Volume [%]", title=title, ylim=(0, 102), xlim=(0, curves.dose_gy[-1]))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    path = Path(path)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png")
    return path


def _dark_enough(colour: Colour | None) -> Colour | None:
    """A colour that can be seen on white: its hue, no brighter than ``_BRIGHTEST``."""
    if colour is None:
        return None
    # Relative luminance without gamma (ITU-R BT.709).
    bright = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return tuple(part * min(1.0, _BRIGHTEST / max(bright, 1e-6)) for part in colour)


def _value(metric: str, dvh: DVH, context: dict) -> str:
    try:
        return f"{evaluate(metric, dvh, **context):.4g}"
    except InputError:
        return ""


def _write(path: str | Path, header: Sequence[str], rows: Sequence[Sequence]) -> Path:
    path = Path(path)
    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path
