"""What guidelines and risk models ask about the patient; None is "not known"."""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib.guidelines.limits import check_number
from SegmentationAILib.errors import InputError


@dataclass(frozen=True)
class Patient:
    """A patient.

    Attributes:
        age: years, 18–110.
        ever_smoked: now or formerly; ``is_smoker`` falls back on the pack-years.
        family_history: lung cancer in the family.
        emphysema: on CT.
        cancer_history: a known primary cancer, now or formerly.
        extrathoracic_cancer: one outside the chest, more than five years ago.
        screening: the CT is of lung cancer screening; False where the nodule is incidental.
        asbestos: exposure to asbestos, uranium or radon.
        fibrosis: pulmonary fibrosis on CT.
        high_risk: how the reader counts the patient by the Fleischner Society's risk factors.

    Raises:
        InputError: a number is outside its range, or pack-years contradict "never smoked".
    """

    age: float | None = None
    female: bool | None = None
    pack_years: float | None = None
    ever_smoked: bool | None = None
    family_history: bool | None = None
    emphysema: bool | None = None
    cancer_history: bool | None = None
    extrathoracic_cancer: bool | None = None
    immunosuppressed: bool | None = None
    screening: bool | None = None
    asbestos: bool | None = None
    fibrosis: bool | None = None
    high_risk: bool | None = None

    def __post_init__(self) -> None:
        check_number("age", self.age, 18, 110, "years")
        check_number("number of pack-years", self.pack_years, 0, 300)
        if self.pack_years and self.ever_smoked is False:
            raise InputError("The patient never smoked but has pack-years; correct one of the two.")

    @property
    def is_smoker(self) -> bool | None:
        """Ever smoked, by what was said or by the pack-years; None where neither is known."""
        if self.ever_smoked is None and self.pack_years is not None:
            return self.pack_years > 0
        return self.ever_smoked
