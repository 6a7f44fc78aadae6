# SPDX-License-Identifier: Apache-2.0
"""Motion, background and output: the panels that only turn settings into controls and back."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QColorDialog, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from desktop.widgets.level_meter import LevelMeter
from desktop.widgets.parts import Choice, ValueSlider, button, label
from desktop.widgets.switch import Switch
from engine.config import (
    WATERMARK_CORNERS,
    WATERMARK_STYLES,
    MotionSettings,
    OutputSettings,
    setting_limits,
)

__all__ = ["BackgroundPanel", "MotionPanel", "OutputPanel", "panel_layout"]

_PICTURES = "Pictures (*.png *.jpg *.jpeg *.webp *.bmp)"
_SIZES = ((1280, 720), (1920, 1080), (960, 540), (640, 480), (720, 1280), (512, 512))
_SILENT, _FIRST = "No sound", "The first that is found"
_RATES = (24.0, 25.0, 30.0, 60.0)


def panel_layout(panel: QWidget) -> QVBoxLayout:
    """Return the layout that all panels have."""
    layout = QVBoxLayout(panel)
    layout.setContentsMargins(12, 2, 12, 12)
    layout.setSpacing(10)
    return layout


class MotionPanel(QWidget):
    """How the performer's motion reaches the character.

    Signals:
        changed(str, float): the user chose a value for this setting of `MotionSettings`. mirrored(bool).
        reset: back to the defaults.
    """

    changed = Signal(str, float)
    mirrored = Signal(bool)
    reset = Signal()

    _ROWS = (
        ("motion", "Motion", ("absolute", "relative")),
        ("steadiness", "Steadiness", ("snappy", "steady")),
        ("head", "Head", ("", "")),
        ("eyes", "Eyes", ("", "")),
        ("mouth", "Mouth", ("", "")),
        ("brows", "Brows", ("", "")),
    )

    def __init__(self) -> None:
        super().__init__()
        helps = {each.name: str(each.metadata.get("help", "")) for each in fields(MotionSettings)}
        self.sliders: dict[str, ValueSlider] = {}
        layout = panel_layout(self)
        for name, title, ends in self._ROWS:
            slider = ValueSlider(title, *setting_limits(MotionSettings, name), ends=ends, hint=helps[name])
            slider.moved.connect(lambda value, name=name: self.changed.emit(name, value))
            self.sliders[name] = slider
            layout.addWidget(slider)
        self.mirror = Switch("Mirror the character", hint="Left becomes right; the watermark stays readable")
        self.mirror.toggled.connect(self.mirrored.emit)
        layout.addWidget(self.mirror)
        layout.addWidget(button("Reset motion", self.reset.emit, hint="All of these back to their defaults"))

    def show_settings(self, motion: MotionSettings, *, mirrored: bool) -> None:
        """Show these values without telling of them."""
        for name, slider in self.sliders.items():
            slider.show_value(getattr(motion, name))
        self.mirror.blockSignals(True)
        self.mirror.setChecked(mirrored)
        self.mirror.blockSignals(False)


class BackgroundPanel(QWidget):
    """What stands behind the character.

    Signals:
        chosen(str): "source", "green" or a colour. picture_chosen(Path): a picture that is still to be tried.
    """

    chosen = Signal(str)
    picture_chosen = Signal(object)

    _OWN, _GREEN, _COLOUR, _PICTURE = "source", "green", "colour", "picture"

    def __init__(self) -> None:
        super().__init__()
        self.kind = Choice(
            "Background",
            [
                ("The character's own", self._OWN),
                ("Green screen", self._GREEN),
                ("A colour", self._COLOUR),
                ("A picture", self._PICTURE),
            ],
        )
        self.kind.chosen.connect(self._choose)
        self.colour = button("Choose colour…", self._ask_colour)
        self.picture = button("Choose picture…", self._ask_picture)
        self._name = label("", "small", wraps=True)
        self._background = self._OWN
        layout = panel_layout(self)
        for each in (self.kind, self.colour, self.picture, self._name):
            layout.addWidget(each)
        self.show_settings(self._OWN)

    def show_settings(self, background: str) -> None:
        """Show this background."""
        self._background = background
        kind = (
            background
            if background in (self._OWN, self._GREEN)
            else self._COLOUR
            if background.startswith("#")
            else self._PICTURE
        )
        self.kind.show_value(kind)
        self.colour.setVisible(kind == self._COLOUR)
        self.picture.setVisible(kind == self._PICTURE)
        self._name.setVisible(kind in (self._COLOUR, self._PICTURE))
        self._name.setText(background if kind == self._COLOUR else Path(background).name)

    def _choose(self, kind: object) -> None:
        if kind == self._COLOUR:
            self.chosen.emit(self._background if self._background.startswith("#") else "#20242c")
        elif kind == self._PICTURE:
            self._ask_picture()
        else:
            self.chosen.emit(str(kind))

    def _ask_colour(self) -> None:
        colour = QColorDialog.getColor(QColor(self._background), self, "Background colour")
        if colour.isValid():
            self.chosen.emit(colour.name())

    def _ask_picture(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Background picture", "", _PICTURES)
        if path:
            self.picture_chosen.emit(Path(path))
        else:
            self.show_settings(self._background)


class OutputPanel(QWidget):
    """What goes out. The watermark's place and style are a choice; having one is not.

    Signals:
        changed(str, object): the user chose a value for this setting of `OutputSettings`. folder_chosen(Path).
        microphone_chosen(str): heard in recordings, empty for none. device_chosen(str): the virtual camera, empty for
        the first that is found. help_wanted: how to get a virtual camera.
    """

    microphone_chosen = Signal(str)
    device_chosen = Signal(str)
    changed = Signal(str, object)
    folder_chosen = Signal(object)
    help_wanted = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.size_choice = Choice("Output size", [(f"{w} × {h}", (w, h)) for w, h in _SIZES])
        self.rate = Choice("Frames per second", [(f"{fps:g} fps", fps) for fps in _RATES])
        self.corner = Choice(
            "Watermark corner", [(name.replace("-", " ").capitalize(), name) for name in WATERMARK_CORNERS]
        )
        self.style_choice = Choice("Watermark style", [(name.capitalize(), name) for name in WATERMARK_STYLES])
        for choice, name in (
            (self.size_choice, "size_wh"),
            (self.rate, "fps"),
            (self.corner, "watermark_corner"),
            (self.style_choice, "watermark_style"),
        ):
            choice.chosen.connect(lambda value, name=name: self.changed.emit(name, value))
        self.microphone = Choice("Sound in recordings", [(_SILENT, "")], hint="The microphone heard in recordings")
        self.microphone.chosen.connect(self.microphone_chosen.emit)
        self._microphone = ""
        self.meter = LevelMeter()
        self.meter.hide()
        self._no_microphone = label("", "small", wraps=True)
        self._no_microphone.hide()
        self.device = Choice("Virtual camera", [(_FIRST, "")], hint="Which one, where there are several")
        self.device.chosen.connect(self.device_chosen.emit)
        self._folder = label("", "small", wraps=True)
        self.folder_button = button("Change folder…", self._ask_folder, name="Folder for recordings and snapshots")
        self.help_button = button("Virtual camera set-up…", self.help_wanted.emit)
        layout = panel_layout(self)
        layout.addLayout(_pair(("Size", self.size_choice), ("Rate", self.rate)))
        layout.addLayout(_pair(("Watermark", self.corner), ("Style", self.style_choice)))
        layout.addWidget(label("The watermarks, visible and invisible, are always on.", "small", wraps=True))
        layout.addWidget(label("Recordings and snapshots", "soft"))
        layout.addWidget(self.microphone)
        layout.addWidget(self.meter)
        layout.addWidget(self._no_microphone)
        layout.addWidget(self._folder)
        layout.addWidget(self.folder_button)
        layout.addWidget(label("Virtual camera", "soft"))
        layout.addWidget(self.device)
        layout.addWidget(self.help_button)

    def show_microphones(self, named: list[tuple[str, str]], reason: str) -> None:
        """Offer these, as (name, id). reason: why there are none."""
        items: list[tuple[str, object]] = [(_SILENT, ""), *named]
        if self._microphone and all(value != self._microphone for _, value in items):
            items.append((f"{self._microphone.partition(':')[2]} (not connected)", self._microphone))
        self.microphone.set_items(items)
        self.microphone.show_value(self._microphone)
        self._no_microphone.setText(reason)
        self._no_microphone.setVisible(bool(reason))
        self.meter.setVisible(any(value == self._microphone for _, value in named))

    def show_sound_failure(self, reason: str) -> None:
        """Show why nothing is heard of the microphone."""
        self.meter.hide()
        self._no_microphone.setText(reason)
        self._no_microphone.setVisible(bool(reason))

    def show_devices(self, named: list[tuple[str, str]]) -> None:
        """Offer these virtual cameras, as (name, device)."""
        chosen = str(self.device.currentData())
        self.device.set_items([(_FIRST, ""), *named])
        self.show_device(chosen)

    def show_device(self, device: str) -> None:
        """Show which virtual camera is chosen, there or not."""
        if not self.device.show_value(device):
            self.device.addItem(f"{device} (not there)", device)
            self.device.show_value(device)

    def show_microphone(self, microphone: str) -> None:
        """Show which one is chosen, plugged in or not."""
        if microphone != self._microphone:
            self.meter.clear()
            self._no_microphone.hide()
        self._microphone = microphone
        self.meter.setVisible(bool(microphone) and self._no_microphone.isHidden())
        if not self.microphone.show_value(microphone):
            self.microphone.addItem(f"{microphone.partition(':')[2]}", microphone)
            self.microphone.show_value(microphone)

    def show_settings(self, output: OutputSettings, folder: Path) -> None:
        """Show these values; a size or rate from elsewhere is added to the list."""
        for choice, value, text in (
            (self.size_choice, output.size_wh, f"{output.size_wh[0]} × {output.size_wh[1]}"),
            (self.rate, output.fps, f"{output.fps:g} fps"),
        ):
            if not choice.show_value(value):
                choice.addItem(text, value)
                choice.show_value(value)
        self.corner.show_value(output.watermark_corner)
        self.style_choice.show_value(output.watermark_style)
        self._folder.setText(str(folder))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder for recordings and snapshots", self._folder.text())
        if path:
            self.folder_chosen.emit(Path(path))


def _pair(*cells: tuple[str, QWidget]) -> QHBoxLayout:
    """Return named controls side by side."""
    row = QHBoxLayout()
    row.setSpacing(8)
    for title, control in cells:
        cell = QVBoxLayout()
        cell.setSpacing(4)
        cell.addWidget(label(title, "soft"))
        cell.addWidget(control)
        row.addLayout(cell, 1)
    return row
