# SPDX-License-Identifier: Apache-2.0
"""What can be done to characters, under the gallery: a new one, edit, and a menu for the rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from desktop.bridge.shelf import ARCHIVE_SUFFIX
from desktop.widgets.parts import button

__all__ = ["GalleryBar"]

_SETS = "Bunraku characters (*.bunraku *.zip);;All files (*)"


class GalleryBar(QWidget):
    """Buttons under the gallery.

    Args:
        current: says which set is marked in the gallery, and whether it ships with Bunraku.

    Signals:
        new_wanted, restore_wanted. edit_wanted(str), duplicate_wanted(str), delete_wanted(str): of this set.
        export_wanted(str, Path): of this set, into this file. import_wanted(Path).
    """

    new_wanted = Signal()
    edit_wanted = Signal(str)
    duplicate_wanted = Signal(str)
    delete_wanted = Signal(str)
    restore_wanted = Signal()
    export_wanted = Signal(str, object)
    import_wanted = Signal(object)

    def __init__(self, current: Callable[[], tuple[str, bool]], *, can_restore: Callable[[], bool]) -> None:
        super().__init__()
        self._current, self._can_restore = current, can_restore
        self.new = button("+  New character…", self.new_wanted.emit, name="New character", hint="Ctrl+Shift+N")
        self.edit = button("Edit…", lambda: self._of_current(self.edit_wanted.emit), name="Edit character")
        self.more = QToolButton()
        self.more.setText("More ▾")
        self.more.setAccessibleName("More for characters")
        self.more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.more.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.menu = QMenu(self)
        self.duplicate = self.menu.addAction("Duplicate", lambda: self._of_current(self.duplicate_wanted.emit))
        self.export = self.menu.addAction("Export…", lambda: self._of_current(self._ask_export))
        self.menu.addAction("Import…", self._ask_import)
        self.menu.addSeparator()
        self.delete = self.menu.addAction("Delete", lambda: self._of_current(self.delete_wanted.emit))
        self.restore = self.menu.addAction("Bring back what was deleted", self.restore_wanted.emit)
        self.menu.aboutToShow.connect(self._enable)
        self.more.setMenu(self.menu)
        lower = QHBoxLayout()
        lower.setSpacing(6)
        lower.addWidget(self.edit, 1)
        lower.addWidget(self.more)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.new)
        layout.addLayout(lower)

    def _of_current(self, do: Callable[[str], object]) -> None:
        if name := self._current()[0]:
            do(name)

    def _enable(self) -> None:
        name, builtin = self._current()
        for action in (self.duplicate, self.export):
            action.setEnabled(bool(name))
        self.delete.setEnabled(bool(name) and not builtin)
        self.restore.setEnabled(self._can_restore())

    def _ask_export(self, name: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Export the character", f"{name}{ARCHIVE_SUFFIX}", _SETS)
        if path:
            self.export_wanted.emit(name, Path(path))

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import a character", "", _SETS)
        if path:
            self.import_wanted.emit(Path(path))
