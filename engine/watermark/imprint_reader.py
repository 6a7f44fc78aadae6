# SPDX-License-Identifier: Apache-2.0
"""Reads the invisible mark from pictures that were compressed, scaled, cropped or mirrored; needs no original.

    picture → whitened → spectrum → likely sizes of the tile → its place, by the waves of known phase → bits → payload

A repeated tile shows as a grid of lines in the spectrum whatever its place is, so its size is found first, on one
Fourier transform; only then is its place searched, and the payload decoded and checked. Several pictures of one video
are whitened and averaged: what moves fades, the mark stays. For whoever verifies a file, never per live frame.

Source: M. Kutter, "Watermarking Resistant to Translation, Rotation, and Scaling", 1998; S. Pereira and T. Pun, "Robust
Template Matching for Affine Resistant Image Watermarks", 2000 (search in the magnitude spectrum).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.watermark.carriers import HIGHEST, REFERENCE_SIDE_PX, TILE_PX, carriers
from engine.watermark.payload import CODED_BITS, PAYLOAD_BITS, PRODUCT_ID, Payload, decode, encode
from engine.watermark.whitening import whitened

__all__ = ["LEAST_SIDE_PX", "TRACE", "Guess", "Imprint", "best_guess", "judge", "read_imprint"]

LEAST_SIDE_PX = 120  # of a picture's short side; below, there are too few pixels for the bits
TRACE = 7.5  # sync above which a mark is said to be there even if its payload cannot be read
_REFINE = 4.8  # sync above which the scale is worth refining; chance rarely gets there
_DECODE = 5.0  # sync above which decoding is worth a try; the checksum decides
_WORK_SIDE_PX = 480
_FINE_SIDE_PX = 960  # second look at large pictures, in which the frame may be small: screenshots
_PART, _PART_PLACES = 0.55, ((0.5, 0.5), (0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))  # third look: 4K screenshots
_SCALES = np.exp(np.arange(np.log(0.3), np.log(2.6), 0.005))  # tile over that of an uncropped frame
_CANDIDATES, _SPREAD_CANDIDATES = 8, 4  # the likeliest are looked at from both sides
_SPREAD = (-0.003, 0.0, 0.003)  # relative; half the waves' tolerance across the picture
_REFINEMENTS = ((0.012, 13), (0.001, 5))  # reach, steps
_BACKGROUND_BINS = 25
_LINE_CAP, _WAVE_CAP = 6.0, 2.2  # no single line, no single wave decides
_PLACES = 64  # steps of the tile's place in each direction, before it is refined


@dataclass(frozen=True, slots=True)
class Imprint:
    """What was read.

    payload: None where a mark is there but its bits cannot be read. sync: how far the mark stands above chance, in
    standard deviations. agreement: share of the received bits that fit the payload, 0.5 is chance. scale: the tile's
    size over that on an uncropped frame. mirrored: the picture was flipped left to right after marking.
    """

    payload: Payload | None
    sync: float
    agreement: float
    scale: float
    mirrored: bool


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """What a picture says if it says anything, right or wrong. bits: (56,) uint8. The rest as in `Imprint`."""

    bits: NDArray[np.uint8]
    sync: float
    agreement: float
    scale: float
    mirrored: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """One hypothesis about the tile's size and place; soft: (224,) as `engine.watermark.payload.decode` takes it."""

    sync: float
    soft: NDArray[np.float64]
    scale: float
    mirrored: bool


@dataclass(frozen=True, slots=True, eq=False)
class _Spectrum:
    """pixels: (h, w) float32, whitened. background: mean power around each bin, (fh, fw // 2), middle row is 0 Hz.

    lines: power over background, capped, same shape. padded_wh: size of the transform.
    """

    pixels: NDArray[np.float32]
    background: NDArray[np.float32]
    lines: NDArray[np.float32]
    padded_wh: tuple[int, int]

    @property
    def side_px(self) -> int:
        return min(self.pixels.shape)


def read_imprint(pictures: Sequence[NDArray[np.uint8]]) -> Imprint | None:
    """Return the mark of one picture, or of several frames of one video; None where there is none.

    Args:
        pictures: (H, W, 3) uint8 RGB, all of one size.
    Cost:
        0.08 s of processor time for a 1280x720 picture on one core of an AMD EPYC; 3 s for an unmarked 4K one.
    """
    if not pictures or min(pictures[0].shape[:2]) < LEAST_SIDE_PX:
        return None
    found = None
    for part, side_px in _views(pictures):
        seen = judge(best_guess(part, side_px=side_px))
        if seen is not None and seen.payload is not None:
            return seen
        found = found or seen
    return found


