# SPDX-License-Identifier: Apache-2.0
"""The values that pass between stages: frozen, array fields read-only, shapes checked on construction.

Data flow: Frame → TrackedMotion → Query → WarpedPortrait → Composite → OutputFrame.
Conventions: RGB uint8, (H, W, C), row 0 at the top; time is `time.monotonic_ns()`; *keypoints* are 478 points
(x, y, z) in portrait space: the square frame of the source pictures spans [-1, 1], x right, y down, z in the
same scale and away from the viewer, pixel centres at (i + 0.5) / side * 2 - 1. *Landmarks* are the same points
in pixels of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.consent import NO_NOTE, Consent
from engine.errors import ShapeError

__all__ = [
    "LANDMARK_COUNT",
    "MAX_SOURCES",
    "Composite",
    "Frame",
    "MonitorView",
    "Origin",
    "OutputFrame",
    "Query",
    "Seal",
    "SoundBlock",
    "SourceImage",
    "SourceSet",
    "TrackedMotion",
    "WarpedPortrait",
    "freeze",
]

LANDMARK_COUNT = 478  # MediaPipe Face Mesh with irises
MAX_SOURCES = 16  # pictures in one source set


def freeze(array: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only in place and return it; no copy is made."""
    array.setflags(write=False)
    return array


