# SPDX-License-Identifier: Apache-2.0
"""The menu entries that move settings: export, import, reset."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QMenu, QWidget

from desktop.controller import Controller
from desktop.settings import AppSettings, export_settings, import_settings, with_own
from desktop.words import Tone
from engine.errors import PuppeteerError

__all__ = ["SettingsMenu"]

_JSON = "Bunraku settings (*.json)"


class SettingsMenu:
    """Adds its entries to a menu. Dialogs belong to `host`."""

    def __init__(self, controller: Controller, host: QWidget) -> None:
        self._controller, self._host = controller, host

    def add_to(self, menu: QMenu) -> None:
        """Append the entries."""
        menu.addAction("Export settings…", self._ask_export)
        menu.addAction("Import settings…", self._ask_import)
        menu.addAction("Reset all settings", self.reset)

    def export_to(self, path: Path) -> None:
        """Write the settings for another machine."""
        try:
            export_settings(self._controller.settings, path)
        except PuppeteerError as error:
            self._controller.tell_error(error)
        else:
            self._controller.tell(f"Settings exported: {path}", Tone.GOOD)

    def import_from(self, path: Path) -> None:
        """Take up exported settings; a file that cannot be used changes nothing."""
        try:
            settings = import_settings(path, current=self._controller.settings)
        except PuppeteerError as error:
            self._controller.tell_error(error)
        else:
            self._controller.replace_settings(settings)
            self._controller.tell("Settings imported.", Tone.GOOD)

    def reset(self) -> None:
        """Defaults for everything but consent, the source set, and what is this machine's own, as with an import."""
        now = self._controller.settings
        self._controller.replace_settings(with_own(AppSettings(source_set=now.source_set), now))
        self._controller.tell("All settings are back at their defaults.")

    def _ask_export(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self._host, "Export settings", "bunraku-settings.json", _JSON)
        if path:
            self.export_to(Path(path))

    def _ask_import(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._host, "Import settings", "", _JSON)
        if path:
            self.import_from(Path(path))
