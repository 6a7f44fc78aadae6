# SPDX-License-Identifier: Apache-2.0
"""What stands behind the character: one colour, a picture, or the source pictures' own surroundings, extended.

Portraits are square and most canvases are not. The sources' own background is continued to both sides by
reflection, which meets the square without a step, and blurred towards and beyond the seams, so that nobody sees the
mirror image. Everything here runs when a setting or the backdrop changes, not per frame.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import InvalidSetting

__all__ = ["GREEN", "colour_of", "cover_crop", "extend_sides", "load_picture", "out_of_focus"]

GREEN = (0, 177, 64)  # the usual chroma-key green; full (0, 255, 0) spills into JPEG chroma
_BLUR_SHARE = 0.09  # of the portrait's height: hides the reflected structures, keeps the light's direction
_FOCUS_SHARE = 0.035  # of the portrait's height: a wall of books becomes colours, a window stays a window
_RAMP_SHARE = 0.25  # of the portrait's width: from sharp inside to fully blurred at the seam
_MAX_PICTURE_PX = 100_000_000  # refuses decompression bombs; far above any wallpaper


def colour_of(background: str) -> tuple[int, int, int] | None:
    """Return the RGB colour that a `background` setting names; None if it names no colour."""
    if background == "green":
        return GREEN
    if background.startswith("#"):
        red, green, blue = bytes.fromhex(background[1:])
        return red, green, blue
    return None


def load_picture(path: Path) -> NDArray[np.uint8]:
    """Read a background picture, turned upright; transparent parts become black.

    Shapes:
        returns: (H, W, 3) uint8 RGB.

    Raises:
        InvalidSetting: the file is missing, no picture or too large.
    """
    hint = 'Choose a PNG or JPEG picture, a colour such as #20242c, "green", "transparent", "blur" or "source".'
    try:
        # Not cv2.imread: it cannot open non-ASCII paths on Windows.
        encoded = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InvalidSetting(
            f"The background picture cannot be read: {error.strerror or error} ({path}).", hint=hint, path=str(path)
        ) from error
    try:
        bgr = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    except cv2.error:  # raised for sizes beyond OpenCV's own limit
        bgr = None
    if bgr is None or bgr.shape[0] * bgr.shape[1] > _MAX_PICTURE_PX:
        raise InvalidSetting(f"The background is no usable picture ({path}).", hint=hint, path=str(path))
    return cast("NDArray[np.uint8]", cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def cover_crop(rgb: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Scale a picture until it covers the canvas and cut off what stands out, equally on both sides.

    Shapes:
        rgb: (H, W, 3) uint8. returns: (size_wh[1], size_wh[0], 3) uint8.
    """
    width_px, height_px = size_wh
    scale = max(width_px / rgb.shape[1], height_px / rgb.shape[0])
    # Cut first, so that a huge panorama is not scaled for nothing.
    keep_w = min(rgb.shape[1], max(1, round(width_px / scale)))
    keep_h = min(rgb.shape[0], max(1, round(height_px / scale)))
    left, top = (rgb.shape[1] - keep_w) // 2, (rgb.shape[0] - keep_h) // 2
    cut = rgb[top : top + keep_h, left : left + keep_w]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cast("NDArray[np.uint8]", cv2.resize(cut, size_wh, interpolation=interpolation))


def extend_sides(
    backdrop: NDArray[np.uint8], *, side_px: int, canvas_height_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Continue a square backdrop to the left and right, and soften it towards both seams.

    Shapes:
        backdrop: (R, R, 3) uint8, which fills the canvas height.
        returns: left strip (canvas_height_px, side_px, 3), softened square (R, R, 3), right strip; all uint8.
    """
    side = backdrop.shape[0]
    # All work happens at the backdrop's own resolution: blurred areas need no more.
    strip = max(1, round(side_px * side / canvas_height_px))
    wide = cv2.copyMakeBorder(backdrop, 0, 0, strip, strip, cv2.BORDER_REFLECT)
    blurred = _blur(np.asarray(wide, np.uint8), share=_BLUR_SHARE)
    # A gradient that meets its own reflection makes a ridge at the seam; there, all is already blurred.
    inward = np.minimum(np.arange(side + 2 * strip), np.arange(side + 2 * strip)[::-1]) - strip + 0.5
    t = np.clip(1.0 - inward.astype(np.float32) / (side * _RAMP_SHARE), 0.0, 1.0)
    softness = (t * t * (3 - 2 * t))[None, :, None]
    mixed = np.rint(wide + (blurred.astype(np.float32) - wide) * softness).astype(np.uint8)
    strips = [
        cv2.resize(piece, (side_px, canvas_height_px), interpolation=cv2.INTER_CUBIC)
        for piece in (mixed[:, :strip], mixed[:, -strip:])
    ]
    square = np.ascontiguousarray(mixed[:, strip:-strip])
    return cast("NDArray[np.uint8]", strips[0]), square, cast("NDArray[np.uint8]", strips[1])


def out_of_focus(backdrop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a backdrop as a lens with a wide aperture would show it, (R, R, 3) uint8."""
    return _blur(backdrop, share=_FOCUS_SHARE)


def _blur(picture: NDArray[np.uint8], *, share: float) -> NDArray[np.uint8]:
    """Blur over a share of the picture's height."""
    reach = max(3, round(picture.shape[0] * share) | 1)
    for _ in range(3):  # three box blurs come close to a Gaussian at a tenth of its cost
        picture = np.asarray(cv2.blur(picture, (reach, reach), borderType=cv2.BORDER_REPLICATE), np.uint8)
    return picture
