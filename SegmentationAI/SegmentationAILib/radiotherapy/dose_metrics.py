"""Dose metrics: from text such as ``V20Gy[%]`` and a DVH to a number.

Grammar of AAPM TG-263 (Mayo et al., Int J Radiat Oncol Biol Phys 2018;100:1057): ``D95%[Gy]``,
``D0.03cc[Gy]``, ``V20Gy[%]``, ``V95%[cc]``, ``DC700cc[Gy]``, ``CV20Gy[cc]``, ``Mean[Gy]``, ``Median[Gy]``, ``Min[Gy]``,
``Max[%]``; and beyond it ``gEUD(8)[Gy]``, ``HI``, ``CI_Paddick``, ``CI_RTOG``, ``R50`` and ``GI``. A percentage of dose
is of the prescription, one of volume is of the structure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.dvh import DVH

INDICES = ("HI", "CI_Paddick", "CI_RTOG", "R50", "GI")

_NUMBER = r"(?P<at>\d+(?:\.\d+)?)"
_PATTERNS = (
    re.compile(r"(?P<kind>Mean|Median|Min|Max)(?P<at>)(?P<at_unit>)\[(?P<unit>Gy|%)\]"),
    re.compile(rf"(?P<kind>DC?){_NUMBER}(?P<at_unit>cc|%)\[(?P<unit>Gy|%)\]"),
    re.compile(rf"(?P<kind>C?V){_NUMBER}(?P<at_unit>Gy|%)\[(?P<unit>cc|%)\]"),
    re.compile(r"(?P<kind>gEUD)\((?P<at>-?\d+(?:\.\d+)?)\)(?P<at_unit>)\[(?P<unit>Gy|%)\]"),
    re.compile(rf"(?P<kind>{'|'.join(INDICES)})(?P<at>)(?P<at_unit>)(?P<unit>)"),
)


@dataclass(frozen=True)
class Metric:
    """What to read from a DVH.

    Attributes:
        kind: ``Mean``, ``Median``, ``Min``, ``Max``, ``D``, ``DC``, ``V``, ``CV``, ``gEUD`` or one of ``INDICES``.
        at: the volume, dose or parameter it is read at; 0 where there is none.
        at_unit: ``cc``, ``%``, ``Gy`` or "".
        unit: of the result: ``Gy``, ``%``, ``cc`` or "" for an index.
    """

    kind: str
    at: float
    at_unit: str
    unit: str

    def __str__(self) -> str:
        at = f"({self.at:g})" if self.kind == "gEUD" else f"{self.at:g}{self.at_unit}" if self.at_unit else ""
        return f"{self.kind}{at}" + (f"[{self.unit}]" if self.unit else "")

    @property
    def needs_prescription(self) -> bool:
        is_dose = self.kind in ("D", "DC", "Mean", "Median", "Min", "Max", "gEUD")
        return (
            (is_dose and self.unit == "%")
            or (self.kind in ("V", "CV") and self.at_unit == "%")
            or self.kind in INDICES[1:]
        )

    @property
    def needs_dose_grid(self) -> bool:
        return self.kind in INDICES[1:]


def parse_metric(text: str) -> Metric:
    """The metric of a text; spaces do not count.

    Raises:
        InputError: it is none.
    """
    bare = re.sub(r"\s+", "", text)
    for pattern in _PATTERNS:
        if match := pattern.fullmatch(bare):
            metric = Metric(match["kind"], float(match["at"] or 0), match["at_unit"], match["unit"])
            if metric.kind in ("D", "DC") and metric.at_unit == "%" and metric.at > 100:
                break
            return metric
    raise InputError(
        f"'{text}' is no dose metric; write it as in D95%[Gy], D0.03cc[Gy], V20Gy[%], V95%[%], Mean[Gy], gEUD(8)[Gy], "
        "HI or CI_Paddick."
    )


def evaluate(
    metric: Metric | str, dvh: DVH, *, prescription_gy: float | None = None, dose_grid: DVH | None = None
) -> float:
    """The metric's value, in its own unit.

    * ``Dx``: the dose that at least the hottest x gets; ``DCx``: the highest dose in the coldest x.
    * ``Vx``: the volume with at least dose x; ``CVx``: with less.
    * ``HI`` = (D2% − D98%) / D50% (ICRU Report 83, 2010).
    * With TV the target, PIV the volume of the prescription isodose, TV_PIV what they share:
      ``CI_Paddick`` = TV_PIV² / (TV · PIV) (Paddick, J Neurosurg 2000;93 Suppl 3:219), ``CI_RTOG`` = PIV / TV (Shaw
      et al., Int J Radiat Oncol Biol Phys 1993;27:1231), ``R50`` = volume of half the prescription / TV
      (RTOG 0915), ``GI`` = volume of half the prescription / PIV (Paddick and Lippitz, J Neurosurg 2006;105
      Suppl:194).

    Args:
        prescription_gy: what percentages of dose and the conformity indices refer to.
        dose_grid: ``dose_grid_dvh`` of the dose, or the DVH of the body, for the conformity indices.

    Raises:
        InputError: the text is no metric, the structure is smaller than the metric's volume, or the
            prescription or the dose grid's DVH is needed and missing.
    """
    metric = parse_metric(metric) if isinstance(metric, str) else metric
    if metric.needs_prescription and not (prescription_gy and prescription_gy > 0):
        raise InputError(f"{metric} needs the prescribed dose; give it in Gy.")
    prescribed = prescription_gy or 0.0
    if metric.kind == "HI":
        d2, d50, d98 = (dvh.dose_at(dvh.volume_cc * part) for part in (0.02, 0.50, 0.98))
        if d50 <= 0:
            raise InputError(f"HI of '{dvh.name}' has no value: half of the structure gets no dose.")
        return (d2 - d98) / d50
    if metric.needs_dose_grid:
        return _conformity(metric, dvh, prescribed, dose_grid)
    if metric.kind in ("V", "CV"):
        at = metric.at * prescribed / 100 if metric.at_unit == "%" else metric.at
        volume = float(dvh.volume_at(at))
        volume = dvh.volume_cc - volume if metric.kind == "CV" else volume
        return 100 * volume / dvh.volume_cc if metric.unit == "%" else volume
    dose = _dose(metric, dvh)
    return 100 * dose / prescribed if metric.unit == "%" else dose


def _dose(metric: Metric, dvh: DVH) -> float:
    if metric.kind == "gEUD":
        return dvh.geud_gy(metric.at)
    if metric.kind in ("Mean", "Min", "Max"):
        return {"Mean": dvh.mean_gy, "Min": dvh.min_gy, "Max": dvh.max_gy}[metric.kind]
    if metric.kind == "Median":
        return dvh.dose_at(dvh.volume_cc / 2)
    volume = metric.at * dvh.volume_cc / 100 if metric.at_unit == "%" else metric.at
    if volume > dvh.volume_cc:
        raise InputError(f"'{dvh.name}' has {dvh.volume_cc:.3g} cc, too little for {metric}.")
    return dvh.dose_at(dvh.volume_cc - volume if metric.kind == "DC" else volume)


def _conformity(metric: Metric, target: DVH, prescribed: float, dose_grid: DVH | None) -> float:
    if dose_grid is None:
        raise InputError(f"{metric} needs the dose around the target; give the dose grid's DVH.")
    isodose, half = (float(dose_grid.volume_at(dose)) for dose in (prescribed, prescribed / 2))
    if metric.kind == "R50":
        return half / target.volume_cc
    if metric.kind == "CI_RTOG":
        return isodose / target.volume_cc
    if isodose <= 0:
        raise InputError(f"{metric} of '{target.name}' has no value: no dose reaches {prescribed:g} Gy.")
    if metric.kind == "GI":
        return half / isodose
    return float(target.volume_at(prescribed)) ** 2 / (target.volume_cc * isodose)
