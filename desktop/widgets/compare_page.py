# SPDX-License-Identifier: Apache-2.0
"""The compare view: sources, driver, and every kind of model side by side, as a video that is kept."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from desktop.bridge.cameras import CameraLook
from desktop.bridge.comparison import COMPARED_S, CompareRun
from desktop.bridge.session import DEMO_CLIP
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.parts import button, label
from desktop.words import error_words
from engine.types import MonitorView

__all__ = ["ComparePage"]

_VIDEOS = "Videos (*.mp4 *.mov *.mkv *.webm *.avi);;All files (*)"


class ComparePage(QWidget):
    """A page of the window.

    Signals:
        wanted(str): compare on this driver. closed: back to the main page.
    """

    wanted = Signal(str)
    closed = Signal()

    def __init__(self, run: CompareRun, look: CameraLook) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._run, self._look = run, look
        self.picture = MonitorPicture("The models appear here side by side", mirrored=False)
        self.picture.setAccessibleName("Comparison")
        self.picture.setMinimumHeight(320)
        self.picture.setMaximumHeight(16_000)
        self.picture.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.state = label("", "soft", wraps=True)
        self.demo = button("Compare on the demo clip", lambda: self.wanted.emit(DEMO_CLIP), kind="main")
        self.file = button("Compare on a video…", self._ask_video)
        self.cancel = button("Cancel", run.cancel)
        self.back = button("Back", self._leave)
        run.progress.connect(self._show_progress)
        run.done.connect(self._show_result)
        run.failed.connect(lambda error: self._say(error_words(error)))
        run.cancelled.connect(lambda: self._say("Cancelled."))
        look.picture.connect(lambda rgb: self.picture.show_view(MonitorView(rgb)))
        look.failed.connect(self._say)
        row = QHBoxLayout()
        row.addWidget(self.back)
        row.addStretch(1)
        for each in (self.cancel, self.file, self.demo):
            row.addWidget(each)
        explained = (
            f"Sources, driver, and one model of each kind, all driven by the same {COMPARED_S:.0f} seconds of video. "
            "The result is a watermarked video that shows the driver too; keep it to yourself if that is you."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.setSpacing(10)
        layout.addWidget(label("Compare models", "headline"))
        layout.addWidget(label(explained, "soft", wraps=True))
        layout.addWidget(self.picture, 1)
        layout.addWidget(self.state)
        layout.addLayout(row)
        self._say("")

    def show_begun(self) -> None:
        """A comparison is under way."""
        self._look.end()
        self.picture.say("Loading the models…")
        self._say("Loading the models…")

    def _show_progress(self, count: int, total: int) -> None:
        self._say(f"Frame {count} of {total}" if total else f"Frame {count}")

    def _show_result(self, path: Path) -> None:
        self._say(f"Saved: {path}")
        self._look.look(str(path))

    def _say(self, text: str) -> None:
        self.state.setText(text)
        self.state.setVisible(bool(text))
        running = self._run.running
        self.cancel.setVisible(running)
        self.demo.setEnabled(not running)
        self.file.setEnabled(not running)

    def _ask_video(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A video to be driven by", "", _VIDEOS)
        if path:
            self.wanted.emit(path)

    def _leave(self) -> None:
        self._look.end()
        self.closed.emit()
