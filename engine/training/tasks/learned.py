# SPDX-License-Identifier: Apache-2.0
"""What the three learned-keypoint models learn from a batch: pictures, and keypoints without labels. Offline.

The papers weigh everything against a perceptual loss on VGG-19 features of weight 10. We have no pretrained network:
a Laplacian pyramid with the weight on the face and structural similarity stand in for it at weight 1, and the
keypoint terms keep the papers' weights among each other, all divided by ten like it. Adversary and feature matching
are the trainer's. The cross-identity term of our own model (`engine.training.cross`) is left out on purpose: none of
the papers has one, and these models stand for the papers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.errors import InvalidSetting
from engine.headpose import affine_solver
from engine.models.fomm import inverse_2x2
from engine.models.fv2v import Fv2v, posed_keypoints
from engine.models.learned_motion import LearnedMotion, Motion, Reconstruction
from engine.models.registry import MODELS
from engine.training.batch import Batch
from engine.training.losses import face_weight, laplacian_loss, ssim_loss
from engine.training.smooth_warp import draw_keypoint_warp
from engine.training.task import Outcome, Task

__all__ = ["LearnedTask", "keypoint_prior", "landmark_rotation"]

_SIZE = "small"
_STRUCTURE = 0.5
_EQUIVARIANCE, _JACOBIAN = 1.0, 1.0  # FOMM: 10 and 10; implicit warping: as FOMM
_SPATIAL = 2.0  # fv2v: 20, equivariance
_PRIOR, _DEFORMATION = 1.0, 0.5  # fv2v: 10 and 5
_POSE = 2.0  # fv2v: 20, on degrees; here on the matrices' entries, and no other term leans on it
_LEAST_SQUARED, _DEPTH = 0.1, 0.33  # of the keypoint prior (fv2v §3.3)


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
        }
        if isinstance(self.model, Fv2v):
            losses |= self._learn_pose(batch, made)
        else:
            losses |= self._equivariance(batch.truth, made.driving)
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

    def _learn_pose(self, batch: Batch, made: Reconstruction) -> dict[str, Tensor]:
        """fv2v's terms: equivariance in the picture plane, keypoint prior, head pose, small expressions."""
        assert isinstance(self.model, Fv2v)
        first = made.sources["canonical"][:, 0]
        driving = made.driving
        warp = draw_keypoint_warp(len(first), first.device)
        again = self.model.detect(warp.picture(batch.truth))
        with torch.autocast(first.device.type, enabled=False):
            here, there = (
                posed_keypoints(first, m["rotation"], m["translation"], m["expression"]) for m in (driving, again)
            )
            moved = warp.points(there[..., :2])
            heads = torch.cat([batch.keypoints[:, None], batch.source_keypoints], 1).flatten(0, 1)
            turned = torch.cat([driving["rotation"][:, None], made.sources["rotation"]], 1).flatten(0, 1)
            return {
                "keypoints": _SPATIAL * (here[..., :2] - moved).abs().mean(),
                "prior": _PRIOR * keypoint_prior(here),
                "pose": _POSE * (turned - landmark_rotation(heads)).abs().mean(),
                "deformation": _DEFORMATION * driving["expression"].abs().mean(),
            }


def keypoint_prior(position: Tensor) -> Tensor:
    """Keep keypoints (B, K, 3) apart and before the middle of the volume, a scalar (fv2v, keypoint prior loss)."""
    gap = (position[:, :, None] - position[:, None]).square().sum(-1)  # (B, K, K)
    crowd = (_LEAST_SQUARED - gap).clamp_min(0).sum((1, 2)) - _LEAST_SQUARED * position.shape[1]  # not from itself
    return (crowd + (position[..., 2].mean(1) - _DEPTH).abs()).mean()


def landmark_rotation(keypoints: Tensor) -> Tensor:
    """Return the head's rotation by tracked landmarks (B, P, 3), as column-vector matrices (B, 3, 3).

    The polar factor of the landmarks' affine map from the canonical face: the rotation nearest to it.
    """
    keypoints = keypoints.float()
    solver = torch.from_numpy(affine_solver().copy()).to(keypoints)
    linear = (solver @ keypoints)[:, :3].transpose(1, 2)
    u, _, v = torch.linalg.svd(linear)
    return u @ v
