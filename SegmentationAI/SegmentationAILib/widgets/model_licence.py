"""Licence and citation of a model, to be read and agreed to before it is downloaded or imported."""

from __future__ import annotations

from collections.abc import Callable

import qt

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.widgets.model_text import terms_html
from SegmentationAILib.widgets.translation import tr


class LicenceDialog:
    """The button works once the user has ticked that they agree.

    Args:
        entry: what is to be had.
        folder: where it will be.
        action: what the button says.
        agreed: called when the user has agreed and clicked it; told whether to trust a file that is not the one that
            was first fetched here.
        may_have_changed: whether to ask that.
        parent: the window that waits meanwhile.
    """

    def __init__(
        self,
        entry: Entry,
        folder: str,
        action: str,
        agreed: Callable[[bool], None],
        may_have_changed: bool,
        parent: qt.QWidget | None,
    ) -> None:
        self._agreed = agreed
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(tr("Licence of a model"))
        self.dialog.setMinimumWidth(420)
        layout = qt.QVBoxLayout(self.dialog)
        text = qt.QLabel(terms_html(entry, folder), self.dialog)
        text.setObjectName("termsLabel")
        text.setWordWrap(True)
        text.setOpenExternalLinks(True)
        text.setTextInteractionFlags(qt.Qt.TextBrowserInteraction)
        layout.addWidget(text)
        self._trust = self._check_box(
            "trustCheckBox", tr("Take it even if it is not the file that was first fetched here"), layout
        )
        self._trust.setVisible(may_have_changed)
        self._tick = self._check_box("agreeCheckBox", tr("I have read the licence and agree to it"), layout)
        buttons = qt.QHBoxLayout()
        layout.addLayout(buttons)
        buttons.addStretch(1)
        self._accept = self._button("acceptButton", action, self._on_accept)
        self._accept.setEnabled(False)
        self._accept.setToolTip(tr("Tick first that you agree to the licence"))
        buttons.addWidget(self._accept)
        buttons.addWidget(self._button("declineButton", tr("Cancel"), self.dialog.close))
        self._tick.connect("toggled(bool)", self._on_tick)

    def show(self) -> None:
        """Open it; the window below takes no input until it is closed."""
        self.dialog.open()

    def close(self) -> None:
        self.dialog.close()

    def _check_box(self, name: str, text: str, layout: qt.QLayout) -> qt.QCheckBox:
        check_box = qt.QCheckBox(text, self.dialog)
        check_box.setObjectName(name)
        layout.addWidget(check_box)
        return check_box

    def _button(self, name: str, text: str, action: Callable[[], None]) -> qt.QPushButton:
        button = qt.QPushButton(text, self.dialog)
        button.setObjectName(name)
        button.setAutoDefault(False)
        button.connect("clicked()", action)
        return button

    def _on_tick(self, ticked: bool) -> None:
        self._accept.setEnabled(ticked)
        self._accept.setToolTip("" if ticked else tr("Tick first that you agree to the licence"))

    def _on_accept(self) -> None:
        self.dialog.close()
        self._agreed(self._trust.checked)
