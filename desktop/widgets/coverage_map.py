# SPDX-License-Identifier: Apache-2.0
"""What the pictures of a set cover, drawn: head turns against tilts, and the expressions that a set needs."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QHelpEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from desktop.bridge.studio_views import EXPRESSIONS, PITCH_ROWS, YAW_COLUMNS, CoverageView
from desktop.theme import current_theme

__all__ = ["CoverageMap"]

_SIDE, _HEAD, _ROW, _CHIP = 46, 20, 34, 24


class CoverageMap(QWidget):
    """A grid of head poses, and a row for each expression; a click goes to a picture that shows it.

    Signals:
        picked(str): the user wants to see this picture.
    """

    picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Coverage map")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self._view: CoverageView | None = None
        self._marked = ""
        self._cells: list[tuple[QRect, str, tuple[str, ...]]] = []
        self._at = 0
        self._lay_out()

    def sizeHint(self) -> QSize:
        """Grid and expressions."""
        return QSize(270, _HEAD + 3 * _ROW + 8 + 3 * _CHIP + 4)

    def show_coverage(self, view: CoverageView | None) -> None:
        """Show what is covered; None for an empty map."""
        self._view = view
        self._lay_out()
        shown = [name for _, name, files in self._cells if files]
        missing = [name for _, name, files in self._cells[15:] if not files]
        self.setAccessibleDescription(
            f"Covered: {', '.join(shown) or 'nothing'}. Missing: {', '.join(missing) or 'none'}."
        )
        self.update()

    def mark(self, file: str) -> None:
        """Mark where this picture counts."""
        self._marked = file
        self.update()

    def resizeEvent(self, event: object) -> None:
        self._lay_out()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if (cell := self._cell_at(event.position().toPoint())) is not None:
            self._at = cell
            self._pick()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrows walk over the cells, Enter goes to a picture."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_Up: -5, Qt.Key.Key_Down: 5}
        if event.key() in steps:
            self._at = min(max(self._at + steps[Qt.Key(event.key())], 0), len(self._cells) - 1)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._pick()
        else:
            super().keyPressEvent(event)

    def event(self, event: QEvent) -> bool:
        """Say what a cell holds."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            cell = self._cell_at(event.pos())
            if cell is not None:
                _, name, files = self._cells[cell]
                QToolTip.showText(event.globalPos(), f"{name}: {', '.join(files) if files else 'no picture'}", self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, painter = current_theme(), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        small = QFont(self.font())
        small.setPixelSize(11)
        painter.setFont(small)
        painter.setPen(QColor(theme.soft))
        for column, name in enumerate(YAW_COLUMNS):
            rect = self._cells[column][0]
            painter.drawText(QRect(rect.left() - 6, 0, rect.width() + 12, _HEAD - 2), _CENTRE, name)
        for row, name in enumerate(PITCH_ROWS):
            rect = self._cells[row * len(YAW_COLUMNS)][0]
            painter.drawText(QRect(0, rect.top(), _SIDE - 6, rect.height()), _RIGHT, name)
        for index, (rect, name, files) in enumerate(self._cells):
            self._paint_cell(painter, index, rect, name, files)
        painter.end()

    def _paint_cell(self, painter: QPainter, index: int, rect: QRect, name: str, files: tuple[str, ...]) -> None:
        theme = current_theme()
        good = QColor(theme.good)
        fill = QColor(theme.well)
        if files:
            fill = QColor(good)
            fill.setAlpha(70 if len(files) == 1 else 110)
        focused = self.hasFocus() and index == self._at
        marked = self._marked in files
        edge = theme.accent if focused or marked else theme.good if files else theme.line
        painter.setPen(QPen(QColor(edge), 2 if focused or marked else 1))
        painter.setBrush(fill)
        painter.drawRoundedRect(rect, 5, 5)
        painter.setPen(QColor(theme.text if files else theme.soft))
        if index < len(PITCH_ROWS) * len(YAW_COLUMNS):
            painter.drawText(rect, _CENTRE, str(len(files)) if files else "")
        else:
            painter.drawText(rect.adjusted(8, 0, -4, 0), _LEFT, f"{'✓' if files else '–'}  {name}")

    def _lay_out(self) -> None:
        view, width = self._view, max(self.width(), 200)
        wide = (width - _SIDE) / len(YAW_COLUMNS)
        cells: list[tuple[QRect, str, tuple[str, ...]]] = []
        for row, pitch in enumerate(PITCH_ROWS):
            for column, yaw in enumerate(YAW_COLUMNS):
                rect = QRect(round(_SIDE + column * wide), _HEAD + row * _ROW, round(wide) - 4, _ROW - 4)
                files = view.heads[row][column] if view is not None else ()
                cells.append((rect, f"{yaw}, {pitch}", files))
        expressions = view.expressions if view is not None else tuple((key, words, ()) for key, words in EXPRESSIONS)
        top, half = _HEAD + len(PITCH_ROWS) * _ROW + 8, width / 2
        for number, (_, words, files) in enumerate(expressions):
            place = QRect(round(number % 2 * half), top + number // 2 * _CHIP, round(half) - 4, _CHIP - 4)
            cells.append((place, words, files))
        self._cells = cells
        self._at = min(self._at, len(cells) - 1)

    def _cell_at(self, point: QPoint) -> int | None:
        return next((i for i, (rect, _, _) in enumerate(self._cells) if rect.contains(point)), None)

    def _pick(self) -> None:
        self.update()
        _, _, files = self._cells[self._at]
        if files:
            after = (files.index(self._marked) + 1) % len(files) if self._marked in files else 0
            self.picked.emit(files[after])


_CENTRE = int(Qt.AlignmentFlag.AlignCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
