# SPDX-License-Identifier: Apache-2.0
"""What warpers of both kinds share, and what one says that must see the driving picture itself. Any thread."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import SourceSetEmpty, TooManySources
from engine.types import MAX_SOURCES, Query, SourceSet, WarpedPortrait

__all__ = ["NeedsPortrait", "ShowsSources", "WarpsBeside", "check_count", "describe_engine", "fit_picture"]


@runtime_checkable
class NeedsPortrait(Protocol):
    """A warper whose queries must carry the driving portrait: its model finds keypoints on that picture by itself.

    Thread: render thread only.
    """

    @property
    def side_px(self) -> int:
        """Side R of the portraits it takes."""
        ...

    def set_motion(self, share: float) -> None:
        """Measure motion from the neutral picture (1), copy positions (0), or blend."""
        ...

    def set_neutral(self, portrait: NDArray[np.uint8] | None) -> None:
        """Take the driving portrait from which motion is measured; None takes the next query's.

        Shapes:
            portrait: (R, R, 3) uint8 RGB, through the crop of the queries that follow.
        """
        ...


@runtime_checkable
class ShowsSources(Protocol):
    """A warper that can say which picture each pixel came from (`engine.warp.heat`)."""

    def watch_shares(self) -> None:
        """Make `source_shares` ready.

        Raises:
            InvalidSetting: the model cannot say.
        """
        ...

    def source_shares(self) -> NDArray[np.float32]:
        """Return the shares of the last frame, (R, R, N) float32."""
        ...


@runtime_checkable
class WarpsBeside(Protocol):
    """A warper that can draw a frame while its caller does something else: `warp`, in two steps.

    One frame at a time: nothing else may be asked of it between the two. Thread: the same for both.
    """

    def start(self, query: Query) -> None:
        """Begin to render the character in the query's pose; the query may be dropped."""
        ...

    def finish(self) -> WarpedPortrait:
        """Wait, and return what was begun; it must have been. Raises what `warp` raises."""
        ...


def check_count(source_set: SourceSet) -> int:
    """Return the number of pictures.

    Raises:
        SourceSetEmpty, TooManySources: the set has no picture, or more than the engine takes.
    """
    count = len(source_set.images)
    if not count:
        raise SourceSetEmpty(f"Source set '{source_set.name}' holds no picture.", hint="Add one to 16 pictures.")
    if count > MAX_SOURCES:
        raise TooManySources(
            f"Source set '{source_set.name}' holds {count} pictures, the engine takes {MAX_SOURCES}.",
            hint="Disable some in set.toml.",
        )
    return count


def describe_engine(
    runner: str, *, side_px: int, count: int | None, reason: str, model: str = "", given: object = None
) -> str:
    """Return the first line of a run, e.g. `engine: openvino 2026.4 on CPU (2 threads), fp32, 256², N=4`.

    Args:
        given: the pictures of the set, where the device has no memory for all of them.
    """
    pictures = f"N={count}" + (f" of {given}, as the GPU's memory takes no more" if given else "")
    parts = [runner, *([model] if model else []), f"{side_px}²", *([pictures] if count else [])]
    why = "" if reason == "asked for" else f" ({reason})"
    return f"engine: {', '.join(parts)}{why}"


def fit_picture(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Scale a square picture, (S, S) or (S, S, C), to the model's side."""
    if picture.shape[0] == side_px:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=how), np.uint8)
