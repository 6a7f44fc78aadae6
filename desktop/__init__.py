# SPDX-License-Identifier: Apache-2.0
"""The desktop application (Qt): windows, panels and the bridge to the engine.

It talks to `engine` through the façade and through events, runs on the GUI thread and computes nothing itself: it
never imports torch, TensorRT, cv2 or OpenVINO.
"""

from __future__ import annotations

__all__: list[str] = []
