# SPDX-License-Identifier: Apache-2.0
"""By whose leave a source set's pictures are used, and the one gate that asks for it. Layer 0, any thread.

`require_consent` stands in front of every virtual camera: without a note a character is not shown to others as if it
were a person.
"""

from __future__ import annotations

import datetime
from typing import Protocol

from engine.errors import ConsentMissing

__all__ = ["Noted", "require_consent"]

_NOT_STATED = ("", "not stated")


class Noted(Protocol):
    """Whatever carries a note: a loaded `SourceSet` or what is known of one."""

    @property
    def name(self) -> str:
        """What the set is called."""
        ...

    @property
    def consent(self) -> str:
        """Its note."""
        ...


def require_consent(source_set: Noted, now: datetime.datetime) -> None:
    """Let a set pass to a virtual camera, or say what its note lacks.

    Args:
        now: the present moment; its date counts, in its own time zone.
    Raises:
        ConsentMissing: there is no note.
    """
    if source_set.consent in _NOT_STATED:
        raise ConsentMissing(
            f"Source set {source_set.name} does not say by whose leave its pictures are used, so it cannot go to the "
            "virtual camera.",
            hint='Say so in its set.toml: [consent], kind = "mine", "consented" (and who), "synthetic" or "licensed".',
            name=source_set.name,
            reason="none",
        )
