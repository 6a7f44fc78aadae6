# SPDX-License-Identifier: Apache-2.0
"""What is seen: every widget shows what it is told and says what the user asked for; none knows the engine."""

from __future__ import annotations

__all__: list[str] = []
