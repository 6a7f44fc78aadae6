# SPDX-License-Identifier: Apache-2.0
"""What each layer of marking says about a file, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.provenance.reading import Signature, read_signature
from engine.verify.media import read_media
from engine.watermark.detector import FOUND, mark_score
from engine.watermark.imprint_reader import Imprint, read_imprint
from engine.watermark.payload import Payload

__all__ = ["Invisible", "Verdict", "Visible", "verify"]

_MOST_SURE = 0.999999  # no more is measured
_SIGNED_HERE, _SIGNED_SOMEWHERE = 0.999, 0.5  # a key that nobody vouches for could be anybody's
_ALTERED = 0.3  # a manifest that says Bunraku on content that is not what was signed
_PLACES_TRIED = 220_000  # scales, places and sides that the reader compares: the chance of the best of so many
_SMALLEST_PX = (96, 48)


@dataclass(frozen=True, slots=True)
class Visible:
    """found, looked: frames. score: the best match, 1 is perfect. confidence: that it is the mark."""

    found: int
    looked: int
    score: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Invisible:
    """payload: None where a mark is there but cannot be read. found, looked: frames it was found in alone.

    sync, agreement, scale, mirrored: see `Imprint`, of the best frame. other_runs: further payloads in the file.
    """

    payload: Payload | None
    found: int
    looked: int
    sync: float
    agreement: float
    scale: float
    mirrored: bool
    other_runs: tuple[Payload, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was found. kind: "video" or "picture". signature_confidence: that Bunraku signed it."""

    kind: str
    size_wh: tuple[int, int]
    visible: Visible | None
    invisible: Invisible | None
    signature: Signature | None
    signature_confidence: float

    @property
    def confidence(self) -> float:
        """How sure it is that Bunraku made or marked the file, 0 to 1; the layers are taken as independent."""
        layers = (self.visible, self.invisible)
        doubts = [1 - layer.confidence for layer in layers if layer is not None] + [1 - self.signature_confidence]
        return min(_MOST_SURE, 1 - math.prod(doubts))

    @property
    def marked(self) -> bool:
        """Whether at least one layer says so."""
        return self.confidence >= _SIGNED_SOMEWHERE


def verify(path: Path) -> Verdict:
    """Look for all layers in a file.

    Raises:
        Unreadable: it is neither video nor picture, or not there.
    """
    media = read_media(path)
    pictures = media.pictures
    invisible = _invisible(pictures)
    signature = read_signature(path)
    return Verdict(
        kind=media.kind,
        size_wh=(pictures[0].shape[1], pictures[0].shape[0]),
        visible=_visible(pictures),
        invisible=invisible,
        signature=signature,
        signature_confidence=_trust(signature, invisible),
    )


def _visible(pictures: list[NDArray[np.uint8]]) -> Visible | None:
    """Return None where the mark is in no frame."""
    height_px, width_px = pictures[0].shape[:2]
    if width_px < _SMALLEST_PX[0] or height_px < _SMALLEST_PX[1]:
        return None
    scores = [mark_score(picture) for picture in pictures]
    best = max(scores)
    if best < FOUND:
        return None
    # Measured on unmarked pictures: of ten times as many, the best scores about 0.05 more; 0.34 is common.
    chance = 10 ** -((best - 0.34) / 0.05)
    found = sum(score >= FOUND for score in scores)
    return Visible(found, len(scores), best, min(_MOST_SURE, 1 - min(1.0, chance * len(scores))))


def _invisible(pictures: list[NDArray[np.uint8]]) -> Invisible | None:
    """Return None where the mark is neither in a frame nor in all of them together."""
    readings = [read_imprint([picture]) for picture in pictures]
    alone = [reading for reading in readings if reading is not None]
    if len(pictures) > 1 and not any(reading.payload for reading in alone):
        together = read_imprint(pictures)
        alone_or_together = [*alone, together] if together is not None else alone
    else:
        alone_or_together = alone
    if not alone_or_together:
        return None
    best = max(alone_or_together, key=lambda reading: (reading.payload is not None, reading.sync))
    runs = Counter(reading.payload for reading in alone_or_together if reading.payload is not None)
    payload = runs.most_common(1)[0][0] if runs else None
    others = tuple(run for run in runs if run != payload)
    sure = _sureness(best, looked=len(pictures))
    return Invisible(
        payload, len(alone), len(pictures), best.sync, best.agreement, best.scale, best.mirrored, others, sure
    )


def _sureness(reading: Imprint, *, looked: int) -> float:
    """Return one minus the chance that an unmarked file gives such a reading."""
    chance = looked * _PLACES_TRIED * 0.5 * math.erfc(reading.sync / math.sqrt(2))
    if reading.payload is not None:
        chance = min(1.0, chance) * 2.0**-24  # product number and checksum fit by accident
    return min(_MOST_SURE, 1 - min(1.0, chance))


def _trust(signature: Signature | None, invisible: Invisible | None) -> float:
    if signature is None or not signature.ours:
        return 0.0
    if signature.intact:
        return _SIGNED_HERE if signature.this_installation else _SIGNED_SOMEWHERE
    if invisible is not None and invisible.payload is not None and invisible.payload.as_bytes() in signature.payloads:
        return _SIGNED_HERE if signature.this_installation else _SIGNED_SOMEWHERE
    return 0.0 if signature.sidecar else _ALTERED
