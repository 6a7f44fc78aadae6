# SPDX-License-Identifier: Apache-2.0
"""The wires between the live page and the controller: what it tells is shown, what the user wants is asked for."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QObject

from desktop.bridge.outputs import Vcam
from desktop.bridge.sound import microphone_names
from desktop.bridge.vcam import virtual_camera_names
from desktop.controller import Controller
from desktop.diagnostics import diagnostics
from desktop.figures import Figures
from desktop.notice import Notice
from desktop.settings import AppSettings
from desktop.theme import theme_named
from desktop.widgets.live_page import LivePage
from desktop.widgets.plots import load_plots
from desktop.words import Tone, chip_for, quality_words
from engine.config import MotionSettings
from engine.state import PipelineState

__all__ = ["LivePresenter"]

_CALM = "Look into the camera with a relaxed face, mouth closed, eyes open."


class LivePresenter(QObject):
    """Joins a live page and a controller. It keeps the last figures and notices, for diagnostics only."""

    def __init__(self, page: LivePage, controller: Controller, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.page, self.controller = page, controller
        self._figures: Figures | None = None
        self._notices: deque[str] = deque(maxlen=10)
        self._wire_shown()
        self._wire_asked()
        self._wire_panels()

    def diagnostics(self) -> str:
        """Return what a bug report needs."""
        controller = self.controller
        return diagnostics(
            controller.settings,
            controller.current,
            engine=controller.description,
            vcam=controller.outputs.vcam_state.value,
            figures=self._figures,
            notices=[*self._notices],
        )

    def open_plots(self) -> None:
        """Make the plots, once their library is loaded."""
        controller = self.controller
        controller.tasks.run(
            "plots",
            load_plots,
            done=lambda _: self.page.open_plots(theme_named(controller.settings.theme)),
            failed=controller.tell_error,
        )

    def switch_vcam(self, wanted: bool) -> None:
        """Switch the virtual camera on or off."""
        self.controller.outputs.set_vcam(wanted, self.controller.settings)

    def switch_theme(self) -> None:
        """Change between dark and light."""
        self.controller.change(theme="light" if self.controller.settings.theme == "dark" else "dark")

    def _wire_shown(self) -> None:
        controller, page = self.controller, self.page
        controller.frame.connect(page.stage.show_frame)
        controller.monitor.connect(page.camera.picture.show_view)
        controller.state.connect(self._show_state)
        controller.figures.connect(self._show_figures)
        controller.notice.connect(self._show_notice)
        controller.changed.connect(self._show_settings)
        controller.set_loading.connect(page.gallery.show_loading)
        controller.outputs.vcam.connect(page.transport.show_vcam)
        controller.outputs.vcam.connect(self._remember_vcam)
        controller.outputs.recording.connect(page.transport.show_recording)
        engines = controller.engines
        engines.status.connect(lambda found: page.engine.show_engine(found.words, can_build=bool(found.flavour)))
        engines.build.progress.connect(page.engine.show_progress)
        engines.build.running_changed.connect(page.engine.show_building)
        page.sections["engine"].toggled.connect(lambda is_open: engines.look() if is_open else None)
        calibration = controller.calibration
        calibration.counting.connect(lambda left: page.stage.show_words(str(left) if left else "Hold still", _CALM))
        calibration.accepted.connect(self._show_calibrated)
        calibration.rejected.connect(self._show_rejected)
        calibration.cancelled.connect(lambda: page.stage.show_words(""))

    def _wire_asked(self) -> None:
        controller, page, transport = self.controller, self.page, self.page.transport
        page.gallery.chosen.connect(controller.select_set)
        transport.start.connect(controller.start)
        transport.stop.connect(controller.stop)
        transport.vcam.connect(self.switch_vcam)
        transport.record.connect(controller.record)
        transport.snapshot.connect(controller.snapshot)
        transport.calibrate.connect(controller.calibrate)
        transport.panic.connect(controller.panic)
        transport.show_again.connect(controller.show_again)
        page.theme_button.clicked.connect(self.switch_theme)
        page.sections["plots"].toggled.connect(self._toggle_plots)
        page.sections["output"].toggled.connect(self._look_for_devices)

    def _wire_panels(self) -> None:
        controller, page = self.controller, self.page
        page.camera.choice.camera_chosen.connect(lambda camera: controller.change(camera=camera))
        page.camera.person_chosen.connect(lambda person: controller.change(person=person))
        page.camera.watch.connect(controller.watch_performer)
        page.engine.model_chosen.connect(lambda model: controller.change(model=model))
        page.engine.backend_chosen.connect(lambda backend: controller.change(backend=backend))
        page.engine.build.connect(controller.engines.begin)
        page.engine.cancel_build.connect(controller.engines.build.cancel)
        page.motion.changed.connect(lambda name, value: controller.change_motion(**{name: value}))
        page.motion.mirrored.connect(lambda on: controller.change_output(mirrored=on))
        page.motion.reset.connect(self._reset_motion)
        page.background.chosen.connect(lambda value: controller.change_output(background=value))
        page.background.picture_chosen.connect(controller.choose_background)
        page.output.changed.connect(lambda name, value: controller.change_output(**{name: value}))
        page.output.device_chosen.connect(lambda device: controller.change(device=device))
        page.output.microphone_chosen.connect(lambda microphone: controller.change(microphone=microphone))
        page.output.meter.seen.connect(lambda _seen: self._listen())
        controller.sound.level.connect(page.output.meter.show_level)
        controller.sound.failed.connect(page.output.show_sound_failure)
        controller.outputs.recording.connect(lambda path: None if path else self._listen())
        page.output.folder_chosen.connect(lambda path: controller.change(recordings=str(path)))

    def _show_state(self, state: PipelineState) -> None:
        page, chip = self.page, chip_for(state)
        page.chip.show_chip(chip)
        page.reason.show_text(chip.reason)
        page.transport.show_state(state, running=self.controller.running, hidden=self.controller.hidden)
        page.engine.show_description(self.controller.description)
        if not state.live and self._figures is not None:
            self._figures = None
            page.status.show_figures(None)

    def _show_figures(self, figures: Figures) -> None:
        self._figures = figures
        self.page.status.show_figures(figures)
        if self.page.plots is not None and self.page.sections["plots"].is_open:
            self.page.plots.show_figures(figures)

    def _show_notice(self, notice: Notice) -> None:
        if notice.tone in (Tone.WARN, Tone.BAD):
            self._notices.append(notice.text)
        self.page.notices.show_notice(notice)

    def _show_settings(self, settings: AppSettings) -> None:
        page, output = self.page, settings.live.output
        page.camera.show_settings(settings.camera, settings.person)
        page.engine.show_settings(settings.model, settings.backend)
        page.motion.show_settings(settings.live.motion, mirrored=output.mirrored)
        page.background.show_settings(output.background)
        page.output.show_settings(output, settings.recordings_folder)
        page.output.show_microphone(settings.microphone)
        page.output.show_device(settings.device)
        page.gallery.show_current(settings.source_set)
        self._listen()

    def _listen(self) -> None:
        """Listen to the microphone while its meter can be seen, and at no other time."""
        seen = self.page.output.meter.isVisible()
        self.controller.sound.watch(self.controller.settings.microphone if seen else "")

    def _show_calibrated(self, quality: float) -> None:
        self.page.stage.show_words("")
        self.controller.tell(f"Neutral pose taken and kept: {quality_words(quality)}.", Tone.GOOD)

    def _show_rejected(self, reason: str) -> None:
        self.page.stage.show_words("")
        self.controller.tell(reason, Tone.WARN)

    def _remember_vcam(self, state: Vcam, _device: str) -> None:
        if state in (Vcam.ON, Vcam.OFF):
            self.controller.change(virtual_camera=state is Vcam.ON)

    def _look_for_devices(self, is_open: bool) -> None:
        """Look when they are about to be seen: PortAudio counts devices only when asked to, which takes a moment."""
        if is_open:
            tasks, output, failed = self.controller.tasks, self.page.output, self.controller.tell_error
            tasks.run("microphones", microphone_names, done=lambda it: output.show_microphones(*it), failed=failed)
            tasks.run("virtual cameras", virtual_camera_names, done=output.show_devices, failed=failed)

    def _toggle_plots(self, is_open: bool) -> None:
        if is_open:
            self.open_plots()

    def _reset_motion(self) -> None:
        motion = MotionSettings()
        self.controller.change_motion(**{name: getattr(motion, name) for name in self.page.motion.sliders})
