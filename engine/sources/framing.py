# SPDX-License-Identifier: Apache-2.0
"""Picture pixels → portrait space: one square box per picture, cut and scaled with its alpha and landmarks.

A set of equal square pictures is used whole, which keeps its background aligned between the pictures; so does one box
for all pictures of one size in which the head is about in one place, such as frames of a video. Any other picture is
cut by itself, the face's height being half of the box where the picture has room for it: around the face where it is
alone, around the *head* in a set, so that the head has one size and one place in all pictures however it turns and
whatever the mouth does; over a cut-out's head there is room for all of its hair. A box set by hand in set.toml wins.
Any thread.

Convention:
    as `engine.geometry`: integer coordinates on pixel centres, portrait space spans [-1, 1] over the box. Boxes lie
    on whole pixels, so that nothing blurs a picture used whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.assets import load_canonical_face
from engine.cv import cv2
from engine.geometry import Box, fit_similarity, keypoints_from_landmarks, square_around
from engine.landmarks import RIGID
from engine.sources.analysis import NEUTRAL_GREY, AnalysedPicture
from engine.sources.manifest import Crop
from engine.types import SourceImage

__all__ = [
    "FACE_HEIGHTS_PER_SIDE",
    "SquareBox",
    "box_of_crop",
    "choose_boxes",
    "crop_of_box",
    "cut_image",
    "face_box",
    "fit_box",
    "frame_picture",
    "head_boxes",
    "sits_well",
]

FACE_HEIGHTS_PER_SIDE = 2.0  # the box is this many landmark heights tall

# A whole picture serves as the portrait while its face is roughly where a cut would have put it.
_WHOLE_FACE_SHARE = (0.30, 0.75)  # landmark height over picture height
_WHOLE_CENTRE_OFF = 0.22  # distance of the landmarks' centre from the middle, over the side
# A cut that reaches past the picture shows mirrored people: it is moved inside this far and made this small.
_NUDGE_SHARE = 0.15  # over the box's side; beyond, the face would sit in a corner
_LARGEST_OVER_PICTURE = 1.25  # box side over the picture's shorter side
_SMALLEST_ZOOM = 0.7  # one tight picture makes the others' boxes smaller too, but not below this share
_SAME_PLACE, _SAME_SIZE = (
    0.25,
    0.18,
)  # of one box for all: how far heads may lie apart, over its side; log of their sizes
# A cut-out's hair may stand a whole face's height above the brow: its box is moved up and made larger, within limits in
# which the warp still finds the face about where it looks for it.
_HEADROOM = 0.03  # kept free above the head, over the box's side
_MOST_UP, _MOST_WIDER = 0.12, 1.4
_HAT_WIDTH = 0.75  # how far beside the face's middle the head's top is looked for, over the face's width
_PIVOT_Z = 0.6  # canonical units behind the face's middle, about between the ears: what stays when a head turns
_BLEED_SHARE = 0.02  # how far a cut-out's edge colour reaches into the transparent part, over the side


@dataclass(frozen=True, slots=True)
class SquareBox:
    """A square of whole pixels in a picture; it may reach past the picture's edges."""

    left_px: int
    top_px: int
    side_px: int

    @property
    def box(self) -> Box:
        """The same square as `engine.geometry` spells it."""
        middle = (self.side_px - 1) / 2.0
        return Box(self.left_px + middle, self.top_px + middle, float(self.side_px))


def face_box(xy_px: NDArray[np.floating[Any]]) -> SquareBox:
    """Return the portrait box around a face's landmarks (P, 2 or 3), rounded to whole pixels."""
    box = square_around(xy_px, margin=FACE_HEIGHTS_PER_SIDE)
    return SquareBox(round(box.left_px + 0.5), round(box.top_px + 0.5), max(2, round(box.side_px)))


