# SPDX-License-Identifier: Apache-2.0
"""A source set that does not fit on the GPU is used with fewer pictures, and that is said. Any thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from engine.errors import OutOfDeviceMemory
from engine.types import SourceSet

__all__ = ["prepare_what_fits"]

_T = TypeVar("_T")


def prepare_what_fits(prepare: Callable[[SourceSet], _T], source_set: SourceSet) -> tuple[_T, OutOfDeviceMemory | None]:
    """Prepare a set; where the device's memory is too small, its first half, then a quarter, down to one picture.

    Fewer pictures are less memory on the device, and a smaller bucket of an engine that has buckets. A set's first
    pictures are those that show most (`engine.sources.ordering`).

    Returns:
        what `prepare` gave, and what is to be said where it is not of all pictures.
    Raises:
        OutOfDeviceMemory: not even one picture fits. Whatever `prepare` raises otherwise.
    """
    used = source_set
    while True:
        try:
            prepared = prepare(used)
        except OutOfDeviceMemory:
            if len(used.images) < 2:
                raise
            used = used.take(len(used.images) // 2)
        else:
            return prepared, None if used is source_set else _left_out(used, source_set)


def _left_out(used: SourceSet, given: SourceSet) -> OutOfDeviceMemory:
    shown, count = len(used.images), len(given.images)
    return OutOfDeviceMemory(
        f"The GPU's memory takes {shown} of the {count} pictures of '{given.name}'; the others are left out.",
        hint="Close other programs that use the GPU, choose a smaller model, or use --backend openvino.",
        used=shown,
        given=count,
    )
