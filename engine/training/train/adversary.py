# SPDX-License-Identifier: Apache-2.0
"""The adversary: a patch discriminator at two scales that learns to tell outputs from truths beside the model.

Its features also stand in for a pretrained perceptual network: outputs shall cause the same ones as truths do.

Source:
    Wang et al. 2018, "High-Resolution Image Synthesis … with Conditional GANs", arXiv 1711.11585, §3.2 (scales,
    feature matching); Miyato et al. 2018, arXiv 1802.05957 (spectral norm); hinge loss after Lim, Ye 2017,
    arXiv 1705.02894.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from engine.training.train.device import lay_out

__all__ = ["Adversary", "Discriminator", "Verdict"]

_RATE, _BETAS = 2e-4, (0.0, 0.99)
_HINGE, _FEATURES = 0.02, 0.5  # weights beside the task's own losses
_SLOPE = 0.2


class Verdict(NamedTuple):
    """logits: per scale (B, 1, h, w), high for real. features: per scale and layer (B, C, h, w)."""

    logits: list[Tensor]
    features: list[Tensor]


class _Patches(nn.Module):
    """Judges overlapping patches of a picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        outs = ((width, 2), (2 * width, 2), (4 * width, 2), (4 * width, 1))
        ins = (3, *(channels for channels, _ in outs[:-1]))
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(i, o, 4, stride, 1)) for i, (o, stride) in zip(ins, outs, strict=True)
        )
        self.last = spectral_norm(nn.Conv2d(outs[-1][0], 1, 4, 1, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), _SLOPE)
            features.append(x)
        return self.last(x), features


class Discriminator(nn.Module):
    """Judges pictures (B, 3, R, R) in [-1, 1], R at least 64, as they are and at half their size."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList([_Patches(width), _Patches(width)])

    def forward(self, pictures: Tensor) -> Verdict:
        """Return the verdict on every patch."""
        logits, features = [], []
        for scale in self.scales:
            logit, found = scale(pictures)
            logits.append(logit.float())
            features.extend(f.float() for f in found)
            pictures = F.avg_pool2d(pictures, 2)
        return Verdict(logits, features)


class Adversary:
    """Discriminator, its optimiser, and both sides' losses.

    Args:
        width: channels of the first layer.
    """

    def __init__(self, device: torch.device, *, width: int = 48) -> None:
        self.net = Discriminator(width).to(device)
        lay_out(self.net)
        self.optimizer = torch.optim.Adam(self.net.parameters(), _RATE, betas=_BETAS)

    def losses(self, output: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Return what the model is to lower, weighted; no gradient reaches the discriminator.

        Shapes:
            output, truth: (B, 3, R, R).
        """
        self.net.eval().requires_grad_(False)  # in eval its spectral norms stay as they are
        with torch.no_grad():
            real = self.net(truth)
        made = self.net(output)
        gaps = [F.l1_loss(a, b) for a, b in zip(made.features, real.features, strict=True)]
        return {
            "hinge": _HINGE * torch.stack([-logit.mean() for logit in made.logits]).sum(),
            "features": _FEATURES * torch.stack(gaps).mean(),
        }

    def own_loss(self, output: Tensor, truth: Tensor) -> Tensor:
        """Return what the discriminator is to lower, a scalar; no gradient reaches the model.

        Shapes:
            output, truth: (B, 3, R, R).
        """
        self.net.train().requires_grad_(True)
        verdict = self.net(torch.cat([truth, output.detach().to(truth)]))  # one pass: one turn of the spectral norms
        halves = [logit.chunk(2) for logit in verdict.logits]
        return torch.stack([F.relu(1 - real).mean() + F.relu(1 + made).mean() for real, made in halves]).sum()
