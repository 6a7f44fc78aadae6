# SPDX-License-Identifier: Apache-2.0
"""From driving frames to keypoints of the character: tracking, calibration, smoothing, retargeting.

Import from the modules; nothing is re-exported here, so that calibration and retargeting load without MediaPipe.
"""

from __future__ import annotations

__all__: list[str] = []
