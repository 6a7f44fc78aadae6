# SPDX-License-Identifier: Apache-2.0
"""What the invisible mark says: which product, which version, which run; and the code that carries it through noise.

56 bits: product 8, version 8 (major and minor, 4 each), run 24, checksum 16 (CRC-CCITT of the others). They are sent as
224 bits of a tail-biting convolutional code of rate 1/4 and constraint length 9 (generators 463, 535, 733, 745 octal),
which a Viterbi decoder with soft decisions reads back. The run number is drawn anew by every process and is in no
other way tied to a person or machine. Pure functions; any thread.

Source: A. Viterbi, "Error Bounds for Convolutional Codes", 1967; H. Ma and J. Wolf, "On Tail Biting Convolutional
Codes", 1986 (here: three turns around the circle, the middle one counts).
"""

from __future__ import annotations

import binascii
import functools
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODED_BITS", "PAYLOAD_BITS", "PRODUCT_ID", "Payload", "current_payload", "decode", "encode"]

PRODUCT_ID = 0xB5
PAYLOAD_BITS = 56
_GENERATORS = (0o463, 0o535, 0o733, 0o745)
_MEMORY = 8
_STATES = 1 << _MEMORY
CODED_BITS = PAYLOAD_BITS * len(_GENERATORS)
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Payload:
    """The mark's contents. version: (major, minor), each 0–15. run_id: 0 to 2²⁴ − 1. product_id: 0–255."""

    version: tuple[int, int]
    run_id: int
    product_id: int = PRODUCT_ID

    def as_bytes(self) -> bytes:
        """Return the contents without their checksum, 5 bytes."""
        major, minor = self.version
        return bytes([self.product_id, major << 4 | minor, *self.run_id.to_bytes(3, "big")])

    def as_bits(self) -> NDArray[np.uint8]:
        """Return the contents with their checksum, (56,) uint8 of 0 and 1, most significant first."""
        body = self.as_bytes()
        return np.unpackbits(np.frombuffer(body + _checksum(body), np.uint8))

    @staticmethod
    def from_bits(bits: NDArray[np.uint8]) -> Payload | None:
        """Return the contents of (56,) bits; None where the checksum is wrong."""
        packed = np.packbits(bits).tobytes()
        body, checksum = packed[:-2], packed[-2:]
        if _checksum(body) != checksum:
            return None
        return Payload((body[1] >> 4, body[1] & 15), int.from_bytes(body[2:], "big"), body[0])


def _checksum(body: bytes) -> bytes:
    # A start value other than 0, so that all zeros are no valid word.
    return binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")


@functools.cache
def current_payload() -> Payload:
    """Return this run's contents: the installed version and a number drawn once per process."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        numbers = [int(part) for part in version("bunraku").split(".")[:2]]
    except (PackageNotFoundError, ValueError):
        numbers = [0, 0]
    major, minor = (min(15, number) for number in (*numbers, 0)[:2])
    return Payload((major, minor), secrets.randbits(24))


def encode(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the coded bits: (56,) → (224,) uint8 of 0 and 1."""
    # Tail-biting: the register starts with the last bits, so that every bit has the same protection.
    circle = np.concatenate([bits[-_MEMORY:], bits]).astype(np.int64)
    taps = np.array([[generator >> delay & 1 for delay in range(_MEMORY + 1)] for generator in _GENERATORS])
    history = np.stack([circle[_MEMORY - d : len(circle) - d] for d in range(_MEMORY + 1)], axis=1)
    coded: NDArray[np.uint8] = (history @ taps.T % 2).astype(np.uint8).reshape(-1)
    return coded


def decode(soft: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the likeliest bits.

    Shapes:
        soft: (224,), positive where a coded bit is likelier 0; its size is the belief in it. returns: (56,) uint8.
    """
    before, signs = _trellis()
    branches = soft.reshape(PAYLOAD_BITS, len(_GENERATORS)) @ signs.reshape(-1, len(_GENERATORS)).T
    branches = branches.reshape(PAYLOAD_BITS, _STATES, 2)
    metric, states = np.zeros(_STATES), np.arange(_STATES)
    chosen = np.empty((_TURNS * PAYLOAD_BITS, _STATES), np.intp)
    for step in range(len(chosen)):
        ways = metric[before] + branches[step % PAYLOAD_BITS]
        chosen[step] = ways.argmax(axis=1)
        metric = ways[states, chosen[step]]
    state, found = int(metric.argmax()), np.empty(len(chosen), np.uint8)
    for step in range(len(chosen) - 1, -1, -1):
        found[step] = state & 1
        state = int(before[state, chosen[step, state]])
    middle = (_TURNS // 2) * PAYLOAD_BITS
    return found[middle : middle + PAYLOAD_BITS]


@functools.cache
def _trellis() -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return (S, 2) the two states before each state, and (S, 2, 4) the coded bits on the way as +1 (0) and -1 (1)."""
    register = np.arange(_STATES)[:, None] | np.array([0, 1])[None] << _MEMORY
    parity = np.array([[[bin(int(r) & g).count("1") & 1 for g in _GENERATORS] for r in row] for row in register])
    return (register >> 1).astype(np.intp), 1.0 - 2.0 * parity
