# SPDX-License-Identifier: Apache-2.0
"""How loud a microphone is: a bar in decibels with the loudest moment of the last two seconds."""

from __future__ import annotations

import math
from collections import deque

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from desktop.theme import current_theme

__all__ = ["LevelMeter"]

_FLOOR_DB = -60.0
_LOUD_DB, _CLIPPED_DB = -9.0, -1.0
_KEPT = 40  # two seconds, twenty a second
_WORDS = ((-50.0, "silent"), (-30.0, "quiet"), (_LOUD_DB, "good"), (_CLIPPED_DB, "loud"))


class LevelMeter(QWidget):
    """Told a peak now and then.

    Signals:
        seen(bool): it can be seen now, or no longer: the only time to listen to a microphone.
    """

    seen = Signal(bool)

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Level of the microphone")
        self._peaks: deque[float] = deque(maxlen=_KEPT)
        self.clear()

    @property
    def level_db(self) -> float:
        """The newest peak in dB of full scale."""
        return self._peaks[-1] if self._peaks else _FLOOR_DB

    @property
    def words(self) -> str:
        """What the last seconds were: silent, quiet, good, loud, too loud."""
        loudest = max(self._peaks, default=_FLOOR_DB)
        return next((words for below, words in _WORDS if loudest < below), "too loud")

    def clear(self) -> None:
        """Nothing is heard."""
        self._peaks.clear()
        self._tell()

    def show_level(self, peak: float) -> None:
        """Show a peak; 1 is full scale."""
        self._peaks.append(max(_FLOOR_DB, 20 * math.log10(max(peak, 1e-6))))
        self._tell()

    def sizeHint(self) -> QSize:
        """One line of words with a bar before them."""
        return QSize(160, 18)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.seen.emit(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.clear()
        self.seen.emit(False)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = current_theme()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        groove = QRectF(1, self.height() / 2 - 3.5, self.width() - 66, 7)
        painter.setBrush(QColor(theme.line))
        painter.drawRoundedRect(groove, 3.5, 3.5)
        now_db, loudest_db = self.level_db, max(self._peaks, default=_FLOOR_DB)
        colour = theme.bad if loudest_db >= _CLIPPED_DB else theme.warn if loudest_db >= _LOUD_DB else theme.good
        painter.setBrush(QColor(colour))
        if now_db > _FLOOR_DB:
            painter.drawRoundedRect(QRectF(groove.left(), groove.top(), self._across(now_db, groove), 7), 3.5, 3.5)
        if loudest_db > _FLOOR_DB:
            painter.drawRect(QRectF(groove.left() + self._across(loudest_db, groove) - 2, groove.top() - 2, 2, 11))
        font = self.font()
        font.setPixelSize(12)
        painter.setFont(font)
        painter.setPen(QColor(theme.bad if self.words == "too loud" else theme.soft))
        room = QRectF(self.width() - 58, 0, 58, self.height())
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight), self.words)
        painter.end()

    def _across(self, level_db: float, groove: QRectF) -> float:
        return max(7.0, groove.width() * min(1.0, (level_db - _FLOOR_DB) / -_FLOOR_DB))

    def _tell(self) -> None:
        if self.accessibleDescription() != self.words:
            self.setAccessibleDescription(self.words)
        self.update()
