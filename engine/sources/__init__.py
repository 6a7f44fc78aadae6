# SPDX-License-Identifier: Apache-2.0
"""Source side: pictures on disk → framed, matted, ordered `SourceSet`. Runs on any thread, once per set.

    picture.py     bytes of any picture → RGB + optional alpha
    store.py       a folder, a zip or loose files, read the same way
    archive_safety.py  whether a zip may be opened at all
    manifest.py    set.toml
    analysis.py    landmarks and matte of a picture, cached or computed by a `SourceAnalyser`
    framing.py     picture pixels → portrait space
    driving_crop.py  driving frame → the performer's portrait, for models that look at it
    colour_match.py  pictures of different light → one light
    ordering.py    reference picture first, then the ones that add most
    source_set.py  all of the above: `load_source_set`
    library.py     built-in and user sets by name

Names are resolved on first use so that listing sets does not import OpenCV.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lazy import lazy_names

if TYPE_CHECKING:
    from engine.sources.base import SourceAnalyser
    from engine.sources.library import SourceSetInfo, find_source_set, list_source_sets, user_source_sets_dir
    from engine.sources.source_set import load_source_set

__all__ = [
    "SourceAnalyser",
    "SourceSetInfo",
    "find_source_set",
    "list_source_sets",
    "load_source_set",
    "user_source_sets_dir",
]

__getattr__ = lazy_names(
    __name__,
    {
        "SourceAnalyser": "base",
        "SourceSetInfo": "library",
        "find_source_set": "library",
        "list_source_sets": "library",
        "load_source_set": "source_set",
        "user_source_sets_dir": "library",
    },
)
