# SPDX-License-Identifier: Apache-2.0
"""The pictures of a set being made: thumbnail with its crop, what it shows, what is wrong; on or off; their order."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFont,
    QKeyEvent,
    QPainter,
    QPalette,
    QPen,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
)

from desktop.bridge.studio_views import PictureView
from desktop.theme import current_theme
from desktop.widgets.stage import fitted

__all__ = ["PictureList", "flag_words"]

_VIEW = Qt.ItemDataRole.UserRole
_THUMB = 76
_ROW = _THUMB + 16
_FLAGS = {
    "blurred": "blurred",
    "small": "small face",
    "duplicate": "duplicate",
    "other_person": "other person?",
    "light": "other light",
    "redundant": "adds little",
    "lost": "unlike the others",
    "NoFaceInSource": "no face found",
}


def flag_words(view: PictureView) -> str:
    """Return what is wrong with a picture in a few words."""
    return " · ".join(_FLAGS.get(flag.key, "cannot be used") for flag in view.flags)


class PictureList(QListWidget):
    """A column of pictures.

    Signals:
        picked(str): this one is looked at; empty for none. switched(str, bool), moved(str, int), removed(str),
        referred(str): what the user wants of this file.
    """

    picked = Signal(str)
    switched = Signal(str, bool)
    moved = Signal(str, int)
    removed = Signal(str)
    referred = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Pictures of the character")
        self.setAccessibleDescription(
            "Space switches a picture on or off, Alt+Up and Alt+Down move it, R makes it the reference, "
            "Delete removes it."
        )
        self.setToolTip("Space: on or off · Alt+↑ ↓: order · R: reference · Delete: remove")
        self.setItemDelegate(_PictureDelegate(self))
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setUniformItemSizes(True)
        self.setMouseTracking(True)
        self.setDragDropMode(QAbstractItemView.DragDropMode.InternalMove)
        self._filling = False
        self.currentItemChanged.connect(lambda item, _before: self._pick(item))
        self.itemChanged.connect(self._check)

    @property
    def files(self) -> list[str]:
        """The pictures in their order."""
        return [self.item(row).data(_VIEW).file for row in range(self.count())]

    @property
    def current(self) -> str:
        """The picture that is looked at; empty for none."""
        item = self.currentItem()
        return str(item.data(_VIEW).file) if item is not None else ""

    def show_pictures(self, views: tuple[PictureView, ...]) -> None:
        """Show these; the one that is looked at stays so where it is still there."""
        before, row_before = self.current, self.currentRow()
        self._filling = True
        self.clear()
        for view in views:
            item = QListWidgetItem(view.file)
            item.setData(_VIEW, view)
            item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            item.setCheckState(Qt.CheckState.Checked if view.enabled else Qt.CheckState.Unchecked)
            state = "on" if view.enabled else "off"
            parts = (view.file, state, "reference" if view.reference else "", ", ".join(view.words), flag_words(view))
            item.setData(Qt.ItemDataRole.AccessibleTextRole, ". ".join(part for part in parts if part))
            item.setToolTip("\n".join((view.file, *(flag.sentence for flag in view.flags), view.notes)).strip())
            self.addItem(item)
        files = self.files
        row = files.index(before) if before in files else min(max(row_before, 0), len(files) - 1)
        self.setCurrentRow(row)
        self._filling = False
        self.picked.emit(self.current)

    def pick(self, file: str) -> None:
        """Look at this one."""
        if file in self.files:
            self.setCurrentRow(self.files.index(file))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Space is Qt's own."""
        file, key = self.current, event.key()
        moves = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}
        if file and event.modifiers() & Qt.KeyboardModifier.AltModifier and key in moves:
            self.moved.emit(file, self.currentRow() + moves[Qt.Key(key)])
        elif file and key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit(file)
        elif file and key == Qt.Key.Key_R and not event.modifiers():
            self.referred.emit(file)
        elif event.text().isalnum():
            event.ignore()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Files are for the page."""
        if event.mimeData().hasUrls():
            event.ignore()
        else:
            super().dragEnterEvent(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if event.mimeData().hasUrls():
            event.ignore()
        else:
            super().dragMoveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Only ask: what comes of it is shown when it has happened."""
        event.setDropAction(Qt.DropAction.IgnoreAction)
        if event.mimeData().hasUrls():
            event.ignore()
            return
        file, place = self.current, self._place_of(event)
        event.accept()
        if file:
            self.moved.emit(file, place - (1 if place > self.currentRow() else 0))

    def _place_of(self, event: QDropEvent) -> int:
        index = self.indexAt(event.position().toPoint())
        if not index.isValid():
            return self.count()
        below = event.position().y() > self.visualRect(index).center().y()
        return index.row() + (1 if below else 0)

    def _pick(self, item: QListWidgetItem | None) -> None:
        if not self._filling:
            self.picked.emit(item.data(_VIEW).file if item is not None else "")

    def _check(self, item: QListWidgetItem) -> None:
        if not self._filling:
            self.switched.emit(item.data(_VIEW).file, item.checkState() is Qt.CheckState.Checked)


