# SPDX-License-Identifier: Apache-2.0
"""The source sets to choose from: a thumbnail each, the name, and how much of a face its pictures cover."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QIcon, QKeyEvent, QPainter, QPalette, QPen, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from desktop.bridge.library import SetCard
from desktop.theme import current_theme

__all__ = ["Gallery"]

_CARD = Qt.ItemDataRole.UserRole
_STATE = Qt.ItemDataRole.UserRole + 1
_THUMB = 74
_ROW = _THUMB + 16


class Gallery(QListWidget):
    """A column of characters.

    Signals:
        chosen(str): the user chose this set.
    """

    chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Source sets")
        self.setAccessibleDescription("Choose a character with the arrow keys and Enter, or with the keys 1 to 9.")
        self.setItemDelegate(_CardDelegate(self))
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self._current = ""
        self._loading = ""
        self.itemClicked.connect(self._choose)
        self.itemActivated.connect(self._choose)

    @property
    def names(self) -> list[str]:
        """The usable sets in their order."""
        cards = [self.item(row).data(_CARD) for row in range(self.count())]
        return [card.name for card in cards if not card.problem]

    @property
    def current_card(self) -> SetCard | None:
        """The set that the keyboard is on."""
        item = self.currentItem()
        card: SetCard | None = item.data(_CARD) if item is not None else None
        return card

    def show_sets(self, cards: list[SetCard]) -> None:
        """Replace the list."""
        self.clear()
        for number, card in enumerate(cards, 1):
            item = QListWidgetItem(card.title)
            item.setData(_CARD, card)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{card.title}. {card.badge}. {card.hint}")
            item.setToolTip(card.hint + (f"\nKey {number}" if number <= 9 and not card.problem else ""))
            if card.thumbnail is not None:
                item.setIcon(QIcon(QPixmap.fromImage(card.thumbnail)))
            if card.problem:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEnabled)
            self.addItem(item)
        self._mark()

    def show_current(self, name: str) -> None:
        """Mark the set that is chosen."""
        self._current = name
        self._mark()

    def show_loading(self, name: str) -> None:
        """Mark the set that is being prepared; empty for none."""
        self._loading = name
        self._mark()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.currentItem() is not None:
            self._choose(self.currentItem())
        elif event.text().isdigit():
            event.ignore()  # the digits are the window's quick keys, not a search
        else:
            super().keyPressEvent(event)

    def _choose(self, item: QListWidgetItem) -> None:
        card = item.data(_CARD)
        if not card.problem and card.name != self._current:
            self.chosen.emit(card.name)

    def _mark(self) -> None:
        for row in range(self.count()):
            name = self.item(row).data(_CARD).name
            state = "loading" if name == self._loading else "current" if name == self._current else ""
            self.item(row).setData(_STATE, state)
            if name == self._current and self.currentItem() is None:
                self.setCurrentRow(row)


class _CardDelegate(QStyledItemDelegate):
    """Paints thumbnail, name, badge and quick key."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """One row."""
        return QSize(160, _ROW)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Nothing is edited here."""
        return False

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Paint one card."""
        card, state = index.data(_CARD), index.data(_STATE)
        palette: QPalette = option.palette
        place: QRect = option.rect.adjusted(2, 3, -2, -3)
        flags = option.state
        accent, soft = palette.color(QPalette.ColorRole.Highlight), QColor(current_theme().soft)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        if state:
            tint = QColor(accent)
            tint.setAlpha(38)
            painter.setBrush(tint)
            painter.drawRoundedRect(place, 9, 9)
        elif flags & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(palette.color(QPalette.ColorRole.Button))
            painter.drawRoundedRect(place, 9, 9)
        if state == "current" or flags & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(accent, 1.6))
            painter.drawRoundedRect(place.adjusted(1, 1, -1, -1), 8, 8)
        thumb = QRect(place.left() + 7, place.top() + (place.height() - _THUMB) // 2 + 1, _THUMB - 2, _THUMB - 2)
        if card.thumbnail is not None:
            painter.setOpacity(0.35 if card.problem else 1.0)
            painter.drawImage(thumb, card.thumbnail)
            painter.setOpacity(1.0)
        left = thumb.right() + 11
        room = QRect(left, place.top() + 8, place.right() - left - 6, 22)
        font = QFont(option.font)
        font.setPixelSize(13)
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(soft if card.problem else QColor(current_theme().text))
        title = painter.fontMetrics().elidedText(card.title, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(room, int(Qt.AlignmentFlag.AlignVCenter), title)
        font.setPixelSize(12)
        font.setWeight(QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(soft)
        words = "Preparing…" if state == "loading" else card.badge
        room = QRect(left, room.bottom() + 2, room.width(), 34)
        painter.drawText(room, int(Qt.TextFlag.TextWordWrap), words)
        if index.row() < 9 and not card.problem:
            key = QRect(place.right() - 22, place.bottom() - 21, 16, 16)
            painter.setPen(QPen(soft, 1))
            painter.drawRoundedRect(key, 4, 4)
            font.setPixelSize(10)
            painter.setFont(font)
            painter.drawText(key, int(Qt.AlignmentFlag.AlignCenter), str(index.row() + 1))
        painter.restore()
