"""Detections and classifications against what readers marked.

What needs scikit-learn (``classification``, ``calibration``) or matplotlib (``plots``) is imported by its own
name, so that counting detections needs numpy alone.
"""

from LungNoduleAILib.evaluation.matching import Reference, ScanResult, match

__all__ = ["Reference", "ScanResult", "match"]
