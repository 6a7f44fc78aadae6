# SPDX-License-Identifier: Apache-2.0
"""The one door to OpenCV: `from engine.cv import cv2`.

The OpenCV wheel that MediaPipe brings carries its own Qt and points two environment variables at it on import.
A Qt application in the same process would then load the wrong platform plugin, so both are put back here.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from engine.types import freeze

_QT_VARIABLES = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
_before = {name: os.environ.get(name) for name in _QT_VARIABLES}
# OpenCV's own log lines would reach the user beside our sentence for the same fault; errors are typed here.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2  # noqa: E402 - the environment must be noted first

for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

__all__ = ["cv2", "shrink"]


def shrink(rgb: NDArray[np.uint8], *, width_px: int) -> NDArray[np.uint8]:
    """Return a picture no wider than `width_px`, read-only; (H, W, C) uint8 in and out, aspect kept."""
    scale = min(1.0, width_px / rgb.shape[1])
    size_wh = (round(rgb.shape[1] * scale), max(1, round(rgb.shape[0] * scale)))
    return freeze(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_AREA))
