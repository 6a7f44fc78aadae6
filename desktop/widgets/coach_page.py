# SPDX-License-Identifier: Apache-2.0
"""The capture coach: the performer in a mirror, what to do in large letters, and what is there already."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

from desktop.bridge.studio_views import TARGETS
from desktop.theme import current_theme
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.parts import button, label

__all__ = ["CoachPage", "TargetList"]


class CoachPage(QWidget):
    """A page of the window.

    Signals:
        closed: back to the studio. skip, take: leave the present pose out; take a picture as it is.
        hidden: the page is no longer seen, so nobody needs the camera.
    """

    closed = Signal()
    skip = Signal()
    take = Signal()
    hidden = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.picture = MonitorPicture("Opening the camera…")
        self.picture.setMinimumHeight(240)
        self.picture.setMaximumHeight(16_000)
        self.picture.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.ask = label("", "headline", wraps=True)
        self.ask.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.ask.setMinimumHeight(72)
        self.ask.setAccessibleName("What to do")
        self.nearness = QProgressBar()
        self.nearness.setRange(0, 100)
        self.nearness.setTextVisible(False)
        self.nearness.setFixedHeight(10)
        self.nearness.setAccessibleName("How near you are")
        self.targets = TargetList()
        self.skip_button = button("Skip this one", self.skip.emit, hint="Ask for the next pose")
        self.take_button = button("Take a picture now", self.take.emit, hint="Whatever it shows")
        self.done = button("Done", self.closed.emit, kind="main")
        explained = "Each picture is taken by itself once you have reached the pose, hold still and are seen sharply."
        row = QHBoxLayout()
        row.addWidget(label("Only you see this picture; what is taken goes into the new character.", "soft"))
        row.addStretch(1)
        for each in (self.skip_button, self.take_button, self.done):
            row.addWidget(each)
        left = QVBoxLayout()
        left.setSpacing(10)
        left.addWidget(self.ask)
        left.addWidget(self.nearness)
        left.addWidget(self.picture, 1)
        middle = QHBoxLayout()
        middle.setSpacing(16)
        middle.addLayout(left, 1)
        middle.addWidget(self.targets)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.setSpacing(10)
        layout.addWidget(label("Take pictures with the webcam", "title"))
        layout.addWidget(label(explained, "soft", wraps=True))
        layout.addLayout(middle, 1)
        layout.addLayout(row)

    def begin(self) -> None:
        """The camera is being opened."""
        self.picture.say("Opening the camera…")
        self.ask.setText("")
        self.targets.begin()
        self.done.setFocus()

    def show_advice(self, text: str, progress: float, missing: tuple[str, ...], *, hold: bool) -> None:
        """Show what is asked for. missing: what is still asked for, the next first. hold: stay like this."""
        if text:
            self.ask.setText(text)
        self.nearness.setValue(round(100 * progress))
        self.picture.setProperty("held", hold)
        self.targets.show_missing(missing)
        self.skip_button.setEnabled(bool(missing))

    def show_taken(self, key: str) -> None:
        """A picture of this was taken."""
        self.targets.mark_taken(key)

    def say(self, reason: str) -> None:
        """There is no picture."""
        self.picture.say(reason)
        self.ask.setText("")

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.hidden.emit()


class TargetList(QWidget):
    """What a good set shows: there, asked for now, still to come, or left out."""

    _ROW = 30

    def __init__(self) -> None:
        super().__init__()
        self.setFixedWidth(220)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self._missing: tuple[str, ...] = ()
        self._taken: set[str] = set()

    @property
    def states(self) -> dict[str, str]:
        """What is said of each target."""
        return {key: self._state(key) for key, _ in TARGETS}

    def sizeHint(self) -> QSize:
        """A line each."""
        return QSize(220, self._ROW * len(TARGETS))

    def begin(self) -> None:
        """Nothing was taken yet."""
        self._missing, self._taken = (), set()
        self.update()

    def show_missing(self, missing: tuple[str, ...]) -> None:
        """Show what is still asked for."""
        if missing != self._missing:
            self._missing = missing
            said = ", ".join(f"{words}: {self._state(key)}" for key, words in TARGETS)
            self.setAccessibleName(f"Poses. {said}")
            self.update()

    def mark_taken(self, key: str) -> None:
        """A picture of this was taken just now."""
        self._taken.add(key)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, painter = current_theme(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colours = {"taken": theme.good, "there": theme.good, "now": theme.accent, "to come": theme.soft}
        signs = {"taken": "✓", "there": "✓", "now": "▸", "to come": "·"}
        for row, (key, words) in enumerate(TARGETS):
            state = self._state(key)
            place = QRect(0, row * self._ROW, self.width(), self._ROW - 4)
            painter.setPen(QPen(QColor(colours[state]), 2 if state == "now" else 1))
            painter.setBrush(QColor(theme.panel))
            painter.drawRoundedRect(place.adjusted(1, 1, -1, -1), 6, 6)
            painter.setPen(QColor(colours[state] if state != "to come" else theme.text))
            painter.drawText(place.adjusted(10, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), signs[state])
            painter.setPen(QColor(theme.text))
            painter.drawText(place.adjusted(30, 0, 0, 0), int(Qt.AlignmentFlag.AlignVCenter), words)
            painter.setPen(QColor(theme.soft))
            flags = int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight)
            painter.drawText(place.adjusted(0, 0, -10, 0), flags, {"taken": "taken", "now": "now"}.get(state, ""))
        painter.end()

    def _state(self, key: str) -> str:
        if key in self._taken:
            return "taken"
        if key not in self._missing:
            return "there"
        return "now" if self._missing and key == self._missing[0] else "to come"
