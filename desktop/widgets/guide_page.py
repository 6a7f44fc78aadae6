# SPDX-License-Identifier: Apache-2.0
"""The landmark editor's page: one picture of the set with its guide points, and what can be done to them."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from desktop.bridge.guides import POINT_WORDS, GuidePoints, start_guides, turned
from desktop.bridge.studio_views import PictureView, StudioView
from desktop.widgets.guide_canvas import GuideCanvas
from desktop.widgets.notices import NoticeStack
from desktop.widgets.parts import ValueSlider, button, label
from desktop.widgets.switch import Switch

__all__ = ["GuidePage"]

_MOST_DEG = 60.0
_HELP = (
    "Drag the points onto the eyes, nose, mouth and chin; the rest of the face follows. Left and right are the "
    "character's own. The wheel zooms, dragging beside the points moves the picture. All points: Shift and drag "
    "moves, Ctrl and wheel resizes, Alt and wheel turns them."
)


class GuidePage(QWidget):
    """A page of the window.

    Signals:
        closed: back to the studio. guided(str, object): this file's landmarks are these `GuidePoints` now, or None: the
        tracker looks. undo, redo: one step.
    """

    closed = Signal()
    guided = Signal(str, object)
    undo = Signal()
    redo = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._view: StudioView | None = None
        self._file = ""
        self.canvas = GuideCanvas()
        self.canvas.placed.connect(self._place)
        self.canvas.chosen.connect(self._show_point)
        self.notices = NoticeStack(self.canvas)
        self.name = label("", "title")
        self.points = QListWidget()
        self.points.setObjectName("points")
        self.points.setAccessibleName("Guide points")
        for name, words in POINT_WORDS.items():
            item = QListWidgetItem(words)
            item.setData(Qt.ItemDataRole.UserRole, name)
            self.points.addItem(item)
        self.points.setCurrentRow(0)
        self.points.currentItemChanged.connect(
            lambda item, _before: self.canvas.choose(item.data(Qt.ItemDataRole.UserRole)) if item is not None else None
        )
        self.automatic = Switch("Head turn from the points")
        self.automatic.setAccessibleName("Head turn from the points")
        self.automatic.clicked.connect(self._turn)
        self.yaw = ValueSlider("Head turn", -_MOST_DEG, _MOST_DEG, ends=("picture's left", "right"), unit="°")
        self.pitch = ValueSlider("Head tilt", -_MOST_DEG, _MOST_DEG, ends=("down", "up"), unit="°")
        for slider in (self.yaw, self.pitch):
            slider.slider.sliderReleased.connect(self._turn)
            slider.moved.connect(lambda _value: None if self._sliding() else self._turn())
        self.before = button("‹ Picture", lambda: self._step(-1), name="Picture before")
        self.after = button("Picture ›", lambda: self._step(1), name="Next picture")
        self.copy = button("Copy to next picture", self._copy, hint="Start there from these points")
        self.template = button("Template", self._restart, name="Start from the template")
        self.track = button("Let the tracker look", lambda: self.guided.emit(self._file, None))
        self.undo_button = button("↶ Undo", self.undo.emit, name="Undo", hint="Ctrl+Z")
        self.redo_button = button("↷ Redo", self.redo.emit, name="Redo", hint="Ctrl+Shift+Z")
        self.done = button("Done", self.closed.emit, kind="main")
        self._lay_out()
        for key, signal in (("Ctrl+Z", self.undo), ("Ctrl+Shift+Z", self.redo), ("Ctrl+Y", self.redo)):
            shortcut = QShortcut(QKeySequence(key), self, signal.emit)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    @property
    def file(self) -> str:
        """The picture that is shown."""
        return self._file

    def open(self, file: str) -> None:
        """Show this picture of the set."""
        self._file = file
        self._show(anew=True)
        self.canvas.setFocus()

    def show_set(self, view: StudioView) -> None:
        """Take over what the set is now."""
        self._view = view
        if self._file and self._picture() is None:
            self._file = ""
            self.closed.emit()
        self.undo_button.setEnabled(view.can_undo)
        self.redo_button.setEnabled(view.can_redo)
        self._show(anew=False)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(10)
        head.addWidget(self.name, 1)
        for each in (self.undo_button, self.redo_button, self.before, self.after, self.done):
            head.addWidget(each)
        side = QVBoxLayout()
        side.setSpacing(8)
        side.addWidget(self.points, 1)
        for part in (self.automatic, self.yaw, self.pitch, self.copy, self.template, self.track):
            side.addWidget(part)
        right = QWidget()
        right.setFixedWidth(270)
        side.setContentsMargins(0, 0, 0, 0)
        right.setLayout(side)
        middle = QHBoxLayout()
        middle.setSpacing(12)
        middle.addWidget(self.canvas, 1)
        middle.addWidget(right)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 12)
        layout.setSpacing(10)
        layout.addLayout(head)
        layout.addWidget(label(_HELP, "soft", wraps=True))
        layout.addLayout(middle, 1)

    def _show(self, *, anew: bool) -> None:
        picture = self._picture()
        if picture is None or picture.image is None:
            return
        guides = picture.guides or self._start(picture)
        self.canvas.show_picture(picture.image, guides, anew=anew)
        origin = "found by the tracker" if picture.has_face else "a template, not placed yet"
        self.name.setText(f"Landmarks of {picture.file}: {'by hand' if picture.guides is not None else origin}")
        self.automatic.setChecked(guides.yaw_deg is None and guides.pitch_deg is None)
        for slider, angle in ((self.yaw, guides.yaw_deg), (self.pitch, guides.pitch_deg)):
            slider.setEnabled(not self.automatic.isChecked())
            slider.show_value(angle or 0.0)
        self.track.setEnabled(picture.guides is not None)
        several = self._view is not None and len(self._view.pictures) > 1
        for each in (self.before, self.after, self.copy):
            each.setEnabled(several)

    def _picture(self) -> PictureView | None:
        pictures = self._view.pictures if self._view is not None else ()
        return next((picture for picture in pictures if picture.file == self._file), None)

    def _start(self, picture: PictureView) -> GuidePoints:
        assert picture.image is not None
        size = (picture.image.width(), picture.image.height())
        if picture.landmarks is None:
            return start_guides(size)
        scaled = picture.landmarks.copy()
        scaled[:, :2] *= size
        scaled[:, 2] *= size[0]
        return start_guides(size, scaled)

    def _place(self, guides: GuidePoints) -> None:
        self.guided.emit(self._file, guides)

    def _restart(self) -> None:
        picture = self._picture()
        if picture is not None and picture.image is not None:
            self.guided.emit(self._file, start_guides((picture.image.width(), picture.image.height())))
            self.canvas.show_face()

    def _turn(self) -> None:
        guides = self.canvas.guides
        if guides is None:
            return
        free = self.automatic.isChecked()
        yaw, pitch = (None, None) if free else (round(self.yaw.value), round(self.pitch.value))
        self.guided.emit(self._file, turned(guides, yaw_deg=yaw, pitch_deg=pitch))

    def _sliding(self) -> bool:
        return self.yaw.slider.isSliderDown() or self.pitch.slider.isSliderDown()

    def _step(self, by: int) -> None:
        files = [picture.file for picture in self._view.pictures] if self._view is not None else []
        if self._file in files:
            self.open(files[(files.index(self._file) + by) % len(files)])

    def _copy(self) -> None:
        guides = self.canvas.guides
        if guides is not None:
            self._step(1)
            self.guided.emit(self._file, guides)
            self.canvas.show_face()

    def _show_point(self, name: str) -> None:
        self.points.setCurrentRow(list(POINT_WORDS).index(name))
