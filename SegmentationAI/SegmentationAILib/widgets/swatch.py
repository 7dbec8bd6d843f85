"""The little square that shows a structure's colour."""

from __future__ import annotations

import qt

_PIXELS = 12


def swatch(colour: tuple[float, float, float]) -> qt.QIcon:
    """A square of one colour, red, green and blue in 0…1."""
    picture = qt.QPixmap(_PIXELS, _PIXELS)
    picture.fill(qt.QColor.fromRgbF(*colour))
    return qt.QIcon(picture)
