"""The patient section of the panel: inputs of guidelines and risk models, each of which may be unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import qt

from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.translation import tr

# One below the lowest age that models take, and below no pack-years: "not known".
_NO_AGE, _OLDEST = 17, 110
_NO_PACK_YEARS, _MOST_PACK_YEARS = -1, 300


class PatientSection:
    """Drives ``patientWidget``, in which it makes a row for each input.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        parameters: the parameter node, None in a closed scene.
        attempt: does what may be refused, and says why.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        parameters: Callable[[], Any],
        attempt: Callable[[Callable[[], object]], None],
    ) -> None:
        self._logic, self._parameters, self._attempt = logic, parameters, attempt
        self._showing = False
        form = qt.QFormLayout(ui.patientWidget)
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(qt.QFormLayout.ExpandingFieldsGrow)
        self.age = self._spin_box(form, tr("Age:"), _NO_AGE, _OLDEST, tr("Years"))
        self.pack_years = self._spin_box(
            form, tr("Pack-years:"), _NO_PACK_YEARS, _MOST_PACK_YEARS, tr("Packs of 20 cigarettes a day, times years")
        )
        self.boxes = {
            name: self._box(form, title, tip, words)
            for name, title, tip, words in (
                ("female", tr("Sex:"), "", (tr("male"), tr("female"))),
                ("ever_smoked", tr("Ever smoked:"), tr("Now or formerly"), None),
                ("family_history", tr("Family history:"), tr("Lung cancer in the family"), None),
                ("emphysema", tr("Emphysema:"), tr("On CT"), None),
                ("fibrosis", tr("Fibrosis:"), tr("Pulmonary fibrosis on CT"), None),
                ("cancer_history", tr("Cancer:"), tr("A known primary cancer, now or formerly"), None),
                (
                    "extrathoracic_cancer",
                    tr("Cancer > 5 years:"),
                    tr("Outside the chest, more than five years ago"),
                    None,
                ),
                ("immunosuppressed", tr("Immunosuppressed:"), "", None),
                ("asbestos", tr("Carcinogens:"), tr("Exposure to asbestos, uranium or radon"), None),
                ("screening", tr("Screening CT:"), tr("Of lung cancer screening; no: the nodule is incidental"), None),
                (
                    "high_risk",
                    tr("High risk:"),
                    tr("As you count the patient by the Fleischner Society's factors"),
                    None,
                ),
            )
        }
        self.flags = {
            name: self._flag(form, title, tip)
            for name, title, tip in (
                ("prior_being_located", tr("Prior CT still to come"), tr("Lung-RADS category 0 until it is there")),
                ("lungs_not_evaluable", tr("Lungs not wholly seen"), tr("Lung-RADS category 0")),
                (
                    "suspected_infection",
                    tr("Suspected infection"),
                    tr("Lung-RADS category 0 for what is not 4B or more"),
                ),
                ("consolidation", tr("Consolidation"), tr("Segmental or lobar")),
                ("other_finding", tr("Other significant finding"), tr("Lung-RADS modifier S")),
            )
        }

    def show(self) -> None:
        """Show what is known with the parameter node's findings."""
        findings = self._findings
        try:
            patient = self._logic.patient(findings) if findings else None
            exam: Mapping[str, bool] = self._logic.examInputs(findings) if findings else {}
        except InputError:
            patient, exam = None, {}
        self._showing = True
        age, pack_years = (getattr(patient, name, None) for name in ("age", "pack_years"))
        self.age.setValue(_NO_AGE if age is None else round(age))
        self.pack_years.setValue(_NO_PACK_YEARS if pack_years is None else round(pack_years))
        for name, box in self.boxes.items():
            known = getattr(patient, name, None)
            box.setCurrentIndex(0 if known is None else 1 + int(known))
        shown = {**exam, "lungs_not_evaluable": not exam.get("lungs_evaluable", True)}
        for name, flag in self.flags.items():
            flag.setChecked(bool(shown.get(name)))
        self._showing = False

    def close(self) -> None:
        """The panel goes away."""

    @property
    def _findings(self) -> Any:
        parameters = self._parameters()
        return parameters.findings if parameters else None

    def _tell(self, *_value: object) -> None:
        if self._showing:
            return
        known: dict[str, Any] = {name: box.currentIndex == 2 for name, box in self.boxes.items() if box.currentIndex}
        if self.age.value > _NO_AGE:
            known["age"] = float(self.age.value)
        if self.pack_years.value > _NO_PACK_YEARS:
            known["pack_years"] = float(self.pack_years.value)
        exam = {name: True for name, flag in self.flags.items() if flag.checked}
        if exam.pop("lungs_not_evaluable", False):
            exam["lungs_evaluable"] = False
        self._attempt(lambda: self._logic.setPatient(self._findings, exam, **known))

    def _spin_box(self, form: qt.QFormLayout, title: str, unknown: int, most: int, tip: str) -> qt.QSpinBox:
        box = qt.QSpinBox()
        box.setRange(unknown, most)
        box.setSpecialValueText(tr("not known"))
        box.setValue(unknown)
        box.setToolTip(tip)
        # Told once a number is whole, not at each of its digits.
        box.setKeyboardTracking(False)
        box.connect("valueChanged(int)", self._tell)
        form.addRow(title, box)
        return box

    def _box(self, form: qt.QFormLayout, title: str, tip: str, words: tuple[str, str] | None) -> qt.QComboBox:
        box = qt.QComboBox()
        for text in (tr("not known"), *(words or (tr("no"), tr("yes")))):
            box.addItem(text)
        box.setToolTip(tip)
        box.connect("activated(int)", self._tell)
        form.addRow(title, box)
        return box

    def _flag(self, form: qt.QFormLayout, title: str, tip: str) -> qt.QCheckBox:
        flag = qt.QCheckBox(title)
        flag.setToolTip(tip)
        flag.connect("clicked(bool)", self._tell)
        form.addRow(flag)
        return flag
