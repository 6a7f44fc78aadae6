# SPDX-License-Identifier: Apache-2.0
"""Which microphones there are. Slow the first time: for a task thread. No Qt."""

from __future__ import annotations

from engine.errors import MicrophoneMissing

__all__ = ["microphone_names"]


def microphone_names() -> tuple[list[tuple[str, str]], str]:
    """Return the microphones as (name, id), and why there are none, as a sentence; empty where there are some."""
    from engine.capture.microphone import list_microphones

    try:
        found = list_microphones()
    except MicrophoneMissing as error:
        return [], str(error)
    return [(each.name, each.id) for each in found], "" if found else "No microphone is connected."
