# SPDX-License-Identifier: Apache-2.0
"""What is done to a rendered picture before it goes into a set: spectacles put on it, or painted over in oil.

Data flow: renderer → finish → source_sets. Values only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.cv import cv2
from engine.geometry import Similarity, fit_similarity
from engine.landmarks import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, RIGID
from engine.training.drawn.canvas import Canvas, Point, closed, open_curve

__all__ = ["FINISHES", "oil_painting", "wear_glasses"]

Float = NDArray[np.float32]
Finished = tuple[NDArray[np.uint8], NDArray[np.uint8]]

_RIM, _RIM_LIGHT = "#5a2d1c", "#c98a5a"
_LENS_WH = (0.43, 0.36)  # half width and height of a lens, canonical units
_LENS_Z, _LENS_DROP = -0.36, 0.06  # before the eyes, and how far their middle lies below the eyes'
_EAR = (1.40, -0.36, 1.62)
_STROKE_PX, _SECTORS, _SHARPNESS = 7, 8, 8.0
_PASSES = 2


def wear_glasses(rgb: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> Finished:
    """Put horn-rimmed spectacles on a face.

    They are a wire model on the canonical head, placed by the head's pose and the middle of the eyes; a temple that
    the head hides is left out.

    Shapes:
        rgb: (S, S, 3) uint8. landmarks_px: (478, 3).
        returns: the picture, (S, S, 3) uint8, and what the spectacles cover, (S, S) uint8.
    """
    rigid = list(RIGID)
    face = load_canonical_face().astype(np.float64)
    pose = fit_similarity(face[rigid], landmarks_px[rigid])
    canvas = Canvas(rgb.shape[0])
    width = 0.036 * pose.scale
    shape = pose.undo(landmarks_px)  # this head's own face, upright

    def at(x: float, y: float, z: float) -> Point:
        px, py, _ = pose.apply(np.array([x, y, z]))
        return float(px), float(py)

    middles = {sign: shape[list(corners)].mean(0) for sign, corners in ((-1, RIGHT_EYE_CORNERS), (1, LEFT_EYE_CORNERS))}
    rims = {sign: _rim(middle, sign) for sign, middle in middles.items()}
    for sign, rim in rims.items():
        _temple(canvas, at, rim, sign, pose, width)
    for sign, rim in rims.items():
        lens = closed([at(*p) for p in rim])
        shadow = closed([(x + 0.6 * width, y + 1.8 * width) for x, y in (at(*p) for p in rim)])
        canvas.line(shadow, "#2a1208", 1.5 * width, alpha=0.20, blur_px=width)
        canvas.fill(lens, "#dff1ff", alpha=0.07)
        with canvas.inside(lens):  # a window's reflection
            x, y, _ = middles[sign]
            corners = ((-0.40, 0.34), (-0.02, -0.40), (0.14, -0.40), (-0.24, 0.34))
            glint = [at(x + dx, y + dy, _LENS_Z) for dx, dy in corners]
            canvas.fill(closed(glint, sharp=range(4)), "#ffffff", alpha=0.13, blur_px=1.5)
        canvas.line(lens, _RIM, 1.7 * width)
        shine = [(x - 0.25 * width, y - 0.35 * width) for x, y in (at(*p) for p in rim)]
        canvas.line(closed(shine), _RIM_LIGHT, 0.4 * width, alpha=0.8)
    inner = [min(rim, key=lambda p: abs(p[0])) for rim in (rims[-1], rims[1])]
    bridge_y = (inner[0][1] + inner[1][1]) / 2 - 0.10
    ends = [at(rim[0], bridge_y + 0.03, _LENS_Z) for rim in inner]
    bridge = [ends[0], at(0.0, bridge_y - 0.06, _LENS_Z - 0.10), ends[1]]
    canvas.line(open_curve(bridge), _RIM, 1.8 * width)
    canvas.line(open_curve([(x, y - 0.4 * width) for x, y in bridge]), _RIM_LIGHT, 0.4 * width, alpha=0.8)
    worn = canvas.pixels()
    cover = worn[..., 3:].astype(np.float32) / 255.0
    return np.rint(worn[..., :3] * cover + rgb * (1 - cover)).astype(np.uint8), worn[..., 3]


def _rim(middle: NDArray[np.float64], sign: int) -> list[tuple[float, float, float]]:
    """Return a rounded, slightly lifted rim about an eye, curving back towards the temple."""
    points = []
    for angle in np.linspace(0, 2 * np.pi, 32, endpoint=False):
        c, s = np.cos(angle), np.sin(angle)
        x = np.sign(c) * abs(c) ** 0.8 * _LENS_WH[0]
        y = np.sign(s) * abs(s) ** 0.85 * _LENS_WH[1] - 0.04 * x * sign
        outward = max(0.0, x * sign)
        points.append((float(middle[0] + x), float(middle[1] + _LENS_DROP + y), _LENS_Z + 0.35 * outward))
    return points


def _temple(
    canvas: Canvas,
    at: Callable[[float, float, float], Point],
    rim: list[tuple[float, float, float]],
    sign: int,
    pose: Similarity,
    width: float,
) -> None:
    """Draw the bar to an ear where the head does not hide it."""
    hinge = max(rim, key=lambda p: p[0] * sign)
    hinge = (hinge[0], hinge[1] - 0.12, hinge[2])
    start, end = at(*hinge), at(sign * _EAR[0], _EAR[1], _EAR[2])
    outward = (pose.rotation @ np.array([sign, 0.0, 0.0]))[:2]
    if float(np.dot(np.subtract(end, start), outward)) <= 0.02 * pose.scale:
        return
    bar = open_curve([start, at(sign * (hinge[0] * sign + 0.10), hinge[1], hinge[2] + 0.25), end])
    canvas.line(bar, _RIM, 1.6 * width)
    canvas.line(bar, _RIM_LIGHT, 0.35 * width, alpha=0.6)


def oil_painting(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint a picture over in oil: flat, directed strokes, warm shadows, the weave of a canvas.

    The same pixels give the same strokes wherever they are, so that the pictures of a set agree.

    Shapes:
        rgb, returns: (S, S, 3) uint8.
    Source:
        Papari, Petkov, Campisi 2007, "Artistic edge and corner enhancing smoothing", IEEE TIP 16(10) (the generalised
        Kuwahara filter); strokes along the structure tensor after Kyprianidis, Kang, Döllner 2009, "Image and video
        abstraction by anisotropic Kuwahara filtering".
    """
    picture = rgb.astype(np.float32) / 255.0
    for _ in range(_PASSES):
        picture = _kuwahara(picture)
    luma = picture @ np.array([0.299, 0.587, 0.114], np.float32)
    contrast = np.clip((picture - 0.5) * 1.12 + 0.5, 0, 1)
    warm = np.array([1.06, 1.0, 0.88], np.float32)
    toned = contrast * (1 + (warm - 1) * (0.5 + 0.5 * (1 - luma))[..., None])
    relief = _relief(luma)
    return np.rint(np.clip(toned * relief[..., None], 0, 1) * 255).astype(np.uint8)


