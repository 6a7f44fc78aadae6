# SPDX-License-Identifier: Apache-2.0
"""The consent gate of a pipeline, where sets and sinks meet, whichever way either came in. Any thread.

A sink that asks for a consent note (`Sink.needs_consent`) does not join a character without one; a change to such
a character is refused while such a sink is there; and before each frame the render thread asks once more. Behind all
that, the virtual camera itself takes no frame that does not say so (`OutputFrame.consented`).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from engine.consent import require_consent
from engine.renderer import Renderer
from engine.sinks.base import Sink
from engine.types import SourceSet

__all__ = ["Clearance"]


class Clearance:
    """Asks for the note of whatever is shown.

    Args:
        asked: whether a sink in use needs consent.
    """

    def __init__(self, asked: Callable[[], bool]) -> None:
        self._asked = asked
        self._cleared: SourceSet | None = None  # the last set whose note was found good

    def let_sink(self, sink: Sink, shown: SourceSet | None) -> None:
        """Let a sink join what is shown.

        Raises:
            ConsentMissing: it asks for a note that the set does not have.
        """
        if shown is not None and sink.needs_consent:
            require_consent(shown, _now())

    def let_set(self, source_set: SourceSet) -> None:
        """Let a set pass to the sinks in use.

        Raises:
            ConsentMissing: one of them asks for a note that it does not have.
        """
        if self._asked():
            require_consent(source_set, _now())
            self._cleared = source_set

    def require(self, renderer: Renderer) -> None:
        """The last line, before a frame.

        Raises:
            ConsentMissing: the run ends with the holding card.
        """
        shown = renderer.source_set
        if shown is not None and shown is not self._cleared:
            self.let_set(shown)


def _now() -> datetime.datetime:
    return datetime.datetime.now().astimezone()  # a consent ends with the day where the performer sits
