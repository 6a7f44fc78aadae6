# SPDX-License-Identifier: Apache-2.0
"""What happens when the app is started while it runs: the window that is there comes to the front, and no second opens.

GUI thread, before and just after the window is made.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox, QWidget

from desktop.bridge.instance import AlreadyRunning, Instance, claim

__all__ = ["bring_to_front", "only_one", "say_running"]


def only_one(settings: Path) -> Instance | AlreadyRunning:
    """Take hold of the settings, or say who has them; for `main`, which keeps the hold until it ends."""
    try:
        return claim(settings)
    except AlreadyRunning as other:
        return other


def say_running(other: AlreadyRunning) -> int:
    """Say that the app runs already, in a box too where its window did not come; return the exit code."""
    sys.stderr.write(f"{other}\n")
    if other.answered:
        return 0
    box = QMessageBox(QMessageBox.Icon.Warning, "Bunraku", str(other))
    box.exec()
    return 1


def bring_to_front(window: QWidget) -> None:
    """Show a window that may be minimised or behind others."""
    window.setWindowState(window.windowState() & ~Qt.WindowState.WindowMinimized)
    window.show()
    window.raise_()
    window.activateWindow()