def choose_boxes(pictures: Sequence[AnalysedPicture], crops: Sequence[Crop | None] = ()) -> list[SquareBox]:
    """Return the portrait box of each picture of one set.

    Args:
        crops: boxes set by hand, one for each picture; None, and none at all, lets this choose.
    """
    boxes = _automatic_boxes(pictures)
    if not any(crops):
        return boxes
    return [
        automatic if crop is None else box_of_crop(crop, size_wh=picture.picture.size_wh)
        for automatic, crop, picture in zip(boxes, crops, pictures, strict=True)
    ]


def _automatic_boxes(pictures: Sequence[AnalysedPicture]) -> list[SquareBox]:
    sizes = {picture.picture.size_wh for picture in pictures}
    width, height = next(iter(sizes), (0, 0))
    if (
        len(sizes) == 1
        and width == height
        and all(sits_well(picture.landmarks_px, side_px=width) for picture in pictures)
    ):
        return [SquareBox(0, 0, width)] * len(pictures)
    each = [picture.landmarks_px for picture in pictures]
    boxes = head_boxes(each) if len(each) > 1 else [face_box(points) for points in each]
    if len(sizes) == 1 and len(boxes) > 1 and (common := _common_box(boxes)) is not None:
        boxes = [common] * len(boxes)
    # A picture with too little around the head needs a smaller box; the others follow it, so that sizes stay equal.
    rooms = [_LARGEST_OVER_PICTURE * min(picture.picture.size_wh) for picture in pictures]
    zoom = min([1.0, *(room / box.side_px for room, box in zip(rooms, boxes, strict=True))])
    zoom = max(zoom, _SMALLEST_ZOOM)
    if pictures and all(picture.picture.alpha is not None for picture in pictures):
        return _with_headroom(boxes, pictures)
    return [
        fit_box(_zoomed(box, zoom), size_wh=picture.picture.size_wh)
        for box, picture in zip(boxes, pictures, strict=True)
    ]


def _with_headroom(boxes: Sequence[SquareBox], pictures: Sequence[AnalysedPicture]) -> list[SquareBox]:
    """Return boxes of cut-outs, moved up and made larger alike until they hold the tallest head.

    They may reach past their pictures, where nothing is shown; not below, where a body would be cut off.
    """
    tall = max(
        (box.box.centre_y_px - _top_of_head(picture)) / box.side_px
        for box, picture in zip(boxes, pictures, strict=True)
    )
    up = min(max(tall - (0.5 - _HEADROOM), 0.0), _MOST_UP)
    wider = min(max(tall / (0.5 + up - _HEADROOM), 1.0), _MOST_WIDER)
    placed = []
    for box, picture in zip(boxes, pictures, strict=True):
        side = round(box.side_px * wider)
        centre = box.box
        left, top = round(centre.centre_x_px + 0.5 - side / 2), round(centre.centre_y_px + 0.5 - side * (0.5 + up))
        below = top + side - picture.picture.size_wh[1]
        placed.append(SquareBox(left, top - min(max(below, 0), round(_NUDGE_SHARE * side)), side))
    return placed


def _top_of_head(picture: AnalysedPicture) -> float:
    """Return the first row of a matte that shows the head, pixels; the top of the face where the matte shows none."""
    xy = picture.landmarks_px[:, :2]
    middle, reach = float(np.median(xy[:, 0])), float(np.ptp(xy[:, 0])) * _HAT_WIDTH
    columns = picture.matte[:, max(0, round(middle - reach)) : max(1, round(middle + reach))]
    rows = np.flatnonzero((columns > 127).any(axis=1)) if columns.size else np.zeros(0)
    return min(float(rows[0]), float(xy[:, 1].min())) if len(rows) else float(xy[:, 1].min())


def _common_box(boxes: Sequence[SquareBox]) -> SquareBox | None:
    """Return the middle of boxes that lie about in one place, else None."""
    rows = np.array([(box.box.centre_x_px, box.box.centre_y_px, box.side_px) for box in boxes])
    x, y, side = np.median(rows, axis=0)
    if np.ptp(rows[:, :2], axis=0).max() > _SAME_PLACE * side or np.ptp(np.log(rows[:, 2])) > _SAME_SIZE:
        return None
    half = (side - 1) / 2
    return SquareBox(round(float(x - half)), round(float(y - half)), max(2, round(float(side))))


