# SPDX-License-Identifier: Apache-2.0
"""What the three models with learned keypoints look like from outside: detect, encode, animate.

`detect` turns any picture into a handful of numbers (its motion), `encode_sources` runs once per source set,
`animate` once per frame on the driving picture's motion; the driving pixels go no further than `detect`. Used by
training and export; the running app has the exported graphs.

Shapes: B batch, N sources, K keypoints, R picture side. Colours in [-1, 1], RGB, channels first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["LearnedMotion", "Motion", "Reconstruction"]

Motion = dict[str, Tensor]


class Reconstruction(NamedTuple):
    """output: (B, 3, R, R). driving: motion of the driving pictures, (B, …). sources: of the sources, (B, N, …)."""

    output: Tensor
    driving: Motion
    sources: Motion


class LearnedMotion(nn.Module, ABC):
    """A model that finds its own keypoints.

    name: as in manifests, checkpoints and on the command line. config: a frozen dataclass with `side_px`.
    """

    name: ClassVar[str]
    config: Any

    @property
    @abstractmethod
    def motion_shapes(self) -> dict[str, tuple[int, ...]]:
        """Tensors that describe the motion of one picture, name -> shape without batch, in graph order."""

    @abstractmethod
    def detect(self, rgb: Tensor) -> Motion:
        """Find the motion of pictures, (B, 3, R, R) -> (B, …) per tensor, float32."""

    @abstractmethod
    def encode_sources(self, rgb: Tensor, motion: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Encode source sets: rgb (B, N, 3, R, R), their motion (B, N, …) -> what `animate` needs of them.

        Every tensor starts with (B, N) unless a model says otherwise; names differ from the motion's.
        """

    @abstractmethod
    def animate(self, motion: Mapping[str, Tensor], cache: Mapping[str, Tensor]) -> Tensor:
        """Draw the character with a driving motion, (B, …) per tensor -> rgb (B, 3, R, R)."""

    def forward(self, rgb: Tensor, driving: Tensor) -> Reconstruction:
        """Rebuild driving pictures (B, 3, R, R) from sources rgb (B, N, 3, R, R), as training does.

        Sources and driving pictures go through the detector together: its batch norms must not tell them apart.
        """
        b, n = rgb.shape[:2]
        found = self.detect(torch.cat([driving, rgb.flatten(0, 1)]))
        ours = {name: tensor[:b] for name, tensor in found.items()}
        theirs = {name: tensor[b:].reshape(b, n, *tensor.shape[1:]) for name, tensor in found.items()}
        return Reconstruction(self.animate(ours, self.encode_sources(rgb, theirs)), ours, theirs)
