# SPDX-License-Identifier: Apache-2.0
"""The settings of a running pipeline: one value, replaced between two frames. Read on any thread."""

from __future__ import annotations

from engine import state as states
from engine.config import LiveSettings
from engine.errors import InvalidSetting
from engine.pipeline.render_loop import Command
from engine.renderer import Renderer
from engine.status import Status

__all__ = ["RunningSettings"]


class RunningSettings:
    """What is in force. value: replaced on the render thread alone, once the renderer has taken it."""

    def __init__(self, value: LiveSettings, status: Status) -> None:
        self.value, self._status = value, status

    def change_to(self, settings: LiveSettings) -> Command:
        """Return the command that puts other settings into force.

        Raises:
            InvalidSetting: the output's size or rate differs, which outputs cannot follow while open.
        """
        now, then = self.value.output, settings.output
        if (then.size_wh, then.fps) != (now.size_wh, now.fps):
            raise InvalidSetting(
                f"The output size and rate cannot change while running: now {now.size_wh[0]}x{now.size_wh[1]} at "
                f"{now.fps:g} fps, asked for {then.size_wh[0]}x{then.size_wh[1]} at {then.fps:g} fps.",
                hint="Stop first, then start with the other size.",
            )

        def use(renderer: Renderer) -> None:
            renderer.set_settings(settings)
            self.value = settings
            self._status.note(states.BLANKED, settings.blanked)

        return use
