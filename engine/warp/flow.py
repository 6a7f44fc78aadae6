# SPDX-License-Identifier: Apache-2.0
"""Dense motion between two pictures, and pictures moved by it. Pure, any thread; offline work.

Source:
    Kroeger et al. 2016, "Fast optical flow using dense inverse search", ECCV (OpenCV's DIS); the split by time follows
    Baker et al. 2011, "A Database and Evaluation Methodology for Optical Flow", IJCV 92, section 3.3.1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2

__all__ = ["Float", "find_flow", "flows_to_moment", "moved_by"]

Float = NDArray[np.float32]

_LOOKS = 2  # three gain nothing more


def find_flow(src: NDArray[np.uint8], dst: NDArray[np.uint8]) -> Float:
    """Return where every pixel of `src` is found in `dst`, (R, R, 2) pixels, from (R, R, 3) RGB each."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (src, dst)]
    return np.asarray(finder.calc(grey[0], grey[1], np.empty(0, np.float32)), np.float32)


def flows_to_moment(
    shown: Sequence[NDArray[np.uint8]], t: float, *, first_look: tuple[Float, Float] | None = None
) -> list[Float]:
    """Return how far from each pixel of a moment its like lies in each of two pictures, two of (R, R, 2) pixels.

    A second look at what the first has brought together finds what was too far apart for it.

    Args:
        t: the moment, 0 at the first picture, 1 at the second. first_look: the flow there and back, where known.
    """
    total = [np.zeros((*shown[0].shape[:2], 2), np.float32) for _ in shown]
    looked, known = list(shown), first_look
    for _ in range(_LOOKS):
        ahead, back = known or (find_flow(looked[0], looked[1]), find_flow(looked[1], looked[0]))
        known = None
        steps = (-(1 - t) * t * ahead + t * t * back, (1 - t) ** 2 * ahead - t * (1 - t) * back)
        total = [
            moved_by(so_far, step.astype(np.float32)) + step.astype(np.float32)
            for so_far, step in zip(total, steps, strict=True)
        ]
        looked = [
            np.rint(np.clip(moved_by(picture.astype(np.float32), flow), 0, 255)).astype(np.uint8)
            for picture, flow in zip(shown, total, strict=True)
        ]
    return total


def moved_by(picture: Float, flow: Float) -> Float:
    """Return a picture (R, R) or (R, R, C) looked up at every pixel plus its flow, (R, R, 2) pixels."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.asarray(
        cv2.remap(picture, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        np.float32,
    )
