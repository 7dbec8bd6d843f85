"""Evaluations as pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from LungNoduleAILib.evaluation.froc import Froc

_COLOUR = "#1f5fa8"


def draw_froc(result: Froc, path: Path) -> None:
    """Write a PNG of the FROC curve over a logarithmic axis, its interval as a band and the rates as dots."""
    figure = Figure(figsize=(6.4, 4.8), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    # Straight lines between corners are bent on a logarithmic axis, hence the points in between.
    corners = result.curve.false_positives_per_scan
    inside = corners[(corners >= result.rates[0]) & (corners <= result.rates[-1])]
    shown = np.union1d(result.band_rates, inside)
    axes.fill_between(
        result.band_rates,
        result.band_low,
        result.band_high,
        color=_COLOUR,
        alpha=0.2,
        linewidth=0,
        label=f"{result.level:.0%} interval",
    )
    axes.plot(shown, result.curve.at(shown), color=_COLOUR, label=f"mean {result.mean.value:.3f}")
    axes.plot(result.rates, [estimate.value for estimate in result.sensitivity], "o", color=_COLOUR)
    axes.set_xscale("log")
    axes.set_xticks(result.rates, [str(Fraction(rate).limit_denominator(1000)) for rate in result.rates])
    axes.minorticks_off()
    axes.set_ylim(0, 1)
    axes.set_xlabel("False positives per scan")
    axes.set_ylabel("Sensitivity")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path)
