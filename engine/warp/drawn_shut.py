# SPDX-License-Identifier: Apache-2.0
"""Shut eyes for a drawn character that has no picture of them: skin over the eye, a lash line where the lids meet.

What the eye covers is filled with the skin around it, as far as that is skin: fringe, brows and frames of glasses are
left out of the filling, so that their colour does not run into the lid. The lash line is a stroke in the colour of the
drawing's own upper lash, tapered to both ends. Runs when a set is loaded, on the caller's thread.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.landmarks import EYE_SIDES
from engine.warp.drawn_lids import LidReach
from engine.warp.layers import fill_holes

__all__ = ["DRAWN_REACH", "shut_eyes"]

Float = NDArray[np.float64]

_BESIDE, _ABOVE, _BELOW = 0.14, 0.16, 0.20  # what is painted over, beside the eye's outline, over the eye's width
DRAWN_REACH = LidReach(_BESIDE + 0.03, _ABOVE + 0.03, _BELOW + 0.03)  # beyond it the picture is as it was
_ROOM = 0.55  # how far around the eye the skin is looked at, over the eye's width
_SKIN_OFF = 34.0  # greatest difference of a channel, 0–255, of skin from the middle of what lies below the eye
_DEEP = 0.62  # where shut lids meet in the eye's middle, from the corners' line (0) to the lower lid (1)
_DARKEST = 12  # percentile of the brightness along the upper lid that is the lash
_STROKE = 0.10  # thickness of the lash line in its middle, over the eye's width
_ENDS = 0.30  # … and at its ends, over that in the middle
_FINE = 8  # a stroke is drawn this much larger and shrunk


def shut_eyes(rgb: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return a drawn picture with its eyes shut, and its keypoints then.

    Shapes:
        rgb: (R, R, 3) uint8. keypoints: (478, 3) float32, portrait space. returns: the same.
    """
    side_px = len(rgb)
    picture, points = rgb.astype(np.float32), keypoints.copy()
    for corners, upper, lower, iris in EYE_SIDES:
        eye = _Eye(keypoints, (corners[0], *upper, corners[1]), (corners[0], *lower, corners[1]), side_px)
        seam = eye.seam()
        picture = _close(picture, eye, seam)
        half = np.array([0.0, _STROKE / 3 * eye.width])
        for index, at in zip(upper, seam[1:-1] - half @ eye.turn, strict=True):
            points[index, :2] = (at + 0.5) / side_px * 2 - 1
        for index, at in zip(lower, seam[1:-1] + half @ eye.turn, strict=True):
            points[index, :2] = (at + 0.5) / side_px * 2 - 1
        points[list(iris), :2] += ((seam[4] + 0.5) / side_px * 2 - 1 - keypoints[iris[0], :2]).astype(np.float32)
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8), points


class _Eye:
    """One eye in pixels: both lids from the outer to the inner corner, (9, 2), its width, and picture_from_local."""

    def __init__(
        self, keypoints: NDArray[np.float32], upper: tuple[int, ...], lower: tuple[int, ...], side_px: int
    ) -> None:
        self.upper, self.lower = (
            (keypoints[list(row), :2].astype(np.float64) + 1) / 2 * side_px - 0.5 for row in (upper, lower)
        )
        across = self.upper[-1] - self.upper[0]
        self.width = max(float(np.linalg.norm(across)), 1.0)
        axis = across / self.width * np.sign(across[0] or 1.0)
        self.turn = np.array([axis, [-axis[1], axis[0]]])  # rows: along the eye, down

    def seam(self) -> Float:
        """Return the line on which the lids meet, (9, 2)."""
        base = self.upper[:1] + np.linspace(0, 1, 9)[:, None] * (self.upper[-1:] - self.upper[:1])
        deep = float(((self.lower[4] - base[4]) @ self.turn.T)[1]) * _DEEP
        u = np.linspace(0, 1, 9)
        return np.asarray(base + (4 * u * (1 - u) * deep)[:, None] * self.turn[1])

    def outline(self, *, beside: float, above: float, below: float) -> Float:
        """Return the eye's outline made larger by shares of its width, (18, 2)."""
        ring = np.concatenate([self.upper, self.lower[::-1]])
        middle = ring.mean(0)
        local = (ring - middle) @ self.turn.T
        low, high = local.min(0), local.max(0)
        grow = np.array([[beside, above], [beside, below]]) * self.width
        local = np.where(local < 0, local * (1 + grow[0] / -low), local * (1 + grow[1] / high))
        return np.asarray(local @ self.turn + middle)


