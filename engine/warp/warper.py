# SPDX-License-Identifier: Apache-2.0
"""Warper: a source set, encoded once, and a query a frame -> the animated character on a transparent ground.

`prepare` may run on any thread (loading a set in the background); `use` and `warp` belong to the render thread, and
`use` only swaps references, so switching sets costs no frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import InferenceFailed, SourceSetEmpty
from engine.headpose import describe_head
from engine.runtime.base import EncodedSourceSet, FrameInputs, StartsFrames, WarpRunner
from engine.types import Query, SourceSet, WarpedPortrait
from engine.warp.base import check_count, describe_engine
from engine.warp.drawn_lids import DrawnLids, LidReach, LidView, open_lids, shut_pictures
from engine.warp.drawn_shut import DRAWN_REACH, shut_eyes
from engine.warp.fitting import prepare_what_fits
from engine.warp.layers import layers_of
from engine.warp.prepared import PreparedSourceSet, ShutEyes
from engine.warp.selection import SelectionSettings, SourceSelector

if TYPE_CHECKING:
    from engine.runtime.openvino_shares import SourceShares

__all__ = ["Warper"]

_NO_WEIGHT = -30.0  # log weight of a picture that fills a place


@dataclass(frozen=True, slots=True, eq=False)
class _Aim:
    """What one frame is drawn from. share: how much of it each picture gives, (N,). lids: those that are down."""

    captured_ns: int
    prepared: PreparedSourceSet
    inputs: FrameInputs
    share: NDArray[np.float32]
    lids: LidView | None


class Warper:
    """Animates one source set at a time.

    State: no set → `set_sources` → `warp` any number of times; `set_sources` again at any time.
    """

    def __init__(self, runner: WarpRunner, *, reason: str = "asked for", backend: str = "") -> None:
        self._runner, self._reason, self.backend = runner, reason, backend
        self._current: PreparedSourceSet | None = None
        self._last: FrameInputs | None = None
        self._lids: LidView | None = None
        self._begun: tuple[_Aim, WarpedPortrait | None] | None = None  # what is being drawn, or is drawn already
        self._shares: SourceShares | None = None

    @property
    def side_px(self) -> int:
        """Side R of the portraits."""
        return self._runner.manifest.side_px

    @property
    def description(self) -> str:
        """One line for the start of a run, e.g. `engine: openvino 2026.4 on CPU (2 threads), fp32, 256², N=4`."""
        current, given = self._current, None
        if current is not None and current.warning is not None:
            given = current.warning.fields["given"]
        return describe_engine(
            self._runner.description,
            side_px=self.side_px,
            count=current.shown if current else None,
            reason=self._reason,
            given=given,
        )

    def prepare(self, source_set: SourceSet) -> PreparedSourceSet:
        """Encode a set without using it yet; as many of its pictures as fit on the device. Thread: any.

        Raises:
            SourceSetEmpty, TooManySources: the set has no picture, or more than the engine takes.
            OutOfDeviceMemory: not even one picture fits.
        """
        check_count(source_set)
        prepared, warning = prepare_what_fits(self._prepare, source_set)
        return replace(prepared, warning=warning)

    def _prepare(self, source_set: SourceSet) -> PreparedSourceSet:
        layers = layers_of(source_set, self.side_px)
        keypoints = np.stack([image.keypoints for image in source_set.images])
        encoded = self._encode(layers.person, keypoints)
        shut = self._prepare_shut(layers.person, keypoints) if source_set.drawn else None
        manifest = self._runner.manifest
        gains = SelectionSettings(face_pose=manifest.face_pose_gain, expression=manifest.expression_gain)
        selector = SourceSelector([describe_head(k) for k in keypoints], gains)
        return PreparedSourceSet(source_set.name, encoded, selector, layers.backdrop, keypoints, layers.backdrops, shut)

    def _prepare_shut(self, person: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> ShutEyes:
        """Encode a drawn set's pictures with shut eyes; where there is none, each picture with its eyes drawn shut."""
        made_from = shut_pictures(list(keypoints))
        if made_from:
            pictures, shut, reach = [person[i] for i in made_from], [keypoints[i] for i in made_from], LidReach()
            opened = [open_lids(points, reference=keypoints[0]) for points in shut]
        else:
            made_from, reach, opened = list(range(len(person))), DRAWN_REACH, list(keypoints)
            drawn, shut = map(list, zip(*map(shut_eyes, person[..., :3], keypoints), strict=True))
            pictures = [np.dstack([rgb, rgba[..., 3]]) for rgb, rgba in zip(drawn, person, strict=True)]
        lids = DrawnLids(keypoints[0], shut, list(keypoints), side_px=self.side_px, reach=reach)
        # As many as the set has, so that both are drawn by one compiled graph and no blink waits for another.
        fill = np.arange(len(person)) % len(made_from)
        encoded = self._encode(np.stack(pictures)[fill], np.stack(opened).astype(np.float32)[fill])
        return ShutEyes(lids, encoded, tuple(made_from))

    def _encode(self, person: NDArray[np.uint8], keypoints: NDArray[np.float32]) -> EncodedSourceSet:
        rgba = person.astype(np.float32) / 127.5 - 1
        return self._runner.encode(np.ascontiguousarray(rgba.transpose(0, 3, 1, 2)), keypoints)

    def use(self, prepared: PreparedSourceSet) -> None:
        """Switch to a prepared set, from the next frame on."""
        prepared.reset()
        self._current, self._last, self._lids = prepared, None, None

    def set_sources(self, source_set: SourceSet) -> None:
        """Prepare a set and switch to it."""
        self.use(self.prepare(source_set))

    @property
    def prepared(self) -> PreparedSourceSet:
        """The set in use; raises SourceSetEmpty where there is none."""
        if self._current is None:
            raise SourceSetEmpty("No source set is loaded.", hint="Choose a source set first.")
        return self._current

    def warp(self, query: Query) -> WarpedPortrait:
        """Render the character in the query's pose.

        Raises:
            SourceSetEmpty: no set was given yet. InferenceFailed: the back-end failed.
        """
        aim = self._aim(query)
        return self._portrait(aim, self._runner.animate(aim.prepared.encoded, aim.inputs))

    def start(self, query: Query) -> None:
        """Begin a frame; see `engine.warp.base.WarpsBeside`. A back-end that cannot compute by itself is waited for.

        Raises:
            as `warp`.
        """
        aim = self._aim(query)
        drawn = None
        if isinstance(self._runner, StartsFrames):
            self._runner.start(aim.prepared.encoded, aim.inputs)
        else:
            drawn = self._portrait(aim, self._runner.animate(aim.prepared.encoded, aim.inputs))
        self._begun = aim, drawn

    def finish(self) -> WarpedPortrait:
        """Return the frame that was begun."""
        assert self._begun is not None, "a frame was begun"
        (aim, drawn), self._begun = self._begun, None
        if drawn is None:
            assert isinstance(self._runner, StartsFrames), "it began"
            drawn = self._portrait(aim, self._runner.wait())
        return drawn

    def _aim(self, query: Query) -> _Aim:
        """Choose the pictures for a frame, and of a drawn set the lids that are down."""
        current, shut = self.prepared, self.prepared.shut
        keypoints = query.keypoints if shut is None else shut.lids.raise_lids(query.keypoints)
        choice = current.selector.choose(describe_head(keypoints), query.captured_ns)
        inputs = FrameInputs(keypoints, choice.pick, choice.log_stage, choice.log_face)
        stage = int(choice.pick[choice.log_stage.argmax()])
        lids = None if shut is None else shut.lids.view(keypoints, stage=stage)
        return _Aim(query.captured_ns, current, inputs, choice.share, lids)

    def _portrait(self, aim: _Aim, drawn: NDArray[np.float32]) -> WarpedPortrait:
        """Return what the back-end drew, with the lids over it."""
        current, shut = aim.prepared, aim.prepared.shut
        rgba = self._picture(current, aim.inputs, drawn)
        if shut is not None and aim.lids is not None:
            over = self._animate(current, shut.encoded, _only(aim.lids.index, aim.inputs))
            rgba = aim.lids.lay_over(rgba, over)
        self._last, self._lids = aim.inputs, aim.lids
        return WarpedPortrait(aim.captured_ns, rgba, current.backdrop, aim.share)

    def warp_from(self, index: int, keypoints: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Render the character as one picture of the set alone shows it, whatever fits better.

        Shapes:
            keypoints: (478, 3) float32, portrait space. returns: (R, R, 4) uint8, straight alpha.
        Raises:
            SourceSetEmpty, InferenceFailed: as `warp`.
        """
        current, inputs = self.prepared, _alone(index, keypoints)
        rgba = self._animate(current, current.encoded, inputs)
        self._last, self._lids = inputs, None
        return rgba

    def _animate(self, current: PreparedSourceSet, encoded: EncodedSourceSet, inputs: FrameInputs) -> NDArray[np.uint8]:
        return self._picture(current, inputs, self._runner.animate(encoded, inputs))

    @staticmethod
    def _picture(current: PreparedSourceSet, inputs: FrameInputs, portrait: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return what the back-end drew as a picture of its own; that of the back-end is overwritten by the next."""
        if not np.isfinite(portrait.sum()):  # would pass for a transparent picture below
            raise InferenceFailed(
                f"The engine returned undefined pixels for pictures {inputs.pick.tolist()} of '{current.name}'.",
                hint="Please report this with the output of: bunraku doctor --json",
            )
        return np.asarray(cv2.convertScaleAbs(cv2.merge(list(portrait)), alpha=127.5, beta=127.5), np.uint8)

    def watch_shares(self) -> None:
        """Make `source_shares` ready; see `engine.warp.base.ShowsSources`.

        Raises:
            InvalidSetting: the model has no graph for it.
        """
        if self._shares is None:
            from engine.runtime.openvino_shares import SourceShares

            self._shares = SourceShares(self._runner.manifest)

    def source_shares(self) -> NDArray[np.float32]:
        """Return which picture each pixel of the last frame came from; see `engine.warp.heat`.

        Shapes:
            returns: (R, R, N) float32 in the set's order, sums to 1 over N.
        Cost: some milliseconds on the CPU.
        Raises:
            SourceSetEmpty: no frame was warped since the set was chosen. InvalidSetting: as `watch_shares`.
        """
        current, inputs, lids = self._current, self._last, self._lids
        if current is None or inputs is None:
            raise SourceSetEmpty("No frame has been drawn yet.", hint="Ask after the first frame.")
        self.watch_shares()
        assert self._shares is not None
        shares = self._shares.shares(current.keypoints, inputs)
        if lids is not None and current.shut is not None:
            lids.credit(shares, current.shut.made_from[lids.index])
        return shares

    def reset(self) -> None:
        """Forget temporal state: after a seek, a loss of tracking or a change of driver."""
        if self._current is not None:
            self._current.reset()

    def close(self) -> None:
        """Free the model."""
        self._current = self._last = self._lids = self._shares = self._begun = None
        self._runner.close()

    def __enter__(self) -> Warper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _alone(index: int, keypoints: NDArray[np.float32]) -> FrameInputs:
    """One picture draws the frame."""
    one = np.zeros(1, np.float32)
    return FrameInputs(keypoints, np.array([index], np.int64), one, one)


def _only(index: int, like: FrameInputs) -> FrameInputs:
    """One picture draws the frame, in the shape of another frame's inputs."""
    pick, none = np.full_like(like.pick, index), np.full_like(like.log_stage, _NO_WEIGHT)
    none[0] = 0.0
    return FrameInputs(like.keypoints, pick, none, none)
