# SPDX-License-Identifier: Apache-2.0
"""Marks scenes as the gate does, attacks them, and reads the marks again; without knowing what was done to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.marks.attacks import ATTACKS, Attack, Sent
from engine.evaluation.marks.scenes import Scene
from engine.types import Composite
from engine.watermark.detector import has_mark
from engine.watermark.gate import seal
from engine.watermark.imprint import imprint
from engine.watermark.imprint_reader import best_guess, judge
from engine.watermark.payload import Payload

__all__ = ["Cost", "Survival", "measure_cost", "measure_survival"]

_VERSION = (0, 1)


@dataclass(slots=True)
class Survival:
    """One attack on one kind of scene; a list holds one value a frame.

    bits: share of the 56 payload bits that came out right, 0.5 is chance. read: the whole payload was read and passed
    its checksum. seen: the visible mark's detector found it.
    """

    attack: str
    kind: str
    bits: list[float] = field(default_factory=list)
    read: list[bool] = field(default_factory=list)
    seen: list[bool] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor time of a frame on one thread in milliseconds: p50 and p95. once_ms: the first frame of a size on top.

    Processor time and not the clock's: other programs on the machine do not count.
    """

    imprint_ms: tuple[float, float]
    seal_ms: tuple[float, float]
    once_ms: float


def measure_survival(
    scenes: Iterable[Scene],
    *,
    attacks: Mapping[str, Attack] = ATTACKS,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _done: None,
) -> tuple[list[Survival], dict[str, list[float]]]:
    """Return the results by attack and kind of scene, and by kind the PSNR of the invisible mark, one value a scene."""
    random = np.random.default_rng(seed)
    found: dict[tuple[str, str], Survival] = {}
    psnr: dict[str, list[float]] = {}
    for count, scene in enumerate(scenes):
        payload = Payload(_VERSION, int(random.integers(0, 2**24)))
        marked = [seal(Composite(0, frame), rendered_ns=0, payload=payload).rgb for frame in scene.frames]
        psnr.setdefault(scene.kind, []).append(_psnr(scene.frames[-2], imprint(scene.frames[-2], payload)))
        sent = Sent(marked)
        for name, attack in attacks.items():
            received = attack(sent, random)
            pictures = received if isinstance(received, list) else [received]
            result = found.setdefault((name, scene.kind), Survival(name, scene.kind))
            guess = best_guess(pictures)
            result.bits.append(float((guess.bits == payload.as_bits()).mean()))
            reading = judge(guess)
            result.read.append(reading is not None and reading.payload == payload)
            result.seen.append(has_mark(pictures[-1]))
        advance(count + 1)
    return list(found.values()), psnr


def measure_cost(frame: NDArray[np.uint8], *, rounds: int = 200) -> Cost:
    """Return what marking one frame costs on one thread."""
    from engine.cv import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        payload = Payload(_VERSION, int(time.time()) % 2**24)
        once_ms = _timed(lambda: imprint(frame, payload))
        imprints = [_timed(lambda: imprint(frame, payload)) for _ in range(rounds)]
        composite = Composite(0, frame)
        seals = [_timed(lambda: seal(composite, rendered_ns=0, payload=payload)) for _ in range(rounds)]
    finally:
        cv2.setNumThreads(threads)
    return Cost(_p50_p95(imprints), _p50_p95(seals), once_ms)


def _timed(work: Callable[[], object]) -> float:
    started_ns = time.thread_time_ns()
    work()
    return (time.thread_time_ns() - started_ns) / 1e6


def _p50_p95(values: list[float]) -> tuple[float, float]:
    return float(np.quantile(values, 0.5)), float(np.quantile(values, 0.95))


def _psnr(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    error = np.mean((before.astype(np.float32) - after) ** 2)
    return float(10 * np.log10(255.0**2 / max(float(error), 1e-6)))
