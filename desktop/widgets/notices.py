# SPDX-License-Identifier: Apache-2.0
"""Notices over the picture's top: they say what happened and ask for nothing. The newest is on top."""

from __future__ import annotations

import html

from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from desktop.notice import Notice
from desktop.theme import DARK, Theme, tone_colour
from desktop.words import Tone

__all__ = ["NoticeStack"]

_MOST = 3
_STAYS_MS = {Tone.QUIET: 6000, Tone.GOOD: 6000, Tone.BUSY: 6000, Tone.WARN: 10000}  # errors stay until closed


class _NoticeCard(QWidget):
    """One notice with its close button."""

    def __init__(self, notice: Notice, theme: Theme) -> None:
        super().__init__()
        self.notice = notice
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setObjectName("notice")
        self.text = QLabel(notice.text)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.setAccessibleName(f"Notice: {html.unescape(notice.text)}")
        self.closer = QToolButton()
        self.closer.setText("✕")
        self.closer.setProperty("kind", "flat")
        self.closer.setAccessibleName("Close notice")
        self.timer = QTimer(self, singleShot=True)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 8, 6, 8)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.closer, 0, Qt.AlignmentFlag.AlignTop)
        self.show_theme(theme)
        if (stays_ms := _STAYS_MS.get(notice.tone)) is not None:
            self.timer.start(stays_ms)

    def show_theme(self, theme: Theme) -> None:
        """Take a theme's colours."""
        colour = tone_colour(theme, self.notice.tone)
        self.setStyleSheet(
            f"#notice {{ background: {theme.raised}; border: 1px solid {theme.line}; border-left: 4px solid {colour};"
            "border-radius: 8px; }"
        )


class NoticeStack(QWidget):
    """Up to three notices at the top of a host widget; the same sentence is not stacked twice."""

    def __init__(self, host: QWidget) -> None:
        super().__init__(host)
        self._theme = DARK
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(12, 12, 12, 0)
        self._layout.setSpacing(6)
        self._cards: list[_NoticeCard] = []
        host.installEventFilter(self)
        self.hide()

    @property
    def texts(self) -> list[str]:
        """What is shown, newest first."""
        return [card.notice.text for card in self._cards]

    def show_notice(self, notice: Notice) -> None:
        """Show a notice."""
        for card in tuple(self._cards):
            if card.notice.text == notice.text:
                self._close(card)
        card = _NoticeCard(notice, self._theme)
        card.closer.clicked.connect(lambda: self._close(card))
        card.timer.timeout.connect(lambda: self._close(card))
        self._cards.insert(0, card)
        self._layout.insertWidget(0, card)
        for old in self._cards[_MOST:]:
            self._close(old)
        self.show()
        card.show()  # now, not when the layout gets to it
        self.raise_()
        self._place()

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        self._theme = theme
        for card in self._cards:
            card.show_theme(theme)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the host's size."""
        if event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _close(self, card: _NoticeCard) -> None:
        if card not in self._cards:
            return
        self._cards.remove(card)
        card.timer.stop()
        self._layout.removeWidget(card)
        card.hide()
        card.deleteLater()
        self.setVisible(bool(self._cards))
        self._place()

    def _place(self) -> None:
        host = self.parentWidget()
        if host is None:
            return
        width = min(host.width(), 760)
        height = self._layout.heightForWidth(width) if self._layout.hasHeightForWidth() else self.sizeHint().height()
        self.setGeometry((host.width() - width) // 2, 0, width, min(height, host.height()))
