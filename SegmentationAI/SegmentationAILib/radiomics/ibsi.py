"""The features of IBSI 1 (Zwanenburg et al., Radiology 2020): names, codes, and how a table calls them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from SegmentationAILib.radiomics.settings import RadiomicsSettings

# By the beginning of a feature's tag: matrices over directions, and matrices without.
DIRECTIONAL = ("cm", "rlm")
DIRECTIONLESS = ("szm", "dzm", "ngt", "ngl")


@dataclass(frozen=True)
class Feature:
    """A feature of IBSI: its tag there, such as ``"cm_contrast"``, its code, family and name."""

    tag: str
    code: str
    family: str
    name: str

    @property
    def kind(self) -> str:
        """The beginning of the tag, one for each family."""
        return self.tag.partition("_")[0]

    def tag_with(self, settings: RadiomicsSettings) -> str:
        """The tag with the aggregation, where the feature has one: ``"cm_contrast_3D_comb"``."""
        if self.kind in DIRECTIONAL:
            return f"{self.tag}_{settings.aggregation}"
        return f"{self.tag}_{settings.dimensions}" if self.kind in DIRECTIONLESS else self.tag


@lru_cache(maxsize=1)
def ibsi_features() -> tuple[Feature, ...]:
    """The 169 features that have a reference value, in the order of IBSI's tables."""
    with (Path(__file__).parent / "ibsi_features.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(Feature(**row) for row in csv.DictReader(stream))
