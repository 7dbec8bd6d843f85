"""The table of a report's nodules: the columns of the nodules, and what was said and decided of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from LungNoduleAILib.report.content import ReportContent, ReportedNodule
from LungNoduleAILib.report.table import COLUMNS, Column, Value, write_rows
from LungNoduleAILib.report.wording_answers import category, ends


def _of_nodule(column: Column) -> Column[ReportedNodule]:
    return Column(column.name, lambda one: column.value(one.nodule), column.is_text)


def _asked_with(name: str, attribute: str, digits: int) -> Column[ReportedNodule]:
    """A number of what guidelines were asked with; NaN where it is not known."""

    def value(one: ReportedNodule) -> float:
        found = getattr(one.assessment.finding, attribute)
        return math.nan if found is None else round(found, digits)

    return Column(name, value)


def _said(name: str, value: Callable[[ReportedNodule], str]) -> Column[ReportedNodule]:
    return Column(name, value, is_text=True)


def _word(one: ReportedNodule, attribute: str) -> str:
    found = getattr(one.assessment.finding, attribute)
    return found.value if found else ""


# "assessed" is what guidelines and models were asked with: measured, or entered by the reader. A probability that
# is settled is its own lowest and highest.
REPORTED_COLUMNS: tuple[Column[ReportedNodule], ...] = (
    *map(_of_nodule, COLUMNS),
    _said("assessed_kind", lambda one: _word(one, "kind")),
    _said("assessed_lobe", lambda one: _word(one, "lobe")),
    _said("lung_rads", lambda one: category(one.assessment.lung_rads)),
    Column("brock_probability_lowest", lambda one: round(ends(one.assessment.brock)[0].probability, 4)),
    Column("brock_probability_highest", lambda one: round(ends(one.assessment.brock)[1].probability, 4)),
    _said("behaviour", lambda one: _word(one, "behaviour")),
    _asked_with("months_since_prior", "months_since_prior", 1),
    _asked_with("volume_change_fraction", "volume_change", 3),
    _asked_with("doubling_time_days", "doubling_time_days", 0),
    _said("decision", lambda one: one.decision.verdict.value),
    _said("decided_at", lambda one: one.decision.at.isoformat() if one.decision.at else ""),
    _said("outline_edited", lambda one: "yes" if one.decision.edited else "no"),
    _said("added_by_reader", lambda one: "yes" if one.decision.added else "no"),
    _said("tracking_uid", lambda one: one.uid),
)


def reported_rows(content: ReportContent) -> list[list[Value]]:
    """A row per nodule, rejected ones included, in the order of ``REPORTED_COLUMNS``."""
    return [[column.value(one) for column in REPORTED_COLUMNS] for one in content.nodules]


def write_report_csv(content: ReportContent, path: str | Path) -> Path:
    """Write ``nodules.csv`` with ``REPORTED_COLUMNS``; the file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
    """
    return write_rows(reported_rows(content), path, REPORTED_COLUMNS)
