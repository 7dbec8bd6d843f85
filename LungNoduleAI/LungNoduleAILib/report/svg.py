"""A picture as SVG."""

from __future__ import annotations

import base64
import io
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from LungNoduleAILib.report.picture import Label, Line, Picture

_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
# From the middle of the letters down to the line they stand on, as a share of their size.
BASELINE = 0.36
# Width of the edge around letters, as a share of their size.
HALO = 0.18
# Length of dash and gap, as multiples of the line's width.
DASH = 4.0


def svg(picture: Picture) -> str:
    """The picture as one SVG element that needs no other file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_number(picture.width)} {_number(picture.height)}" '
        f'role="img" aria-label={quoteattr(picture.text)}>'
    ]
    if picture.pixels is not None:
        parts.append(
            f'<image width="{_number(picture.width)}" height="{_number(picture.height)}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{base64.b64encode(png(picture.pixels)).decode()}"/>'
        )
    parts += map(_line, picture.lines)
    parts += map(_label, picture.labels)
    return "".join([*parts, "</svg>"])


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Pixels [rows, columns] or [rows, columns, 3] as a PNG file."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG")
    return stream.getvalue()


def _line(line: Line) -> str:
    points = " ".join(f"{_number(x)},{_number(y)}" for x, y in line.points)
    stroke = f'stroke="{line.colour}" stroke-width="{_number(line.width)}"' if line.colour else 'stroke="none"'
    dash = f' stroke-dasharray="{_number(DASH * line.width)}"' if line.dashed else ""
    name = "polygon" if line.closed else "polyline"
    return f'<{name} points="{points}" fill="{line.fill or "none"}" {stroke}{dash} stroke-linejoin="round"/>'


def _label(label: Label) -> str:
    edge = ""
    if label.behind:
        edge = (
            f' stroke="{label.behind}" stroke-width="{_number(HALO * label.size)}" stroke-linejoin="round" '
            'paint-order="stroke"'
        )
    weight = ' font-weight="bold"' if label.bold else ""
    return (
        f'<text x="{_number(label.x)}" y="{_number(label.y + BASELINE * label.size)}" font-family="{_FONT}" '
        f'font-size="{_number(label.size)}"{weight} fill="{label.colour}" text-anchor="{label.anchor}"{edge}>'
        f"{escape(label.text)}</text>"
    )


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