def _check(name: str, array: NDArray[Any], shape: tuple[int | None, ...], dtype: type[np.generic]) -> None:
    fits = array.ndim == len(shape) and all(e is None or e == a for e, a in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != np.dtype(dtype):
        wanted = tuple("any" if e is None else e for e in shape)
        raise ShapeError(name, f"{wanted} {np.dtype(dtype)}", f"{array.shape} {array.dtype}")
    freeze(array)


# eq=False on every array-carrying value: a generated == would raise on arrays and remove the hash.
@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One driving frame as captured. rgb: (H, W, 3) uint8."""

    index: int
    captured_ns: int
    rgb: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check("Frame.rgb", self.rgb, (None, None, 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class TrackedMotion:
    """The performer's face at one instant.

    landmarks_px: (478, 3) float32, pixels of the driving frame; z in the same scale, away from the viewer.
    quality: [0, 1]; 0 means lost. face_count: faces seen in the frame.
    """

    frame_index: int
    captured_ns: int
    landmarks_px: NDArray[np.float32]
    quality: float = 1.0
    face_count: int = 1

    def __post_init__(self) -> None:
        _check("TrackedMotion.landmarks_px", self.landmarks_px, (LANDMARK_COUNT, 3), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class MonitorView:
    """One look at the performer, for the performer's own eyes: no sink accepts it.

    rgb: (h, w, 3) uint8, shrunk. landmarks, neutral: (478, 2) float32 in pixels of `rgb`; None where there are none.
    """

    rgb: NDArray[np.uint8]
    landmarks: NDArray[np.float32] | None = None
    neutral: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """What the character is to do in one frame.

    keypoints: (478, 3) float32, portrait space; the driving keypoints retargeted to the character. portrait: (R, R, 3)
    uint8 RGB, the performer's face cut out of the driving frame; only for models that find keypoints of their own on
    it, None for all others, so that driving pixels go no further than they must.
    """

    captured_ns: int
    keypoints: NDArray[np.float32]
    portrait: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        _check("Query.keypoints", self.keypoints, (LANDMARK_COUNT, 3), np.float32)
        if self.portrait is not None:
            _check("Query.portrait", self.portrait, (None, self.portrait.shape[0], 3), np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class SoundBlock:
    """A moment of sound. at_ns: monotonic time of its first sample. samples: (n, channels) float32, [-1, 1]."""

    at_ns: int
    samples: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check("SoundBlock.samples", self.samples, (None, None), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SourceImage:
    """One source picture, cropped to portrait space.

    rgb: (R, R, 3) uint8. alpha: (R, R) uint8, 255 on the person. keypoints: (478, 3) float32, portrait space.
    cutout: the picture has no background of its own. drawn: its landmarks were placed by hand.
    """

    name: str
    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    cutout: bool = False
    drawn: bool = False

    def __post_init__(self) -> None:
        _check("SourceImage.rgb", self.rgb, (None, self.rgb.shape[0], 3), np.uint8)
        _check("SourceImage.alpha", self.alpha, self.rgb.shape[:2], np.uint8)
        _check("SourceImage.keypoints", self.keypoints, (LANDMARK_COUNT, 3), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class SourceSet:
    """1–16 pictures of one character; the first is its reference (most frontal and neutral) picture."""

    name: str
    images: tuple[SourceImage, ...]
    licence: str = ""
    consent: Consent = NO_NOTE

    @property
    def cutout(self) -> bool:
        """Whether no picture has a background of its own."""
        return all(image.cutout for image in self.images)

    @property
    def drawn(self) -> bool:
        """Whether the reference picture's landmarks were placed by hand, as no tracker finds a face there."""
        return bool(self.images) and self.images[0].drawn

    def take(self, count: int) -> SourceSet:
        """Return the set cut to its first `count` pictures."""
        return SourceSet(self.name, self.images[:count], self.licence, self.consent)


@dataclass(frozen=True, slots=True, eq=False)
class WarpedPortrait:
    """The animated character before it is put on a canvas.

    rgba: (R, R, 4) uint8, straight alpha, the person alone. backdrop: (R, R, 3) uint8, the source pictures'
    own background with the person taken out. source_mass: (N,) float32, share of each picture, sums to 1.
    """

    captured_ns: int
    rgba: NDArray[np.uint8]
    backdrop: NDArray[np.uint8]
    source_mass: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check("WarpedPortrait.rgba", self.rgba, (None, None, 4), np.uint8)
        _check("WarpedPortrait.backdrop", self.backdrop, (*self.rgba.shape[:2], 3), np.uint8)
        _check("WarpedPortrait.source_mass", self.source_mass, (None,), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Composite:
    """A finished canvas that is NOT yet allowed out of the app.

    rgb: (H, W, 3) uint8. alpha: (H, W) uint8 where the background is transparent, else None; rgb then is what is seen
    over black (colour times alpha).
    """

    captured_ns: int
    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        _check("Composite.rgb", self.rgb, (None, None, 3), np.uint8)
        if self.alpha is not None:
            _check("Composite.alpha", self.alpha, self.rgb.shape[:2], np.uint8)


@dataclass(frozen=True, slots=True)
class Origin:
    """What made a frame's character.

    model, model_sha256: the warping model and the hash of its files. consent: the class of the source set's consent
    note, such as "synthetic". character: the set's name. note: the text of its consent note, for the metadata of a
    recording alone; signatures leave it out, as it may name people.
    """

    model: str = ""
    model_sha256: str = ""
    consent: str = ""
    character: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """Proof of both watermarks. Only `engine.watermark.gate` may make one; a contract test holds every module to it.

    payload: what the invisible mark says, as bytes (product, version, run). origin: see `Origin`.
    """

    payload: bytes
    origin: Origin = Origin()


@dataclass(frozen=True, slots=True, eq=False)
class OutputFrame:
    """A watermarked frame, the only thing a sink accepts; made by `engine.watermark.gate` alone.

    rgb: (H, W, 3) uint8. seal: proof that the gate marked the pixels; anything else is refused. consented: whether
    whoever it shows agreed to be shown to others; a virtual camera refuses it otherwise. alpha: (H, W) uint8 where the
    background is transparent, else None; rgb is then what is seen over black, which is what an output shows that knows
    no transparency.
    """

    captured_ns: int
    rendered_ns: int
    rgb: NDArray[np.uint8]
    seal: Seal = field(repr=False)
    consented: bool = False
    alpha: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.seal, Seal):
            raise ShapeError("OutputFrame.seal", "a Seal made by engine.watermark.gate", type(self.seal).__name__)
        _check("OutputFrame.rgb", self.rgb, (None, None, 3), np.uint8)
        if self.alpha is not None:
            _check("OutputFrame.alpha", self.alpha, self.rgb.shape[:2], np.uint8)
