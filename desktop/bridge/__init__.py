# SPDX-License-Identifier: Apache-2.0
"""The one place where the window's side meets the engine's working parts.

Signals come in as doorbells (`Doorbell`), slow commands go out as tasks (`Tasks`); the other modules here wrap what the
engine can do. Everything else in `desktop` uses these modules and the engine's plain values (settings, errors, states,
events, figures, pictures), which an import contract enforces. To offer more of the engine, add a module here.
"""

from __future__ import annotations

from desktop.bridge.doorbell import Doorbell, Tasks

__all__ = ["Doorbell", "Tasks"]
