# SPDX-License-Identifier: Apache-2.0
"""One sentence for the user that asks for nothing: a value that the controller gives out and the window shows."""

from __future__ import annotations

from dataclasses import dataclass

from desktop.words import Tone

__all__ = ["Notice"]


@dataclass(frozen=True, slots=True)
class Notice:
    """text: one or two sentences. tone: how it is meant."""

    text: str
    tone: Tone = Tone.QUIET
