# SPDX-License-Identifier: Apache-2.0
"""Any model, driven frame by frame outside the renderer: what `eval`, its cross-identity form and `compare` share.

A model driven by landmarks gets the keypoints that are wanted of the character; one that finds keypoints of its own
gets the driving portrait, and with it the choice of `engine.warp.motion_transfer`: absolute for a person who drives
their own pictures, relative to a neutral portrait for anybody else. Any one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.baseline import COPY, CopyWarper, PortraitWarper
from engine.evaluation.scoring import alpha_over
from engine.runtime.manifest import IMPLICIT_WARP, load_manifest
from engine.sources.framing import SquareBox, cut_image
from engine.types import Query, SourceSet, WarpedPortrait
from engine.warp.base import NeedsPortrait, WarpsBeside

__all__ = ["Models", "Moment", "begin", "open_models", "show", "shown", "start", "title_of"]

_TITLES = {"fomm": "FOMM", "fv2v": "fv2v", "implicit_warp_paper": "Implicit Warping, as published"}


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One driving frame.

    keypoints: (478, 3) float32, portrait space, wanted of the character. portrait: (R, R, 3) uint8 RGB, the driver.
    """

    captured_ns: int
    keypoints: NDArray[np.float32]
    portrait: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """Open models by name, the copy baseline among them. engines: what computes each. titles: names for people."""

    warpers: Mapping[str, PortraitWarper]
    engines: Mapping[str, str]
    titles: Mapping[str, str]


@contextmanager
def open_models(names: Sequence[str], *, backend: str = "auto", baseline: bool = True) -> Iterator[Models]:
    """Open models of any kind, in the order given, each once.

    Raises:
        ModelFileMissing, ModelMismatch: no such model; every name is looked up before the first is loaded.
        BackendUnavailable: a model cannot run here.
    """
    from engine.warp import open_warper

    titles = {name: title_of(name) for name in names}
    with ExitStack() as stack:
        warpers: dict[str, PortraitWarper] = {COPY: CopyWarper()} if baseline else {}
        engines: dict[str, str] = {}
        for name in titles:
            warper = open_warper(model=name, backend=backend)
            stack.enter_context(closing(warper))
            warpers[name], engines[name] = warper, warper.description
        yield Models(warpers, engines, titles)


def title_of(model: str) -> str:
    """Return what a model is called in pictures; its own name stands behind where it is not that of its kind.

    Raises:
        ModelFileMissing, ModelMismatch: no such model.
    """
    kind = load_manifest(model).model
    if kind == IMPLICIT_WARP:
        return f"Implicit Warping ({model})"
    return _TITLES[kind] if model == kind else f"{_TITLES[kind]} ({model})"


def begin(warper: PortraitWarper, source_set: SourceSet, *, neutral: NDArray[np.uint8] | None) -> None:
    """Give a warper its pictures and no memory of earlier runs.

    Args:
        neutral: (R, R, 3) uint8, the driving portrait at rest, from which learned keypoints measure motion; None
            lets them copy positions.
    """
    warper.set_sources(source_set)
    warper.reset()
    if isinstance(warper, NeedsPortrait):
        warper.set_motion(0.0 if neutral is None else 1.0)
        warper.set_neutral(neutral)


def show(warper: PortraitWarper, moment: Moment, *, side_px: int) -> NDArray[np.uint8]:
    """Return the output for one driving frame over its own backdrop, (side, side, 3) uint8."""
    return _picture(warper.warp(_query(warper, moment)), side_px)


def start(warper: PortraitWarper, moment: Moment) -> None:
    """Begin what `show` does, where the warper can draw by itself; nothing otherwise. `shown` must follow."""
    if isinstance(warper, WarpsBeside):
        warper.start(_query(warper, moment))


def shown(warper: PortraitWarper, moment: Moment, *, side_px: int) -> NDArray[np.uint8]:
    """Return the output for the driving frame that was begun, as `show` does."""
    if isinstance(warper, WarpsBeside):
        return _picture(warper.finish(), side_px)
    return show(warper, moment, side_px=side_px)


def _query(warper: PortraitWarper, moment: Moment) -> Query:
    portrait = moment.portrait if isinstance(warper, NeedsPortrait) else None
    return Query(moment.captured_ns, moment.keypoints.copy(), portrait)


def _picture(portrait: WarpedPortrait, side_px: int) -> NDArray[np.uint8]:
    output = alpha_over(portrait)
    if output.shape[0] == side_px:
        return output
    return cut_image(output, SquareBox(0, 0, output.shape[0]), side_px=side_px)  # judged at the clip's size
