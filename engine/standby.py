# SPDX-License-Identifier: Apache-2.0
"""What is shown when there is nothing new to show: the last picture for a while, a fade, the holding card. Last step
of the render thread: every picture, new or held, is sealed here.

Hold and fade follow the times given, which are the frames' own, so that a file read at any speed looks the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.clock import NS_PER_S, Clock
from engine.compose.compositor import cross_fade
from engine.config import LiveSettings
from engine.types import Composite, Origin, OutputFrame
from engine.watermark.card import draw_card
from engine.watermark.gate import seal

__all__ = ["BREAK", "LOOKING", "WAITING", "Standby"]

LOOKING = "Looking for a face"
WAITING = "Waiting for the camera"
BREAK = "Back in a moment"


class Standby:
    """Holds the last canvas with the character, and mixes it with the card by how long ago it was new.

    Thread: as the renderer that owns it.

    Attributes:
        origin: which model and whose consent class the frames are sealed with, for signatures.
    """

    def __init__(self, settings: LiveSettings, clock: Clock, *, origin: Origin | None = None) -> None:
        self._settings, self._clock = settings, clock
        self.origin = origin or Origin()
        self._picture: Composite | None = None  # unmarked
        self._consented = False  # whether that picture may be shown to others
        self._tracked_ns = 0
        self._output_ns = 0
        self._shown: float | None = None  # share of the character against the card; None before the first frame

    def set_settings(self, settings: LiveSettings) -> None:
        """Use other settings from the next picture on."""
        if settings.output.size_wh != self._settings.output.size_wh:
            self._picture = None
        self._settings = settings
        draw_card(settings.output.size_wh, LOOKING)  # now, since a fade must not begin with a pause for drawing

    def away_s(self, at_ns: int) -> float:
        """Return for how long no new picture has been shown."""
        return (at_ns - self._tracked_ns) / NS_PER_S

    def show(self, picture: Composite, at_ns: int, *, consented: bool) -> OutputFrame:
        """Show a new canvas, fading it in where it comes back.

        Args:
            consented: whether whoever the picture shows agreed to be shown to others.
        """
        recover_s = self._settings.pipeline.recover_s
        step = (at_ns - self._output_ns) / NS_PER_S / recover_s if recover_s > 0 else 1.0
        self._shown = 1.0 if self._shown is None else min(1.0, self._shown + max(0.0, step))
        self._tracked_ns = at_ns
        self._picture, self._consented = picture, consented
        return self._output(LOOKING, at_ns)

    def without(self, at_ns: int, reason: str) -> OutputFrame:
        """Hold the last picture for `hold_s`, then fade to the card during `fade_s`."""
        waits = self._settings.pipeline
        if self._picture is None or self._shown is None:
            self._shown = 0.0
        else:
            over_s = self.away_s(at_ns) - waits.hold_s
            left = 1.0 - over_s / waits.fade_s if waits.fade_s > 0 else float(over_s <= 0)
            self._shown = max(0.0, min(self._shown, left))
        return self._output(reason, at_ns)

    def blank(self, at_ns: int) -> OutputFrame:
        """Show the card at once, and fade from it when it is over."""
        self._shown, self._output_ns = 0.0, at_ns
        return self.card(BREAK, at_ns)

    def card(self, reason: str, at_ns: int) -> OutputFrame:
        """Return the holding card; what is shown next does not depend on it."""
        return self._seal(draw_card(self._settings.output.size_wh, reason), at_ns, consented=True)

    def _output(self, reason: str, at_ns: int) -> OutputFrame:
        """Mix picture and card by what is shown, and seal."""
        self._output_ns = at_ns
        picture, shown = self._picture, self._shown if self._shown is not None else 0.0
        if picture is None or shown <= 0.0:
            return self.card(reason, at_ns)
        rgb, alpha = picture.rgb, picture.alpha
        if shown < 1.0:
            share = 1.0 - shown
            rgb = cross_fade(rgb, draw_card(self._settings.output.size_wh, reason), share=share)
            if alpha is not None:  # the card has no transparent part
                alpha = cross_fade(alpha, np.full_like(alpha, 255), share=share)
        return self._seal(rgb, at_ns, consented=self._consented, alpha=alpha)

    def _seal(
        self, rgb: NDArray[np.uint8], at_ns: int, *, consented: bool, alpha: NDArray[np.uint8] | None = None
    ) -> OutputFrame:
        look = self._settings.output
        return seal(
            Composite(at_ns, rgb, alpha),
            rendered_ns=self._clock.now_ns(),
            corner=look.watermark_corner,
            style=look.watermark_style,
            consented=consented,
            origin=self.origin,
        )
