# SPDX-License-Identifier: Apache-2.0
"""What a set covers and what is missing, and how well each picture is rebuilt from the others."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from desktop.bridge.studio_views import PictureView, StudioView
from desktop.theme import current_theme
from desktop.widgets.coverage_map import CoverageMap
from desktop.widgets.parts import button, label
from desktop.widgets.stage import fitted
from desktop.widgets.switch import Switch

__all__ = ["CoveragePanel", "PicturePanel"]


class CoveragePanel(QWidget):
    """The coverage map and the list of holes.

    Signals:
        picked(str): the user wants to see this picture.
    """

    picked = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.score = label("", "small", wraps=True)
        self.map = CoverageMap()
        self.map.picked.connect(self.picked)
        self.holes = label("", wraps=True)
        self.holes.setAccessibleName("What is missing")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(12, 0, 12, 12)
        layout.setSpacing(8)
        layout.addWidget(self.score)
        layout.addWidget(self.map)
        layout.addWidget(self.holes)

    def show_set(self, view: StudioView) -> None:
        """Show what a set covers."""
        cover = view.coverage
        self.map.show_coverage(cover)
        if cover is None:
            self.score.setText("")
            self.holes.setText("\n".join(view.advice[-1:]) if view.pictures and view.looked else "No picture yet.")
            return
        self.score.setText(f"Covers {cover.score:.0%} of what a good set shows.")
        lines = [f"• {what}\n   → {ask}" for what, ask in cover.holes]
        self.holes.setText("\n\n".join(lines) or "Nothing is missing.")


class PicturePanel(QWidget):
    """One picture: why it is there, what is wrong, and what the others make of it.

    Signals:
        switched(str, bool), removed(str), referred(str), uncropped(str): what the user wants of this file.
        test_wanted: rebuild every picture from the others. guides_wanted(str): place landmarks by hand.
    """

    switched = Signal(str, bool)
    removed = Signal(str)
    referred = Signal(str)
    uncropped = Signal(str)
    test_wanted = Signal()
    guides_wanted = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._file = ""
        self.words = label("", "soft", wraps=True)
        self.flags = label("", wraps=True)
        self.flags.setAccessibleName("What is wrong with the picture")
        self.used = Switch("In use")
        self.used.setAccessibleName("Picture in use")
        self.used.clicked.connect(lambda on: self.switched.emit(self._file, on))
        self.refer = button("Reference", lambda: self.referred.emit(self._file), hint="Measure the others from it (R)")
        self.uncrop = button("Crop automatically", lambda: self.uncropped.emit(self._file))
        self.guides = button("Landmarks…", lambda: self.guides_wanted.emit(self._file))
        self.remove = button("Remove", lambda: self.removed.emit(self._file), hint="Take it out of the set (Delete)")
        self.test = button("Rebuild from the others", self.test_wanted.emit, hint="How well do the others know it?")
        self.pair = RebuiltPair()
        row = QHBoxLayout()
        row.setSpacing(6)
        for each in (self.used, self.refer, self.uncrop, self.guides, self.test, self.remove):
            row.addWidget(each)
        row.addStretch(1)
        left = QVBoxLayout()
        left.setSpacing(6)
        left.addWidget(self.words)
        left.addWidget(self.flags)
        left.addStretch(1)
        upper = QHBoxLayout()
        upper.addLayout(left, 1)
        upper.addWidget(self.pair)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(upper)
        layout.addLayout(row)

    def show_picture(self, view: PictureView | None) -> None:
        """Show one picture, or that there is none."""
        self._file = view.file if view is not None else ""
        self.setVisible(view is not None)
        if view is None:
            return
        words = ", ".join(view.words)
        parts = [view.file, "" if view.notes.startswith(words) else words, view.notes]
        self.words.setText(" – ".join(part for part in parts if part))
        self.flags.setText("\n".join(f"• {flag.sentence}" for flag in view.flags))
        self.flags.setVisible(bool(view.flags))
        self.used.setChecked(view.enabled)
        self.refer.setEnabled(not view.reference)
        self.uncrop.setVisible(view.by_hand)
        self.pair.show_pair(view)


class RebuiltPair(QWidget):
    """A portrait and the same made of the other pictures, side by side."""

    _SIDE = 118

    def __init__(self) -> None:
        super().__init__()
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self._images: tuple[QImage, QImage] = (QImage(), QImage())
        self._words = ("", "")
        self.hide()

    def sizeHint(self) -> QSize:
        """Two portraits with a line each."""
        return QSize(2 * self._SIDE + 8, self._SIDE + 20)

    def show_pair(self, view: PictureView) -> None:
        """Show what is known of a picture; hidden where it was not rebuilt."""
        if view.portrait is None or view.rebuilt is None:
            self.hide()
            return
        self._images = (view.portrait, view.rebuilt)
        self._words = ("as it is", f"rebuilt: {view.rebuilt_db:.1f} dB")
        self.setAccessibleName(f"Rebuilt from the others, {view.rebuilt_db:.1f} decibels on the face")
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        font = self.font()
        font.setPixelSize(11)
        painter.setFont(font)
        painter.setPen(QColor(current_theme().soft))
        for number, (image, words) in enumerate(zip(self._images, self._words, strict=True)):
            left = number * (self._SIDE + 8)
            painter.drawImage(fitted(image.size(), QRectF(left, 0, self._SIDE, self._SIDE)), image)
            room = QRectF(left, self._SIDE + 2, self._SIDE, 18)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignCenter), words)
        painter.end()
