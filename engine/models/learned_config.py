# SPDX-License-Identifier: Apache-2.0
"""Architecture numbers of the three learned-keypoint models and their sizes.

`full` has the widths the papers publish; it is timed, and trained only where there are many GPU hours. `small` is
for minutes to hours of training on any machine and for live use on a CPU. Parameters (M) and multiply-adds (G) at
256², one source picture, measured with `torch.utils.flop_counter`:

                      parameters  detect  encode  animate
    fomm small              1.54      0.33    0.13     1.87
    fomm full              59.78      1.28   10.28    43.36

A frame is `detect` and `animate`; `encode_sources` runs once per source picture.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FOMM_SIZES", "PAPER_SIZES", "FommConfig", "Fv2vConfig", "PaperConfig"]


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
    detector_width: int = 16  # canonical keypoints
    detector_cap: int = 128
    detector_levels: int = 4
    pose_px: int = 64  # side of the picture for pose and expression
    pose_width: int = 24  # first stage; four stages, doubled up to pose_cap
    pose_cap: int = 192
    pose_blocks: int = 1  # per stage
    depth: int = 8
    volume: int = 8
    volume_blocks: int = 2
    appearance_width: int = 24  # at full resolution
    flow_px: int = 32  # side at which the 3-D motion is found
    flow_depth: int = 4  # slices at which it is found
    compressed: int = 3  # channels of the volume that the motion network sees moved
    flow_width: int = 24
    flow_cap: int = 96
    flow_levels: int = 3
    width: int = 64
    blocks: int = 3
    fine: bool = False
    pixels: bool = True


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
