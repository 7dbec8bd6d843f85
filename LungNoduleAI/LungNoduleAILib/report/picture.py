"""A picture of a report as data: grey or coloured pixels with lines and words over them, drawn at any size.

HTML and PDF draw the same data, lines stay lines in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, eq=False)
class Line:
    """A line, or an area.

    Attributes:
        points: [n, 2] (x, y).
        colour: as "#rrggbb", "" for an area without a border.
        width: of the line.
        closed: joined to its beginning.
        dashed: drawn in dashes.
        fill: colour inside, "" for none.
    """

    points: NDArray
    colour: str
    width: float
    closed: bool = False
    dashed: bool = False
    fill: str = ""


@dataclass(frozen=True)
class Label:
    """Words.

    Attributes:
        x, y: of the middle of their height; across, of what ``anchor`` names.
        size: of the letters.
        behind: colour of an edge around the letters, "" for none.
    """

    text: str
    x: float
    y: float
    size: float
    colour: str
    anchor: Anchor = "middle"
    behind: str = ""
    bold: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture; x runs right and y down from its top left corner.

    Attributes:
        width, height: in the unit of all places and sizes in it, which is mm of the patient in a section.
        pixels: uint8 [rows, columns] or [rows, columns, 3], filling it; None for a drawing alone.
        lines: drawn over the pixels in this order; ``labels`` over them.
        title: short, shown above.
        text: what it shows, for who cannot see it.
    """

    width: float
    height: float
    pixels: NDArray[np.uint8] | None
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    title: str
    text: str
