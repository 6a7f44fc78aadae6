# SPDX-License-Identifier: Apache-2.0
"""The one door to OpenCV: `from engine.cv import cv2`.

The OpenCV wheel that MediaPipe brings carries its own Qt and points two environment variables at it on import.
A Qt application in the same process would then load the wrong platform plugin, so both are put back here.
"""

from __future__ import annotations

import os

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

__all__ = ["cv2"]
