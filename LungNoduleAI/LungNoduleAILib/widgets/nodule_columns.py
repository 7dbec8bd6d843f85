"""What the table of nodules writes in each column, and what a row's tool tip says."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from LungNoduleAILib.review import Verdict
from SegmentationAILib.widgets.translation import tr

if TYPE_CHECKING:
    from LungNoduleAILib.overview import Row


@dataclass(frozen=True)
class Column:
    """A column: its title, what it writes of a row, what it sorts by, and what it means."""

    title: str
    text: Callable[[Row], str]
    order: Callable[[Row], Any]
    tool_tip: str
    is_number: bool = True


class NoduleColumns:
    """The columns in their order, in the user's language.

    Attributes:
        all: number, site, diameter, volume, type, growth, score, Lung-RADS, Brock, decision.
    """

    def __init__(self) -> None:
        # Short, for a narrow panel.
        self._places = {
            "right upper lobe": tr("RUL"),
            "right middle lobe": tr("RML"),
            "right lower lobe": tr("RLL"),
            "left upper lobe": tr("LUL"),
            "left lower lobe": tr("LLL"),
        }
        self._sides = {"left lung": tr("L"), "right lung": tr("R")}
        self._zones = {"upper zone": tr("upper"), "middle zone": tr("mid"), "lower zone": tr("lower")}
        self._kinds = {"ground glass": tr("GG"), "part-solid": tr("part"), "solid": tr("solid")}
        self._marks = {
            Verdict.OPEN: "",
            Verdict.ACCEPTED: "\N{CHECK MARK}",
            Verdict.REJECTED: "\N{MULTIPLICATION X}",
        }
        self._behaviours = {"new": tr("new"), "resolved": tr("gone")}
        self.all = self._made()

    def _made(self) -> tuple[Column, ...]:
        return (
            Column(tr("#"), lambda r: str(r.id), lambda r: r.id, tr("Number, in order of falling score")),
            Column(
                tr("Site"),
                self._place,
                lambda r: r.place,
                tr(
                    "Lobe where it is known (RUL: right upper), else the patient's right (R) or left (L) lung and its "
                    "upper, middle or lower zone"
                ),
                is_number=False,
            ),
            Column(
                tr("Ø\nmm"),
                lambda r: f"{r.mean_diameter_mm:.1f}",
                lambda r: r.mean_diameter_mm,
                tr("Mean of the longest axial diameter and the one across it"),
            ),
            Column(tr("mm³"), lambda r: f"{r.volume_mm3:.0f}", lambda r: r.volume_mm3, tr("Volume")),
            Column(
                tr("Type"),
                lambda r: self._kinds.get(r.kind, r.kind),
                lambda r: r.kind,
                tr(
                    "Solid, part-solid or ground glass (GG) by attenuation; where that was not measured, what "
                    "radiologists would probably have called it"
                ),
                is_number=False,
            ),
            Column(
                tr("Δ %"),
                self._growth,
                lambda r: -math.inf if r.growth is None else r.growth,
                tr("Change of the volume since the prior CT, per cent; empty until it was compared"),
            ),
            Column(
                tr("Score"),
                lambda r: "" if r.added else f"{r.score:.2f}",
                lambda r: r.score,
                tr("How much the detector believes in it, 0 to 1; none for a nodule that you added"),
            ),
            Column(
                tr("Lung-\nRADS"),
                lambda r: r.lung_rads,
                lambda r: r.lung_rads,
                tr("Category, or the least and the most urgent one for what is not known. No diagnosis."),
                is_number=False,
            ),
            Column(
                tr("Brock\n%"),
                _risk,
                lambda r: r.brock or (-math.inf, -math.inf),
                tr(
                    "Risk of malignancy by the Brock model, per cent, lowest to highest for what is not known. "
                    "No diagnosis."
                ),
            ),
            Column(
                "\N{CHECK MARK}",
                lambda r: "+" if r.added and r.verdict is Verdict.ACCEPTED else self._marks[r.verdict],
                lambda r: r.verdict.value,
                tr("Accepted, rejected or not reviewed; + is one that you added"),
                is_number=False,
            ),
        )

    def _place(self, row: Row) -> str:
        if row.place in self._places:
            return self._places[row.place]
        side, _, zone = row.place.partition(", ")
        return " ".join(part for part in (self._sides.get(side, side), self._zones.get(zone, zone)) if part)

    def _growth(self, row: Row) -> str:
        if row.growth is None:
            return self._behaviours.get(row.behaviour, "")
        return f"{100 * row.growth:+.0f}".replace("-", "\N{MINUS SIGN}")


def row_tool_tip(row: Row) -> str:
    """What else is known of a nodule, a sentence in a line, and what it is not; "" where there is nothing."""
    if not row.remarks:
        return ""
    lines = [tr("Mean attenuation {hu:.0f} HU.").format(hu=row.mean_hu), *row.remarks]
    caution = html.escape(tr("Ratings are impressions of a picture, compared by a program; no diagnosis."))
    return f"{'<br>'.join(html.escape(one) for one in lines)}<br><i>{caution}</i>"


def _risk(row: Row) -> str:
    if row.brock is None:
        return ""
    low, high = (f"{100 * end:.0f}" for end in row.brock)
    return low if low == high else f"{low}\N{EN DASH}{high}"