def _views(pictures: Sequence[NDArray[np.uint8]]) -> Iterator[tuple[Sequence[NDArray[np.uint8]], int]]:
    """Yield what to look at and with which short side: the whole, finer, and of very large pictures parts."""
    yield pictures, _WORK_SIDE_PX
    height_px, width_px = pictures[0].shape[:2]
    side_px = min(height_px, width_px)
    if side_px > _WORK_SIDE_PX * 1.5:
        yield pictures, _FINE_SIDE_PX
    if side_px > _FINE_SIDE_PX * 1.5:
        rows, columns = round(height_px * _PART), round(width_px * _PART)
        for down, across in _PART_PLACES:
            top, left = round((height_px - rows) * down), round((width_px - columns) * across)
            yield [picture[top : top + rows, left : left + columns] for picture in pictures], _FINE_SIDE_PX


def best_guess(pictures: Sequence[NDArray[np.uint8]], *, side_px: int = _WORK_SIDE_PX) -> Guess:
    """Return the likeliest reading of pictures, whether they are marked or not.

    Args:
        pictures: as for `read_imprint`. side_px: larger pictures are looked at with this short side.
    """
    best = _best_look(_spectrum(_average(pictures, side_px)))
    bits = decode(best.soft) if best.sync >= _REFINE else (best.soft < 0)[:PAYLOAD_BITS].astype(np.uint8)
    agreement = float(((1.0 - 2.0 * encode(bits)) * best.soft > 0).mean())
    return Guess(bits, best.sync, agreement, best.scale, best.mirrored)


def judge(guess: Guess) -> Imprint | None:
    """Return what a guess is worth: a payload whose checksum is right, a trace of a mark, or nothing."""
    if guess.sync < _DECODE:
        return None
    payload = Payload.from_bits(guess.bits)
    if payload is not None and payload.product_id != PRODUCT_ID:
        payload = None
    if payload is None and guess.sync < TRACE:
        return None
    return Imprint(payload, guess.sync, guess.agreement, guess.scale, guess.mirrored)


def _average(pictures: Sequence[NDArray[np.uint8]], side_px: int) -> NDArray[np.float32]:
    total = whitened(pictures[0], side_px)
    for picture in pictures[1:]:
        total += whitened(picture, side_px)
    return cast("NDArray[np.float32]", total / len(pictures))


