"""A window with a page of text to read, copy and paste into a post."""

from __future__ import annotations

from collections.abc import Callable

import qt

from SegmentationAILib.widgets.translation import tr


class TextDialog:
    """Shows plain text in columns; *Copy* puts all of it on the clipboard."""

    def __init__(self, title: str, text: str, parent: qt.QWidget | None = None) -> None:
        self.dialog = qt.QDialog(parent)
        self.dialog.setWindowTitle(title)
        layout = qt.QVBoxLayout(self.dialog)
        self.text_edit = qt.QPlainTextEdit(self.dialog)
        self.text_edit.setObjectName("textEdit")
        self.text_edit.setReadOnly(True)
        self.text_edit.setLineWrapMode(qt.QPlainTextEdit.NoWrap)
        self.text_edit.setFont(qt.QFontDatabase.systemFont(qt.QFontDatabase.FixedFont))
        self.text_edit.setPlainText(text)
        layout.addWidget(self.text_edit)
        buttons = qt.QHBoxLayout()
        layout.addLayout(buttons)
        buttons.addStretch(1)
        self.copy_button = self._button("copyButton", tr("Copy"), self.copy)
        self.close_button = self._button("closeButton", tr("Close"), self.close)
        buttons.addWidget(self.copy_button)
        buttons.addWidget(self.close_button)
        self.dialog.resize(760, 420)

    def show(self) -> None:
        self.dialog.show()

    def copy(self) -> None:
        qt.QApplication.clipboard().setText(self.text_edit.toPlainText())
        self.copy_button.setText(tr("Copied"))

    def close(self) -> None:
        self.dialog.close()

    def _button(self, name: str, text: str, action: Callable[[], None]) -> qt.QPushButton:
        button = qt.QPushButton(text, self.dialog)
        button.setObjectName(name)
        button.setAutoDefault(False)
        button.connect("clicked()", action)
        return button
