# SPDX-License-Identifier: Apache-2.0
"""From a source set and retargeted keypoints to the animated character."""

from engine.warp.warper import PreparedSourceSet, Warper, open_warper

__all__ = ["PreparedSourceSet", "Warper", "open_warper"]
