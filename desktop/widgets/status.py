# SPDX-License-Identifier: Apache-2.0
"""Status that can be acted on: the state chip, the bar of stages with its bottleneck, figures, delay."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from desktop.figures import Figures
from desktop.theme import DARK, Theme, tone_colour
from desktop.widgets.parts import label
from desktop.words import LONGEST_ADVICE, Chip, StageLoad, Tone, delay_words

__all__ = ["StageBar", "StateChip", "StatusStrip"]


class StateChip(QLabel):
    """The state in one word; the reason is in the tip and for screen readers."""

    def __init__(self) -> None:
        super().__init__()
        self._theme = DARK
        self._chip = Chip("OFF", Tone.QUIET, "")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumWidth(104)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.show_chip(self._chip)

    def show_chip(self, chip: Chip) -> None:
        """Show a state."""
        self._chip = chip
        self.setText(chip.word)
        self.setToolTip(chip.reason)
        self.setAccessibleName(f"State: {chip.word}")
        self.setAccessibleDescription(chip.reason)
        colour = tone_colour(self._theme, chip.tone)
        fill = QColor(colour)
        self.setStyleSheet(
            f"color: {colour}; background: rgba({fill.red()}, {fill.green()}, {fill.blue()}, 34);"
            f"border: 1px solid {colour}; border-radius: 11px; padding: 3px 12px; font-weight: 700; font-size: 12px;"
        )

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        self._theme = theme
        self.show_chip(self._chip)


class StageBar(QWidget):
    """How much of the time between two frames each stage takes; the bottleneck is painted as such."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(38)
        self._theme = DARK
        self._loads: tuple[StageLoad, ...] = ()
        self._limit = ""
        self._period_ms = 1000.0 / 30
        self._fps = self._wanted = 0.0
        self._describe()

    def show_figures(self, figures: Figures | None) -> None:
        """Show a run; None clears the bar."""
        self._loads = figures.loads if figures is not None else ()
        self._limit = figures.limit if figures is not None else ""
        if figures is not None:
            self._period_ms, self._fps, self._wanted = 1000.0 / figures.wanted_fps, figures.fps, figures.wanted_fps
        self._describe()
        self.update()

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        self._theme = theme
        self.update()

    def sizeHint(self) -> QSize:
        """One bar and its words."""
        return QSize(420, 38)

    def cells(self) -> list[tuple[str, str, float, bool]]:
        """Return name, figure, share of the period (0 to 1) and whether it limits, for every stage."""
        if not self._loads:
            return [(name, "–", 0.0, False) for name in ("Camera", "Track", "Warp", "Compose", "Output")]
        camera = self._fps / self._wanted if self._wanted else 0.0
        first = ("Camera", f"{self._fps:.0f} fps", min(1.0, camera), self._limit == "Camera")
        return [
            first,
            *(
                (
                    load.name,
                    f"{load.took_ms:.0f} ms",
                    min(1.0, load.took_ms / self._period_ms),
                    load.name == self._limit,
                )
                for load in self._loads
            ),
        ]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        cells = self.cells()
        gap = 14.0
        width = (self.width() - gap * (len(cells) - 1)) / len(cells)
        text, soft = self.palette().color(QPalette.ColorRole.WindowText), QColor(self._theme.soft)
        font = self.font()
        font.setPixelSize(12)
        painter.setFont(font)
        for number, (name, figure, share, limits) in enumerate(cells):
            left = number * (width + gap)
            warn = QColor(self._theme.warn)
            words = QRectF(left, 0, width, 20)
            painter.setPen(warn if limits else soft)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), name)
            painter.setPen(warn if limits else text)
            painter.drawText(words, int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter), figure)
            groove = QRectF(left, 25, width, 7)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self._theme.line))
            painter.drawRoundedRect(groove, 3.5, 3.5)
            if share > 0:
                painter.setBrush(warn if limits else QColor(self._theme.good))
                painter.drawRoundedRect(QRectF(left, 25, max(7.0, width * share), 7), 3.5, 3.5)
        painter.end()

    def _describe(self) -> None:
        words = ", ".join(
            f"{name} {figure}{' limits the rate' if limits else ''}" for name, figure, _, limits in self.cells()
        )
        self.setAccessibleName("Stages")
        self.setAccessibleDescription(words)


class StatusStrip(QWidget):
    """The bar, one sentence of advice, the figures, and the delay with where to type it."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("card")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.bar = StageBar()
        self.advice = label("", "soft", wraps=True, longest=LONGEST_ADVICE)
        self.delay = label(delay_words(None), "small", wraps=True, longest=delay_words(1000))
        self.delay.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.numbers: dict[str, QLabel] = {}
        figures = QHBoxLayout()
        figures.setSpacing(6)
        for key, name in (("fps", "FPS"), ("age", "Age p95"), ("drops", "Skipped"), ("delay", "Delay")):
            number = label("–", "number")
            number.setMinimumWidth(58)
            number.setAccessibleName(name)
            self.numbers[key] = number
            figures.addWidget(label(name, "small"))
            figures.addWidget(number)
            figures.addSpacing(14)
        figures.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 10)
        layout.setSpacing(6)
        layout.addWidget(self.bar)
        layout.addLayout(figures)
        layout.addWidget(self.advice)
        layout.addWidget(self.delay)
        self.show_figures(None)

    def show_figures(self, figures: Figures | None) -> None:
        """Show a run; None clears everything."""
        self.bar.show_figures(figures)
        if figures is None:
            for number in self.numbers.values():
                number.setText("–")
            self.advice.setText("Figures appear while the character is live.")
            self.delay.setText(delay_words(None))
            return
        self.numbers["fps"].setText(f"{figures.fps:.0f}")
        self.numbers["age"].setText(f"{figures.age_p95_ms:.0f} ms")
        self.numbers["drops"].setText(str(figures.dropped))
        self.numbers["delay"].setText(f"{figures.delay:.0f} ms" if figures.delay is not None else "–")
        self.advice.setText(figures.advice or "Measuring…")
        self.delay.setText(delay_words(figures.delay))

    def show_theme(self, theme: Theme) -> None:
        """Take another theme's colours."""
        self.bar.show_theme(theme)
