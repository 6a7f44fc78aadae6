# SPDX-License-Identifier: Apache-2.0
"""Camera and engine: where the motion comes from, which model draws, and the performer's own view."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFileDialog, QLineEdit, QProgressBar, QWidget

from desktop.bridge.session import DEMO_CLIP
from desktop.widgets.monitor import MonitorPicture
from desktop.widgets.panels import panel_layout
from desktop.widgets.parts import Choice, button, label
from desktop.widgets.switch import Switch
from engine.capture.base import CameraInfo

__all__ = ["CameraChoice", "CameraPanel", "EnginePanel"]

_FILE = "file…"
_VIDEOS = "Videos (*.mp4 *.mov *.mkv *.webm *.avi);;All files (*)"


class CameraChoice(Choice):
    """A list of cameras, the demo clip and a video file.

    Signals:
        camera_chosen(str): what `open_camera` takes, or the demo clip.
    """

    camera_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__("Camera", hint="Where your motion comes from")
        self._cameras: list[CameraInfo] = []
        self._camera = ""
        self.chosen.connect(self._choose)
        self._fill()

    def show_cameras(self, cameras: list[CameraInfo]) -> None:
        """Offer these."""
        if cameras != self._cameras:
            self._cameras = cameras
            self._fill()

    def show_camera(self, camera: str) -> None:
        """Show which one is chosen, plugged in or not."""
        self._camera = camera
        self._fill()

    def _fill(self) -> None:
        items: list[tuple[str, object]] = [(info.name, f"camera:{info.id}") for info in self._cameras]
        items += [("Demo clip (no camera needed)", DEMO_CLIP), ("Video file…", _FILE)]
        if not self._camera:
            items.insert(0, ("Choose a camera…", ""))
        elif all(value != self._camera for _, value in items):
            items.insert(0, (self._name_of(self._camera), self._camera))
        self.set_items(items)
        self.show_value(self._camera)

    def _name_of(self, camera: str) -> str:
        if camera.startswith("camera:"):
            return f"{camera.removeprefix('camera:')} (not connected)"
        return "Test pattern" if camera == "synthetic" else Path(camera).name

    def _choose(self, value: object) -> None:
        camera = str(value)
        if camera == _FILE:
            camera, _ = QFileDialog.getOpenFileName(self, "A video to be driven by", "", _VIDEOS)
        if camera and camera != self._camera:
            self.camera_chosen.emit(camera)
        else:
            self.show_value(self._camera)


class CameraPanel(QWidget):
    """Camera, whose face it is, and the performer's own view.

    Signals:
        watch(bool): the performer's own view is wanted or not. person_chosen(str): whose neutral pose is used.
    """

    watch = Signal(bool)
    person_chosen = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.choice = CameraChoice()
        self.person = QLineEdit()
        self.person.setAccessibleName("Who sits before the camera")
        self.person.setToolTip("The neutral pose is kept for each name and camera")
        self.person.setPlaceholderText("Name")
        self.person.editingFinished.connect(lambda: self.person_chosen.emit(self.person.text().strip() or "me"))
        self.switch = Switch("Show my camera", hint="With tracked points; only you see it, no output ever does")
        self.switch.toggled.connect(self._toggle)
        self.picture = MonitorPicture("Your camera appears here while live")
        self.picture.setVisible(False)
        layout = panel_layout(self)
        layout.addWidget(self.choice)
        layout.addWidget(label("Who sits before it", "soft"))
        layout.addWidget(self.person)
        layout.addWidget(self.switch)
        layout.addWidget(self.picture)

    def show_settings(self, camera: str, person: str) -> None:
        """Show what is chosen."""
        self.choice.show_camera(camera)
        if not self.person.hasFocus():
            self.person.setText(person)

    def _toggle(self, wanted: bool) -> None:
        self.picture.setVisible(wanted)
        self.watch.emit(wanted)


class EnginePanel(QWidget):
    """Which model draws, on what.

    Args:
        models: (what to show, name). backends: names.

    Signals:
        model_chosen(str), backend_chosen(str): the user chose. build, cancel_build: engines for the GPU.
    """

    model_chosen = Signal(str)
    backend_chosen = Signal(str)
    build = Signal()
    cancel_build = Signal()

    def __init__(self, models: list[tuple[str, str]], backends: list[str]) -> None:
        super().__init__()
        self.model = Choice("Model", list(models), hint="What draws the character")
        self.model.chosen.connect(self.model_chosen.emit)
        named = [("Automatic" if name == "auto" else name, name) for name in backends]
        self.backend = Choice("Back-end", list(named), hint="What the model runs on; automatic takes the fastest here")
        self.backend.chosen.connect(self.backend_chosen.emit)
        self._description = label("", "small", wraps=True)
        layout = panel_layout(self)
        layout.addWidget(label("Model", "soft"))
        layout.addWidget(self.model)
        layout.addWidget(label("Runs on", "soft"))
        layout.addWidget(self.backend)
        self._engine = label("", "small", wraps=True)
        self._progress = QProgressBar()
        self._progress.setRange(0, 1000)
        self._progress.setAccessibleName("Progress of the build")
        self.build_button = button("Build the GPU engine", self._build_or_cancel)
        layout.addWidget(self._description)
        layout.addWidget(label("NVIDIA GPU", "soft"))
        layout.addWidget(self._engine)
        layout.addWidget(self._progress)
        layout.addWidget(self.build_button)
        self._description.hide()
        self._building = False
        self.show_building(False)

    def show_settings(self, model: str, backend: str) -> None:
        """Show what is chosen; a model that is not shipped here is named all the same."""
        for choice, value in ((self.model, model), (self.backend, backend)):
            if not choice.show_value(value):
                choice.addItem(value, value)
                choice.show_value(value)

    def show_engine(self, text: str, *, can_build: bool) -> None:
        """Show what there is for the GPU. can_build: a builder is installed."""
        self._engine.setText(text)
        self.build_button.setVisible(can_build or self._building)

    def show_building(self, building: bool) -> None:
        """A build is under way, or no longer."""
        self._building = building
        self._progress.setVisible(building)
        self._progress.setValue(0)
        text = "Cancel the build" if building else "Build the GPU engine"
        self.build_button.setText(text)
        self.build_button.setAccessibleName(text)

    def show_progress(self, part: float, words: str) -> None:
        """Show how far a build is. part: [0, 1]."""
        self._progress.setValue(round(part * 1000))
        self._progress.setFormat(f"{part * 100:.0f} %, {words}")

    def _build_or_cancel(self) -> None:
        (self.cancel_build if self._building else self.build).emit()

    def show_description(self, text: str) -> None:
        """Show the engine's own line about itself."""
        self._description.setText(text)
        self._description.setVisible(bool(text))
