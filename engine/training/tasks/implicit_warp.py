# SPDX-License-Identifier: Apache-2.0
"""What implicit warping with landmarks learns from a batch. Offline.

The pictures of a frame are chosen by the running app's own rule (`engine.warp.selection`), so that the network sees
in training what it will see in use: one or two pictures, the second faded in on the face alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from engine.assets import asset_path
from engine.errors import InvalidSetting
from engine.headpose import describe_head
from engine.models.config import SIZES, WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.training.batch import Batch
from engine.training.cross import round_trip_loss
from engine.training.layers import over
from engine.training.losses import face_weight, laplacian_loss, ssim_loss, texture_loss
from engine.training.task import Outcome, Task
from engine.warp.selection import SelectionSettings, SourceSelector

__all__ = ["ImplicitWarpTask", "Picks", "choose_sources", "load_geometry"]

_WARPED, _STRUCTURE, _TEXTURE, _CROSS = 0.3, 0.5, 4.0, 0.2
_CROSS_EVERY = 8  # a way there and back costs two steps; one in so many makes it


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Picks:
    """Chosen pictures of each sample. pick: (B, K) int64. log_stage, log_face: (B, K)."""

    pick: Tensor
    log_stage: Tensor
    log_face: Tensor


def choose_sources(batch: Batch, settings: SelectionSettings) -> Picks:
    """Choose the pictures of every sample as the running app does for a first frame; K is 1 or 2."""
    sources = batch.source_keypoints.detach().float().cpu().numpy()
    driving = batch.keypoints.detach().float().cpu().numpy()
    choices = [
        SourceSelector([describe_head(k) for k in heads], settings).choose(describe_head(head), 0)
        for heads, head in zip(sources, driving, strict=True)
    ]
    device = batch.keypoints.device
    pick, stage, face = (
        torch.from_numpy(np.stack([getattr(choice, name) for choice in choices])).to(device)
        for name in ("pick", "log_stage", "log_face")
    )
    return Picks(pick, stage, face)


def load_geometry(model: ImplicitWarp, weights: Path) -> None:
    """Take the tuned geometric numbers of another implicit-warp model of the same kind."""
    known = load_file(str(weights))
    with torch.no_grad():
        for name, parameter in model.geometric_parameters().items():
            parameter.copy_(known[name])


class ImplicitWarpTask(Task):
    """Implicit warping, its choice of pictures and its losses.

    Args:
        tuned: keep the geometric numbers as they are: they were tuned on their own (`tune_field`), and without the
            gradient through them a step takes a third of the time.
    """

    model: ImplicitWarp

    def __init__(self, model: ImplicitWarp, *, size: str = "", tuned: bool = True) -> None:
        super().__init__()
        self.model, self.size = model, size
        model.freeze_geometry(tuned and model.config.geometry)

    @classmethod
    def make(cls, size: str, options: Mapping[str, object]) -> ImplicitWarpTask:
        """Make an untrained model of a named size with the shipped geometry.

        Raises:
            InvalidSetting: no such size, or no such option.
        """
        trainable = [name for name, config in SIZES.items() if config.decoder]
        if size not in trainable:
            raise InvalidSetting(f"There is no size '{size}' to train.", hint=f"Choose one of: {', '.join(trainable)}.")
        try:
            config: WarpModelConfig = dataclasses.replace(SIZES[size], **options)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            names = ", ".join(f.name for f in dataclasses.fields(WarpModelConfig))
            raise InvalidSetting(f"The model cannot be made: {error}.", hint=f"Options: {names}.") from error
        model = ImplicitWarp(config)
        if config.geometry:
            load_geometry(model, asset_path("models", "lite", "weights.safetensors"))
        return cls(model, size=size)

    def describe(self) -> dict[str, object]:
        """Return name and config."""
        return {"model": "implicit_warp", "config": dataclasses.asdict(self.model.config)}

    def forward(self, batch: Batch) -> Outcome:
        """Rebuild the driving frames from the pictures the app would choose."""
        attention = self.model.attention
        settings = SelectionSettings(
            face_pose=float(attention.pose_gain.detach()) ** 2,
            expression=float(attention.expression_gain.detach()) ** 2,
        )
        picks = choose_sources(batch, settings)
        rows = torch.arange(len(picks.pick), device=picks.pick.device)[:, None]
        # Only what is chosen is encoded: the encoder is the dearest part of a step.
        cache = self.model.encode_sources(batch.rgba[rows, picks.pick], batch.source_keypoints[rows, picks.pick])
        rgba, pixels = self.model.animate(batch.keypoints, cache, log_stage=picks.log_stage, log_face=picks.log_face)
        output, warped = over(rgba, batch.backdrop), over(pixels, batch.backdrop)
        weight = face_weight(batch.keypoints, side_px=output.shape[-1])
        losses = {
            "pixels": laplacian_loss(output, batch.truth, weight),
            "structure": _STRUCTURE * ssim_loss(output, batch.truth),
            "texture": _TEXTURE * texture_loss(output, batch.truth),
        }
        if self.model.config.fine:
            losses["warped"] = _WARPED * laplacian_loss(warped, batch.truth, weight)
        # Drawn from the step's own random state: all processes make the round trip in the same steps.
        if self.training and len(batch.rgb) > 1 and int(torch.randint(_CROSS_EVERY, ())) == 0:
            losses["cross"] = _CROSS * round_trip_loss(self.model, batch)
        return Outcome(output, losses)
