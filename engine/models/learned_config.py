# SPDX-License-Identifier: Apache-2.0
"""Architecture numbers of the three learned-keypoint models and their sizes.

`full` has the widths the papers publish; it is timed, and trained only where there are many GPU hours. `small` is
for minutes to hours of training on any machine and for live use on a CPU. Parameters (M) and multiply-adds (G) at
256², one source picture, measured with `torch.utils.flop_counter`:

                               parameters  detect  encode  animate
    fomm                 small       1.54    0.33    0.11     1.91
                         full       59.78    1.28   10.28    43.36
    fv2v                 small       1.78    0.61    0.18     2.31
                         full      118.85   25.26   32.57   168.52
    implicit_warp_paper  small       2.91    0.30    0.35     2.05
                         full       50.24    1.22   22.15    60.75

A frame is `detect` and `animate`; `encode_sources` runs once per source picture.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FOMM_SIZES", "FV2V_SIZES", "PAPER_SIZES", "FommConfig", "Fv2vConfig", "PaperConfig"]


@dataclass(frozen=True)
class FommConfig:
    """Sizes of a First Order Motion Model; the two motion networks see the picture at side motion_px."""

    side_px: int = 256
    keypoints: int = 10
    motion_px: int = 64
    detector_width: int = 16
    detector_cap: int = 128  # widest level of an hourglass
    detector_levels: int = 4
    motion_width: int = 16
    motion_cap: int = 128
    motion_levels: int = 4
    width: int = 64  # channels of the warped features, at stride 4
    blocks: int = 3
    fine: bool = False  # layers at full resolution, as published; otherwise sub-pixel ones in their place
    pixels: bool = True  # the decoder also gets the warped pixels and keeps them where they are good


@dataclass(frozen=True)
class PaperConfig:
    """Sizes of implicit warping with learned keypoints; T = side_px // stride."""

    side_px: int = 256
    keypoints: int = 20
    motion_px: int = 64
    detector_width: int = 16
    detector_cap: int = 128
    detector_levels: int = 4
    stride: int = 8  # of the attention; 4 in the paper, at 16 times the cost
    map_px: int = 64  # side at which keypoint maps enter the query and key networks
    map_width: int = 16  # first level of those networks
    map_cap: int = 128
    map_levels: int = 4
    learned: int = 64  # query and key channels, d
    value: int = 128  # value channels, d'
    extra: int = 64  # learned key/value rows, M
    drop: float = 0.1  # share of real rows dropped, in half of the training samples
    blocks: int = 3
    fine: bool = False


@dataclass(frozen=True)
class Fv2vConfig:
    """Sizes of face-vid2vid. The volume is `depth` slices of `volume` channels at stride 4."""

    side_px: int = 256
    keypoints: int = 20
    motion_px: int = 64
    detector_width: int = 16  # of the canonical keypoints' network
    detector_cap: int = 128
    detector_levels: int = 4
    detector_rises: int = 3  # heatmaps end at motion_px >> (levels - rises)
    pose_px: int = 128  # side of the picture for pose and expression
    pose_width: int = 64  # first stage, doubled from stage to stage
    pose_blocks: tuple[int, ...] = (1, 1, 1)  # further bottlenecks in every stage
    pose_places: bool = True  # pose from where features are, not only from how strong they are on average
    appearance_width: int = 64  # at stride 4, before the volume
    depth: int = 8
    volume: int = 8
    volume_blocks: int = 1
    flow_px: int = 32  # side at which the 3-D motion is found
    flow_depth: int = 4  # slices at which it is found
    flow_width: int = 24
    flow_cap: int = 96
    flow_levels: int = 3
    flow_kernel: int = 3  # of the mask head
    compressed: int = 3  # channels of the volume that the motion network sees moved
    factorised: bool = True  # 3-D convolutions as 2-D ones and one along the depth
    width: int = 64  # of the generator, at stride 4
    blocks: int = 3
    fine: bool = False
    pixels: bool = True

    def __post_init__(self) -> None:
        # lists come from JSON headers and the command line
        object.__setattr__(self, "pose_blocks", tuple(self.pose_blocks))


FOMM_SIZES: dict[str, FommConfig] = {
    "small": FommConfig(),
    "full": FommConfig(
        detector_width=32,
        detector_cap=1024,
        detector_levels=5,
        motion_width=64,
        motion_cap=1024,
        motion_levels=5,
        width=256,
        blocks=6,
        fine=True,
        pixels=False,
    ),
}

PAPER_SIZES: dict[str, PaperConfig] = {
    "small": PaperConfig(),
    "full": PaperConfig(
        detector_width=32,
        detector_cap=1024,
        detector_levels=5,
        stride=4,
        map_px=256,
        map_width=32,
        map_cap=1024,
        map_levels=5,
        learned=128,
        value=256,
        extra=256,
        blocks=6,
        fine=True,
    ),
}

FV2V_SIZES: dict[str, Fv2vConfig] = {
    "small": Fv2vConfig(),
    "full": Fv2vConfig(
        detector_width=32,
        detector_cap=1024,
        detector_levels=5,
        detector_rises=5,
        pose_px=256,
        pose_width=256,
        pose_blocks=(3, 3, 5, 2),
        pose_places=False,
        appearance_width=256,
        depth=16,
        volume=32,
        volume_blocks=6,
        flow_px=64,
        flow_depth=16,
        flow_width=32,
        flow_cap=1024,
        flow_levels=5,
        flow_kernel=7,
        compressed=4,
        factorised=False,
        width=256,
        blocks=6,
        fine=True,
        pixels=False,
    ),
}
