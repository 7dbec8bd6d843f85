"""A FROC analysis as files, and as a table on the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from LungNoduleAILib.evaluation.bootstrap import Estimate
from LungNoduleAILib.evaluation.froc import Froc
from LungNoduleAILib.evaluation.luna16 import Counts
from LungNoduleAILib.evaluation.plots import draw_froc
from SegmentationAILib.writing import atomic_write

COLUMNS = ("false_positives_per_scan", "sensitivity", "low", "high")


def write(result: Froc, counts: Counts, folder: Path) -> None:
    """Write froc.json (all numbers), froc.csv (the table) and froc.png (the curve).

    Raises:
        InputError: the folder cannot be written to.
    """
    with atomic_write(folder / "froc.json") as partial:
        partial.write_text(json.dumps(_numbers(result, counts), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_write(folder / "froc.csv") as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows((name, *map(_rounded, _values(estimate))) for name, estimate in _rows(result))
    with atomic_write(folder / "froc.png") as partial:
        draw_froc(result, partial)


def text(result: Froc, counts: Counts) -> str:
    """The counts and the table, a line each."""
    lines = [
        f"Scans: {counts.scans}; nodules: {counts.found} found, {counts.missed} missed; "
        f"false positives: {counts.false_positives}; "
        f"ignored: {counts.on_excluded} on excluded findings, {counts.second_hits} second hits",
        f"False positives per scan  Sensitivity  {result.level:.0%} interval",
    ]
    for name, estimate in _rows(result):
        value, low, high = map(_rounded, _values(estimate))
        lines.append(f"{name:>24}  {value:>11}  {low} to {high}")
    return "\n".join(lines)


def _rows(result: Froc) -> list[tuple[str, Estimate]]:
    rates = [f"{rate:g}" for rate in result.rates]
    return [*zip(rates, result.sensitivity, strict=True), ("mean", result.mean)]


def _values(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _rounded(value: float) -> str:
    return f"{value:.5f}"


def _numbers(result: Froc, counts: Counts) -> dict[str, object]:
    return {
        "counts": asdict(counts),
        "interval": {"level": result.level, "resamples": result.resamples, "seed": result.seed},
        "rates": list(result.rates),
        **{
            f"sensitivity{end}": _plain([getattr(estimate, field) for estimate in result.sensitivity])
            for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
        "mean": dict(zip(("value", "low", "high"), _plain(_values(result.mean)), strict=True)),
        "curve": {name: _plain(values) for name, values in vars(result.curve).items()},
        "band": {
            "rates": _plain(result.band_rates),
            "sensitivity_low": _plain(result.band_low),
            "sensitivity_high": _plain(result.band_high),
        },
    }


def _plain(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """JSON has neither NaN nor infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]
