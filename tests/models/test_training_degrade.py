# SPDX-License-Identifier: Apache-2.0
"""Degraded source pictures: like a real JPEG, blurred and noisy as drawn, and never the driving frame."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from engine.training.degrade import Degradation, degrade

SIDE = 64


def picture(seed: int = 0) -> torch.Tensor:
    """A grey picture with edges, (1, 3, SIDE, SIDE)."""
    coarse = np.random.default_rng(seed).uniform(-0.9, 0.9, (9, 9)).astype(np.float32)
    grey = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).clip(-0.9, 0.9)
    grey[20:40, 24:50] *= -1
    return torch.from_numpy(np.repeat(grey[None, None], 3, 1))


def only(**changes: float) -> Degradation:
    none = {name: torch.zeros(1) for name in ("blur", "noise", "coarse")}
    return Degradation(**none, seed=torch.tensor([5]))._replace(
        **{name: torch.tensor([value]) for name, value in changes.items()}
    )


def rms(x: torch.Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_compression_is_that_of_a_jpeg_file() -> None:
    grey = (picture()[0, 0].numpy() * 127.5 + 128).round().astype(np.uint8)
    rgb = torch.from_numpy((grey.astype(np.float32) - 128) / 127.5).expand(1, 3, -1, -1)  # JPEG's zero is 128
    quality_50 = [int(cv2.IMWRITE_JPEG_QUALITY), 50]
    file = cv2.imdecode(cv2.imencode(".jpg", grey, quality_50)[1], cv2.IMREAD_GRAYSCALE)
    ours = (degrade(rgb, only(coarse=1.0))[0, 0].numpy() * 127.5 + 128).round()
    damage = np.abs(grey.astype(float) - file).mean()
    assert damage > 0.5
    assert np.abs(ours - file).mean() < 0.2 * damage


def test_blur_and_noise_are_as_strong_as_drawn() -> None:
    rgb = picture(1)
    edges = rgb.diff(dim=-1)
    blurred = [rms(degrade(rgb, only(blur=sigma)).diff(dim=-1)) for sigma in (0.3, 1.0)]
    assert rms(edges) > blurred[0] > blurred[1]
    noisy = degrade(0.5 * rgb, only(noise=0.02))
    assert abs(rms(noisy - 0.5 * rgb) - 0.02) < 0.002
    torch.testing.assert_close(noisy, degrade(0.5 * rgb, only(noise=0.02)), atol=0, rtol=0)


def test_nothing_drawn_changes_nothing_and_driving_frames_are_spared() -> None:
    rgb = picture(2)
    torch.testing.assert_close(degrade(rgb, only()), rgb, atol=0, rtol=0)
    drawn = Degradation.draw(3000, torch.Generator().manual_seed(1))
    spared = drawn.of_sources(3)
    for name in ("blur", "noise", "coarse"):
        before, after = getattr(drawn, name), getattr(spared, name)
        assert before[2::3].count_nonzero() > 50
        assert after[2::3].count_nonzero() == 0
        assert torch.equal(after[0::3], before[0::3])
        assert 0.1 < float((before > 0).float().mean()) < 0.2
