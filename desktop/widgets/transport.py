# SPDX-License-Identifier: Apache-2.0
"""The row under the picture: start, virtual camera, record, snapshot, calibrate, panic."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QWidget

from desktop.bridge.outputs import Vcam
from desktop.widgets.parts import button, restyle
from engine.state import Phase, PipelineState

__all__ = ["Transport"]

_VCAM_WORDS = {
    Vcam.OFF: "Virtual camera off",
    Vcam.OPENING: "Opening…",
    Vcam.ON: "Virtual camera on",
    Vcam.CLOSING: "Closing…",
}


class Transport(QWidget):
    """Buttons; what they mean is the controller's business.

    Signals:
        start, stop, snapshot, calibrate, panic, show_again: pressed. vcam(bool), record(bool): wanted on or off.
    """

    start = Signal()
    stop = Signal()
    vcam = Signal(bool)
    record = Signal(bool)
    snapshot = Signal()
    calibrate = Signal()
    panic = Signal()
    show_again = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("transport")
        self._hidden = False
        self._running = False
        self.start_button = button("▶  Start", self._start_or_stop, kind="main", name="Start", hint="Go live (F5)")
        self.vcam_button = button("", hint="Offer the picture to OBS, Zoom and others as a camera (Ctrl+K)")
        self.vcam_button.setCheckable(True)
        self.vcam_button.clicked.connect(lambda checked: self.vcam.emit(checked))
        self.record_button = button("●  Record", hint="Record what goes out, as MP4 (Ctrl+R)", name="Record")
        self.record_button.setCheckable(True)
        self.record_button.clicked.connect(lambda checked: self.record.emit(checked))
        self.snapshot_button = button("Snapshot", self.snapshot.emit, hint="Save the picture as PNG (Ctrl+S)")
        self.calibrate_button = button(
            "Calibrate", self.calibrate.emit, hint="Take your neutral face: 3, 2, 1, hold still (Ctrl+N)"
        )
        self.panic_button = button(
            "Hide  (Esc Esc)", self._panic_or_back, kind="danger", name="Hide now", hint="Show the holding card at once"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self.start_button.setMinimumWidth(88)
        for each in (self.start_button, self.vcam_button, self.record_button):
            layout.addWidget(each)
        layout.addWidget(self.snapshot_button)
        layout.addWidget(self.calibrate_button)
        layout.addStretch(1)
        layout.addWidget(self.panic_button)
        self.show_vcam(Vcam.OFF, "")
        self.show_state(PipelineState(), running=False, hidden=False)

    def show_state(self, state: PipelineState, *, running: bool, hidden: bool) -> None:
        """Show what can be done now."""
        self._running, self._hidden = running, hidden
        if running:
            text, name, kind = "■  Stop", "Stop", ""
        else:
            text, name, kind = "▶  Start", "Start", "main"
        _word(self.start_button, text, name, kind)
        self.start_button.setEnabled(running or state.phase is not Phase.STOPPING)
        for each in (self.record_button, self.snapshot_button, self.calibrate_button):
            each.setEnabled(state.live)
        if hidden:
            _word(self.panic_button, "Show again", "Show again", "main")
        else:
            _word(self.panic_button, "Hide  (Esc Esc)", "Hide now", "danger")

    def show_vcam(self, state: Vcam, device: str) -> None:
        """Show where the virtual camera is."""
        self.vcam_button.setChecked(state in (Vcam.ON, Vcam.OPENING))
        self.vcam_button.setText(_VCAM_WORDS[state])
        self.vcam_button.setAccessibleName(_VCAM_WORDS[state])
        self.vcam_button.setEnabled(state in (Vcam.ON, Vcam.OFF))
        hint = f"Other programs see it as {device}" if device else "Offer the picture to OBS, Zoom and others (Ctrl+K)"
        self.vcam_button.setToolTip(hint)

    def show_recording(self, path: Path | None) -> None:
        """Show whether a recording is being written."""
        self.record_button.setChecked(path is not None)
        text = "■  Recording" if path is not None else "●  Record"
        _word(self.record_button, text, "End recording" if path is not None else "Record", "danger" if path else "")
        self.record_button.setToolTip(
            f"Writing {path}" if path is not None else "Record what goes out, as MP4 (Ctrl+R)"
        )

    def _start_or_stop(self) -> None:
        (self.stop if self._running else self.start).emit()

    def _panic_or_back(self) -> None:
        (self.show_again if self._hidden else self.panic).emit()


def _word(target: QWidget, text: str, name: str, kind: str) -> None:
    target.setText(text)  # type: ignore[attr-defined]
    target.setAccessibleName(name)
    if target.property("kind") != kind:
        target.setProperty("kind", kind)
        restyle(target)
