# SPDX-License-Identifier: Apache-2.0
"""Warper: a source set, encoded once, and a query a frame -> the animated character on a transparent ground.

`prepare` may run on any thread (loading a set in the background); `use` and `warp` belong to the render thread, and
`use` only swaps references, so switching sets costs no frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import InferenceFailed, InvalidSetting, OutOfDeviceMemory, SourceSetEmpty
from engine.headpose import describe_head
from engine.runtime.base import EncodedSourceSet, FrameInputs, WarpRunner
from engine.types import Query, SourceSet, WarpedPortrait
from engine.warp.base import check_count, describe_engine, fit_picture
from engine.warp.fitting import prepare_what_fits
from engine.warp.heat import paint_values, shares_from
from engine.warp.layers import end_at_top, separate_person, shared_backdrop
from engine.warp.plates import claim_rims, make_backdrops
from engine.warp.selection import SelectionSettings, SourceSelector

__all__ = ["PreparedSourceSet", "Warper"]


@dataclass(frozen=True, slots=True, eq=False)
class PreparedSourceSet:
    """Everything a set needs on the render thread.

    backdrop: (R, R, 3) uint8, the one that is shown. backdrops: (N, R, R, 3) uint8, that of every picture. keypoints:
    (N, 478, 3), of its pictures. warning: what is to be said where the device holds only the set's first pictures.
    """

    name: str
    encoded: EncodedSourceSet
    selector: SourceSelector
    backdrop: NDArray[np.uint8]
    keypoints: NDArray[np.float32]
    backdrops: NDArray[np.uint8]
    warning: OutOfDeviceMemory | None = None

    @property
    def shown(self) -> int:
        """Pictures in use."""
        return self.encoded.count


class Warper:
    """Animates one source set at a time.

    State: no set → `set_sources` → `warp` any number of times; `set_sources` again at any time.
    """

    def __init__(self, runner: WarpRunner, *, reason: str = "asked for") -> None:
        self._runner, self._reason = runner, reason
        self._current: PreparedSourceSet | None = None
        self._last: FrameInputs | None = None
        self._painted: tuple[PreparedSourceSet, EncodedSourceSet] | None = None

    @property
    def side_px(self) -> int:
        """Side R of the portraits."""
        return self._runner.manifest.side_px

    @property
    def repaints(self) -> bool:
        """Whether the model has a decoder; see `engine.warp.base.ShowsSources`."""
        return bool(self._runner.manifest.islands)

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
        rgb = np.stack([fit_picture(image.rgb, self.side_px) for image in source_set.images])
        alpha = np.stack([fit_picture(image.alpha, self.side_px) for image in source_set.images])
        keypoints = np.stack([image.keypoints for image in source_set.images])
        backdrops = make_backdrops(rgb, alpha)
        alpha = claim_rims(rgb, alpha, backdrops)
        end_at_top(alpha)
        person = separate_person(rgb, alpha, backdrops)
        rgba = np.concatenate([person, alpha[..., None]], -1).astype(np.float32) / 127.5 - 1
        encoded = self._runner.encode(np.ascontiguousarray(rgba.transpose(0, 3, 1, 2)), keypoints)
        manifest = self._runner.manifest
        gains = SelectionSettings(face_pose=manifest.face_pose_gain, expression=manifest.expression_gain)
        selector = SourceSelector([describe_head(k) for k in keypoints], gains)
        every = np.rint(np.clip(backdrops, 0, 255)).astype(np.uint8)
        return PreparedSourceSet(source_set.name, encoded, selector, shared_backdrop(backdrops), keypoints, every)

    def use(self, prepared: PreparedSourceSet) -> None:
        """Switch to a prepared set, from the next frame on."""
        prepared.selector.reset()
        self._current, self._last = prepared, None

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
        current = self.prepared
        choice = current.selector.choose(describe_head(query.keypoints), query.captured_ns)
        rgba = self._animate(current, FrameInputs(query.keypoints, choice.pick, choice.log_stage, choice.log_face))
        return WarpedPortrait(query.captured_ns, rgba, current.backdrop, choice.share)

    def warp_from(self, index: int, keypoints: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Render the character as one picture of the set alone shows it, whatever fits better.

        Shapes:
            keypoints: (478, 3) float32, portrait space. returns: (R, R, 4) uint8, straight alpha.
        Raises:
            SourceSetEmpty, InferenceFailed: as `warp`.
        """
        one = np.zeros(1, np.float32)
        return self._animate(self.prepared, FrameInputs(keypoints, np.array([index], np.int64), one, one))

    def _animate(self, current: PreparedSourceSet, inputs: FrameInputs) -> NDArray[np.uint8]:
        portrait = self._runner.animate(current.encoded, inputs)
        self._last = inputs
        if not np.isfinite(portrait.sum()):  # would pass for a transparent picture below
            raise InferenceFailed(
                f"The engine returned undefined pixels for pictures {inputs.pick.tolist()} of '{current.name}'.",
                hint="Please report this with the output of: bunraku doctor --json",
            )
        return np.asarray(cv2.convertScaleAbs(cv2.merge(list(portrait)), alpha=127.5, beta=127.5), np.uint8)

    def source_shares(self) -> NDArray[np.float32]:
        """Return which picture each pixel of the last frame came from; see `engine.warp.heat`.

        Shapes:
            returns: (R, R, N) float32 in the set's order, sums to 1 over N.
        Cost: one more frame; the first call for a set encodes it once more.
        Raises:
            SourceSetEmpty: no frame was warped since the set was chosen.
            InvalidSetting: the model repaints pixels, which then come from no picture.
        """
        current, inputs = self._current, self._last
        if current is None or inputs is None:
            raise SourceSetEmpty("No frame has been drawn yet.", hint="Ask after the first frame.")
        if self.repaints:
            what = f"The heat map shows where pixels come from; {self._runner.manifest.name} repaints them."
            raise InvalidSetting(what, hint="Use the model lite for it.", name="model")
        values = paint_values(current.encoded.count)
        if self._painted is None or self._painted[0] is not current:
            side = self.side_px
            flat = np.ascontiguousarray(np.broadcast_to(values[:, None, None, None], (len(values), 4, side, side)))
            self._painted = current, self._runner.encode(flat, current.keypoints)
        painted = self._runner.animate(self._painted[1], inputs)
        return shares_from(painted[0], inputs.pick, values)

    def reset(self) -> None:
        """Forget temporal state: after a seek, a loss of tracking or a change of driver."""
        if self._current is not None:
            self._current.selector.reset()

    def close(self) -> None:
        """Free the model."""
        self._current = self._last = self._painted = None
        self._runner.close()

    def __enter__(self) -> Warper:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()
