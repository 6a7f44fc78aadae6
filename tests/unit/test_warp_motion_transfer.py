# SPDX-License-Identifier: Apache-2.0
"""Learned keypoints from performer to character: identities, hand-made cases, blends."""

from __future__ import annotations

import numpy as np
import pytest

from engine.geometry import rotation_from_angles, rotvec_from_rotation
from engine.runtime.manifest import LEARNED_MOTION
from engine.warp.motion_transfer import transfer_motion

K = 10


def motion(kind: str, seed: int) -> dict[str, np.ndarray]:
    """Return a plausible random motion."""
    random = np.random.default_rng(seed)
    angles = random.uniform(-0.5, 0.5, 3)
    parts = {
        "position": random.uniform(-0.6, 0.6, (K, 2)),
        "jacobian": np.eye(2) + random.normal(0, 0.2, (K, 2, 2)),
        "canonical": random.uniform(-0.6, 0.6, (K, 3)),
        "rotation": rotation_from_angles(yaw_rad=angles[0], pitch_rad=angles[1], roll_rad=angles[2]),
        "translation": random.normal(0, 0.2, 3),
        "expression": random.normal(0, 0.05, (K, 3)),
        "strength": random.uniform(0.2, 0.8, K),
    }
    return {name: parts[name].astype(np.float32) for name in LEARNED_MOTION[kind]}


def transfer(kind: str, share: float, **changed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    parts = {"source": motion(kind, 1), "driving": motion(kind, 2), "neutral": motion(kind, 3), **changed}
    return transfer_motion(kind, share=share, **parts)


def assert_same(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(actual) == set(expected)
    for name, value in expected.items():
        assert actual[name].dtype == np.float32
        np.testing.assert_allclose(actual[name], value, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("kind", LEARNED_MOTION)
def test_a_performer_at_rest_leaves_the_character_as_it_is(kind: str) -> None:
    rest = motion(kind, 3)
    assert_same(transfer(kind, 1.0, driving=rest, neutral=rest), motion(kind, 1))


@pytest.mark.parametrize("kind", LEARNED_MOTION)
def test_absolute_motion_is_the_performers_own(kind: str) -> None:
    expected = motion(kind, 2)
    if kind == "fv2v":  # whose head it is comes from the source in both modes
        expected["canonical"] = motion(kind, 1)["canonical"]
    assert_same(transfer(kind, 0.0), expected)


@pytest.mark.parametrize("kind", LEARNED_MOTION)
def test_someone_who_drives_their_own_neutral_picture_gets_the_same_both_ways(kind: str) -> None:
    rest = motion(kind, 1)
    relative = transfer(kind, 1.0, neutral=rest)
    assert_same(relative, transfer(kind, 0.0, neutral=rest))
    assert_same(transfer(kind, 0.4, neutral=rest), relative)


def test_fomm_by_hand() -> None:
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float32)
    turn, double, squash = (np.array(m, np.float32) for m in ([[0, -1], [1, 0]], [[2, 0], [0, 2]], [[1, 0], [0, 4]]))
    eye = np.eye(2, dtype=np.float32)

    def posed(points: np.ndarray, jacobian: np.ndarray) -> dict[str, np.ndarray]:
        return {"position": points.astype(np.float32), "jacobian": np.tile(jacobian, (4, 1, 1))}

    moved = transfer_motion(
        "fomm",
        source=posed(0.5 * square, squash),
        neutral=posed(0.25 * square, double),
        driving=posed(0.25 * square + [0.1, -0.2], double @ turn),
        share=1.0,
    )
    # The character's face is twice as large (area 1 against 0.25): it moves twice as far.
    np.testing.assert_allclose(moved["position"], 0.5 * square + [0.2, -0.4], atol=1e-6)
    # J' = J_d J_0^-1 J_s = (2 turn)(1/2) squash
    np.testing.assert_allclose(moved["jacobian"], np.tile(turn @ squash, (4, 1, 1)), atol=1e-6)
    on_a_line = posed(np.stack([np.linspace(-1, 1, 4), np.zeros(4)], 1), eye)
    still_moves = transfer_motion("fomm", source=on_a_line, neutral=on_a_line, driving=posed(square, eye), share=1.0)
    np.testing.assert_allclose(still_moves["position"], square, atol=1e-6)


def test_a_flat_neutral_jacobian_does_not_explode() -> None:
    flat = motion("fomm", 3)
    flat["jacobian"][0] = 0
    assert np.isfinite(transfer("fomm", 1.0, neutral=flat)["jacobian"]).all()


def test_fv2v_by_hand() -> None:
    def posed(yaw: float, x: float, smile: float, size: float) -> dict[str, np.ndarray]:
        return {
            "canonical": np.full((K, 3), size, np.float32),
            "rotation": rotation_from_angles(yaw_rad=yaw).astype(np.float32),
            "translation": np.array([x, 0, 0], np.float32),
            "expression": np.full((K, 3), smile, np.float32),
        }

    source, neutral, driving = posed(0.1, 0.5, 0.01, 0.3), posed(-0.2, 0.1, 0.03, 0.9), posed(0.2, 0.4, 0.08, 0.9)
    moved = transfer_motion("fv2v", source=source, neutral=neutral, driving=driving, share=1.0)
    assert_same(moved, posed(0.1 + 0.4, 0.5 + 0.3, 0.01 + 0.05, 0.3))
    half = transfer_motion("fv2v", source=source, neutral=neutral, driving=driving, share=0.5)
    assert_same(half, posed((0.2 + 0.5) / 2, (0.4 + 0.8) / 2, (0.08 + 0.06) / 2, 0.3))


def test_blended_rotations_stay_rotations() -> None:
    for share in np.linspace(0, 1, 7):
        rotation = transfer("fv2v", float(share))["rotation"].astype(np.float64)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    ends = [transfer("fv2v", share)["rotation"].astype(np.float64) for share in (0.0, 0.25, 1.0)]
    whole, part = (np.linalg.norm(rotvec_from_rotation(ends[0].T @ end)) for end in (ends[2], ends[1]))
    assert part == pytest.approx(whole / 4, rel=1e-4)


def test_strengths_stay_between_nothing_and_all() -> None:
    weak, strong = motion("implicit_warp_paper", 1), motion("implicit_warp_paper", 2)
    weak["strength"][:], strong["strength"][:] = 0.1, 0.9
    up = transfer("implicit_warp_paper", 1.0, source=strong, neutral=weak, driving=strong)
    down = transfer("implicit_warp_paper", 1.0, source=weak, neutral=strong, driving=weak)
    np.testing.assert_array_equal(up["strength"], 1)
    np.testing.assert_array_equal(down["strength"], 0)
    strong["strength"][:], weak["strength"][:] = 0.5, 0.4
    moved = transfer("implicit_warp_paper", 1.0, source=weak, neutral=weak, driving=strong)
    np.testing.assert_allclose(moved["strength"], 0.5, atol=1e-6)