def head_boxes(landmarks_px: Sequence[NDArray[np.floating[Any]]]) -> list[SquareBox]:
    """Return boxes in which the head of one person has the same size and place, rounded to whole pixels.

    Size and place are those of the skull, fitted on points that no expression moves: a box around the face's outline
    grows with an open mouth and walks with a turned head.

    Shapes:
        landmarks_px: N arrays (478, 3).
    """
    rigid = list(RIGID)
    canonical = load_canonical_face()[rigid]
    fits = [fit_similarity(canonical, points[rigid]) for points in landmarks_px]
    shapes = np.stack([fit.undo(points) for fit, points in zip(fits, landmarks_px, strict=True)])  # (N, 478, 3)
    low, high = shapes[..., :2].min(1), shapes[..., :2].max(1)
    height = float(np.median(high[:, 1] - low[:, 1]))
    pivot = np.array([*np.median((low + high) / 2, axis=0), _PIVOT_Z])
    boxes = []
    for fit in fits:
        side = fit.scale * height * FACE_HEIGHTS_PER_SIDE
        left, top = fit.apply(pivot)[:2] - side / 2
        boxes.append(SquareBox(round(left + 0.5), round(top + 0.5), max(2, round(side))))
    return boxes


def _zoomed(box: SquareBox, zoom: float) -> SquareBox:
    if zoom >= 1.0:
        return box
    side = max(2, round(box.side_px * zoom))
    return SquareBox(box.left_px + (box.side_px - side) // 2, box.top_px + (box.side_px - side) // 2, side)


def box_of_crop(crop: Crop, *, size_wh: tuple[int, int]) -> SquareBox:
    """Return a box set by hand in the pixels of a picture of this size."""
    width, height = size_wh
    side = max(2, round(crop.size * min(width, height)))
    return SquareBox(round(crop.x * width - side / 2), round(crop.y * height - side / 2), side)


def crop_of_box(box: SquareBox, *, size_wh: tuple[int, int]) -> Crop:
    """Return a box as it is written by hand, clipped to what a `Crop` allows: where an editor starts."""
    width, height = size_wh
    x, y = (box.left_px + box.side_px / 2) / width, (box.top_px + box.side_px / 2) / height
    return Crop(min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0), min(max(box.side_px / min(width, height), 0.05), 3.0))


def fit_box(box: SquareBox, *, size_wh: tuple[int, int]) -> SquareBox:
    """Return the box made smaller and moved towards the inside of a picture, within limits."""
    side = min(box.side_px, max(2, round(min(size_wh) * _LARGEST_OVER_PICTURE)))
    most = round(side * _NUDGE_SHARE)
    corner = []
    for start, length in zip((box.left_px, box.top_px), size_wh, strict=True):
        start += (box.side_px - side) // 2
        inside = min(max(start, 0), length - side) if length >= side else (length - side) // 2
        corner.append(start + min(max(inside - start, -most), most))
    return SquareBox(corner[0], corner[1], side)


def sits_well(landmarks_px: NDArray[np.floating[Any]], *, side_px: int) -> bool:
    """Whether a square picture can be used whole: its face (P, 2 or 3) is about where a cut would have put it."""
    keypoints = keypoints_from_landmarks(landmarks_px, box=SquareBox(0, 0, side_px).box)[:, :2]
    low, high = keypoints.min(0), keypoints.max(0)
    share = float(high[1] - low[1]) / 2.0
    off = float(np.hypot(*(low + high))) / 4.0
    inside = bool((np.abs(keypoints) <= 1.0).all())
    return inside and _WHOLE_FACE_SHARE[0] <= share <= _WHOLE_FACE_SHARE[1] and off <= _WHOLE_CENTRE_OFF


