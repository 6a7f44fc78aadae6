# SPDX-License-Identifier: Apache-2.0
"""What every output is: something that takes `OutputFrame`s, and nothing else, until it is closed.

A sink is used by one thread at a time. `send` may block for as long as its device does; whoever must not wait puts
a slot or queue in front (`engine.pipeline` does). `keeps_every_frame` says which: a recorder wants all frames in
order, a live output only the newest.
"""

from __future__ import annotations

import errno
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import FormatRejected, OutputUnwritable, ShapeError, SinkError
from engine.types import OutputFrame

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["BaseSink", "Sink", "is_disk_full", "require_output_frame", "require_size", "straight_alpha", "unwritable"]


class Sink(Protocol):
    """Takes watermarked frames."""

    @property
    def name(self) -> str:
        """Short name for figures and messages, such as "mp4"."""
        ...

    @property
    def keeps_every_frame(self) -> bool:
        """Whether frames should queue rather than replace each other."""
        ...

    @property
    def needs_consent(self) -> bool:
        """Whether its frames reach other people as if they came from a camera.

        The character's set must then carry a complete consent note (`engine.consent.require_consent`; the pipeline
        asks).
        """
        ...

    @property
    def unsigned(self) -> SinkError | None:
        """Why what it has finished, and is complete all the same, has no signature; None where nothing is missing."""
        ...

    def send(self, frame: OutputFrame) -> None:
        """Take one frame.

        Raises:
            ShapeError: not an `OutputFrame`.
            SinkError: the output cannot take it.
        """
        ...

    def close(self) -> None:
        """Finish and release the output; a second call does nothing."""
        ...


class BaseSink:
    """The context-manager half of a sink, and what holds for most of them."""

    name = "sink"
    keeps_every_frame = False
    needs_consent = False
    unsigned: SinkError | None = None

    def send(self, frame: OutputFrame) -> None:
        """Take one frame."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish and release the output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def require_output_frame(frame: object) -> None:
    """Refuse whatever the watermark gate has not made.

    Raises:
        ShapeError: not an `OutputFrame`.
    """
    if not isinstance(frame, OutputFrame):
        raise ShapeError("sink frame", "an OutputFrame from engine.watermark.gate", type(frame).__name__)


def require_size(frame: OutputFrame, size_wh: tuple[int, int], *, where: str) -> None:
    """Refuse a frame of another size than the output was opened with.

    Raises:
        FormatRejected: the sizes differ.
    """
    actual_wh = (frame.rgb.shape[1], frame.rgb.shape[0])
    if actual_wh != size_wh:
        raise FormatRejected(
            f"{where} was opened for {size_wh[0]}x{size_wh[1]} pixels and got {actual_wh[0]}x{actual_wh[1]}.",
            hint="Stop and start again to change the output size.",
            expected=size_wh,
            actual=actual_wh,
        )


def straight_alpha(frame: OutputFrame) -> NDArray[np.uint8]:
    """Return what picture files expect: (H, W, 4) with colours not multiplied by alpha; (H, W, 3) for opaque frames."""
    if frame.alpha is None:
        return frame.rgb
    alpha = frame.alpha[..., None]
    colour = np.minimum((frame.rgb.astype(np.uint16) * 255 + alpha // 2) // np.maximum(alpha, 1), 255)
    return np.concatenate([colour.astype(np.uint8), alpha], axis=2)


def is_disk_full(error: OSError) -> bool:
    """Whether the system says that there is no room: disk, quota or file-size limit."""
    return error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))


def unwritable(path: object, error: Exception) -> SinkError:
    """Return the error for an output path that cannot be created."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return OutputUnwritable(
        f"The output cannot be created: {reason} ({path}).",
        hint="Choose a folder that exists and that you may write to.",
        path=str(path),
    )
