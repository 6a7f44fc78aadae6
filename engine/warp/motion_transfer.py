# SPDX-License-Identifier: Apache-2.0
"""From the performer's learned keypoints to the character's. Render thread, a few microseconds; plain numpy.

*Absolute* motion uses the performer's keypoints as they are: right for a person who drives their own pictures, while
a stranger's face shape leaks into the character. *Relative* motion adds the change since the performer's neutral
frame to the character's own keypoints. Between both, positions, Jacobians, translations, expressions and strengths
are mixed linearly, and rotations along the shortest turn.

Source:
    Siarohin et al. 2019 (arXiv 2003.00196) and its published code for FOMM's relative mode with adapted scale;
    Wang, Mallya, Liu 2021 (arXiv 2011.15126) for the parts of fv2v, canonical keypoints being the source's in both
    modes. Mallya, Wang, Liu 2022 (arXiv 2210.01794) do not say how strengths are transferred: here like everything
    else, inside their range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.geometry import scale_rotation
from engine.runtime.base import Motion

__all__ = ["transfer_motion"]

Array = NDArray[np.float64]
_TINY_AREA = 1e-6  # of the portrait's 4; keypoints on one line have no scale


def transfer_motion(model: str, *, source: Motion, driving: Motion, neutral: Motion, share: float) -> Motion:
    """Return the motion tensors that animate the character.

    Args:
        model: one of `engine.runtime.manifest.LEARNED_MOTION`.
        source: of the character's first picture. driving: of the performer now. neutral: of the performer at rest.
        share: 0 absolute, 1 relative, between them a blend.

    Shapes:
        fomm: position (K, 2), jacobian (K, 2, 2). fv2v: canonical (K, 3), rotation (3, 3), translation (3,),
        expression (K, 3). implicit_warp_paper: position (K, 2), strength (K,). Positions in portrait space.
    """
    moved = _TRANSFERS[model](_doubles(source), _doubles(driving), _doubles(neutral), share)
    return {name: np.ascontiguousarray(value, np.float32) for name, value in moved.items()}


Parts = dict[str, Array]


def _doubles(motion: Motion) -> Parts:
    return {name: np.asarray(value, np.float64) for name, value in motion.items()}


def _transfer_fomm(source: Parts, driving: Parts, neutral: Parts, share: float) -> Parts:
    relative = driving["jacobian"] @ np.linalg.pinv(neutral["jacobian"]) @ source["jacobian"]
    return {
        "position": _move_positions(source, driving, neutral, share),
        "jacobian": _mix(driving["jacobian"], relative, share),
    }


def _transfer_fv2v(source: Parts, driving: Parts, neutral: Parts, share: float) -> Parts:
    turned = driving["rotation"] @ neutral["rotation"].T @ source["rotation"]
    return {
        "canonical": source["canonical"],
        "rotation": _mix_rotations(driving["rotation"], turned, share),
        **{
            name: _mix(driving[name], source[name] + driving[name] - neutral[name], share)
            for name in ("translation", "expression")
        },
    }


def _transfer_paper(source: Parts, driving: Parts, neutral: Parts, share: float) -> Parts:
    relative = source["strength"] + driving["strength"] - neutral["strength"]
    return {
        "position": _move_positions(source, driving, neutral, share),
        "strength": np.clip(_mix(driving["strength"], relative, share), 0.0, 1.0),
    }


_TRANSFERS: dict[str, Callable[[Parts, Parts, Parts, float], Parts]] = {
    "fomm": _transfer_fomm,
    "fv2v": _transfer_fv2v,
    "implicit_warp_paper": _transfer_paper,
}


def _move_positions(source: Parts, driving: Parts, neutral: Parts, share: float) -> Array:
    """p = p_s + a (p_d,t - p_d,0), a being how much larger the character's face is than the performer's."""
    own, rest = _hull_area(source["position"]), _hull_area(neutral["position"])
    scale = float(np.sqrt(own / rest)) if min(own, rest) > _TINY_AREA else 1.0
    moved = source["position"] + scale * (driving["position"] - neutral["position"])
    return _mix(driving["position"], moved, share)


def _hull_area(points: Array) -> float:
    return float(cv2.contourArea(cv2.convexHull(points.astype(np.float32))))


def _mix(absolute: Array, relative: Array, share: float) -> Array:
    return (1.0 - share) * absolute + share * relative


def _mix_rotations(absolute: Array, relative: Array, share: float) -> Array:
    if share in (0.0, 1.0):
        return relative if share else absolute
    mixed: Array = absolute @ scale_rotation(absolute.T @ relative, share)
    return mixed
