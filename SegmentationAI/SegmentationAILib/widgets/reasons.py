"""A button that cannot be used yet says why."""

from __future__ import annotations

import qt

_USUAL = "usualToolTip"


def enable_unless(button: qt.QAbstractButton, reason: str) -> None:
    """Enable a button, or disable it with the reason as its tool tip."""
    usual = button.property(_USUAL)
    if usual is None:
        usual = button.toolTip
        button.setProperty(_USUAL, usual)
    button.setEnabled(not reason)
    button.setToolTip(reason or usual)
