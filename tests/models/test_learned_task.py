# SPDX-License-Identifier: Apache-2.0
"""Losses of the learned-keypoint models: what they vanish for, and that a step on one batch lowers them."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from engine.assets import load_canonical_face
from engine.errors import InvalidSetting
from engine.models.layers import pixel_grid
from engine.training.batch import Batch
from engine.training.smooth_warp import draw_keypoint_warp
from engine.training.tasks import make_task
from engine.training.tasks.learned import LearnedTask, keypoint_prior, landmark_rotation

SIDE = 64
COMMON = {"side_px": SIDE, "motion_px": 16, "detector_levels": 2, "blocks": 1}
OPTIONS: dict[str, dict[str, object]] = {
    "fomm": {**COMMON, "motion_levels": 2, "width": 16},
    "fv2v": {
        **COMMON, "keypoints": 4, "detector_rises": 1, "pose_px": 32, "pose_width": 8, "pose_blocks": [0, 1],
        "appearance_width": 16, "depth": 4, "volume": 4, "flow_px": 8, "flow_depth": 2, "flow_width": 4,
        "flow_levels": 1, "compressed": 2, "width": 16,
    },
    "implicit_warp_paper": {
        **COMMON, "keypoints": 4, "map_px": 16, "map_levels": 2, "learned": 16, "value": 32, "extra": 4,
    },
}  # fmt: skip
TERMS = {
    "fomm": {"pixels", "structure", "keypoints", "jacobians"},
    "fv2v": {"pixels", "structure", "keypoints", "prior", "pose", "deformation"},
    "implicit_warp_paper": {"pixels", "structure", "keypoints"},
}


def turned(yaw: float) -> torch.Tensor:
    """The canonical face turned about the vertical axis, (478, 3)."""
    c, s = math.cos(yaw), math.sin(yaw)
    turn = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    return torch.from_numpy(load_canonical_face().copy()) * 0.3 @ turn.T


def one_batch(size: int = 2, sources: int = 2) -> Batch:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(size, 3, 8, 8, generator=generator) * 2 - 1
    still = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic").clamp(-1, 1)
    rgb = torch.stack([still.roll(4 * (n + 1), -1) for n in range(sources)], 1)
    faces = torch.stack([turned(0.1 * n) for n in range(size)])
    return Batch(
        rgb=rgb,
        rgba=torch.cat([rgb, torch.ones_like(rgb[:, :, :1])], 2),
        source_keypoints=faces[:, None].expand(-1, sources, -1, -1).contiguous(),
        truth=still,
        keypoints=faces,
        backdrop=torch.zeros_like(still),
    )


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", list(OPTIONS))
def test_learning_lowers_the_loss_of_one_batch(name: str) -> None:
    torch.manual_seed(0)
    task = make_task(name, options=OPTIONS[name]).train()
    assert isinstance(task, LearnedTask)
    batch = one_batch()
    groups = [{"params": group["params"], "lr": 2e-3 * group["rate"]} for group in task.rates()]  # type: ignore[operator]
    optimizer = torch.optim.AdamW(groups)
    history = []
    for _ in range(25):
        outcome = task(batch)
        assert set(outcome.losses) == TERMS[name]
        loss = torch.stack(list(outcome.losses.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(float(loss.detach()))
    assert sum(history[-5:]) < 0.9 * sum(history[:5])


@pytest.mark.parametrize("name", list(OPTIONS))
def test_half_precision_gives_finite_losses(name: str) -> None:
    torch.manual_seed(0)
    task = make_task(name, options=OPTIONS[name]).train()
    batch = one_batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outcome = task(batch)
    loss = torch.stack(list(outcome.losses.values())).sum()
    loss.backward()
    assert outcome.output.dtype == torch.float32
    assert all(p.grad is None or p.grad.isfinite().all() for p in task.parameters())


@pytest.mark.parametrize("name", list(OPTIONS))
def test_the_same_random_state_gives_the_same_losses(name: str) -> None:
    task = make_task(name, options=OPTIONS[name]).train()
    runs = []
    for _ in range(2):
        torch.manual_seed(4)
        runs.append({key: float(value.detach()) for key, value in task(one_batch()).losses.items()})
    assert runs[0] == runs[1]


def test_descriptions_tell_sizes_apart() -> None:
    a, b = (make_task("fomm", options={**OPTIONS["fomm"], "width": width}) for width in (16, 32))
    assert a.describe() != b.describe()
    assert a.describe()["model"] == "fomm"


@pytest.mark.parametrize(("size", "options"), [("huge", {}), ("", {"colour": 3})])
def test_unknown_sizes_and_options_are_refused(size: str, options: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting):
        make_task("fomm", size=size, options=options)


def test_keypoint_warp_knows_its_derivative() -> None:
    torch.manual_seed(2)
    warp = draw_keypoint_warp(3, torch.device("cpu"))
    at = torch.rand(3, 5, 2) * 1.6 - 0.8
    step = 1e-2 * torch.eye(2)
    sides = [(warp.points(at + s) - warp.points(at - s)) / 2e-2 for s in step]
    assert torch.allclose(torch.stack(sides, -1), warp.jacobian(at), atol=2e-3)


def test_keypoint_warp_moves_picture_and_points_alike() -> None:
    """A blob in the warped picture lies where its warped position is the blob's in the original."""
    torch.manual_seed(3)
    warp = draw_keypoint_warp(1, torch.device("cpu"))
    grid = pixel_grid(128)

    def blob(at: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(grid - at).square().sum(-1) / 0.002)

    def centre(picture: torch.Tensor) -> torch.Tensor:
        weight = picture.flatten()[:, None]
        return (weight * grid).sum(0) / weight.sum()

    truth = torch.tensor([0.2, -0.3])
    moved = warp.picture(blob(truth).reshape(1, 1, 128, 128))
    assert torch.allclose(warp.points(centre(moved)[None, None])[0, 0], truth, atol=0.01)


def test_landmark_rotation_is_the_heads() -> None:
    for yaw in (-0.6, 0.0, 0.4):
        rotation = landmark_rotation(turned(yaw)[None])[0]
        assert rotation[0, 2] == pytest.approx(math.sin(yaw), abs=1e-3)
        assert torch.linalg.det(rotation) == pytest.approx(1.0, abs=1e-4)


def test_keypoint_prior_is_zero_for_points_apart_at_the_right_depth() -> None:
    apart = torch.tensor([[[-0.5, 0.0, 0.33], [0.5, 0.0, 0.33], [0.0, 0.8, 0.33]]])
    assert keypoint_prior(apart) == pytest.approx(0.0, abs=1e-6)
    assert keypoint_prior(apart * 0.1) > 0.5
