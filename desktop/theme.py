# SPDX-License-Identifier: Apache-2.0
"""Colours and the one stylesheet, dark and light. Text against its ground has a contrast of at least 4.5 : 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import QApplication, QWidget

from desktop.words import Tone

__all__ = [
    "DARK",
    "LIGHT",
    "Theme",
    "Wardrobe",
    "contrast",
    "current_theme",
    "stylesheet",
    "theme_named",
    "tone_colour",
]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as #rrggbb. ground: the window. panel: cards on it. well: fields and bars. on_accent: text on accent."""

    name: str
    ground: str
    panel: str
    raised: str
    well: str
    line: str
    text: str
    soft: str
    accent: str
    accent_hover: str
    on_accent: str
    good: str
    busy: str
    warn: str
    bad: str


DARK = Theme(
    "dark", ground="#14161c", panel="#1c1f28", raised="#272b37", well="#11131a", line="#333846", text="#eef0f5",
    soft="#a4abbc", accent="#f08a5d", accent_hover="#f6a07a", on_accent="#1b120d", good="#5fd19b", busy="#7fb4ff",
    warn="#f2c35b", bad="#ff8080",
)  # fmt: skip
LIGHT = Theme(
    "light", ground="#f2f1ee", panel="#ffffff", raised="#eceae5", well="#f7f6f3", line="#d5d2ca", text="#1e2129",
    soft="#585e6c", accent="#b4481c", accent_hover="#993a14", on_accent="#ffffff", good="#14764a", busy="#1f5fb5",
    warn="#835500", bad="#b3261e",
)  # fmt: skip


def theme_named(name: str) -> Theme:
    """Return the theme of a name."""
    return LIGHT if name == "light" else DARK


def tone_colour(theme: Theme, tone: Tone) -> str:
    """Return the colour of a word of this tone."""
    return {
        Tone.QUIET: theme.soft,
        Tone.GOOD: theme.good,
        Tone.BUSY: theme.busy,
        Tone.WARN: theme.warn,
        Tone.BAD: theme.bad,
    }[tone]


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.1, relative luminance)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


_current = [DARK]


def current_theme() -> Theme:
    """Return the theme in use, for widgets that paint themselves: a stylesheet changes what palettes say."""
    return _current[0]


class Wardrobe(QObject):
    """Dresses an app in a theme: the palette for all of it, the stylesheet for each of its parts.

    A stylesheet on the whole application takes 120 ms to change, longer than three pictures; on the largest page 17 ms.
    So the part that is seen is dressed at once, and the others one by one between other events.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._naked: list[QWidget] = []
        self._sheet = ""
        self._next = QTimer(self, interval=0)
        self._next.timeout.connect(self._dress_next)

    def dress(self, parts: Sequence[QWidget], theme: Theme) -> None:
        """Change to a theme. parts: pages and menus, none inside another."""
        _use_palette(theme)
        self._sheet = stylesheet(theme)
        self._naked = sorted(parts, key=lambda part: not part.isVisible())
        while self._naked and self._naked[0].isVisible():
            self._dress_next()
        self._next.start()

    def close(self) -> None:
        """Leave what is not dressed yet."""
        self._next.stop()

    def _dress_next(self) -> None:
        if self._naked:
            self._naked.pop(0).setStyleSheet(self._sheet)
        else:
            self._next.stop()


def _use_palette(theme: Theme) -> None:
    _current[0] = theme
    palette = QPalette()
    for role, colour in (
        (QPalette.ColorRole.Window, theme.ground),
        (QPalette.ColorRole.Base, theme.well),
        (QPalette.ColorRole.AlternateBase, theme.panel),
        (QPalette.ColorRole.Button, theme.raised),
        (QPalette.ColorRole.Text, theme.text),
        (QPalette.ColorRole.WindowText, theme.text),
        (QPalette.ColorRole.ButtonText, theme.text),
        (QPalette.ColorRole.PlaceholderText, theme.soft),
        (QPalette.ColorRole.Highlight, theme.accent),
        (QPalette.ColorRole.HighlightedText, theme.on_accent),
        (QPalette.ColorRole.ToolTipBase, theme.raised),
        (QPalette.ColorRole.ToolTipText, theme.text),
    ):
        palette.setColor(role, QColor(colour))
    QApplication.setPalette(palette)


def stylesheet(theme: Theme) -> str:
    """Return the stylesheet of a theme."""
    t = theme
    return f"""
* {{ color: {t.text}; font-size: 13px; }}
QMainWindow, #page {{ background: {t.ground}; }}
QToolTip {{ background: {t.raised}; color: {t.text}; border: 1px solid {t.line}; padding: 4px 6px; }}
QLabel {{ background: transparent; }}
QLabel[role="soft"] {{ color: {t.soft}; }}
QLabel[role="small"] {{ color: {t.soft}; font-size: 12px; }}
QLabel[role="title"] {{ font-size: 17px; font-weight: 600; }}
QLabel[role="headline"] {{ font-size: 24px; font-weight: 600; }}
QLabel[role="number"] {{ font-size: 15px; font-weight: 600; }}
QLabel[role="code"] {{ background: {t.well}; border: 1px solid {t.line}; border-radius: 6px; padding: 8px;
    font-family: "DejaVu Sans Mono", "Consolas", monospace; font-size: 12px; }}
#card, #section {{ background: {t.panel}; border: 1px solid {t.line}; border-radius: 10px; }}
#sectionTitle {{ background: transparent; border: none; text-align: left; font-weight: 600; padding: 10px 12px;
    border-radius: 10px; }}
