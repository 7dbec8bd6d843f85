"""Texts of the widgets in the user's language."""

from __future__ import annotations

import qt


def tr(text: str) -> str:
    return qt.QCoreApplication.translate("SegmentationAILib.widgets", text)