class _PictureDelegate(QStyledItemDelegate):
    """Paints one picture's row; the check box is Qt's own, in the place that Qt gives it."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """One row."""
        return QSize(180, _ROW)

    def editorEvent(self, event: QEvent, model: object, option: QStyleOptionViewItem, index: QModelIndex) -> bool:  # type: ignore[override]
        """A click on the box switches; the box is where it is painted."""
        if event.type() == QEvent.Type.MouseButtonRelease:
            if _box(option.rect).adjusted(-6, -6, 6, 6).contains(event.position().toPoint()):  # type: ignore[attr-defined]
                on = index.data(Qt.ItemDataRole.CheckStateRole) == Qt.CheckState.Checked.value
                after = Qt.CheckState.Unchecked if on else Qt.CheckState.Checked
                return bool(index.model().setData(index, after, Qt.ItemDataRole.CheckStateRole))
            return False
        if event.type() in (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick):
            return False
        return super().editorEvent(event, model, option, index)  # type: ignore[arg-type]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Nothing is edited here."""
        return False

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Paint one row."""
        view: PictureView = index.data(_VIEW)
        theme = current_theme()
        palette: QPalette = option.palette
        place: QRect = option.rect.adjusted(2, 3, -2, -3)
        accent = palette.color(QPalette.ColorRole.Highlight)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setPen(Qt.PenStyle.NoPen)
        if option.state & QStyle.StateFlag.State_Selected:
            tint = QColor(accent)
            tint.setAlpha(38)
            painter.setBrush(tint)
            painter.drawRoundedRect(place, 9, 9)
        if option.state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(accent, 1.6))
            painter.drawRoundedRect(place.adjusted(1, 1, -1, -1), 8, 8)
        thumb = QRect(place.left() + 30, place.top() + (place.height() - _THUMB) // 2 + 1, _THUMB, _THUMB)
        painter.setOpacity(1.0 if view.enabled else 0.4)
        _paint_thumb(painter, view, thumb, accent)
        painter.setOpacity(1.0)
        _paint_check(painter, _box(option.rect), checked=view.enabled, accent=accent)
        left = thumb.right() + 10
        _paint_words(painter, option.font, view, QRect(left, place.top() + 6, place.right() - left - 4, 66), theme.warn)
        painter.restore()


def _box(row: QRect) -> QRect:
    return QRect(row.left() + 10, row.center().y() - 8, 16, 16)


def _paint_check(painter: QPainter, box: QRect, *, checked: bool, accent: QColor) -> None:
    theme = current_theme()
    painter.setPen(QPen(accent if checked else QColor(theme.soft), 1.2))
    painter.setBrush(accent if checked else QColor(theme.well))
    painter.drawRoundedRect(box, 4, 4)
    if checked:
        painter.setPen(QPen(QColor(theme.on_accent), 2))
        painter.drawLine(box.left() + 4, box.center().y() + 1, box.left() + 7, box.bottom() - 4)
        painter.drawLine(box.left() + 7, box.bottom() - 4, box.right() - 3, box.top() + 5)


def _paint_thumb(painter: QPainter, view: PictureView, place: QRect, accent: QColor) -> None:
    if view.image is None:
        painter.setBrush(QColor(current_theme().well))
        painter.drawRoundedRect(place, 6, 6)
        return
    where = fitted(view.image.size(), QRectF(place))
    painter.drawImage(where, view.image)
    if view.box is not None:
        side = view.box.size * min(where.width(), where.height())
        middle_x, middle_y = where.left() + view.box.x * where.width(), where.top() + view.box.y * where.height()
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(accent if view.by_hand else QColor("#ffffff"), 1.4))
        painter.drawRect(QRectF(middle_x - side / 2, middle_y - side / 2, side, side).intersected(where))


def _paint_words(painter: QPainter, base: QFont, view: PictureView, room: QRect, warn: str) -> None:
    theme = current_theme()
    lines = [(("★ " if view.reference else "") + view.file, theme.text if view.enabled else theme.soft, 13, True)]
    if view.words:
        lines.append((", ".join(view.words), theme.soft, 12, False))
    if view.rebuilt_db == view.rebuilt_db:
        lines.append((f"rebuilt {view.rebuilt_db:.1f} dB", theme.soft, 12, False))
    if flags := flag_words(view):
        lines.append((flags, warn, 12, False))
    at = room.top()
    for text, colour, size, bold in lines[:4]:
        font = QFont(base)
        font.setPixelSize(size)
        font.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
        painter.setFont(font)
        painter.setPen(QColor(colour))
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, room.width())
        painter.drawText(QRect(room.left(), at, room.width(), 18), int(Qt.AlignmentFlag.AlignVCenter), shown)
        at += 18
