# SPDX-License-Identifier: Apache-2.0
"""The visible mark that every frame carries, and the gate that lets no frame pass without it."""

from __future__ import annotations

__all__: list[str] = []
