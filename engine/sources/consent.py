# SPDX-License-Identifier: Apache-2.0
"""Whether a source set may be shown to other people: its set.toml has to say by whose leave. Any thread.

The answer travels with every frame (`OutputFrame.consented`), so that whatever hands a frame to a virtual camera, the
window, the command line or a program of somebody else's, meets the same gate (`engine.sinks.base.require_consent`).
"""

from __future__ import annotations

from engine.sources.manifest import Consent
from engine.types import SourceSet

__all__ = ["has_consent"]

_NOT_STATED = Consent().describe()


def has_consent(source_set: SourceSet) -> bool:
    """Return whether the set says by whose leave its pictures are used: mine, consented, synthetic or licensed."""
    return source_set.consent not in ("", _NOT_STATED)
