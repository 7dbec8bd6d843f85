"""What guidelines and risk models say of the chosen nodule, and questions that would settle what they leave open."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING

import qt

from SegmentationAILib.widgets.translation import tr

if TYPE_CHECKING:
    from LungNoduleAILib.assessment import Assessment
    from LungNoduleAILib.guidelines.questions import Question

# Longer than any doubling time that is of use, days.
_LARGEST_NUMBER = 99999.0
# Of the texts on a nodule, which are scrolled; pixels.
_TEXT_HEIGHT = 200


class AssessmentView:
    """Texts and questions of one nodule.

    Args:
        text: takes what is said.
        questions: an empty widget, takes a row for each question.
        answered: told the attribute of ``Finding`` and the answer, None where it is taken back.
    """

    def __init__(self, text: qt.QTextBrowser, questions: qt.QWidget, answered: Callable[[str, object], None]) -> None:
        self._text = text
        self._questions = questions
        self._answered = answered
        self._form = qt.QFormLayout(questions)
        self._form.setContentsMargins(0, 0, 0, 0)
        self._asked: list[tuple[str, object]] = []
        # A question is longer than a narrow panel is wide; it is the tool tip.
        self._titles = {
            "kind": tr("Type:"),
            "lobe": tr("Lobe:"),
            "spiculation": tr("Spiculated:"),
            "juxtapleural": tr("At the pleura:"),
            "perifissural": tr("At a fissure:"),
            "smooth_margin": tr("Smooth margin:"),
            "shape": tr("Shape:"),
            "behaviour": tr("Since the prior CT:"),
            "solid_behaviour": tr("Solid part since:"),
            "solid_mean_diameter_mm": tr("Solid part, mean mm:"),
            "solid_long_axis_mm": tr("Solid part, longest mm:"),
            "months_since_prior": tr("Months since prior:"),
            "prior_category": tr("Lung-RADS before:"),
            "doubling_time_days": tr("Doubling time, days:"),
            "pet_uptake": tr("FDG uptake (PET):"),
        }
        #: The box of each attribute that is asked for.
        self.boxes: dict[str, qt.QWidget] = {}

    def show(
        self,
        title: str,
        assessment: Assessment | None,
        corrections: Mapping[str, object],
        remarks: tuple[str, ...] = (),
    ) -> None:
        """Show a nodule; without an assessment, the title alone.

        Args:
            corrections: what the reader answered before, whose questions stay.
            remarks: further sentences on the nodule.
        """
        self._text.setHtml(html.escape(title) if assessment is None else _texts(title, assessment, remarks))
        height = self._height_of_hint() if assessment is None else _TEXT_HEIGHT
        self._text.setMinimumHeight(height)
        self._text.setMaximumHeight(height)
        asked = [] if assessment is None else _questions(assessment, corrections)
        wanted = [(one.name, corrections.get(one.name)) for one in asked]
        if wanted == self._asked:
            return
        self._asked = wanted
        self._clear()
        for question in asked:
            self._ask(question, corrections.get(question.name))
        self._questions.setVisible(bool(asked))

    def _height_of_hint(self) -> int:
        return 2 * self._text.fontMetrics().height()

    def _clear(self) -> None:
        self.boxes = {}
        while self._form.count() > 0:
            widget = self._form.takeAt(0).widget()
            widget.setParent(None)
            widget.deleteLater()

    def _ask(self, question: Question, answer: object) -> None:
        is_number = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in question.plausible)
        box = self._number_box(question, answer) if is_number else self._choice_box(question, answer)
        box.setToolTip(question.text)
        self._form.addRow(self._titles.get(question.name, question.text), box)
        self.boxes[question.name] = box

    def _number_box(self, question: Question, answer: object) -> qt.QDoubleSpinBox:
        box = qt.QDoubleSpinBox()
        box.setRange(0.0, _LARGEST_NUMBER)
        box.setDecimals(1)
        box.setSpecialValueText(tr("not known"))
        box.setValue(float(answer or 0.0))
        # Told once a number is whole, not at each of its digits.
        box.setKeyboardTracking(False)
        box.connect("valueChanged(double)", lambda value: self._answered(question.name, value or None))
        return box

    def _choice_box(self, question: Question, answer: object) -> qt.QComboBox:
        box = qt.QComboBox()
        box.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(10)
        values = list(dict.fromkeys([*question.plausible, *([answer] if answer is not None else [])]))
        for text in (tr("not known"), *map(_word, values)):
            box.addItem(text)
        box.setCurrentIndex(0 if answer is None else values.index(answer) + 1)
        box.connect(
            "activated(int)", lambda index: self._answered(question.name, values[index - 1] if index > 0 else None)
        )
        return box


def _texts(title: str, assessment: Assessment, remarks: tuple[str, ...]) -> str:
    # Its imports read the guidelines, which opening the panel should not wait for.
    from LungNoduleAILib.report.wording_answers import (  # noqa: PLC0415
        advice,
        estimate_sentences,
        guidelines_of,
        models_of,
    )

    parts = [f"<b>{html.escape(title)}</b>", *(html.escape(one) for one in remarks)]
    for name, answer in guidelines_of(assessment):
        parts.append(f"<b>{html.escape(name)}.</b> {html.escape(' '.join(advice(answer)))}")
    for name, estimate in models_of(assessment):
        parts.append(f"<b>{html.escape(name)}.</b> {html.escape(' '.join(estimate_sentences(estimate)))}")
    parts.append(f"<i>{html.escape(tr('No diagnosis; the clinician decides.'))}</i>")
    return "".join(f"<p style='margin-top:0;margin-bottom:5px'>{part}</p>" for part in parts)


def _questions(assessment: Assessment, corrections: Mapping[str, object]) -> list[Question]:
    """About the nodule, not the patient, each once: those answered before and those that are open."""
    from LungNoduleAILib.guidelines.answers import Range  # noqa: PLC0415
    from LungNoduleAILib.guidelines.questions import QUESTIONS  # noqa: PLC0415

    answers = (
        assessment.lung_rads,
        assessment.fleischner,
        assessment.bts,
        assessment.brock,
        assessment.mayo,
        assessment.herder,
    )
    found = {name: QUESTIONS[name] for name in corrections if name in QUESTIONS}
    for answer in answers:
        for question in answer.missing if isinstance(answer, Range) else ():
            if hasattr(assessment.finding, question.name):
                found.setdefault(question.name, question)
    return list(found.values())


def _word(value: object) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return str(value.value if isinstance(value, Enum) else value)
