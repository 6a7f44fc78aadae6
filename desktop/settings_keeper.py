# SPDX-License-Identifier: Apache-2.0
"""Holds the settings that are in force and writes them a moment after they change. GUI thread."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from desktop.settings import AppSettings, save_app_settings
from engine.errors import PuppeteerError

__all__ = ["SettingsKeeper"]

_SAVE_MS = 500  # a slider sends many values; the last one is written


class SettingsKeeper(QObject):
    """The one owner of the settings.

    Signals:
        changed(AppSettings, AppSettings): before and now. failed(PuppeteerError): they could not be saved.
    """

    changed = Signal(object, object)
    failed = Signal(object)

    def __init__(self, settings: AppSettings, path: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._now, self._path = settings, path
        self._timer = QTimer(self, interval=_SAVE_MS, singleShot=True)
        self._timer.timeout.connect(self._save)

    @property
    def now(self) -> AppSettings:
        """The settings in force."""
        return self._now

    def change(self, **values: object) -> None:
        """Replace some, by name.

        Raises:
            InvalidSetting: a value is outside what it allows; nothing was changed.
        """
        before, self._now = self._now, replace(self._now, **values)  # type: ignore[arg-type]
        if self._now != before:
            self._timer.start()
            self.changed.emit(before, self._now)

    def change_motion(self, **values: object) -> None:
        """Replace some of the motion settings; raises InvalidSetting."""
        live = self._now.live
        self.change(live=replace(live, motion=replace(live.motion, **values)))  # type: ignore[arg-type]

    def change_output(self, **values: object) -> None:
        """Replace some of the output settings; raises InvalidSetting."""
        live = self._now.live
        self.change(live=replace(live, output=replace(live.output, **values)))  # type: ignore[arg-type]

    def close(self) -> None:
        """Write them now."""
        self._timer.stop()
        self._save()

    def _save(self) -> None:
        try:
            save_app_settings(self._now, self._path)
        except PuppeteerError as error:
            self.failed.emit(error)
