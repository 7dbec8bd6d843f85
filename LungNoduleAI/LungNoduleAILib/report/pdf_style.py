"""How the PDF report looks: page, fonts, colours, paragraph styles."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

# Bitstream Vera, which comes with reportlab; PDF's own fonts have no sign for "at least" and no minus.
FONTS = {"Vera": "Vera.ttf", "Vera-Bold": "VeraBd.ttf"}
TEXT, BOLD = FONTS
INK, QUIET, RULE, BAND, ACCENT, SAND = (
    HexColor(colour) for colour in ("#1c2733", "#55636f", "#d4dbe2", "#f3f6f9", "#1f5fa8", "#fdf5ea")
)
MARGIN, TOP, BOTTOM = 17 * mm, 22 * mm, 18 * mm
WIDTH = A4[0] - 2 * MARGIN
GAP = 2.5 * mm
PADDING = 3.5
# What is longer may begin on one page and end on the next.
LONGEST_KEPT = 75 * mm


def _style(name: str, size: float, *, bold: bool = False, **changes: object) -> ParagraphStyle:
    settings = {"fontName": BOLD if bold else TEXT, "fontSize": size, "leading": 1.36 * size, "textColor": INK}
    return ParagraphStyle(name, **(settings | changes))


_BOXED = {"backColor": SAND, "borderPadding": (4, 6, 4, 8), "leftIndent": 8, "rightIndent": 6}
STYLES = {
    "title": _style("title", 19, bold=True),
    "subtitle": _style("subtitle", 8.5, textColor=QUIET, spaceAfter=6),
    "use": _style("use", 9, bold=True, spaceBefore=4, spaceAfter=8, **_BOXED),
    "heading0": _style("heading0", 13.5, bold=True, textColor=ACCENT, spaceBefore=12, spaceAfter=5),
    "heading1": _style("heading1", 10.5, bold=True, spaceBefore=10, spaceAfter=3),
    "": _style("plain", 8.5, spaceAfter=4),
    "item": _style("item", 8.5, spaceAfter=1.5),
    "lead": _style("lead", 10, spaceAfter=5),
    "warning": _style("warning", 8.5, spaceBefore=6, spaceAfter=8, **_BOXED),
    "note": _style("note", 8, textColor=QUIET, spaceAfter=4),
    "caption": _style("caption", 7.6, textColor=QUIET, spaceAfter=5),
    "table caption": _style("table caption", 8.8, bold=True, spaceBefore=6, spaceAfter=3),
    "picture title": _style("picture title", 8, bold=True),
    "cell": _style("cell", 7.6, leading=9.9),
    "number": _style("number", 7.6, leading=9.9, alignment=2),
    "row title": _style("row title", 7.6, leading=9.9, bold=True),
    "column title": _style("column title", 7.6, leading=9.9, bold=True),
    "number title": _style("number title", 7.6, leading=9.9, bold=True, alignment=2),
}


def register_fonts() -> None:
    """Make the fonts known to reportlab, once."""
    for name, file in FONTS.items():
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, file))


@contextmanager
def binary_streams() -> Iterator[None]:
    """Within it pictures are not written as letters, which takes a quarter more room and time."""
    before = rl_config.useA85
    rl_config.useA85 = 0
    try:
        yield
    finally:
        rl_config.useA85 = before
