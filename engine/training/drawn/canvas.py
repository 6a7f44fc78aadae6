# SPDX-License-Identifier: Apache-2.0
"""Lines, fills and soft shadows on a skia canvas. Deterministic: no text, no system fonts, no random numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import skia
from numpy.typing import NDArray

__all__ = ["Canvas", "Point", "closed", "mix", "open_curve"]

Point = tuple[float, float]
_TENSION = 1 / 6  # Catmull-Rom as cubic Béziers


def mix(first: str, second: str, share: float) -> str:
    """Mix two `#rrggbb` colours."""
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (first, second))
    return "#" + "".join(f"{round(v):02x}" for v in a + (b - a) * share)


def closed(points: Sequence[Point], *, sharp: Sequence[int] = ()) -> skia.Path:
    """Return a smooth closed curve through points; those whose index is in `sharp` are corners."""
    return _curve(points, sharp, loop=True)


def open_curve(points: Sequence[Point], *, sharp: Sequence[int] = ()) -> skia.Path:
    """Return a smooth curve through points."""
    return _curve(points, sharp, loop=False)


def _curve(points: Sequence[Point], sharp: Sequence[int], *, loop: bool) -> skia.Path:
    xy = np.array(points, np.float64)
    count = len(xy)
    path = skia.PathBuilder() if hasattr(skia, "PathBuilder") else skia.Path()
    path.moveTo(*xy[0])
    for i in range(count if loop else count - 1):
        here, there = xy[i], xy[(i + 1) % count]
        before = xy[(i - 1) % count] if loop or i > 0 else here
        after = xy[(i + 2) % count] if loop or i + 2 < count else there
        leave = np.zeros(2) if i in sharp else (there - before) * _TENSION
        arrive = np.zeros(2) if (i + 1) % count in sharp else (after - here) * _TENSION
        path.cubicTo(*(here + leave), *(there - arrive), *there)
    if loop:
        path.close()
    return path.detach() if hasattr(path, "detach") else path


class Canvas:
    """An RGBA picture drawn at a multiple of its size and scaled down, (side, side)."""

    def __init__(self, side_px: int, *, supersample: int = 3) -> None:
        self.side_px, self._super = side_px, supersample
        self._surface = skia.Surface(side_px * supersample, side_px * supersample)
        self._canvas = self._surface.getCanvas()
        self._canvas.scale(supersample, supersample)

    def fill(self, path: skia.Path, colour: str, *, alpha: float = 1.0, blur_px: float = 0.0) -> None:
        """Fill with one colour."""
        self._canvas.drawPath(path, self._paint(skia.Color4f(_argb(colour, alpha)), blur_px))

    def fade(
        self,
        path: skia.Path,
        start: Point,
        end: Point,
        colours: Sequence[str],
        *,
        stops: Sequence[float] | None = None,
        alpha: float = 1.0,
        blur_px: float = 0.0,
    ) -> None:
        """Fill with a linear gradient."""
        paint = self._paint(skia.Color4f(0xFFFFFFFF), blur_px)
        shades = [_argb(colour, alpha) for colour in colours]
        paint.setShader(
            skia.GradientShader.MakeLinear([skia.Point(*start), skia.Point(*end)], shades, list(stops) if stops else [])
        )
        self._canvas.drawPath(path, paint)

    def glow(self, centre: Point, radius_px: float, colour: str, *, alpha: float = 1.0) -> None:
        """Draw a light that fades outwards."""
        paint = skia.Paint(AntiAlias=True)
        paint.setShader(
            skia.GradientShader.MakeRadial(skia.Point(*centre), radius_px, [_argb(colour, alpha), _argb(colour, 0.0)])
        )
        self._canvas.drawCircle(skia.Point(*centre), radius_px, paint)

    def line(self, path: skia.Path, colour: str, width_px: float, *, alpha: float = 1.0, blur_px: float = 0.0) -> None:
        """Draw a line of even width with round ends."""
        paint = self._paint(skia.Color4f(_argb(colour, alpha)), blur_px)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width_px)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        self._canvas.drawPath(path, paint)

    def brush(
        self, points: Sequence[Point], colour: str, width_px: float, *, thin: Point = (0.0, 0.0), alpha: float = 1.0
    ) -> None:
        """Draw an ink line that swells: full width in the middle, `thin` shares of it at both ends."""
        measure = skia.PathMeasure(open_curve(points), False)
        length = measure.getLength()
        steps = max(16, int(length / 2))
        left, right = [], []
        for i in range(steps + 1):
            t = i / steps
            position, tangent = measure.getPosTan(length * t)
            least = thin[0] if t < 0.5 else thin[1]
            half = width_px / 2 * (least + (1 - least) * np.sin(np.pi * t) ** 0.6)
            normal = (-tangent.y() * half, tangent.x() * half)
            left.append((position.x() + normal[0], position.y() + normal[1]))
            right.append((position.x() - normal[0], position.y() - normal[1]))
        outline = skia.Path()
        outline.addPoly([skia.Point(*p) for p in [*left, *right[::-1]]], True)
        self.fill(outline, colour, alpha=alpha)

    @contextmanager
    def inside(self, path: skia.Path) -> Iterator[None]:
        """Draw only inside a path."""
        self._canvas.save()
        self._canvas.clipPath(path, skia.ClipOp.kIntersect, True)
        try:
            yield
        finally:
            self._canvas.restore()

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, (side, side, 4) uint8 RGBA, straight alpha."""
        image = self._surface.makeImageSnapshot()
        small = image.resize(
            self.side_px, self.side_px, skia.SamplingOptions(skia.FilterMode.kLinear, skia.MipmapMode.kLinear)
        )
        return np.ascontiguousarray(
            small.toarray(colorType=skia.kRGBA_8888_ColorType, alphaType=skia.kUnpremul_AlphaType)
        )

    def _paint(self, colour: skia.Color4f, blur_px: float) -> skia.Paint:
        paint = skia.Paint(AntiAlias=True)
        paint.setColor4f(colour, None)
        if blur_px > 0:
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur_px))
        return paint


def _argb(colour: str, alpha: float) -> int:
    return (round(255 * alpha) << 24) | int(colour[1:], 16)
