"""What the worker gives the panel, apart from what computes it, so that it is shown without loading a network."""

from __future__ import annotations

from dataclasses import dataclass

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.provenance import Provenance


@dataclass(frozen=True, eq=False)
class Segmented:
    """A volume's structures.

    Attributes:
        labels: around what was found.
    """

    labels: LabelMap
    provenance: Provenance
