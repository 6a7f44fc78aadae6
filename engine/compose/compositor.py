# SPDX-License-Identifier: Apache-2.0
"""WarpedPortrait → Composite: background, canvas, mirroring. Runs on the render thread, once per frame.

The portrait is scaled to the canvas's height and centred. Over one colour and over the sources' own background the
person is put down at the portrait's resolution and scaled afterwards: scaling is linear, so the result is the same
and costs a fraction; over a picture, premultiplied colour and alpha are scaled together, which leaves no dark
fringe. With a transparent background these two, premultiplied colour and alpha, are the result. Mirroring happens
here and therefore before the watermark, which is never mirrored; a picture chosen as background is not mirrored
either, since it may carry writing.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.compose.background import colour_of, cover_crop, extend_sides, load_picture, out_of_focus
from engine.config import OutputSettings
from engine.cv import cv2
from engine.types import Composite, WarpedPortrait

__all__ = ["TRANSPARENT", "Compositor", "cross_fade"]

TRANSPARENT = "transparent"
_OWN = ("source", "blur")  # backgrounds made of the pictures' own
_FEATHER_SHARE = 0.10  # of the portrait's side: shoulders fade out instead of ending in a straight cut


def cross_fade(first: NDArray[np.uint8], second: NDArray[np.uint8], *, share: float) -> NDArray[np.uint8]:
    """Mix two canvases; share 0 gives the first, 1 the second.

    Shapes:
        first, second, returns: (H, W, 3) uint8.
    """
    if share <= 0:
        return first
    if share >= 1:
        return second
    return cast("NDArray[np.uint8]", cv2.addWeighted(first, 1 - share, second, share, 0.0))


class Compositor:
    """Puts portraits on the canvas that the settings describe.

    Cost: 1.2 ms for 256² on 1280x720 over a colour or the sources' own background, 2.7 ms over a picture;
    measured on one core of a 2-core machine.
    Thread: render thread only.
    """

    def __init__(self, settings: OutputSettings) -> None:
        self._settings = settings
        self._backdrop: NDArray[np.uint8] | None = None  # the one that `_plate` was extended from
        self._under: NDArray[np.uint8] = np.empty((0, 0, 3), np.uint8)  # what lies behind the person, in the square
        self._feather: NDArray[np.uint8] | None = None
        self._plate, self._colour = self._open_plate(settings)

    @property
    def settings(self) -> OutputSettings:
        """The settings in force."""
        return self._settings

    def set_settings(self, settings: OutputSettings) -> None:
        """Use other settings from the next frame on.

        Raises:
            InvalidSetting: the background picture cannot be used; the old settings stay in force.
        """
        if settings == self._settings:
            return
        self._plate, self._colour = self._open_plate(settings)
        self._settings, self._backdrop, self._feather = settings, None, None
        self._under = np.empty((0, 0, 3), np.uint8)

    def compose(self, portrait: WarpedPortrait) -> Composite:
        """Return the portrait on its canvas.

        Ownership:
            returns a new canvas; the portrait is not kept, its backdrop is (to notice a change).
        """
        rgba = cast("NDArray[np.uint8]", cv2.flip(portrait.rgba, 1)) if self._settings.mirrored else portrait.rgba
        alpha = self._feathered(np.ascontiguousarray(rgba[..., 3]))
        rgb = cast("NDArray[np.uint8]", cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB))
        if self._settings.background == TRANSPARENT:
            return self._compose_transparent(rgb, alpha, portrait.captured_ns)
        if self._settings.background in _OWN:
            canvas = self._compose_small(rgb, alpha, self._own_backdrop(portrait.backdrop))
        elif self._colour is not None:
            canvas = self._compose_small(rgb, alpha, self._one_colour(rgb.shape))
        else:
            canvas = self._compose_large(rgb, alpha)
        return Composite(portrait.captured_ns, canvas)

    def _open_plate(self, settings: OutputSettings) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        """Return the canvas without a character, and the colour where it is of one colour."""
        width_px, height_px = settings.size_wh
        colour = colour_of(settings.background)
        if colour is None and settings.background not in (*_OWN, TRANSPARENT):
            return cover_crop(load_picture(Path(settings.background).expanduser()), settings.size_wh), None
        plate = np.empty((height_px, width_px, 3), np.uint8)
        plate[:] = colour or 0
        return plate, np.array(colour, np.uint8) if colour is not None else None

    def _own_backdrop(self, backdrop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the backdrop as it goes under the person; extend it to the sides if it is a new one."""
        if self._backdrop is backdrop or (self._backdrop is not None and np.array_equal(self._backdrop, backdrop)):
            self._backdrop = backdrop
            return self._under
        self._backdrop = backdrop
        under = out_of_focus(backdrop) if self._settings.background == "blur" else backdrop
        self._under = cast("NDArray[np.uint8]", cv2.flip(under, 1)) if self._settings.mirrored else under
        left, right = self._square_columns()
        if left > 0:
            height_px, width_px = self._plate.shape[:2]
            widest = max(left, width_px - right)
            strips = extend_sides(self._under, side_px=widest, canvas_height_px=height_px)
            self._plate[:, :left] = strips[0][:, widest - left :]
            self._plate[:, right:] = strips[2][:, : width_px - right]
            self._under = strips[1]
        return self._under

    def _one_colour(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        if self._under.shape != shape:
            self._under = np.empty(shape, np.uint8)
            self._under[:] = self._colour
        return self._under

    def _square_columns(self) -> tuple[int, int]:
        """Return the first and the end column of the portrait on the canvas; beyond it where the canvas is narrower."""
        height_px, width_px = self._plate.shape[:2]
        left = (width_px - height_px) // 2
        return left, left + height_px

    def _feathered(self, alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Fade the person out towards the square's left and right edge where canvas lies beyond it."""
        if self._square_columns()[0] <= 0:
            return alpha
        if self._feather is None or self._feather.shape != alpha.shape:
            side = alpha.shape[1]
            distance = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / (side * _FEATHER_SHARE)
            t = np.clip(distance, 0.0, 1.0)
            self._feather = np.tile(np.rint(255 * t * t * (3 - 2 * t)).astype(np.uint8), (side, 1))
        return cast("NDArray[np.uint8]", cv2.multiply(alpha, self._feather, scale=1 / 255))

    def _compose_small(
        self, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], under: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Put the person down at the portrait's resolution, then scale once, straight into the canvas."""
        cover = cv2.merge((alpha, alpha, alpha))
        over = cv2.multiply(rgb, cover, scale=1 / 255)
        behind = cv2.multiply(under, cv2.bitwise_not(cover), scale=1 / 255)
        square = cast("NDArray[np.uint8]", cv2.add(over, behind))
        height_px, width_px = self._plate.shape[:2]
        left, right = self._square_columns()
        if left < 0:
            return np.ascontiguousarray(_scaled(square, height_px)[:, -left : -left + width_px])
        canvas = np.empty_like(self._plate)
        canvas[:, :left], canvas[:, right:] = self._plate[:, :left], self._plate[:, right:]
        _scaled(square, height_px, into=canvas[:, left:right])
        return canvas

    def _compose_large(self, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Scale premultiplied colour and alpha, then put them over the full-resolution picture."""
        over, shown, (left, right) = self._scaled_person(rgb, alpha)
        hidden = cv2.bitwise_not(shown)
        canvas = self._plate.copy()
        square = canvas[:, left:right]
        square[:] = cv2.add(over, cv2.multiply(square, cv2.merge((hidden, hidden, hidden)), scale=1 / 255))
        return canvas

    def _compose_transparent(self, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], captured_ns: int) -> Composite:
        """Put the person on a canvas of nothing."""
        over, shown, (left, right) = self._scaled_person(rgb, alpha)
        canvas, cover = np.zeros_like(self._plate), np.zeros(self._plate.shape[:2], np.uint8)
        # Cubic scaling overshoots: a colour must not be brighter than its own alpha allows.
        canvas[:, left:right] = np.minimum(over, shown[..., None])
        cover[:, left:right] = shown
        return Composite(captured_ns, canvas, cover)

    def _scaled_person(
        self, rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], tuple[int, int]]:
        """Return premultiplied colour and alpha at the canvas's height, and the columns they take."""
        height_px, width_px = self._plate.shape[:2]
        cover = cv2.merge((alpha, alpha, alpha))
        over = _scaled(cast("NDArray[np.uint8]", cv2.multiply(rgb, cover, scale=1 / 255)), height_px)
        shown = _scaled(alpha, height_px)
        left, right = self._square_columns()
        if left < 0:
            over, shown = over[:, -left : -left + width_px], shown[:, -left : -left + width_px]
            left, right = 0, width_px
        return over, shown, (left, right)


def _scaled(square: NDArray[np.uint8], side_px: int, *, into: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Scale a square picture; `into` receives it without another copy (OpenCV takes views whose rows are apart)."""
    if square.shape[0] == side_px:
        if into is None:
            return square
        into[:] = square
        return into
    # Cubic, not Lanczos: 1 ms against 17 ms for 256 → 720, and it rings less around the silhouette.
    interpolation = cv2.INTER_AREA if square.shape[0] > side_px else cv2.INTER_CUBIC
    scaled = cv2.resize(square, (side_px, side_px), dst=into, interpolation=interpolation)
    if into is not None and not np.shares_memory(scaled, into):
        into[:] = scaled
    return cast("NDArray[np.uint8]", scaled)
