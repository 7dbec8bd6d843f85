"""Nodules that look like an intrapulmonary lymph node; the guidelines differ in the shapes that they accept."""

from __future__ import annotations

from collections.abc import Collection

from LungNoduleAILib.guidelines.answers import known
from LungNoduleAILib.guidelines.findings import Finding, Kind, Shape


def looks_like_lymph_node(finding: Finding, shapes: Collection[Shape]) -> bool:
    """Whether it is solid and smooth, of one of the shapes, and lies at the pleura or a fissure.

    Raises:
        Unknown: an input is not known.
    """
    if known(finding, "kind") is not Kind.SOLID or finding.spiculation:
        return False
    attached = (finding.juxtapleural or finding.perifissural) or (
        known(finding, "juxtapleural") or known(finding, "perifissural")
    )
    return attached and known(finding, "smooth_margin") and known(finding, "shape") in shapes
