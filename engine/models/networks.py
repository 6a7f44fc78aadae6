# SPDX-License-Identifier: Apache-2.0
"""The learned parts around the attention: appearance encoder, query and key encoders, sketch and finish.

Without batch norms: their noise at small batches costs more than it steadies. All of them start as bystanders: an
untrained model returns the warped pixels untouched, so training can only be judged against that, never be
needed for a picture.

The decoder has two parts, because what it corrects first is *where* pixels are taken:

    sketch   up to a quarter of the resolution: sees the values moved by the attention and features taken along the
             attended places, and corrects those places (the paper's residual branch moves what a weighted mean cannot)
    finish   at half resolution: sees the pixels taken at the corrected places; predicts what to add to their colour. It
             can neither take detail away nor change alpha: allowed to, it blurred hair where it was unsure, and drew a
             faint second outline around it, for 0.2 and 0.1 dB

Generating at full resolution too cost a third of the frame time and bought nothing measurable at 256².
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.models.config import WarpModelConfig
from engine.models.landmark_field import FIELD_MAPS
from engine.models.layers import ConvBlock, ResBlock, space_to_depth

__all__ = ["CONTEXT", "AppearanceEncoder", "KeypointEncoder", "PortraitFinish", "PortraitSketch"]

CONTEXT = 21  # numbers about the whole head: pose (9), its difference to the stage picture (9), size, shift (2)
_STEER = 0.15  # portrait units: the farthest a place is moved


class AppearanceEncoder(nn.Module):
    """Source picture (RGB + alpha) -> value features at token resolution and a fine map at stride 4."""

    def __init__(self, config: WarpModelConfig) -> None:
        super().__init__()
        w, v = config.width, config.value
        self.stem = nn.Sequential(
            ConvBlock(4, w // 2, norm=False),
            ConvBlock(w // 2, w, stride=2, norm=False),
            ConvBlock(w, 2 * w, stride=2, norm=False),
        )
        self.token = nn.Sequential(
            ConvBlock(2 * w, v, stride=config.token_stride // 4, norm=False), ResBlock(v, norm=False)
        )

    def forward(self, rgba: Tensor) -> tuple[Tensor, Tensor]:
        """rgba (B, 4, R, R) in [-1, 1] -> value map (B, V, T, T), fine map (B, 2w, R/4, R/4)."""
        fine = self.stem(rgba)
        return self.token(fine), fine


class KeypointEncoder(nn.Module):
    """Field maps (and, for keys, appearance) -> learned query or key channels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.body = nn.Sequential(ConvBlock(c_in, 64, norm=False), ResBlock(64, norm=False), nn.Conv2d(64, c_out, 1))
        head = self.body[-1]
        assert isinstance(head, nn.Conv2d)
        assert head.bias is not None
        nn.init.zeros_(head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, T) -> (B, T·T, d)."""
        return self.body(x).flatten(2).transpose(1, 2)


class PortraitSketch(nn.Module):
    """Moved values, field maps, features and pixels at a quarter of the resolution -> features and a change of flow."""

    def __init__(self, config: WarpModelConfig, moved: int) -> None:
        super().__init__()
        w, v = config.width, config.value
        self.v, self.tokens, self.side = v, config.tokens, config.side_px // 4
        self.context = nn.Linear(CONTEXT, v)
        nn.init.zeros_(self.context.weight)
        nn.init.zeros_(self.context.bias)
        if config.residual:  # MLP on [attended pixels, attended key geometry, query], paper Fig. 3
            self.residual = nn.Sequential(
                ConvBlock(moved - v + FIELD_MAPS, v, kernel=1, norm=False), nn.Conv2d(v, v, 1)
            )
        self.mid = nn.Sequential(ConvBlock(v, v, norm=False), *[ResBlock(v, norm=False) for _ in range(config.blocks)])
        sampled = 2 * w + 4 if config.fine else 0
        self.at_quarter = nn.Sequential(ConvBlock(v + sampled + 2, 2 * w, norm=False), ResBlock(2 * w, norm=False))
        if config.steer and config.fine:
            self.steer = nn.Conv2d(2 * w, 2, 3, 1, 1)
            nn.init.zeros_(self.steer.weight)
            assert self.steer.bias is not None
            nn.init.zeros_(self.steer.bias)

    def forward(
        self, moved: Tensor, maps: Tensor, context: Tensor, sampled: Tensor | None, flow: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Return features (B, 2w, R/4, R/4) and what to add to the flow, (B, 2, R/4, R/4).

        Shapes:
            moved: (B, M, C). maps: (B, FIELD_MAPS, T, T). context: (B, CONTEXT). sampled: (B, 2w + 4, R/4, R/4).
            flow: (B, 2, R/4, R/4), mean offset over the sources.
        """
        t = self.tokens
        moved = moved.transpose(1, 2).reshape(moved.shape[0], -1, t, t)
        h = moved[:, : self.v] + self.context(context)[..., None, None]
        if hasattr(self, "residual"):
            h = h + self.residual(torch.cat([moved[:, self.v :], maps.to(moved.dtype)], 1))
        h = self.mid(h)
        if t != self.side:
            h = F.interpolate(h, size=self.side, mode="nearest")
        parts = [h, flow.to(h.dtype)] + ([] if sampled is None else [sampled.to(h.dtype)])
        h = self.at_quarter(torch.cat(parts, 1))
        if not hasattr(self, "steer"):
            return h, None
        return h, torch.tanh(self.steer(h).float()) * _STEER


class PortraitFinish(nn.Module):
    """Features and the pixels taken along the corrected flow -> RGBA."""

    def __init__(self, config: WarpModelConfig) -> None:
        super().__init__()
        w = config.width
        self.fine = config.fine
        self.at_half = nn.Sequential(
            ConvBlock(2 * w + (16 if config.fine else 0), w, norm=False), ConvBlock(w, w, norm=False)
        )
        self.out = nn.Conv2d(w, 3 if config.fine else 4, 3, 1, 1)
        assert self.out.bias is not None
        if config.fine:
            nn.init.zeros_(self.out.weight)
            nn.init.zeros_(self.out.bias)

    def forward(self, h: Tensor, pixels: Tensor, freedom: Tensor) -> Tensor:
        """h (B, 2w, R/4, R/4), pixels (B, 4, R, R), freedom (B, 1, T, T) in [0, 1] -> (B, 4, R, R)."""
        h = F.interpolate(h, size=pixels.shape[-1] // 2, mode="nearest")
        if self.fine:
            h = torch.cat([h, space_to_depth(pixels).to(h.dtype)], 1)
        o = F.interpolate(self.out(self.at_half(h)).float(), scale_factor=2.0, mode="bilinear", align_corners=False)
        if not self.fine:  # nothing is taken over: colour and alpha are generated
            return torch.tanh(o)
        # Added, not blended in: the gradient reaches colours that are off by little from the first step on.
        free = F.interpolate(freedom, size=pixels.shape[-1], mode="bilinear", align_corners=False)
        return torch.cat([(pixels[:, :3] + free * o).clamp(-1, 1), pixels[:, 3:]], 1)
