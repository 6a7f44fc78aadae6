# SPDX-License-Identifier: Apache-2.0
"""Warper of the models with learned keypoints (FOMM, fv2v, implicit warping as published).

Where `Warper` is given landmarks, these models look for keypoints on the driving portrait by themselves: pixels go
into the detector, a few numbers come out, and only those reach the generator. The result is an opaque picture; what
lies behind it on a wider canvas is the first source picture's own background. Threads as `Warper`.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import InferenceFailed, ShapeError, SourceSetEmpty
from engine.runtime.base import EncodedSourceSet, LearnedRunner, Motion
from engine.types import Query, SourceSet, WarpedPortrait
from engine.warp.base import check_count, describe_engine, fit_picture
from engine.warp.layers import shared_backdrop
from engine.warp.motion_transfer import transfer_motion
from engine.warp.plates import make_backdrops

__all__ = ["LearnedWarper", "PreparedLearnedSet"]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedLearnedSet:
    """Everything a set needs on the render thread. motion: of its first picture. backdrop: (R, R, 3) uint8."""

    name: str
    encoded: EncodedSourceSet
    motion: Motion
    backdrop: NDArray[np.uint8]
    warning: None = None

    @property
    def shown(self) -> int:
        """Pictures in use: all of them."""
        return self.encoded.count


class LearnedWarper:
    """Animates one source set at a time; see `engine.warp.base.NeedsPortrait`.

    State: as `Warper`. Motion is relative to the neutral picture until `set_motion` says otherwise; without
    `set_neutral` the first query's picture is the neutral one, and `reset` forgets it. The gains and the steadiness
    of `MotionSettings` belong to landmarks and do nothing here.
    """

    def __init__(self, runner: LearnedRunner, *, reason: str = "asked for", backend: str = "") -> None:
        self._runner, self._reason, self.backend = runner, reason, backend
        self._current: PreparedLearnedSet | None = None
        self._share = 1.0
        self._given_neutral: Motion | None = None
        self._first: Motion | None = None

    @property
    def side_px(self) -> int:
        """Side R of the portraits."""
        return self._runner.manifest.side_px

    @property
    def description(self) -> str:
        """One line for the start of a run, with the model's kind."""
        count = self._current.encoded.count if self._current else None
        kind = self._runner.manifest.model
        return describe_engine(
            self._runner.description, side_px=self.side_px, count=count, reason=self._reason, model=kind
        )

    def set_motion(self, share: float) -> None:
        """Measure motion from the neutral picture (1), copy positions (0), or blend."""
        self._share = share

    def set_neutral(self, portrait: NDArray[np.uint8] | None) -> None:
        """Take the driving portrait, (R, R, 3) uint8, from which motion is measured; None takes the next query's."""
        self._given_neutral = None if portrait is None else self._runner.detect(self._planes(portrait))
        self._first = None

    def prepare(self, source_set: SourceSet) -> PreparedLearnedSet:
        """Encode a set without using it yet. Thread: any.

        Raises:
            SourceSetEmpty, TooManySources: the set has no picture, or more than the engine takes.
        """
        check_count(source_set)
        rgb = np.stack([fit_picture(image.rgb, self.side_px) for image in source_set.images])
        alpha = np.stack([fit_picture(image.alpha, self.side_px) for image in source_set.images])
        encoded, motions = self._runner.encode(np.stack([self._planes(picture) for picture in rgb]))
        return PreparedLearnedSet(source_set.name, encoded, motions[0], shared_backdrop(make_backdrops(rgb, alpha)))

    def use(self, prepared: PreparedLearnedSet) -> None:
        """Switch to a prepared set, from the next frame on."""
        self._current = prepared

    def set_sources(self, source_set: SourceSet) -> None:
        """Prepare a set and switch to it."""
        self.use(self.prepare(source_set))

    def warp(self, query: Query) -> WarpedPortrait:
        """Render the character with the motion of the query's portrait.

        Raises:
            SourceSetEmpty: no set was given yet. InferenceFailed: the back-end failed.
        """
        current = self._current
        if current is None:
            raise SourceSetEmpty("No source set is loaded.", hint="Choose a source set first.")
        if query.portrait is None:
            raise ShapeError("Query.portrait", f"({self.side_px}, {self.side_px}, 3) uint8", None)
        driving = self._runner.detect(self._planes(query.portrait))
        if self._first is None:
            self._first = driving
        motion = transfer_motion(
            self._runner.manifest.model,
            source=current.motion,
            driving=driving,
            neutral=self._given_neutral or self._first,
            share=self._share,
        )
        portrait = self._runner.animate(current.encoded, motion)
        if not np.isfinite(portrait.sum()):  # would pass for a black picture below
            raise InferenceFailed(
                f"The engine returned undefined pixels for '{current.name}'.",
                hint="Please report this with the output of: bunraku doctor --json",
            )
        opaque = np.ones_like(portrait[0])
        rgba = cv2.convertScaleAbs(cv2.merge([*np.clip(portrait, -1.0, 1.0), opaque]), alpha=127.5, beta=127.5)
        count = current.encoded.count
        mass = np.full(count, 1.0 / count, np.float32)
        return WarpedPortrait(query.captured_ns, np.asarray(rgba, np.uint8), current.backdrop, mass)

    def reset(self) -> None:
        """Forget temporal state: after a seek, a loss of tracking or a change of driver. A given neutral stays."""
        self._first = None

    def close(self) -> None:
        """Free the model."""
        self._current = self._given_neutral = self._first = None
        self._runner.close()

    def __enter__(self) -> LearnedWarper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _planes(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return a picture as the graphs take it: (3, R, R) float32 in [-1, 1]."""
        fitted = fit_picture(rgb, self.side_px)
        return np.ascontiguousarray(fitted.transpose(2, 0, 1), np.float32) / 127.5 - 1.0
