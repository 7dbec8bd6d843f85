"""Lung-RADS v2022 as data: categories with what is advised, and the rules, in short.

Source: American College of Radiology, Lung-RADS v2022, Assessment Categories (November 2022) and its notes;
Christensen et al., J Am Coll Radiol 2024;21:473–488. A rule whose source says "reading" is not in the
table: it is how this software reads a case that the table leaves open.
"""

from __future__ import annotations

from enum import Enum
from types import MappingProxyType

from LungNoduleAILib.guidelines.answers import Rule

GUIDELINE = "Lung-RADS v2022"
READING = "reading of a case that the table leaves open"


class Category(str, Enum):
    """Assessment categories, in rising order of suspicion."""

    INCOMPLETE = "0"
    NEGATIVE = "1"
    BENIGN = "2"
    PROBABLY_BENIGN = "3"
    SUSPICIOUS = "4A"
    VERY_SUSPICIOUS = "4B"
    SUSPICIOUS_FEATURES = "4X"

    @property
    def rank(self) -> int:
        """0 for category 0 up to 6 for 4X."""
        return list(Category).index(self)


_WORK_UP = (
    "referral for further clinical evaluation; diagnostic chest CT with or without contrast, PET/CT where the solid "
    "nodule or solid part has 8 mm (268 mm³) or more, tissue sampling, by clinical evaluation, the patient's "
    "preference and the probability of malignancy"
)
ADVICE = MappingProxyType(
    {
        Category.INCOMPLETE: "comparison with the prior CT, additional screening CT images, or low-dose CT in 1 to 3 "
        "months",
        Category.NEGATIVE: "screening low-dose CT in 12 months",
        Category.BENIGN: "screening low-dose CT in 12 months",
        Category.PROBABLY_BENIGN: "low-dose CT in 6 months",
        Category.SUSPICIOUS: "low-dose CT in 3 months; PET/CT may be considered where the solid nodule or solid part "
        "has 8 mm (268 mm³) or more",
        Category.VERY_SUSPICIOUS: _WORK_UP,
        Category.SUSPICIOUS_FEATURES: _WORK_UP,
    }
)
# Risk of malignancy that the guideline gives for the category.
RISK = MappingProxyType(
    {
        Category.INCOMPLETE: "",
        Category.NEGATIVE: "< 1 %",
        Category.BENIGN: "< 1 %",
        Category.PROBABLY_BENIGN: "1–2 %",
        Category.SUSPICIOUS: "5–15 %",
        Category.VERY_SUSPICIOUS: "> 15 %",
        Category.SUSPICIOUS_FEATURES: "> 15 %",
    }
)
# mm: mm³ of the ball, as the table prints them.
VOLUMES_MM3 = MappingProxyType({4: 34, 6: 113, 8: 268, 10: 524, 15: 1767, 30: 14137})


