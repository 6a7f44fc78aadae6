# SPDX-License-Identifier: Apache-2.0
"""Where watermarked frames go: video file, virtual camera, pictures, memory, preview."""

from __future__ import annotations

__all__: list[str] = []