def _kuwahara(picture: Float) -> Float:
    """Average over that of eight sectors that varies least, softly."""
    radius = _STROKE_PX
    axis = np.arange(-radius, radius + 1, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    bell = np.exp(-(x**2 + y**2) / (2 * (0.5 * radius) ** 2))
    total, weights = np.zeros_like(picture), np.zeros(picture.shape[:2], np.float32)
    for sector in range(_SECTORS):
        middle = 2 * np.pi * sector / _SECTORS
        away = np.abs((np.arctan2(y, x) - middle + np.pi) % (2 * np.pi) - np.pi)
        kernel = bell * np.exp(-((away / (np.pi / _SECTORS)) ** 2))
        kernel[radius, radius] = bell.max()
        kernel /= kernel.sum()
        mean = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)
        square = cv2.filter2D(picture**2, -1, kernel, borderType=cv2.BORDER_REFLECT)
        spread = np.sqrt(np.maximum(square - mean**2, 0).sum(-1))
        weight = 1.0 / (1.0 + (255.0 * spread / 6.0) ** _SHARPNESS)
        total += mean * weight[..., None]
        weights += weight
    return np.asarray(total / np.maximum(weights, 1e-12)[..., None], np.float32)


def _relief(luma: Float) -> Float:
    """Return light on brush strokes that follow the picture's edges, and on the canvas below, about 1."""
    side = luma.shape[0]
    smooth = cv2.GaussianBlur(luma, (0, 0), 2.0)
    gx, gy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    tensor = [cv2.GaussianBlur(t, (0, 0), 6.0) for t in (gx * gx, gx * gy, gy * gy)]
    along = 0.5 * np.arctan2(2 * tensor[1], tensor[0] - tensor[2]) + np.pi / 2
    noise = np.random.default_rng(7).random((side, side), np.float32)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    bristles = np.zeros_like(noise)
    steps = np.arange(-9, 10)
    for step in steps:  # line integral convolution along straight little strokes
        bristles += cv2.remap(
            noise,
            (columns + step * np.cos(along)).astype(np.float32),
            (rows + step * np.sin(along)).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT,
        )
    bristles = (bristles / len(steps) - 0.5) * 2.0
    light = cv2.Sobel(cv2.GaussianBlur(bristles, (0, 0), 0.8), cv2.CV_32F, 1, 1, ksize=3)
    weave = 0.5 * (np.sin(columns * np.pi / 1.5) + np.sin(rows * np.pi / 1.5))
    return np.asarray(1.0 + 0.16 * np.clip(bristles, -1, 1) + 0.10 * np.clip(light, -1, 1) + 0.010 * weave, np.float32)


def _paint_over(rgb: NDArray[np.uint8], _landmarks_px: NDArray[np.float32]) -> Finished:
    return oil_painting(rgb), np.zeros(rgb.shape[:2], np.uint8)


FINISHES: Mapping[str, Callable[[NDArray[np.uint8], NDArray[np.float32]], Finished]] = {
    "glasses": wear_glasses,
    "oil": _paint_over,
}
"""Name in a recipe → picture and its landmarks → finished picture, and what was added to the person."""