# Category, name, what the rule says, where it is from.
_ROWS = (
    ("0", "prior", "a prior chest CT is being located for comparison", "table, note 9"),
    ("0", "lungs", "part or all of the lungs cannot be evaluated", "table"),
    ("0", "infection", "findings suggest an inflammatory or infectious process", "table, note 10"),
    ("1", "none", "no lung nodule", "table"),
    ("1", "benign-pattern", "complete, central, popcorn or concentric-ring calcification, or fat", "table"),
    ("1", "thin-cyst", "a thin-walled cyst is benign and not classified", "note 12"),
    ("1", "unclassified-cyst", "fluid-containing cysts and multiple cysts are not classified", "note 12"),
    ("1", "resolved", "the nodule is gone", READING),
    ("2", "juxtapleural", "juxtapleural < 10 mm (524 mm³), solid, smooth, oval, lentiform or triangular", "table"),
    ("2", "solid-baseline", "solid < 6 mm (113 mm³) at baseline", "table"),
    ("2", "solid-new", "new solid < 4 mm (34 mm³)", "table"),
    ("2", "part-solid-baseline", "part-solid < 6 mm (113 mm³) in all at baseline", "table"),
    ("2", "ground-glass", "ground glass < 30 mm (14 137 mm³) at baseline, new or growing", "table"),
    ("2", "ground-glass-stable", "ground glass ≥ 30 mm (14 137 mm³), stable or slowly growing", "table, note 7"),
    ("2", "airway", "subsegmental airway nodule at baseline, new or stable", "table, note 11"),
    ("2", "secretions", "airway finding that favours secretions, without a nodule under it", "note 11"),
    ("2", "step-down", "category 3, stable or smaller on the 6-month CT", "table"),
    ("2", "stays", "category 1 or 2 before, without growth", READING),
    ("2", "proven-benign", "category 4B, proven benign by diagnostic work-up", "table"),
    ("3", "solid-baseline", "solid ≥ 6 to < 8 mm (113 to < 268 mm³) at baseline", "table"),
    ("3", "solid-new", "new solid 4 to < 6 mm (34 to < 113 mm³)", "table"),
    ("3", "part-solid-baseline", "part-solid ≥ 6 mm (113 mm³) in all, solid part < 6 mm, at baseline", "table"),
    ("3", "part-solid-new", "new part-solid < 6 mm (113 mm³) in all", "table"),
    ("3", "ground-glass", "ground glass ≥ 30 mm (14 137 mm³) at baseline or new", "table"),
    ("3", "ground-glass-growing", "growing ground glass that has ≥ 30 mm (14 137 mm³)", READING),
    ("3", "cyst-growing", "thick-walled cyst with a growing cystic component", "table, note 12"),
    ("3", "step-down", "category 4A, stable or smaller on the 3-month CT, no airway nodule", "table"),
    ("3", "stays", "category 3 before, stable or smaller before the 6-month CT", READING),
    ("4A", "solid-baseline", "solid ≥ 8 to < 15 mm (268 to < 1767 mm³) at baseline", "table"),
    ("4A", "solid-growing", "growing solid < 8 mm (268 mm³)", "table"),
    ("4A", "solid-new", "new solid 6 to < 8 mm (113 to < 268 mm³)", "table"),
    ("4A", "part-solid-baseline", "part-solid ≥ 6 mm (113 mm³) in all, solid part ≥ 6 to < 8 mm, at baseline", "table"),
    ("4A", "part-solid-growing", "part-solid with a new or growing solid part < 4 mm (34 mm³)", "table"),
    ("4A", "airway", "airway nodule, segmental or more proximal, at baseline", "table, note 11"),
    ("4A", "airway-new", "new airway nodule, segmental or more proximal", "note 11"),
    ("4A", "airway-smaller", "airway nodule, segmental or more proximal, that became smaller", READING),
    ("4A", "airway-growing", "growing subsegmental airway nodule", READING),
    ("4A", "cyst", "thick-walled or multilocular cyst at baseline", "table, note 12"),
    ("4A", "cyst-multilocular", "thin- or thick-walled cyst that becomes multilocular", "table, note 12"),
    ("4A", "stays", "category 4A before, stable or smaller before the 3-month CT", READING),
    ("4B", "solid-baseline", "solid ≥ 15 mm (1767 mm³) at baseline", "table"),
    ("4B", "solid-new-growing", "new or growing solid ≥ 8 mm (268 mm³)", "table"),
    ("4B", "part-solid-baseline", "part-solid with a solid part ≥ 8 mm (268 mm³) at baseline", "table"),
    ("4B", "part-solid-growing", "part-solid with a new or growing solid part ≥ 4 mm (34 mm³)", "table"),
    ("4B", "slow", "solid or part-solid nodule that grows slowly over several screening CTs", "table, note 8"),
    ("4B", "airway", "airway nodule, segmental or more proximal, stable or growing", "table, note 11"),
    ("4B", "cyst-wall", "thick-walled cyst with a growing wall or nodularity", "table, note 12"),
    ("4B", "cyst-growing", "growing multilocular cyst", "table, note 12"),
    ("4B", "cyst-opacity", "multilocular cyst with more loculation, or new or increased opacity", "table, note 12"),
    ("4B", "stays", "category 4B or 4X before, not proven benign", READING),
    ("4X", "features", "category 3 or 4 with features that increase suspicion of lung cancer", "table, note 14"),
)
RULES = MappingProxyType({f"{c}-{name}": Rule(f"LungRADS-{c}-{name}", text, source) for c, name, text, source in _ROWS})
