# SPDX-License-Identifier: Apache-2.0
"""Composite → OutputFrame: marks a frame twice, looks whether the visible mark is there, and only then seals it.

First the invisible mark goes into the pixels, then, as the last operation, the visible one is drawn over them: its
letters are checked exactly, and its small plate costs the invisible mark next to nothing.

This is the only module that makes an `OutputFrame` or a `Seal`, and sinks accept nothing else. It fails closed: if
marking or checking goes wrong, `WatermarkError` is raised and no frame leaves. Thread: any; values only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.errors import WatermarkError
from engine.types import Composite, Origin, OutputFrame, Seal
from engine.watermark.card import draw_card
from engine.watermark.detector import has_mark
from engine.watermark.imprint import imprint
from engine.watermark.payload import Payload, current_payload
from engine.watermark.visible import Mark, box_of, cover_mark, draw_mark, make_mark, mark_height_px

__all__ = ["has_mark", "holding_card", "seal"]

_ROWS_CHECKED = 8
_OPAQUE_ENOUGH = 128  # of 255
_LEAST_CONTRAST = 80.0  # letters against plate, in levels of 0–255
_LUMA = np.array((0.299, 0.587, 0.114), np.float32)


def seal(
    composite: Composite,
    *,
    rendered_ns: int,
    corner: str = "top-right",
    style: str = "dark",
    consented: bool = False,
    payload: Payload | None = None,
    origin: Origin | None = None,
) -> OutputFrame:
    """Mark a finished canvas and let it out.

    Args:
        rendered_ns: monotonic time at which rendering ended. corner, style: see `engine.config.OutputSettings`.
        consented: see `OutputFrame`.
        payload: what the invisible mark says; None is this run. origin: what made the character, for signatures.

    Ownership:
        returns new pixels; the composite is not written.

    Raises:
        WatermarkError: the frame cannot be marked, or the mark is not in its pixels afterwards.
    """
    size_wh = (composite.rgb.shape[1], composite.rgb.shape[0])
    payload = payload or current_payload()
    try:
        mark = make_mark(mark_height_px(size_wh), style)
        rgb = imprint(composite.rgb, payload)
        problem = _check_imprint(rgb, composite.rgb)
        if composite.alpha is not None:  # what is not there carries nothing; at soft edges it would be seen
            rgb[composite.alpha < _OPAQUE_ENOUGH] = composite.rgb[composite.alpha < _OPAQUE_ENOUGH]
        draw_mark(rgb, mark, corner=corner)
        alpha = None if composite.alpha is None else cover_mark(composite.alpha, mark, corner=corner)
        problem = problem or _check(rgb, mark, corner=corner)
    except WatermarkError:
        raise
    except Exception as error:
        raise WatermarkError(
            f"The watermark could not be drawn, so the frame was withheld: {error}", hint="Please report this."
        ) from error
    if problem:
        raise WatermarkError(
            f"The watermark is not in the frame, which was withheld: {problem}.", hint="Please report this."
        )
    proof = Seal(payload.as_bytes(), origin or Origin())
    return OutputFrame(composite.captured_ns, rendered_ns, rgb, proof, consented, alpha)


def holding_card(
    size_wh: tuple[int, int], reason: str, *, at_ns: int = 0, corner: str = "top-right", style: str = "dark"
) -> OutputFrame:
    """Return the marked holding card.

    Raises:
        WatermarkError: as `seal`.
    """
    card = Composite(at_ns, draw_card(size_wh, reason))
    return seal(card, rendered_ns=at_ns, corner=corner, style=style, consented=True)


def _check_imprint(rgb: NDArray[np.uint8], before: NDArray[np.uint8]) -> str:
    """Return what is wrong with the invisible mark, seen on a few rows; reading it back would cost a tenth of a second.

    It never leaves a row as it was: where black or white takes one half of the pattern, the other half is left.
    """
    rows = slice(0, None, max(1, len(rgb) // _ROWS_CHECKED))
    return "" if (rgb[rows] != before[rows]).any() else "the invisible mark changed nothing"


def _check(rgb: NDArray[np.uint8], mark: Mark, *, corner: str) -> str:
    """Return what is wrong with the mark in these pixels; an empty text if nothing is."""
    height_px, width_px = mark.coverage.shape
    left, top, right, bottom = box_of((rgb.shape[1], rgb.shape[0]), (width_px, height_px), corner)
    seen = rgb[max(0, top) : bottom, max(0, left) : right]
    if seen.shape[:2] != (height_px, width_px) or not mark.letters.size:
        return "it does not fit"
    pixels = seen.reshape(-1, 3)
    if not (pixels.take(mark.letters, axis=0) == mark.colour).all():
        return "its letters are covered"
    # The letters are known by now; only the plate depends on what lies under it.
    plate = np.add.reduce(pixels.take(mark.plate, axis=0), dtype=np.uint32) / max(1, mark.plate.size)
    contrast = abs(float(plate @ _LUMA) - float(np.array(mark.colour) @ _LUMA))
    return "" if contrast >= _LEAST_CONTRAST else f"its contrast is {contrast:.0f} of at least {_LEAST_CONTRAST:.0f}"
