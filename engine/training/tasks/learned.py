# SPDX-License-Identifier: Apache-2.0
"""What the three learned-keypoint models learn from a batch: pictures, and keypoints without labels. Offline.

The papers weigh everything against a perceptual loss on VGG-19 features of weight 10. We have no pretrained network:
a Laplacian pyramid with the weight on the face and structural similarity stand in for it at weight 1, and the
keypoint terms keep the papers' weights among each other, all divided by ten like it. Adversary and feature matching
are the trainer's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import InvalidSetting
from engine.models.fomm import inverse_2x2
from engine.models.learned_motion import LearnedMotion, Motion
from engine.models.registry import MODELS
from engine.training.batch import Batch
from engine.training.losses import face_weight, laplacian_loss, ssim_loss
from engine.training.smooth_warp import draw_keypoint_warp
from engine.training.task import Outcome, Task

__all__ = ["LearnedTask"]

_SIZE = "small"
_STRUCTURE = 0.5
_EQUIVARIANCE, _JACOBIAN = 1.0, 1.0  # FOMM: 10 and 10, implicit warping: as FOMM


class LearnedTask(Task):
    """A learned-keypoint model and its losses."""

    model: LearnedMotion

    def __init__(self, model: LearnedMotion) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def make(cls, model: str, size: str, options: Mapping[str, object]) -> LearnedTask:
        """Make an untrained model of a named size.

        Raises:
            InvalidSetting: no such size, or no such option.
        """
        kind = MODELS[model]
        size = size or _SIZE
        if size not in kind.sizes:
            known = ", ".join(kind.sizes)
            raise InvalidSetting(f"There is no size '{size}' of {model}.", hint=f"Choose one of: {known}.")
        try:
            config = dataclasses.replace(kind.sizes[size], **options)
            made = kind.model(config)
        except (TypeError, ValueError) as error:
            names = ", ".join(field.name for field in dataclasses.fields(kind.config))
            raise InvalidSetting(f"The model cannot be made: {error}.", hint=f"Options: {names}.") from error
        return cls(made)  # type: ignore[arg-type]

    def describe(self) -> dict[str, object]:
        """Return name and config."""
        return {"model": self.model.name, "config": dataclasses.asdict(self.model.config)}

    def forward(self, batch: Batch) -> Outcome:
        """Rebuild the driving frames from the whole source pictures, backgrounds and all."""
        made = self.model(batch.rgb, batch.truth)
        weight = face_weight(batch.keypoints, side_px=made.output.shape[-1])
        losses = {
            "pixels": laplacian_loss(made.output, batch.truth, weight),
            "structure": _STRUCTURE * ssim_loss(made.output, batch.truth),
            **self._equivariance(batch.truth, made.driving),
        }
        return Outcome(made.output, losses)

    def _equivariance(self, rgb: Tensor, found: Motion) -> dict[str, Tensor]:
        """Keypoints move with the picture: |p − T(p')| and |1 − J⁻¹ T'(p') J'| for the warped picture's p', J'."""
        warp = draw_keypoint_warp(len(rgb), rgb.device)
        again = self.model.detect(warp.picture(rgb))
        with torch.autocast(rgb.device.type, enabled=False):
            there = again["position"]
            losses = {"keypoints": _EQUIVARIANCE * (found["position"] - warp.points(there)).abs().mean()}
            if "jacobian" in found:
                product = inverse_2x2(found["jacobian"]) @ warp.jacobian(there) @ again["jacobian"]
                losses["jacobians"] = _JACOBIAN * (torch.eye(2, device=rgb.device) - product).abs().mean()
        return losses
