"""A row for each parameter of an operation, with its unit and range."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt

from SegmentationAILib.engine.task import Option
from SegmentationAILib.enhancement.operations import Parameter
from SegmentationAILib.widgets.translation import tr


class ParameterFields:
    """Fills a form with the fields of the parameters at hand.

    Args:
        form: is filled, and emptied.
        changed: told that the user changed a value.
    """

    def __init__(self, form: qt.QFormLayout, changed: Callable[[], None]) -> None:
        self._form, self._changed = form, changed
        self._fields: dict[str, qt.QWidget] = {}

    def show(self, parameters: tuple[Parameter, ...], values: Mapping[str, Option]) -> None:
        """Replace all rows."""
        while self._form.rowCount():
            self._form.removeRow(0)
        self._fields = {}
        for one in parameters:
            field = self._choice(one) if one.choices else self._number(one)
            field.setObjectName(f"preprocess_{one.name}")
            field.setToolTip(tr(one.hint))
            field.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
            self._set(field, values.get(one.name, one.default))
            field.connect("activated(int)" if one.choices else "valueChanged(double)", lambda _value: self._changed())
            self._form.addRow(f"{tr(one.title)}:", field)
            self._fields[one.name] = field

    @property
    def values(self) -> dict[str, Option]:
        """By the parameters' names."""
        return {
            name: field.currentText if isinstance(field, qt.QComboBox) else field.value
            for name, field in self._fields.items()
        }

    def set_values(self, values: Mapping[str, Option]) -> None:
        """Show values that came from elsewhere, without telling anybody."""
        for name, field in self._fields.items():
            if name in values and values[name] != self.values[name]:
                field.blockSignals(True)
                self._set(field, values[name])
                field.blockSignals(False)

    @staticmethod
    def _set(field: qt.QWidget, value: Option) -> None:
        if isinstance(field, qt.QComboBox):
            field.setCurrentIndex(max(0, field.findText(value)))
        else:
            field.setValue(value)

    @staticmethod
    def _number(one: Parameter) -> qt.QDoubleSpinBox:
        field = qt.QDoubleSpinBox()
        field.setDecimals(one.decimals)
        field.setRange(one.low, one.high)
        field.setSingleStep(10.0 if one.decimals == 0 and one.high > 1000 else 10.0**-one.decimals)
        if one.unit:
            field.setSuffix(f" {one.unit}")
        if one.special:
            field.setSpecialValueText(tr(one.special))
        # Typing a number tries none of its beginnings.
        field.setKeyboardTracking(False)
        return field

    @staticmethod
    def _choice(one: Parameter) -> qt.QComboBox:
        field = qt.QComboBox()
        for choice in one.choices:
            field.addItem(choice)
        return field
