# SPDX-License-Identifier: Apache-2.0
"""Leave-one-out: how well a set's other pictures rebuild each of its pictures, with the model that will animate it.

A picture that the others rebuild well brings little; one that they cannot rebuild is either what makes the set (the
only open mouth) or does not belong (another person, another hairstyle): the rebuilt picture shows which. Runs on the
thread of the warper; about a third of a second a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.metrics import hull_mask, psnr_db
from engine.evaluation.scoring import alpha_over
from engine.landmarks import FACE_OVAL
from engine.types import Query, SourceSet
from engine.warp.base import fit_picture
from engine.warp.warper import Warper

__all__ = ["Rebuilt", "leave_one_out"]

Advance = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """One picture made of the others. truth, rgb: (R, R, 3) uint8. psnr_face_db: on the face alone; psnr_db: overall.

    share: how much each of the set's pictures gave, (N,), 0 for the picture itself.
    """

    name: str
    truth: NDArray[np.uint8]
    rgb: NDArray[np.uint8]
    psnr_face_db: float
    psnr_db: float
    share: NDArray[np.float32]


def leave_one_out(
    source_set: SourceSet, warper: Warper, *, advance: Advance = lambda _done, _total: None
) -> list[Rebuilt]:
    """Rebuild every picture of a set from the others, in the set's order; empty for a set of one.

    The picture's own landmarks drive, so nothing is lost to tracking or retargeting. The warper is left with another
    set than it had.

    Args:
        advance: called with (pictures done, pictures in all); what it raises ends the work.
    """
    images = source_set.images
    if len(images) < 2:
        return []
    rebuilt = []
    for index, image in enumerate(images):
        advance(index, len(images))
        others = (*images[:index], *images[index + 1 :])
        warper.set_sources(SourceSet(source_set.name, others))
        portrait = warper.warp(Query(0, image.keypoints.copy()))
        rgb, truth = alpha_over(portrait), fit_picture(image.rgb, warper.side_px)
        face = hull_mask(image.keypoints, groups=[FACE_OVAL], side_px=warper.side_px)
        share = np.insert(portrait.source_mass, index, 0.0).astype(np.float32)
        rebuilt.append(Rebuilt(image.name, truth, rgb, psnr_db(rgb, truth, mask=face), psnr_db(rgb, truth), share))
    advance(len(images), len(images))
    return rebuilt
