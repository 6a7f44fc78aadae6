# SPDX-License-Identifier: Apache-2.0
"""Training side lane: data tools, renderer and trainer; never imported by the running app."""

from __future__ import annotations

__all__: list[str] = []