def _close(picture: NDArray[np.float32], eye: _Eye, seam: Float) -> NDArray[np.float32]:
    """Return the picture, (R, R, 3) float32, with one eye painted over and its lash line drawn."""
    shape = picture.shape[:2]
    lid = _filled(shape, eye.outline(beside=_BESIDE, above=_ABOVE, below=_BELOW))
    around = _filled(shape, eye.outline(beside=_ROOM, above=_ROOM / 2, below=_ROOM))
    skin = _skin_below(picture, eye)
    alike = np.abs(picture - skin).max(-1) <= _SKIN_OFF
    known = ((around > 0.5) & (lid < 0.01) & alike).astype(np.float32)
    filled = (
        fill_holes(np.where(known[..., None] > 0, picture, 0), known) if known.any() else np.full_like(picture, skin)
    )
    soft = cv2.GaussianBlur(lid, (0, 0), max(0.03 * eye.width, 0.5))[..., None]
    out = picture + soft * (filled - picture)
    line = _stroke(shape, seam, _STROKE * eye.width)[..., None]
    return np.asarray(out + line * (_lash_colour(picture, eye) - out), np.float32)


def _skin_below(picture: NDArray[np.float32], eye: _Eye) -> NDArray[np.float32]:
    """Return the colour of the cheek right below an eye, (3,): the middle of a band there."""
    spots = [eye.lower[2:7] + share * eye.width * eye.turn[1] for share in np.linspace(0.15, 0.45, 7)]
    at = np.rint(np.concatenate(spots)).astype(int).clip(0, len(picture) - 1)
    return np.asarray(np.median(picture[at[:, 1], at[:, 0]], axis=0), np.float32)


def _lash_colour(picture: NDArray[np.float32], eye: _Eye) -> NDArray[np.float32]:
    """Return the colour of the upper lash, (3,): the dark pixels along the upper lid."""
    spots = [eye.upper + share * eye.width * eye.turn[1] for share in np.linspace(-0.1, 0.1, 7)]
    at = np.rint(np.concatenate(spots)).astype(int).clip(0, len(picture) - 1)
    colours = picture[at[:, 1], at[:, 0]]
    bright = colours.sum(-1)
    return np.asarray(colours[bright <= np.percentile(bright, _DARKEST)].mean(0), np.float32)


def _filled(shape: tuple[int, ...], outline: Float) -> NDArray[np.float32]:
    mask = np.zeros((shape[0] * 4, shape[1] * 4), np.uint8)
    cv2.fillPoly(mask, [np.rint((_smooth(outline, closed=True) + 0.5) * 4).astype(np.int32)], (255,))
    return _shrink(mask, shape)


def _stroke(shape: tuple[int, ...], line: Float, thick_px: float) -> NDArray[np.float32]:
    """Return how much of each pixel a tapered line covers, (R, R) float32."""
    mask = np.zeros((shape[0] * _FINE, shape[1] * _FINE), np.uint8)
    points = _smooth(line, closed=False)
    for share, (x, y) in zip(np.linspace(-1, 1, len(points)), points, strict=True):
        thick = thick_px * (1 - (1 - _ENDS) * share * share)
        centre = (round(float(x + 0.5) * _FINE), round(float(y + 0.5) * _FINE))
        cv2.circle(mask, centre, max(1, round(float(thick) / 2 * _FINE)), (255,), -1)
    return _shrink(mask, shape)


def _shrink(mask: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.float32]:
    small = cv2.resize(mask, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / 255.0


def _smooth(points: Float, *, closed: bool) -> Float:
    """Return many points of the Catmull-Rom curve through a few."""
    ends = (points[-1:], points[:2]) if closed else (2 * points[:1] - points[1:2], 2 * points[-1:] - points[-2:-1])
    p = np.concatenate([ends[0], points, ends[1]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    return np.concatenate([*pieces, points[:1] if closed else points[-1:]])
