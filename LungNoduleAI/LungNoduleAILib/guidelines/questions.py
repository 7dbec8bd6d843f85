"""What is asked where an input is not known, and which answers are plausible."""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib.guidelines.findings import Behaviour, Kind, Lobe, Shape, Uptake

YES_NO = (False, True)
# A nodule has 30 mm at most (Fleischner Society's glossary, Radiology 2008); one size for each band between the
# thresholds of the guidelines.
DIAMETERS_MM = (3.0, 4.5, 5.5, 7.0, 9.0, 16.0, 30.0)
LONGEST_MM = (3.0, 5.5, 7.0, 9.0, 30.0)
SOLID_DIAMETERS_MM = (2.0, 5.0, 7.0, 9.0, 16.0)


@dataclass(frozen=True)
class Question:
    """Something that would settle an answer.

    Attributes:
        name: of the attribute of ``Finding`` or ``Patient``.
        text: for the user.
        plausible: the answers for which results were worked out.
    """

    name: str
    text: str
    plausible: tuple


def _question(name: str, text: str, plausible: tuple = YES_NO) -> tuple[str, Question]:
    return name, Question(name, text, plausible)


QUESTIONS = dict(
    [
        _question("age", "How old is the patient, in years?", (18, 110)),
        _question("female", "Is the patient female?"),
        _question("ever_smoked", "Does the patient smoke, or did he or she formerly?"),
        _question("family_history", "Has anyone in the patient's family had lung cancer?"),
        _question("emphysema", "Does the CT show emphysema?"),
        _question("cancer_history", "Has the patient, or had the patient, a known primary cancer?"),
        _question("extrathoracic_cancer", "Did the patient have a cancer outside the chest more than five years ago?"),
        _question("immunosuppressed", "Is the patient immunosuppressed?"),
        _question("screening", "Is this a CT of lung cancer screening?"),
        _question(
            "high_risk",
            "Does the patient count as high risk (by age, smoking, other carcinogens, emphysema, fibrosis, family "
            "history, upper lobe, spiculation)?",
        ),
        _question("kind", "Is the nodule solid, part-solid or ground glass?", tuple(Kind)),
        _question("mean_diameter_mm", "What is the nodule's mean diameter, in mm?", DIAMETERS_MM),
        _question("long_axis_mm", "What is the nodule's longest diameter, in mm?", LONGEST_MM),
        _question("solid_mean_diameter_mm", "What is the solid part's mean diameter, in mm?", SOLID_DIAMETERS_MM),
        _question("solid_long_axis_mm", "What is the solid part's longest diameter, in mm?", SOLID_DIAMETERS_MM),
        _question("lobe", "Is the nodule in an upper lobe, and in which?", (Lobe.RIGHT_LOWER, Lobe.RIGHT_UPPER)),
        _question("spiculation", "Is the nodule spiculated?"),
        _question("juxtapleural", "Does the nodule lie at the pleura?"),
        _question("perifissural", "Does the nodule lie at a fissure?"),
        _question("smooth_margin", "Is the nodule's margin smooth?"),
        _question("shape", "Is the nodule oval, lentiform or triangular?", (Shape.TRIANGULAR, Shape.OTHER)),
        _question(
            "behaviour",
            "Is this the first CT, or is the nodule new, stable, smaller or growing?",
            tuple(b for b in Behaviour if b is not Behaviour.RESOLVED),
        ),
        _question(
            "solid_behaviour",
            "Is the solid part new, growing or stable?",
            (Behaviour.STABLE, Behaviour.NEW, Behaviour.GROWING),
        ),
        _question("months_since_prior", "How many months lie between the prior CT and this one?", (3, 6, 12, 24, 48)),
        _question("prior_category", "What was the nodule's Lung-RADS category before?", ("2", "3", "4A", "4B", "4X")),
        _question("doubling_time_days", "What is the volume's doubling time, in days?", (200.0, 500.0, 1000.0)),
        _question("nodule_count", "How many nodules does this CT show?", (1, 10)),
        _question("pet_uptake", "How high is the FDG uptake on PET-CT?", tuple(Uptake)),
    ]
)
