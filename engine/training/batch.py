# SPDX-License-Identifier: Apache-2.0
"""The one value that passes from data to models in training: B reconstructions of N source pictures each. Offline.

Shapes: B batch, N sources, P landmarks, R picture side. Colours and alpha in [-1, 1], channels first; keypoints in
portrait space ([-1, 1], x right, y down).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

__all__ = ["Batch"]


class Batch(NamedTuple):
    """Everything any of the models learns from; each takes what it needs.

    rgb: (B, N, 3, R, R) source pictures as they are. rgba: (B, N, 4, R, R) the person in them, colours continued past
    the silhouette, and its matte. source_keypoints: (B, N, P, 3). truth: (B, 3, R, R) the driving frame, which is to
    be reproduced. keypoints: (B, P, 3) of it. backdrop: (B, 3, R, R) what the sources show behind the person, as the
    running app completes it.
    """

    rgb: Tensor
    rgba: Tensor
    source_keypoints: Tensor
    truth: Tensor
    keypoints: Tensor
    backdrop: Tensor
