# SPDX-License-Identifier: Apache-2.0
"""Architecture numbers of the implicit-warping model, each with its reason, and the shipped sizes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SIZES", "WarpModelConfig"]


@dataclass(frozen=True)
class WarpModelConfig:
    """Sizes of one implicit-warping model; T = side_px // token_stride."""

    side_px: int = 256
    token_stride: int = 8  # 32×32 tokens: attention costs 1 M logits a source, 16× less than stride 4
    width: int = 24  # channels at half resolution; doubled at a quarter
    value: int = 96  # channels of the attention values
    learned: int = 32  # channels of learned queries and keys
    extra: int = 32  # learned key/value rows for content that no source shows (paper §3.3); 0: none
    blocks: int = 1  # residual blocks at token resolution
    key_stride: int = 2  # keys and values on every other token; the refinement finds the rest
    decoder: bool = True  # without it the model is the geometric warp alone: no convolution, nothing to train but it
    geometry: bool = True  # logits of pictures are geometry; without: learned query and key alone
    residual: bool = True  # the MLP on attended pixels, attended key geometry and query (paper Fig. 3)
    fine: bool = True  # pixels and features sampled along the attended places; without: generated from values alone
    steer: bool = True  # the decoder corrects the flow before the pixels are taken

    def __post_init__(self) -> None:
        if self.key_stride not in (1, 2):
            raise ValueError(f"key_stride must be 1 or 2, got {self.key_stride}")
        strides = (4, 8) if self.decoder else (4, 8, 16)
        if self.token_stride not in strides or self.side_px % (4 * self.token_stride):
            raise ValueError(
                f"token_stride must be one of {strides} and divide side_px / 4, "
                f"got {self.token_stride} and {self.side_px}"
            )

    @property
    def tokens(self) -> int:
        """Side T of the token grid."""
        return self.side_px // self.token_stride


SIZES: dict[str, WarpModelConfig] = {
    "lite": WarpModelConfig(),
    "lite-geometric": WarpModelConfig(key_stride=2, decoder=False),
    "lite-geometric-512": WarpModelConfig(side_px=512, token_stride=16, key_stride=2, decoder=False),
    "full": WarpModelConfig(token_stride=4, width=48, value=192, blocks=5, key_stride=1),
    "full-512": WarpModelConfig(side_px=512, token_stride=8, width=48, value=192, blocks=5, key_stride=1),
}
