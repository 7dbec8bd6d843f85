"""Lung-RADS v2022: the category of a whole examination, which is that of its most suspicious nodule (note 1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from LungNoduleAILib.guidelines.answers import Question, Range, Recommendation
from LungNoduleAILib.guidelines.findings import Behaviour, Finding, Kind
from LungNoduleAILib.guidelines.lung_rads import classify, recommendation
from LungNoduleAILib.guidelines.lung_rads_table import Category
from LungNoduleAILib.guidelines.patient import Patient

_NOT_SCREENING = "The guideline is made for CT of lung cancer screening, which this is not."
# Note 10.
_MANY_NEW_NODULES = 6
_LARGE_NEW_MM = 8


@dataclass(frozen=True)
class Exam:
    """A CT of lung cancer screening.

    Attributes:
        prior_being_located: an earlier chest CT is still to come for comparison.
        lungs_evaluable: all of both lungs can be evaluated.
        suspected_infection: the reader holds the findings for an inflammatory or infectious process.
        consolidation: segmental or lobar.
        other_finding: one that is, or may be, clinically significant and is not about lung cancer.
    """

    findings: tuple[Finding, ...] = ()
    prior_being_located: bool = False
    lungs_evaluable: bool = True
    suspected_infection: bool = False
    consolidation: bool = False
    other_finding: bool = False


@dataclass(frozen=True)
class ExamAssessment:
    """What the guideline says of an examination.

    Attributes:
        overall: category of the examination, its rule and what is advised.
        findings: of each nodule, in the order of the examination.
        other_finding: whether the modifier S is added (note 15).
    """

    overall: Recommendation
    findings: tuple[Recommendation | Range[Recommendation], ...]
    other_finding: bool

    @property
    def label(self) -> str:
        """The category with its modifier, such as "4AS"."""
        return f"{self.overall.category}{'S' if self.other_finding else ''}"


def classify_exam(exam: Exam, patient: Patient | None = None) -> ExamAssessment | Range[ExamAssessment]:
    """The category of an examination; a range where it hangs on inputs that are not known.

    Raises:
        InputError: a prior category is none of Lung-RADS.
    """
    found = tuple(classify(finding) for finding in exam.findings)
    patient = patient or Patient()
    notes = _signs_of_infection(exam, patient)
    if patient.screening is False:
        notes = (_NOT_SCREENING, *notes)
    low = _overall(exam, tuple(one.low if isinstance(one, Range) else one for one in found), notes)
    high = _overall(exam, tuple(one.high if isinstance(one, Range) else one for one in found), notes)
    assessments = [ExamAssessment(overall, found, exam.other_finding) for overall in (low, high)]
    if low.category == high.category:
        return assessments[1]
    missing: dict[str, Question] = {q.name: q for one in found if isinstance(one, Range) for q in one.missing}
    return Range(*assessments, tuple(missing.values()), tuple(assessments))


def _overall(exam: Exam, nodules: tuple[Recommendation, ...], notes: tuple[str, ...]) -> Recommendation:
    worst = max(nodules, key=lambda nodule: nodule.rank, default=recommendation("1", "none"))
    very_suspicious = worst.rank >= Category.VERY_SUSPICIOUS.rank
    reason = ""
    if exam.prior_being_located:
        reason = "prior"
    elif not exam.lungs_evaluable:
        reason = "lungs"
    elif exam.suspected_infection and not very_suspicious:
        # What is more concerning for malignancy and has the size of 4B keeps its category (note 10).
        reason = "infection"
    if not reason:
        return replace(worst, notes=worst.notes + notes)
    if nodules:
        notes = (f"The nodules alone reach category {worst.category}.", *notes)
    return recommendation("0", reason, notes)


def _signs_of_infection(exam: Exam, patient: Patient) -> tuple[str, ...]:
    """What the guideline names as reasons for which category 0 may be given (note 10)."""
    new = [finding for finding in exam.findings if finding.behaviour is Behaviour.NEW]
    large = any(
        finding.kind is Kind.SOLID and finding.mean_mm is not None and finding.mean_mm >= _LARGE_NEW_MM
        for finding in new
    )
    signs = {
        "segmental or lobar consolidation": exam.consolidation,
        "more than six new nodules": len(new) > _MANY_NEW_NODULES,
        "a new solid nodule of 8 mm or more": large,
        "a new nodule in an immunocompromised patient": bool(new and patient.immunosuppressed),
    }
    present = [name for name, there in signs.items() if there]
    if not present or exam.suspected_infection:
        return ()
    return (
        f"The guideline says that category 0 with low-dose CT in 1 to 3 months may be given where this suggests an "
        f"inflammatory or infectious process: {', '.join(present)} (note 10).",
    )