#sectionTitle:hover {{ background: {t.raised}; }}
QPushButton, QToolButton {{ background: {t.raised}; border: 1px solid {t.line}; border-radius: 8px;
    padding: 7px 12px; min-height: 18px; }}
#transport QPushButton {{ padding: 7px 9px; }}
QPushButton:hover, QToolButton:hover {{ border-color: {t.soft}; }}
QPushButton:pressed, QToolButton:pressed {{ background: {t.well}; }}
QPushButton:disabled, QToolButton:disabled {{ color: {t.soft}; background: {t.panel}; }}
QPushButton:checked, QToolButton:checked {{ border-color: {t.accent}; color: {t.accent}; }}
QPushButton[kind="main"] {{ background: {t.accent}; border-color: {t.accent}; color: {t.on_accent}; font-weight: 600; }}
QPushButton[kind="main"]:hover {{ background: {t.accent_hover}; border-color: {t.accent_hover}; }}
QPushButton[kind="main"]:disabled {{ background: {t.raised}; border-color: {t.line}; color: {t.soft}; }}
QPushButton[kind="danger"] {{ border-color: {t.bad}; color: {t.bad}; font-weight: 600; }}
QPushButton[kind="danger"]:hover {{ background: {t.bad}; color: {t.ground}; }}
QPushButton[kind="flat"], QToolButton[kind="flat"] {{ background: transparent; border-color: transparent;
    padding: 5px 8px; }}
QPushButton[kind="flat"]:hover, QToolButton[kind="flat"]:hover {{ background: {t.raised}; }}
*:focus {{ outline: none; }}
QPushButton:focus, QToolButton:focus, QComboBox:focus, QLineEdit:focus, QSpinBox:focus, QListView:focus {{
    border: 1px solid {t.accent}; }}
#sectionTitle:focus {{ border: 1px solid {t.accent}; }}
QCheckBox {{ spacing: 8px; padding: 3px 2px; border: 1px solid transparent; border-radius: 6px; }}
QCheckBox:focus {{ border-color: {t.accent}; }}
QCheckBox::indicator {{ width: 16px; height: 16px; border: 1px solid {t.soft}; border-radius: 4px;
    background: {t.well}; }}
QCheckBox::indicator:checked {{ background: {t.accent}; border-color: {t.accent}; image: none; }}
QCheckBox::indicator:disabled {{ border-color: {t.line}; }}
QComboBox, QLineEdit, QSpinBox {{ background: {t.well}; border: 1px solid {t.line}; border-radius: 8px;
    padding: 5px 10px; min-height: 20px; selection-background-color: {t.accent};
    selection-color: {t.on_accent}; }}
QComboBox::drop-down {{ border: none; width: 22px; }}
QComboBox::down-arrow {{ image: none; }}
QToolButton::menu-indicator {{ image: none; }}
QComboBox QAbstractItemView {{ background: {t.panel}; border: 1px solid {t.line}; padding: 4px;
    selection-background-color: {t.accent}; selection-color: {t.on_accent}; outline: none; }}
QProgressBar {{ background: {t.well}; border: 1px solid {t.line}; border-radius: 8px; color: {t.text};
    text-align: center; min-height: 22px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 7px; }}
QSlider {{ min-height: 18px; background: transparent; border: 1px solid transparent; border-radius: 6px; }}
QSlider:focus {{ border-color: {t.accent}; }}
QSlider::groove:horizontal {{ height: 4px; background: {t.line}; border-radius: 2px; }}
QSlider::sub-page:horizontal {{ height: 4px; background: {t.accent}; border-radius: 2px; }}
QSlider::add-page:horizontal {{ height: 4px; background: {t.line}; border-radius: 2px; }}
QSlider::handle:horizontal {{ width: 14px; height: 14px; margin: -5px 0; border-radius: 7px; background: {t.text}; }}
QSlider::handle:horizontal:hover {{ background: {t.accent}; }}
QScrollArea {{ background: transparent; border: none; }}
QScrollArea > QWidget > QWidget {{ background: transparent; }}
QScrollBar:vertical {{ background: transparent; width: 10px; margin: 2px; }}
QScrollBar::handle:vertical {{ background: {t.line}; border-radius: 3px; min-height: 30px; }}
QScrollBar::handle:vertical:hover {{ background: {t.soft}; }}
QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; width: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 2px; }}
QScrollBar::handle:horizontal {{ background: {t.line}; border-radius: 3px; min-width: 30px; }}
QListView {{ background: {t.panel}; border: 1px solid {t.line}; border-radius: 10px; padding: 6px; outline: none; }}
#points::item {{ padding: 2px 6px; border-radius: 5px; }}
#points::item:selected {{ background: {t.accent}; color: {t.on_accent}; }}
QMenu {{ background: {t.panel}; border: 1px solid {t.line}; padding: 4px; }}
QMenu::item {{ padding: 6px 22px; border-radius: 6px; }}
QMenu::item:selected {{ background: {t.accent}; color: {t.on_accent}; }}
QMenu::separator {{ height: 1px; background: {t.line}; margin: 4px 8px; }}
QProgressBar {{ background: {t.line}; border: none; border-radius: 4px; }}
QProgressBar::chunk {{ background: {t.accent}; border-radius: 4px; }}
QPlainTextEdit {{ background: {t.well}; border: 1px solid {t.line}; border-radius: 8px; }}
"""
