# SPDX-License-Identifier: Apache-2.0
"""The warper that warps nothing: what any model has to beat. Any one thread."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from engine.types import Query, SourceSet, WarpedPortrait

__all__ = ["COPY", "CopyWarper", "PortraitWarper"]

COPY = "copy"  # what its rows are called


class PortraitWarper(Protocol):
    """What the evaluation needs of a warper; `engine.warp.Warper` is one."""

    def set_sources(self, source_set: SourceSet) -> None:
        """Encode a source set; it stays until the next one."""
        ...

    def warp(self, query: Query) -> WarpedPortrait:
        """Return the portrait for one query."""
        ...

    def reset(self) -> None:
        """Forget what earlier frames left behind."""
        ...


class CopyWarper:
    """Shows, unchanged, the source picture whose keypoints are nearest to the query's.

    With one source picture this is the copy-source baseline; with more it is the best one can do without warping.
    """

    def __init__(self) -> None:
        self._source_set: SourceSet | None = None

    def set_sources(self, source_set: SourceSet) -> None:
        self._source_set = source_set

    def warp(self, query: Query) -> WarpedPortrait:
        assert self._source_set is not None, "set_sources comes first"
        images = self._source_set.images
        distances = [float(((image.keypoints - query.keypoints) ** 2).sum()) for image in images]
        nearest = int(np.argmin(distances))
        rgb = images[nearest].rgb
        opaque = np.full((*rgb.shape[:2], 1), 255, np.uint8)
        mass = np.zeros(len(images), np.float32)
        mass[nearest] = 1.0
        return WarpedPortrait(query.captured_ns, np.concatenate([rgb, opaque], axis=2), rgb, mass)

    def reset(self) -> None:
        """There is nothing to forget."""
