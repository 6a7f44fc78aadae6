# SPDX-License-Identifier: Apache-2.0
"""How to get a virtual camera on this system: the exact commands, each with a copy button, and a test."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from desktop.widgets.parts import button, card, label

__all__ = ["VcamHelp"]


class VcamHelp(QWidget):
    """A page of the window.

    Signals:
        test: send a test picture. closed: back to the main page.
    """

    test = Signal()
    closed = Signal()

    def __init__(self, steps: list[tuple[str, str]]) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        sheet, inside = card(720)
        inside.addWidget(label("Virtual camera", "headline"))
        inside.addWidget(
            label(
                "Other programs see the character as a camera. That needs a driver, which is installed once.",
                "soft",
                wraps=True,
            )
        )
        for number, (words, command) in enumerate(steps, 1):
            inside.addWidget(label(f"{number}.  {words}", wraps=True))
            if command:
                inside.addLayout(self._command(command))
        self.result = label("", "", wraps=True)
        self.result.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.result.setAccessibleName("Result of the test")
        self.result.hide()
        self.test_button = button("Test the virtual camera", self._test, kind="main")
        self.back = button("Back", self.closed.emit)
        buttons = QHBoxLayout()
        buttons.addWidget(self.back)
        buttons.addStretch(1)
        buttons.addWidget(self.test_button)
        inside.addWidget(self.result)
        inside.addSpacing(8)
        inside.addLayout(buttons)
        layout = QVBoxLayout(self)
        layout.addWidget(sheet, 0, Qt.AlignmentFlag.AlignCenter)

    def show_result(self, text: str) -> None:
        """Show how the test ended."""
        self.result.setText(text)
        self.result.setVisible(bool(text))
        self.test_button.setEnabled(True)

    def _test(self) -> None:
        self.show_result("Sending a test picture…")
        self.test_button.setEnabled(False)
        self.test.emit()

    def _command(self, command: str) -> QHBoxLayout:
        row = QHBoxLayout()
        text = label(command, "code", wraps=True)
        text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        text.setAccessibleName(f"Command: {command}")
        row.addWidget(text, 1)
        copy = button("Copy", lambda: QGuiApplication.clipboard().setText(command), name=f"Copy: {command}")
        row.addWidget(copy, 0, Qt.AlignmentFlag.AlignTop)
        return row
