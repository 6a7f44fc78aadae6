# SPDX-License-Identifier: Apache-2.0
"""Saves pictures of the window in every state: `python -m tests.helpers.desktop_shots FOLDER [STATE…]`.

The states are real: the engine runs on the built-in clip and sets. Two sizes, dark and light; QT_SCALE_FACTOR=2 gives
them as a screen of double density shows them. STATE: save only those whose names contain one of these words.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import engine.capture
from desktop.bridge import outputs_owner
from desktop.bridge.studio_views import Consent
from desktop.widgets.main_window import MainWindow
from engine.assets import asset_root
from engine.state import CAMERA_LOST, TRACKING_LOST, Phase
from tests.helpers.desktop_drive import go_live, make_app, opened_window, spend, until
from tests.helpers.desktop_scene import FakeVcam
from tests.helpers.plugged_camera import PluggedCamera

__all__ = ["main"]

_SIZES = ((1280, 800), (1920, 1080))


class _Shots:
    """A window and where its pictures go."""

    def __init__(self, window: MainWindow, folder: Path, wanted: list[str]) -> None:
        self.window, self.folder, self.wanted = window, folder, wanted
        self.controller, self.live, self.door = window.controller, window.live, window.door

    def wants(self, *states: str) -> bool:
        """Whether any of these is to be saved."""
        return not self.wanted or any(word in state for word in self.wanted for state in states)

    def shoot(self, state: str) -> None:
        """Save the window as it is, in both sizes and themes."""
        if not self.wants(state):
            return
        for size in _SIZES:
            for theme in ("dark", "light"):
                self.window.resize(*size)
                self.controller.change(theme=theme)
                spend(0.4)
                name = self.folder / f"{state}-{size[0]}x{size[1]}-{theme}.png"
                if not self.window.grab().save(str(name)):
                    raise OSError(f"not saved: {name}")
                print(name, flush=True)

    def open_only(self, *names: str) -> None:
        """Open these panels and fold the others."""
        for name, section in self.live.sections.items():
            if section.is_open != (name in names):
                section.head.click()


def _first_run(shots: _Shots) -> None:
    window = shots.window
    until(lambda: window.first_run.picture.view is not None and bool(window.live.gallery.names))
    shots.shoot("01-first-run-camera")
    window.first_run.next.click()
    shots.shoot("02-first-run-character")
    window.first_run.next.click()
    shots.shoot("03-first-run-not-agreed")
    window.first_run.accept.setChecked(True)
    window.first_run.offer_build(True)
    shots.shoot("04-first-run-agreed")
    window.first_run.offer_build(False)
    window.pages.setCurrentWidget(window.live)
    shots.shoot("05-off")
    window.first_run.done.emit()


def _live(shots: _Shots) -> None:
    controller, live = shots.controller, shots.live
    shots.shoot("06-opening")
    until(lambda: controller.current.phase is Phase.RUNNING)
    if shots.wants("07-live"):
        spend(8)
    shots.shoot("07-live")
    if shots.wants("08-live-plots-camera-recording"):
        live.camera.switch.setChecked(True)
        live.sections["plots"].head.click()
        controller.record(True)
        until(lambda: controller.outputs.recording_path is not None)
        spend(5)
        shots.shoot("08-live-plots-camera-recording")
        live.sections["plots"].head.click()
        controller.record(False)
        live.camera.switch.setChecked(False)
    if shots.wants("09-calibrating"):
        controller.calibrate()
        shots.shoot("09-calibrating")
        controller.calibration.cancel()
    controller.panic()
    until(lambda: controller.current.phase is Phase.DEGRADED)
    shots.shoot("10-panic")
    controller.show_again()
    if shots.wants("11-engine-build", "12-heat-map"):
        shots.open_only("output", "engine")
        live.engine.show_building(True)
        live.engine.show_progress(0.42, "about 5 s left")
        spend(2)
        shots.shoot("11-engine-build")
        live.engine.show_building(False)
        shots.open_only("sources")
        shots.door._switch_heat(True)
        spend(4)
        shots.shoot("12-heat-map")
        shots.door._switch_heat(False)
        shots.open_only("camera", "motion", "background")


def _studio(shots: _Shots) -> None:
    door, page = shots.door, shots.door.page
    door.open_new()
    shots.shoot("20-studio-empty")
    sets = asset_root() / "source_sets"
    wanted = [sets / "jun.bunraku" / f"{name}.webp" for name in ("front", "left", "right", "mouth_open", "smile")]
    page.files_given.emit([*wanted, sets / "otto.bunraku" / "front.webp"])
    until(lambda: not door.studio.jobs.busy and door.studio.view.looked and len(door.studio.view.pictures) > 4)
    shots.shoot("21-studio-pictures")
    if shots.wants("22-studio-judge"):
        page.picture.test.click()
        until(lambda: not door.studio.jobs.busy)
        page.pictures.setCurrentRow(1)
    page.title.setText("Jun two")
    page.title.editingFinished.emit()
    page.consent.changed.emit(Consent("consented", who="Jun"))
    until(lambda: door.studio.view.looked)
    shots.shoot("22-studio-judge")
    door.open_guides(door.studio.view.pictures[0].file)
    shots.shoot("23-landmark-editor")
    door.open()
    if shots.wants("24-coach"):
        door.open_coach()
        until(lambda: door.coach_page.picture.view is not None)
        spend(3)
        shots.shoot("24-coach")
        door.coach_page.done.click()


def _consent_refused(shots: _Shots) -> None:
    """The character of the studio has no note; a virtual camera that would open is a stand-in."""
    page, controller, window = shots.door.page, shots.controller, shots.window
    page.save.click()
    until(lambda: not shots.door.studio.jobs.busy and controller.settings.source_set.startswith("jun"))
    window.pages.setCurrentWidget(window.live)
    spend(6)
    really, FakeVcam.needs_consent = outputs_owner.open_virtual_camera, True
    outputs_owner.open_virtual_camera = lambda output, device: FakeVcam(output.size_wh)  # type: ignore[assignment,return-value]
    try:
        shots.live.transport.vcam_button.click()
        spend(4)
        shots.shoot("30-consent-refused")
        controller.outputs.set_vcam(False, controller.settings)
        spend(2)
    finally:
        outputs_owner.open_virtual_camera, FakeVcam.needs_consent = really, False
    controller.select_set("amara")
    spend(5)


def _compare(shots: _Shots) -> None:
    window = shots.window
    window.pages.setCurrentWidget(window.compare)
    shots.shoot("40-compare")
    window.compare.live.click()
    until(lambda: "fv2v" in window.compare.state.text())
    shots.shoot("41-compare-live")
    window.compare.back.click()


def _failures(shots: _Shots) -> None:
    controller, window = shots.controller, shots.window
    plug = PluggedCamera(engine.capture.open_camera)
    engine.capture.open_camera = plug.open  # type: ignore[assignment]
    try:
        controller.stop()
        until(lambda: controller.current.phase is Phase.IDLE)
        go_live(window)
        plug.plugged = False
        until(lambda: CAMERA_LOST in controller.current.reasons)
        spend(2)
        shots.shoot("50-camera-lost")
        plug.plugged = True
        until(lambda: CAMERA_LOST not in controller.current.reasons)
    finally:
        engine.capture.open_camera = plug.really
    controller.change(camera="synthetic")
    until(lambda: TRACKING_LOST in controller.current.reasons)
    spend(2)
    shots.shoot("51-no-face")
    shots.live.transport.vcam_button.click()
    controller.change(camera=str(shots.folder / "gone.mp4"))
    until(lambda: controller.current.phase is Phase.FAILED)
    shots.shoot("52-failed")
    window.pages.setCurrentWidget(window.vcam_help)
    shots.shoot("53-virtual-camera")


_SCENES: tuple[tuple[Callable[[_Shots], None], tuple[str, ...]], ...] = (
    (
        _studio,
        ("20-studio-empty", "21-studio-pictures", "22-studio-judge", "23-landmark-editor", "24-coach", "30-consent"),
    ),
    (_consent_refused, ("30-consent-refused",)),
    (_compare, ("40-compare", "41-compare-live")),
    (_failures, ("50-camera-lost", "51-no-face", "52-failed", "53-virtual-camera")),
)


def main(folder: Path, wanted: list[str]) -> None:
    """Go through the states and save them."""
    folder.mkdir(parents=True, exist_ok=True)
    app = make_app()
    began_s = time.monotonic()
    with opened_window(accepted=False) as window:
        shots = _Shots(window, folder, wanted)
        _first_run(shots)
        _live(shots)
        for scene, states in _SCENES:
            if shots.wants(*states):
                scene(shots)
    print(f"{time.monotonic() - began_s:.0f} s", flush=True)
    app.processEvents()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:])
