# SPDX-License-Identifier: Apache-2.0
"""The page on which a character is made: pictures on the left, one of them large, the set's facts on the right.

Layout, and what a page does by itself (dropping, pasting, choosing files); `StudioPresenter` wires the rest.
"""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication, QImage, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from desktop.theme import Theme
from desktop.widgets.consent_form import ConsentForm
from desktop.widgets.crop_view import CropView
from desktop.widgets.judge_panel import CoveragePanel, PicturePanel
from desktop.widgets.notices import NoticeStack
from desktop.widgets.parts import Section, button, label
from desktop.widgets.picture_list import PictureList
from desktop.widgets.stage import Stage
from desktop.widgets.switch import Switch

__all__ = ["StudioPage"]

_FILES = (
    "Pictures and videos (*.png *.jpg *.jpeg *.webp *.bmp *.tif *.tiff *.gif *.mp4 *.mov *.mkv *.webm *.avi *.mpg "
    "*.mpeg *.m4v);;All files (*)"
)
EMPTY = (
    "Drop pictures or a video of one character here\n\n"
    "One picture from the front is enough; turned, smiling, with open mouth and closed eyes make it better.\n"
    "Of a video the most useful frames are taken."
)


class StudioPage(QWidget):
    """A page of the window.

    Signals:
        closed: back to the main page. files_given(list[Path]), image_given(QImage): to be added. undo, redo: one step.
        between_wanted(Path): a video of what lies between the pictures, into this file.
    """

    closed = Signal()
    files_given = Signal(object)
    image_given = Signal(object)
    between_wanted = Signal(object)
    undo = Signal()
    redo = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setAcceptDrops(True)
        self._make_parts()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 12)
        layout.setSpacing(10)
        layout.addLayout(self._head())
        middle = QHBoxLayout()
        middle.setSpacing(12)
        middle.addLayout(self._left())
        middle.addLayout(self._centre(), 1)
        middle.addWidget(self._right())
        layout.addLayout(middle, 1)
        layout.addWidget(self._foot())
        for key, slot in (
            ("Ctrl+Z", self.undo.emit),
            ("Ctrl+Shift+Z", self.redo.emit),
            ("Ctrl+Y", self.redo.emit),
            ("Ctrl+Shift+S", self.save.click),
            ("Ctrl+V", self.paste),
        ):
            shortcut = QShortcut(QKeySequence(key), self, slot)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)

    def show_theme(self, theme: Theme) -> None:
        """Hand another theme to what paints itself."""
        self.notices.show_theme(theme)
        self.update()

    def show_progress(self, words: str, done: int, total: int) -> None:
        """Show how far the work is; no words: there is none."""
        self.foot.setVisible(bool(words))
        self.progress_words.setText(words)
        self.progress.setRange(0, total)
        self.progress.setValue(done)

    def paste(self) -> None:
        """Take what the clipboard holds: files or a picture."""
        data = QGuiApplication.clipboard().mimeData()
        paths = _local(data.urls()) if data.hasUrls() else []
        image = data.imageData() if data.hasImage() else None
        if paths:
            self.files_given.emit(paths)
        elif isinstance(image, QImage) and not image.isNull():
            self.image_given.emit(image)
        else:
            self.image_given.emit(QImage())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() or event.mimeData().hasImage():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = _local(event.mimeData().urls())
        image = event.mimeData().imageData() if event.mimeData().hasImage() else None
        if paths:
            event.acceptProposedAction()
            self.files_given.emit(paths)
        elif isinstance(image, QImage):
            event.acceptProposedAction()
            self.image_given.emit(image)

    def _make_parts(self) -> None:
        self.back = button("‹  Back", self.closed.emit, name="Back to the live page")
        self.heading = label("New character", "title")
        self.saying = label("", "soft")
        self.undo_button = button("↶ Undo", self.undo.emit, name="Undo", hint="Ctrl+Z")
        self.redo_button = button("↷ Redo", self.redo.emit, name="Redo", hint="Ctrl+Shift+Z")
        self.fresh = button("Start afresh", kind="flat", hint="An empty set; undo brings this one back")
        self.save = button("Save character", kind="main", hint="Ctrl+Shift+S")
        self.add_files = button("Pictures or video…", self._ask_files)
        self.add_folder = button("Folder…", self._ask_folder, name="Folder of pictures")
        self.add_pasted = button("Paste", self.paste, name="Paste a picture", hint="Ctrl+V")
        self.coach = button("Webcam…", name="Take pictures with the webcam")
        hint = "A looping video of what lies between the pictures of the saved character"
        self.between = button("In-between video…", self._ask_between, hint=hint)
        self.pictures = PictureList()
        self.crop = CropView()
        self.picture = PicturePanel()
        self.title = QLineEdit()
        self.title.setAccessibleName("Name of the character")
        self.title.setPlaceholderText("What is the character called?")
        self.title.setMaxLength(80)
        self.name = label("", "small", wraps=True)
        self.consent = ConsentForm()
        self.coverage = CoveragePanel()
        self.colours = Switch("Same light in all pictures")
        self.colours.setAccessibleName("Match the colours of all pictures to the reference")
        self.automatic = Switch("Automatic order and reference")
        self.automatic.setAccessibleName("Automatic order and reference")
        self.stage = Stage()
        self.stage.setMinimumSize(240, 135)
        self.stage.setFixedHeight(150)
        self.stage.setAccessibleName("Live output, small")
        self.notices = NoticeStack(self.crop)
        self.progress_words = label("", "soft")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.cancel = button("Cancel")

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.back)
        row.addWidget(self.heading)
        row.addWidget(self.saying, 1)
        for each in (self.fresh, self.undo_button, self.redo_button, self.save):
            row.addWidget(each)
        return row

    def _left(self) -> QVBoxLayout:
        column, upper, lower = QVBoxLayout(), QHBoxLayout(), QHBoxLayout()
        column.setSpacing(8)
        upper.addWidget(self.add_files, 1)
        for each in (self.add_folder, self.add_pasted, self.coach):
            lower.addWidget(each, 1)
        column.addLayout(upper)
        column.addLayout(lower)
        self.pictures.setFixedWidth(300)
        column.addWidget(self.pictures, 1)
        column.addWidget(self.automatic)
        column.addWidget(self.colours)
        column.addWidget(self.between)
        return column

    def _centre(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(10)
        column.addWidget(self.crop, 1)
        column.addWidget(self.picture)
        return column

    def _right(self) -> QScrollArea:
        about = QWidget()
        facts = QVBoxLayout(about)
        facts.setContentsMargins(12, 0, 12, 12)
        facts.setSpacing(6)
        facts.addWidget(label("Name", "soft"))
        facts.addWidget(self.title)
        facts.addWidget(self.name)
        facts.addWidget(self.consent)
        live = QWidget()
        inside = QVBoxLayout(live)
        inside.setContentsMargins(12, 0, 12, 12)
        inside.addWidget(self.stage)
        self.sections = {
            "about": Section("Character", about),
            "coverage": Section("What the pictures cover", self.coverage),
            "live": Section("Live now", live),
        }
        inner = QWidget()
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(8)
        for section in self.sections.values():
            column.addWidget(section)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(inner)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFixedWidth(316)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return area

    def _foot(self) -> QWidget:
        self.foot = QWidget()
        row = QHBoxLayout(self.foot)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.progress_words)
        row.addWidget(self.progress, 1)
        row.addWidget(self.cancel)
        keeps = self.foot.sizePolicy()
        keeps.setRetainSizeWhenHidden(True)  # the pictures above stay where they are
        self.foot.setSizePolicy(keeps)
        self.foot.hide()
        return self.foot

    def _ask_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Pictures or videos of one character", "", _FILES)
        if paths:
            self.files_given.emit([Path(path) for path in paths])

    def _ask_between(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "In-between video", "between.mp4", "Videos (*.mp4 *.webm *.mov)")
        if path:
            self.between_wanted.emit(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "A folder of pictures of one character")
        if path:
            self.files_given.emit([Path(path)])


def _local(urls: list) -> list[Path]:  # type: ignore[type-arg]  # QUrl
    return [Path(url.toLocalFile()) for url in urls if url.isLocalFile()]
