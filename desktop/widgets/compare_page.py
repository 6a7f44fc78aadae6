# SPDX-License-Identifier: Apache-2.0
"""The compare view: sources, you, and every kind of model side by side, live, or as a video that is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QSizePolicy, QStackedWidget, QVBoxLayout, QWidget

from desktop.bridge.cameras import CameraLook
from desktop.bridge.comparison import COMPARED_S, CompareRun
from desktop.bridge.session import DEMO_CLIP
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.parts import button, label
from desktop.widgets.stage import Stage
from desktop.words import error_words
from engine.types import MonitorView, OutputFrame

__all__ = ["ComparePage"]

_VIDEOS = "Videos (*.mp4 *.mov *.mkv *.webm *.avi);;All files (*)"
_EXPLAINED = (
    "Sources, you, and one model of each kind, all moved by the same face. Live, they run beside the picture that goes "
    f"out, at the rate they reach; as a video, every frame of {COMPARED_S:.0f} seconds is drawn. Both show the driver: "
    "the live view is on this screen only, and a video is yours to keep to yourself."
)


class ComparePage(QWidget):
    """A page of the window.

    Signals:
        wanted(str): compare on this driver, as a video. live_wanted(bool): live, or no longer. closed: back to the main
        page.
    """

    wanted = Signal(str)
    live_wanted = Signal(bool)
    closed = Signal()

    def __init__(self, run: CompareRun, look: CameraLook) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._run, self._look, self._live = run, look, False
        self.picture = MonitorPicture("The models appear here side by side", mirrored=False)
        self.picture.setAccessibleName("Comparison")
        self.picture.setMinimumHeight(320)
        self.picture.setMaximumHeight(16_000)
        self.picture.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.stage = Stage()  # takes sealed frames only
        self.stage.setAccessibleName("Live comparison")
        self.pictures = QStackedWidget()
        self.pictures.addWidget(self.picture)
        self.pictures.addWidget(self.stage)
        self.state = label("", "soft", wraps=True, longest="One line")
        self.state.setAccessibleName("State of the comparison")
        self.live = button("", self._switch_live, kind="main")
        self.demo = button("Video of the demo clip", lambda: self.wanted.emit(DEMO_CLIP))
        self.file = button("Video of a file…", self._ask_video)
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
        for each in (self.cancel, self.file, self.demo, self.live):
            row.addWidget(each)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 18, 24, 18)
        layout.setSpacing(10)
        layout.addWidget(label("Compare models", "headline"))
        layout.addWidget(label(_EXPLAINED, "soft", wraps=True))
        layout.addWidget(self.pictures, 1)
        layout.addWidget(self.state)
        layout.addLayout(row)
        self.show_live(False)

    def show_begun(self) -> None:
        """A video is under way."""
        self._look.end()
        self.pictures.setCurrentWidget(self.picture)
        self.picture.say("Loading the models…")
        self._say("Loading the models…")

    def show_live(self, live: bool) -> None:
        """The live comparison is on or off."""
        self._live = live
        text = "Stop comparing" if live else "Compare live"
        self.live.setText(text)
        self.live.setAccessibleName(text)
        if live:
            self._look.end()
        self.pictures.setCurrentWidget(self.stage if live else self.picture)
        self._say("Loading the models; this takes a few seconds…" if live else "")

    def show_frame(self, frame: OutputFrame) -> None:
        """Show a live comparison, sealed."""
        self.stage.show_frame(frame)

    def show_figures(self, took_ms: Mapping[str, float], fps: float) -> None:
        """Show what each model takes."""
        each = " · ".join(f"{title} {ms:.0f} ms" for title, ms in took_ms.items())
        rate = f"{fps:.1f} comparisons a second" if fps >= 1 else f"one comparison every {1 / fps:.0f} s" if fps else ""
        self._say("  –  ".join(part for part in (each, rate) if part))

    def say(self, text: str) -> None:
        """Show a sentence below the picture."""
        self._say(text)

    def _show_progress(self, count: int, total: int) -> None:
        self._say(f"Frame {count} of {total}" if total else f"Frame {count}")

    def _show_result(self, path: Path) -> None:
        self._say(f"Saved: {path}")
        self._look.look(str(path))

    def _say(self, text: str) -> None:
        self.state.setText(text)
        running = self._run.running
        self.cancel.setVisible(running)
        for each in (self.demo, self.file):
            each.setEnabled(not running and not self._live)
        self.live.setEnabled(not running)

    def _switch_live(self) -> None:
        self.live_wanted.emit(not self._live)

    def _ask_video(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A video to be driven by", "", _VIDEOS)
        if path:
            self.wanted.emit(path)

    def _leave(self) -> None:
        self._look.end()
        if self._live:
            self.live_wanted.emit(False)
        self.closed.emit()
