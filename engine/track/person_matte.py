# SPDX-License-Identifier: Apache-2.0
"""Who is person and who is background in a picture: MediaPipe selfie segmentation with its edge refined.

Used once per source picture when a set is loaded, so quality counts more than milliseconds: the square and the
landscape network answer for the picture and its mirror image, and the mean of the four is steadier than any of them
(a hood against lights, a fringe against dark). They answer at 256 × 256 or less; a guided filter then moves their
soft edge onto the picture's own edges (hair, collar). One thread at a time.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.errors import ShapeError
from engine.track.face_mesh import load_solutions, quiet_native_logs

__all__ = ["PersonMatte", "refine_matte"]

_SQUARE, _LANDSCAPE = 0, 1  # MediaPipe's model_selection
_SQUARE_SHARE = 0.7  # looked at on dev pictures: the square network keeps hair better, the landscape one bodies
_EDGE_RADIUS_SHARE = 0.025  # of the picture's smaller side: reaches over the networks' soft edge
_EDGE_EPSILON = 6.5  # guided-filter regularisation for colours in [0, 255]: keeps hair, smooths noise of 2-3 levels
_SOLID_FROM, _SOLID_TO = 0.35, 0.85  # probabilities stretched to [0, 1]; below is haze around the head
_INSIDE = 0.4  # alpha that counts as person when the inside is made solid
_ISLAND_SHARE = 0.1  # islands smaller than this share of the biggest one are no part of the person


class PersonMatte:
    """Selfie segmentation with a refined edge; four network runs a picture."""

    def __init__(self) -> None:
        solutions = load_solutions()
        self._networks: list[Any] = []
        with quiet_native_logs(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for selection in (_SQUARE, _LANDSCAPE):
                network = solutions.selfie_segmentation.SelfieSegmentation(model_selection=selection)
                network.process(np.zeros((64, 64, 3), np.uint8))
                self._networks.append(network)

    def close(self) -> None:
        """Free the networks; safe to call twice."""
        for network in self._networks:
            with contextlib.suppress(ValueError):
                network.close()

    def matte(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the person's matte.

        Shapes:
            rgb: (H, W, 3) uint8. returns: (H, W) uint8, 255 on the person.
        Raises:
            ShapeError: rgb is not a colour picture.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ShapeError("rgb", "(H, W, 3) uint8", f"{rgb.shape} {rgb.dtype}")
        picture = np.ascontiguousarray(rgb)
        mirrored = np.ascontiguousarray(rgb[:, ::-1])
        probability = np.zeros(rgb.shape[:2], np.float32)
        for network, share in zip(self._networks, (_SQUARE_SHARE, 1 - _SQUARE_SHARE), strict=True):
            straight = network.process(picture).segmentation_mask
            back = network.process(mirrored).segmentation_mask[:, ::-1]
            probability += np.float32(share / 2) * (straight + back)
        return refine_matte(picture, probability)


def refine_matte(rgb: NDArray[np.uint8], probability: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Move a soft person probability onto the picture's edges and drop haze and islands.

    Shapes:
        rgb: (H, W, 3) uint8. probability: (H, W) float32 in [0, 1]. returns: (H, W) uint8.
    Source:
        He, Sun, Tang 2010, "Guided image filtering", ECCV (OpenCV's ximgproc.guidedFilter).
    """
    radius = max(2, round(min(rgb.shape[:2]) * _EDGE_RADIUS_SHARE))
    fine = cv2.ximgproc.guidedFilter(rgb, np.ascontiguousarray(probability), radius, _EDGE_EPSILON)
    alpha = np.clip((fine - _SOLID_FROM) / (_SOLID_TO - _SOLID_FROM), 0.0, 1.0)
    # Well inside the outline nobody is transparent, however unsure the networks are of a white shirt.
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    inside = cv2.erode((alpha > _INSIDE).astype(np.uint8), disc, borderType=cv2.BORDER_REPLICATE)
    alpha[inside > 0] = 1.0
    kept: NDArray[np.uint8] = (alpha * 255.0 + 0.5).astype(np.uint8) * _mainland(alpha)
    return kept


def _mainland(alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return 1 on the biggest connected person and on islands of comparable size, (H, W) uint8."""
    count, labels, _, _ = cv2.connectedComponentsWithStats((alpha > 0.02).astype(np.uint8), connectivity=8)
    if count <= 2:
        return np.ones(alpha.shape, np.uint8)
    solid = np.array([alpha[labels == label].sum() for label in range(1, count)])
    large = np.flatnonzero(solid >= _ISLAND_SHARE * solid.max()) + 1
    return np.isin(labels, large).astype(np.uint8)
