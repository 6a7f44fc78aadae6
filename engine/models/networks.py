# SPDX-License-Identifier: Apache-2.0
"""The learned parts around the attention: appearance encoder, query and key encoders, decoder.

All of them start as bystanders: an untrained model returns the warped pixels untouched, so training can only be
judged against that, never be needed for a picture.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.config import WarpModelConfig
from engine.models.landmark_field import FIELD_MAPS
from engine.models.layers import ConvBlock, ResBlock

__all__ = ["AppearanceEncoder", "KeypointEncoder", "PortraitDecoder"]

_TRUST_PIXELS = 6.0  # sigmoid(6) = 0.9975: start by keeping the warped pixels


class AppearanceEncoder(nn.Module):
    """Source picture (RGB + alpha) -> value features at token resolution and a fine map at stride 4."""

    def __init__(self, config: WarpModelConfig) -> None:
        super().__init__()
        w, v = config.width, config.value
        self.stem = nn.Sequential(ConvBlock(4, w // 2), ConvBlock(w // 2, w, stride=2), ConvBlock(w, 2 * w, stride=2))
        self.token = nn.Sequential(ConvBlock(2 * w, v, stride=config.token_stride // 4), ResBlock(v))

    def forward(self, rgba: Tensor) -> tuple[Tensor, Tensor]:
        """rgba (B, 4, R, R) in [-1, 1] -> value map (B, V, T, T), fine map (B, 2w, R/4, R/4)."""
        fine = self.stem(rgba)
        return self.token(fine), fine


class KeypointEncoder(nn.Module):
    """Field maps (and, for keys, appearance) -> learned query or key channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvBlock(c_in, 64), ResBlock(64), nn.Conv2d(64, c_out, 1))
        head = self.body[-1]
        assert isinstance(head, nn.Conv2d)
        assert head.bias is not None
        nn.init.normal_(head.weight, std=0.02)  # learned logits start near zero: geometry rules
        nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, T) -> (B, T·T, d)."""
        return self.body(x).flatten(2).transpose(1, 2)


class PortraitDecoder(nn.Module):
    """Moved values, fine features and warped pixels -> RGBA.

    Works up to half resolution, where it predicts a colour, how far to trust the warped pixels instead, and a
    correction of alpha; the blend with the warped pixels is at full resolution. Generating at full resolution too
    cost a third of the frame time and bought nothing measurable at 256².
    """

    def __init__(self, config: WarpModelConfig, moved: int) -> None:
        super().__init__()
        w, v = config.width, config.value
        self.v, self.tokens = v, config.tokens
        self.residual = nn.Sequential(
            ConvBlock(moved - v + FIELD_MAPS, v, kernel=1), nn.Conv2d(v, v, 1)
        )  # MLP on [attended pixels, attended key geometry, query], paper Fig. 3
        self.mid = nn.Sequential(ConvBlock(v, v), *[ResBlock(v) for _ in range(config.blocks)])
        self.at_quarter = nn.Sequential(ConvBlock(v + 2 * w, 2 * w), ResBlock(2 * w))
        self.at_half = nn.Sequential(ConvBlock(2 * w + 16, w), ResBlock(w))
        self.out = nn.Conv2d(w, 5, 3, 1, 1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        self.out.bias.data = torch.tensor([0.0, 0.0, 0.0, _TRUST_PIXELS, 0.0])

    def forward(self, moved: Tensor, maps: Tensor, fine: Tensor, pixels: Tensor) -> Tensor:
        """moved (B, M, C), maps (B, FIELD_MAPS, T, T), fine (B, 2w, R/4, R/4), pixels (B, 4, R, R) -> (B, 4, R, R)."""
        t = self.tokens
        moved = moved.transpose(1, 2).reshape(moved.shape[0], -1, t, t)
        h = moved[:, : self.v] + self.residual(torch.cat([moved[:, self.v :], maps.to(moved.dtype)], 1))
        h = self.mid(h)
        if fine.shape[-1] != t:
            h = F.interpolate(h, size=fine.shape[-2:], mode="nearest")
        h = self.at_quarter(torch.cat([h, fine.to(h.dtype)], 1))
        h = F.interpolate(h, scale_factor=2.0, mode="nearest")
        while h.shape[-1] * 2 < pixels.shape[-1]:
            h = F.interpolate(h, scale_factor=2.0, mode="nearest")
        h = self.at_half(torch.cat([h, F.pixel_unshuffle(pixels, 2).to(h.dtype)], 1))
        o = F.interpolate(self.out(h).float(), scale_factor=2.0, mode="bilinear", align_corners=False)
        keep = torch.sigmoid(o[:, 3:4])
        rgb = keep * pixels[:, :3] + (1 - keep) * torch.tanh(o[:, :3])
        alpha = (pixels[:, 3:] + o[:, 4:]).clamp(-1, 1)
        return torch.cat([rgb, alpha], 1)
