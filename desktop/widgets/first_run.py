# SPDX-License-Identifier: Apache-2.0
"""The first start: camera, character, responsible use. Three short steps on one page of the window."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QStackedWidget, QVBoxLayout, QWidget

from desktop.bridge.cameras import CameraLook
from desktop.bridge.library import SetCard
from desktop.widgets.gallery import Gallery
from desktop.widgets.input_panel import CameraChoice
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.parts import button, card, label
from desktop.widgets.switch import Switch
from engine.capture.base import CameraInfo
from engine.types import MonitorView

__all__ = ["STATEMENT", "FirstRun"]

STATEMENT = (
    "I use pictures of myself, of people who agreed to exactly this, or of characters I may use.",
    "I tell the people I talk to that they see a puppet.",
    "I know that every picture carries a visible and an invisible watermark, which cannot be switched off.",
)
_TITLES = ("Your camera", "Your character", "Responsible use")


class FirstRun(QWidget):
    """Three steps, then `done`.

    Signals:
        camera_chosen(str), set_chosen(str): as in the main window. done: the statement was agreed to.
    """

    camera_chosen = Signal(str)
    set_chosen = Signal(str)
    done = Signal()

    def __init__(self, look: CameraLook) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self._look = look
        look.picture.connect(self._show_picture)
        look.failed.connect(self._show_failure)
        self._camera = self._set = ""
        self.camera = CameraChoice()
        self.camera.camera_chosen.connect(self.camera_chosen.emit)
        self.picture = MonitorPicture("Choose a camera to see yourself")
        self.picture.setFixedHeight(250)
        self.gallery = Gallery()
        self.gallery.setFixedHeight(330)
        self.gallery.chosen.connect(self.set_chosen.emit)
        self.accept = Switch("I agree", hint="Needed once, before the first start")
        self.accept.toggled.connect(lambda _on: self._update())
        self.build = Switch("Build the engine for my NVIDIA GPU meanwhile", hint="Until then the processor is used")
        self.build.setChecked(True)
        self.build.hide()
        self.steps = QStackedWidget()
        self.steps.addWidget(
            _step("Who drives? Choose a camera, or the demo clip to try without one.", self.camera, self.picture,
                  label("This picture stays on this screen. It is never sent anywhere.", "small", wraps=True))
        )  # fmt: skip
        self.steps.addWidget(_step("Who do you want to be? It can be changed at any time.", self.gallery))
        statement = [label(f"•  {line}", "", wraps=True) for line in STATEMENT]
        self.steps.addWidget(
            _step("Bunraku puts words into a face. Please agree:", *statement, self.accept, self.build)
        )
        self.number = label("", "soft")
        self.title = label("", "headline")
        self.back = button("Back", self._back)
        self.next = button("Continue", self._next, kind="main")
        buttons = QHBoxLayout()
        buttons.addWidget(self.back)
        buttons.addStretch(1)
        buttons.addWidget(self.next)
        sheet, inside = card(560)
        for each in (self.number, self.title):
            inside.addWidget(each)
        inside.addWidget(self.steps, 1)
        inside.addLayout(buttons)
        sheet.setFixedHeight(540)
        layout = QVBoxLayout(self)
        layout.addWidget(sheet, 0, Qt.AlignmentFlag.AlignCenter)
        self._go(0)

    def begin(self) -> None:
        """Show the first step."""
        self._go(0)
        self._look.look(self._camera)

    def show_choice(self, camera: str, source_set: str) -> None:
        """Show what is chosen."""
        if camera != self._camera:
            self._camera = camera
            self.picture.say("Opening the camera…" if camera else "Choose a camera to see yourself")
            if self.isVisible() and self.steps.currentIndex() == 0:
                self._look.look(camera)
        self._set = source_set
        self.camera.show_camera(camera)
        self.gallery.show_current(source_set)
        self._update()

    def show_cameras(self, cameras: list[CameraInfo]) -> None:
        """Offer these cameras."""
        self.camera.show_cameras(cameras)

    def show_sets(self, cards: list[SetCard]) -> None:
        """Offer these characters."""
        self.gallery.show_sets(cards)
        self.gallery.show_current(self._set)

    def offer_build(self, offered: bool) -> None:
        """Offer to build a GPU engine in the background, where there is a GPU without one."""
        self.build.setVisible(offered)

    @property
    def build_wanted(self) -> bool:
        """Whether it was offered and is wanted."""
        return not self.build.isHidden() and self.build.isChecked()

    def _go(self, step: int) -> None:
        self.steps.setCurrentIndex(step)
        self.number.setText(f"Step {step + 1} of {len(_TITLES)}")
        self.title.setText(_TITLES[step])
        (self.camera, self.gallery, self.accept)[step].setFocus()
        self._update()

    def _back(self) -> None:
        step = self.steps.currentIndex() - 1
        self._go(step)
        if step == 0:
            self._look.look(self._camera)

    def _next(self) -> None:
        step = self.steps.currentIndex()
        if step == 0:
            self._look.end()  # the engine will need the camera
            self.picture.say("The camera is closed again")
        if step + 1 < self.steps.count():
            self._go(step + 1)
        else:
            self.done.emit()

    def _update(self) -> None:
        step = self.steps.currentIndex()
        ready = (bool(self._camera), bool(self._set), self.accept.isChecked())[step]
        self.next.setEnabled(ready)
        self.next.setText("Begin" if step == len(_TITLES) - 1 else "Continue")
        self.next.setAccessibleName(self.next.text())
        self.back.setVisible(step > 0)

    def _show_picture(self, rgb: object) -> None:
        self.picture.show_view(MonitorView(rgb))  # type: ignore[arg-type]

    def _show_failure(self, reason: str) -> None:
        self.picture.say(reason)


def _step(text: str, *parts: QWidget) -> QWidget:
    page = QWidget()
    layout = QVBoxLayout(page)
    layout.setContentsMargins(0, 6, 0, 0)
    layout.setSpacing(12)
    layout.addWidget(label(text, "soft", wraps=True))
    for part in parts:
        layout.addWidget(part)
    layout.addStretch(1)
    return page
