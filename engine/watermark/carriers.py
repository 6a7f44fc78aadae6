# SPDX-License-Identifier: Apache-2.0
"""Where the invisible mark lives: a set of spatial frequencies, those of a square tile repeated over the frame.

The tile's side is 256 px on a frame whose short side is 720 px and scales with it, so the mark keeps its place in a
picture of any size. Its waves are 22 to 75 px long: coarse enough to pass halving and then H.264, which keeps of waves
of 16 px a fifth and of 50 px nearly all; fine enough not to be lost in a picture's own large shapes. Of 176 waves, 64
have fixed phases and tell a reader where the tile begins; the phases of 112 carry two coded bits each (QPSK). Waves
along the axes are left out: that is where edges of windows are.

All numbers here are part of the format: a reader of another version must find the same. They come from SHA-256 and not
from numpy's generators, whose streams may change. Pure values; any thread.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import freeze
from engine.watermark.payload import CODED_BITS

__all__ = ["HIGHEST", "REFERENCE_SIDE_PX", "TILE_PX", "Carriers", "carriers", "wave_amplitudes"]

REFERENCE_SIDE_PX = 720
TILE_PX = 256
_BAND = 3.4, 11.6  # waves per tile
HIGHEST = 11
_SEED = b"Bunraku invisible mark, format 2"


@dataclass(frozen=True, slots=True, eq=False)
class Carriers:
    """waves: (176, 2) int, (x, y) waves per tile, y > 0. phase: (176,) complex64, unit size.

    sync, data: indices into `waves`. order: (224,) which coded bit each half of a data wave carries. flips: (224,) ±1.
    """

    waves: NDArray[np.intp]
    phase: NDArray[np.complex64]
    sync: NDArray[np.intp]
    data: NDArray[np.intp]
    order: NDArray[np.intp]
    flips: NDArray[np.float32]


@functools.cache
def carriers() -> Carriers:
    """Return the format's carriers."""
    span = range(-HIGHEST, HIGHEST + 1)
    waves = np.array(
        [(x, y) for y in range(1, HIGHEST + 1) for x in span if x and _BAND[0] <= (x * x + y * y) ** 0.5 <= _BAND[1]]
    )
    data_count = CODED_BITS // 2
    shuffled = _shuffled(len(waves), b"waves")
    turns = _numbers(len(waves), b"phases") / 2.0**32
    return Carriers(
        waves=freeze(waves.astype(np.intp)),
        phase=freeze(np.exp(2j * np.pi * turns).astype(np.complex64)),
        sync=freeze(np.sort(shuffled[data_count:])),
        data=freeze(np.sort(shuffled[:data_count])),
        order=freeze(_shuffled(CODED_BITS, b"order")),
        flips=freeze((1.0 - 2.0 * (_numbers(CODED_BITS, b"flips") & 1)).astype(np.float32)),
    )


def wave_amplitudes(coded: NDArray[np.uint8]) -> NDArray[np.complex64]:
    """Return the complex amplitude of every wave for (224,) coded bits; the pattern they add up to has an RMS of 1."""
    lines = carriers()
    signs = (1.0 - 2.0 * coded[lines.order]) * lines.flips
    amplitudes = lines.phase.astype(np.complex128)
    amplitudes[lines.data] *= (signs[0::2] + 1j * signs[1::2]) / np.sqrt(2)
    unit: NDArray[np.complex64] = (amplitudes * np.sqrt(2 / len(lines.waves))).astype(np.complex64)
    return unit


def _numbers(count: int, purpose: bytes) -> NDArray[np.int64]:
    """Return (count,) numbers of 32 bits."""
    blocks = (hashlib.sha256(_SEED + purpose + n.to_bytes(4, "big")).digest() for n in range(-(-count // 8)))
    return np.frombuffer(b"".join(blocks), ">u4")[:count].astype(np.int64)


def _shuffled(count: int, purpose: bytes) -> NDArray[np.intp]:
    return np.argsort(_numbers(count, purpose), kind="stable").astype(np.intp)