def cut_image(image: NDArray[np.uint8], box: SquareBox, *, side_px: int, ends: bool = False) -> NDArray[np.uint8]:
    """Cut a box out of an image and scale it to the portrait side.

    Past the image's edges the image goes on mirrored (reflect-101), as in training.

    Args:
        ends: it is a cut-out, and nothing lies above and beside it; only below, where it was cut, it goes on.

    Shapes:
        image: (H, W) or (H, W, C) uint8. returns: (side, side) or (side, side, C) uint8.
    """
    height, width = image.shape[:2]
    right_px, bottom_px = box.left_px + box.side_px, box.top_px + box.side_px
    before_x, before_y = max(0, -box.left_px), max(0, -box.top_px)
    after_x, after_y = max(0, right_px - width), max(0, bottom_px - height)
    if before_x or before_y or after_x or after_y:
        border = (before_y, after_y, before_x, after_x)
        if ends:
            image = np.asarray(cv2.copyMakeBorder(image, 0, after_y, 0, 0, cv2.BORDER_REFLECT_101), np.uint8)
            border = (before_y, 0, before_x, after_x)
        how = cv2.BORDER_CONSTANT if ends else cv2.BORDER_REFLECT_101
        image = np.asarray(cv2.copyMakeBorder(image, *border, how), np.uint8)
    left, top = box.left_px + before_x, box.top_px + before_y
    cut = image[top : top + box.side_px, left : left + box.side_px]
    if box.side_px == side_px:
        return np.ascontiguousarray(cut)
    smooth = cv2.INTER_AREA if box.side_px > side_px else cv2.INTER_CUBIC
    scaled: NDArray[np.uint8] = cv2.resize(cut, (side_px, side_px), interpolation=smooth).astype(np.uint8)
    return scaled


def frame_picture(analysed: AnalysedPicture, box: SquareBox, *, name: str, side_px: int) -> SourceImage:
    """Return the portrait of one picture: pixels, matte and keypoints through the same box."""
    keypoints = keypoints_from_landmarks(analysed.landmarks_px, box=box.box)
    cutout = analysed.picture.alpha is not None
    if analysed.picture.alpha is None:
        rgb = cut_image(analysed.picture.rgb, box, side_px=side_px)
        alpha = cut_image(analysed.matte, box, side_px=side_px)
    else:
        rgb, alpha = _cut_cutout(analysed.picture.rgb, analysed.picture.alpha, box, side_px)
    return SourceImage(name, rgb, alpha, keypoints, cutout=cutout, drawn=analysed.by_hand)


def _cut_cutout(
    rgb: NDArray[np.uint8], alpha: NDArray[np.uint8], box: SquareBox, side_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a picture with its own alpha channel.

    Colours are scaled weighted by alpha: what a drawing program leaves under transparent pixels (often black)
    must not seep into the hair. Just outside the edge the person's colour goes on, farther out it is grey.
    """
    cover = alpha.astype(np.float32)[..., None] / 255.0
    weighted = np.concatenate([rgb * cover, cover * 255.0], axis=2)
    cut = cut_image(np.rint(weighted).astype(np.uint8), box, side_px=side_px, ends=True).astype(np.float32)
    reach_px = max(1, round(side_px * _BLEED_SHARE))
    spread = cv2.GaussianBlur(cut, (2 * reach_px + 1, 2 * reach_px + 1), 0)
    small_alpha = cut[..., 3:]
    own = cut[..., :3] * (255.0 / np.maximum(small_alpha, 1.0))
    near = spread[..., :3] * (255.0 / np.maximum(spread[..., 3:], 1.0))
    # Eight-bit weighted colours are coarse where alpha is nearly nothing: blend from the neighbourhood there.
    trust = np.clip(small_alpha / 64.0, 0.0, 1.0)
    person = own * trust + near * (1.0 - trust)
    reach = np.clip(np.maximum(spread[..., 3:], small_alpha) / 32.0, 0.0, 1.0)
    colour = person * reach + NEUTRAL_GREY * (1.0 - reach)
    return np.rint(np.clip(colour, 0, 255)).astype(np.uint8), np.rint(cut[..., 3]).astype(np.uint8)
