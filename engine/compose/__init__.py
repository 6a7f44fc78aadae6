# SPDX-License-Identifier: Apache-2.0
"""Putting the animated portrait on a canvas; what comes out still lacks the watermark."""

from __future__ import annotations

__all__: list[str] = []
