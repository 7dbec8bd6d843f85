"""CTK's widgets on plain Qt, with CTK's names, properties and signals."""

from __future__ import annotations

from host.qt_bridge.ctk_widgets.collapsible import ctkCollapsibleButton, ctkCollapsibleGroupBox
from host.qt_bridge.ctk_widgets.slider import ctkDoubleSpinBox, ctkSliderWidget

_CLASSES = (ctkCollapsibleButton, ctkCollapsibleGroupBox, ctkDoubleSpinBox, ctkSliderWidget)

WIDGETS = {cls.__name__: cls for cls in _CLASSES}

__all__ = ["WIDGETS", "ctkCollapsibleButton", "ctkCollapsibleGroupBox", "ctkDoubleSpinBox", "ctkSliderWidget"]