def _spectrum(pixels: NDArray[np.float32]) -> _Spectrum:
    height, width = (2 * cv2.getOptimalDFTSize(length) for length in pixels.shape)
    padded = np.zeros((height, width), np.float32)
    padded[: pixels.shape[0], : pixels.shape[1]] = pixels
    packed = cv2.dft(padded, nonzeroRows=pixels.shape[0])
    # A real transform comes packed: behind column 0, which no wave needs, real and imaginary parts take turns.
    power = np.zeros((height, width // 2), np.float32)
    power[:, 1:] = packed[:, 1:-1:2] ** 2 + packed[:, 2::2] ** 2
    power[:, 0] = power[:, 1]
    power = np.fft.fftshift(power, axes=0)
    around = (_BACKGROUND_BINS, _BACKGROUND_BINS)
    background = np.maximum(cv2.blur(power, around), 1e-6)
    lines = cv2.blur(np.minimum(power / background, _LINE_CAP), (3, 3))
    return _Spectrum(pixels, background, lines, (width, height))


def _best_look(spectrum: _Spectrum) -> _Look:
    scales = _likely_scales(spectrum)
    near = [scale * (1 + off) for scale in scales[:_SPREAD_CANDIDATES] for off in _SPREAD]
    looks = (_look(spectrum, scale, exact=False) for scale in near + scales[_SPREAD_CANDIDATES:])
    best = max(looks, key=lambda look: look.sync)
    if best.sync >= _REFINE:
        for reach, steps in _REFINEMENTS:
            around = [_look(spectrum, best.scale * (1 + off), exact=False) for off in np.linspace(-reach, reach, steps)]
            best = max(best, *around, key=lambda look: look.sync)
    return _look(spectrum, best.scale)


def _likely_scales(spectrum: _Spectrum) -> list[float]:
    """Return the scales at which the tile's lines stand out most, and 1: an uncropped frame."""
    waves = carriers().waves
    tile_px = TILE_PX * spectrum.side_px / REFERENCE_SIDE_PX * _SCALES[:, None]
    columns, rows = _bins(waves, tile_px, spectrum.padded_wh)
    inside = (columns < spectrum.lines.shape[1]) & (rows >= 0) & (rows < spectrum.lines.shape[0])
    at = spectrum.lines[np.clip(rows, 0, spectrum.lines.shape[0] - 1), np.minimum(columns, spectrum.lines.shape[1] - 1)]
    score = np.where(inside, at, 1.0).mean(axis=1)
    chosen: list[float] = [1.0]
    for scale in _SCALES[np.argsort(-score)]:
        if all(abs(np.log(scale / other)) > 0.008 for other in chosen[1:]):
            chosen.append(float(scale))
        if len(chosen) > _CANDIDATES:
            break
    return chosen


def _bins(
    waves: NDArray[np.intp], tile_px: NDArray[np.float64] | float, padded_wh: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (columns, rows) of the waves in the half spectrum; a wave to the left is found as its opposite."""
    sign = np.sign(waves[:, 0])
    columns = np.rint(np.abs(waves[:, 0]) * padded_wh[0] / tile_px).astype(np.intp)
    rows = np.rint(sign * waves[:, 1] * padded_wh[1] / tile_px).astype(np.intp) + padded_wh[1] // 2
    return columns, rows


def _look(spectrum: _Spectrum, scale: float, *, exact: bool = True) -> _Look:
    """Return the best place of the tile at this scale, and the bits there; both ways round.

    Args:
        exact: refine the place; without, one of 64 x 64 is good enough to compare scales.
    """
    height, width = spectrum.pixels.shape
    tile_px = TILE_PX * spectrum.side_px / REFERENCE_SIDE_PX * scale
    right = _waves(width, tile_px)
    table = (_waves(height, tile_px) @ spectrum.pixels) @ np.concatenate([np.conj(right[:0:-1]), right]).T
    looks = []
    for mirrored in (False, True):
        waves = carriers().waves * ((-1, 1) if mirrored else (1, 1))
        columns, rows = _bins(waves, tile_px, spectrum.padded_wh)
        limit_h, limit_w = spectrum.background.shape
        noise = spectrum.background[np.clip(rows, 0, limit_h - 1), np.minimum(columns, limit_w - 1)]
        found = table[waves[:, 1], waves[:, 0] + HIGHEST] / np.sqrt(noise)
        size = np.abs(found)
        found *= np.minimum(size, _WAVE_CAP) / np.maximum(size, 1e-9)
        looks.append(_placed(found, scale, mirrored=mirrored, exact=exact))
    return max(looks, key=lambda look: look.sync)


def _waves(length: int, tile_px: float) -> NDArray[np.complex64]:
    """Return exp(-2πi k x / tile) for the wave numbers 0 to the highest (rows) and all pixels x (columns)."""
    first = np.exp(-2j * np.pi / tile_px * np.arange(length))
    waves = np.ones((HIGHEST + 1, length), np.complex128)
    for count in range(1, HIGHEST + 1):
        np.multiply(waves[count - 1], first, out=waves[count])
    return cast("NDArray[np.complex64]", waves.astype(np.complex64))


def _placed(found: NDArray[np.complex64], scale: float, *, mirrored: bool, exact: bool) -> _Look:
    """Search the tile's place by the waves of known phase, and read the others there. found: (176,)."""
    lines = carriers()
    waves = lines.waves[lines.sync]
    known = found[lines.sync] * np.conj(lines.phase[lines.sync])
    unit = max(float(np.sqrt((np.abs(known) ** 2).sum() / 2)), 1e-9)  # chance has a deviation of one
    grid = np.zeros((_PLACES, _PLACES), np.complex64)
    grid[waves[:, 1] % _PLACES, waves[:, 0] % _PLACES] = known
    places = cv2.dft(_pairs(grid))[..., 0]
    row, column = np.unravel_index(int(places.argmax()), places.shape)
    place, sync = np.array([column, row]) / _PLACES, float(places[row, column])
    for reach in (0.5 / _PLACES, 0.2 / _PLACES) if exact else ():
        steps = np.linspace(-reach, reach, 5)
        near = place + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        fits = (known[:, None] * np.exp(-2j * np.pi * (waves @ near.T))).real.sum(axis=0)
        place, sync = near[fits.argmax()], float(fits.max())
    turn = np.exp(-2j * np.pi * (lines.waves[lines.data] @ place))
    turned = found[lines.data] * np.conj(lines.phase[lines.data]) * turn
    sent = np.empty(CODED_BITS)
    sent[0::2], sent[1::2] = turned.real, turned.imag
    soft = np.empty(CODED_BITS)
    soft[lines.order] = sent * lines.flips
    return _Look(sync / unit, soft, scale, mirrored)


def _pairs(values: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return complex numbers as OpenCV takes them, (…, 2)."""
    return values.view(np.float32).reshape(*values.shape, 2)
