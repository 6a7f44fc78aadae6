# SPDX-License-Identifier: Apache-2.0
"""The correction hits its landmarks, closes lids with the upper one, and leaves the rest alone."""

from __future__ import annotations

import pytest
import torch

from engine.assets import load_canonical_face
from engine.landmarks import LEFT_LOWER_LID, LEFT_UPPER_LID
from engine.models.landmark_correction import CORRECTED, LandmarkCorrection

FACE = torch.from_numpy(load_canonical_face().copy()) * 0.28
SCALE = torch.tensor([0.28])
LIDS_ABOVE = torch.tensor([CORRECTED.index(p) for p in LEFT_UPPER_LID])


@pytest.fixture(scope="module")
def correction() -> LandmarkCorrection:
    return LandmarkCorrection(tokens=32)


def places(keypoints: torch.Tensor) -> torch.Tensor:
    return keypoints[list(CORRECTED), :2][None, None]


def sampled(flow: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Flow (1, 2, 64, 64) at points (Q, 2)."""
    out = torch.nn.functional.grid_sample(flow, at[None, None], align_corners=False, padding_mode="border")
    return out[0, :, 0].T


def test_nothing_is_missing_nothing_changes(correction: LandmarkCorrection) -> None:
    flow = correction(torch.zeros(1, 2, 32, 32), FACE[None], SCALE, places(FACE))
    assert flow.shape == (1, 2, 64, 64)
    assert flow.abs().max() < 1e-5


def test_a_shifted_source_is_hit(correction: LandmarkCorrection) -> None:
    shift = torch.tensor([0.03, -0.02])
    flow = correction(torch.zeros(1, 2, 32, 32), FACE[None], SCALE, places(FACE) + shift)
    lips = FACE[[61, 291, 0, 17], :2]
    # the prior keeps a little back where landmarks are sparse
    assert (sampled(flow, lips) - shift).norm(dim=-1).max() < 0.3 * shift.norm()
    corner = torch.tensor([[-0.9, -0.9], [0.9, 0.9]])
    assert sampled(flow, corner).abs().max() < 1e-4


def test_a_closing_eye_shows_the_upper_lid(correction: LandmarkCorrection) -> None:
    shut = FACE.clone()
    line = FACE[list(LEFT_LOWER_LID)]
    shut[list(LEFT_UPPER_LID)] = line  # the driving lids meet; the source's stay open
    flow = correction(torch.zeros(1, 2, 32, 32), shut[None], SCALE, places(FACE))
    middle = len(LEFT_UPPER_LID) // 2
    sent = line[middle, :2] + sampled(flow, line[middle : middle + 1, :2])[0]
    upper, lower = FACE[LEFT_UPPER_LID[middle], 1], FACE[LEFT_LOWER_LID[middle], 1]
    assert sent[1] < (upper + lower) / 2  # y down: nearer the open eye's upper lid


def test_each_source_is_corrected_for_itself(correction: LandmarkCorrection) -> None:
    both = torch.cat([places(FACE), places(FACE) + 0.05], 1)
    flow = correction(torch.zeros(2, 2, 32, 32), FACE[None], SCALE, both)
    assert flow[0].abs().max() < 1e-5
    assert flow[1].max() > 0.03
