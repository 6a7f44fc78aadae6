# SPDX-License-Identifier: Apache-2.0
"""Cross-identity regulariser: a character driven by somebody else, and back again, must be itself. Offline.

Reconstruction never shows the model a driver who is not the character, so nothing keeps it from drawing the driver's
face shape. Here sample i is driven by the change of sample i + 1's face; what comes out is then the only source
picture, driven back to where the character was, and compared with the picture it came from. Only keypoints of the
driver ever enter, so whatever of the driver were drawn on the way would be an error at the end.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.assets import load_canonical_face
from engine.headpose import affine_solver
from engine.models.implicit_warp import ImplicitWarp
from engine.training.batch import Batch
from engine.training.layers import over
from engine.training.losses import face_weight, laplacian_loss

__all__ = ["round_trip_loss", "transfer_motion"]


def transfer_motion(driving: Tensor, rest: Tensor, character: Tensor) -> Tensor:
    """Return the character's keypoints moved as the driver's went from `rest` to `driving`.

    Expression is added in the head's own axes, the pose is turned from the character's by the same amount, and
    shifts are scaled by the sizes of the heads; what `engine.track.retarget` does, without its gains and filters.

    Shapes:
        all (B, P, 3), portrait space.
    """
    face = torch.from_numpy(load_canonical_face().copy()).to(driving)
    solver = torch.from_numpy(affine_solver().copy()).to(driving)
    now, before, own = (_Head(points, face, solver) for points in (driving, rest, character))
    turn = torch.linalg.solve(before.axes, now.axes)  # rows are axes: own @ before⁻¹ @ now
    axes = own.axes @ turn
    origin = own.origin + (now.origin - before.origin) * (own.scale / before.scale)
    deform = own.deform + now.deform - before.deform
    return (face + deform) @ (axes * own.scale) + origin


class _Head:
    """Affine pose and what it leaves over, in canonical units; see `engine.headpose.describe_head`."""

    def __init__(self, points: Tensor, face: Tensor, solver: Tensor) -> None:
        affine = solver @ points.float()
        self.scale = affine[:, :2, :2].square().sum((1, 2)).mul(0.5).sqrt()[:, None, None]
        self.axes, self.origin = affine[:, :3] / self.scale, affine[:, 3:]
        self.deform = (points - (face @ affine[:, :3] + affine[:, 3:])) @ torch.linalg.inv(affine[:, :3])


def round_trip_loss(model: ImplicitWarp, batch: Batch) -> Tensor:
    """Return how far the first source pictures are from themselves after a way there and back, a scalar."""
    rest, character = batch.source_keypoints[:, 0], batch.source_keypoints[:, 0]
    moved = transfer_motion(batch.keypoints.roll(1, 0), rest.roll(1, 0), character)
    there, _ = model(batch.rgba[:, :1], batch.source_keypoints[:, :1], moved)
    back, _ = model(there[:, None], moved[:, None], character)
    output = over(back, batch.backdrop)
    return laplacian_loss(output, batch.rgb[:, 0], face_weight(character, side_px=output.shape[-1]))
