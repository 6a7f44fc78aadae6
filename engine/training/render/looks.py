# SPDX-License-Identifier: Apache-2.0
"""How an avatar is dressed and drawn: shading style, recoloured outfit and hair.

Data flow: recipe → Look; Avatar textures → dressed → renderer. All VALID avatars share one texture layout, so
garment and scalp are found by place and colour in the texture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from engine.cv import cv2
from engine.training.render.avatar import Avatar, DrawGroup
from engine.training.render.background import parse_colour

__all__ = ["Look", "Style", "dressed", "skin_albedo"]

Style = Literal["natural", "cel", "marble"]

# Places in the texture, as shares of its sides (x right, y down).
_TORSO = (0.285, 0.455, 1.0, 0.97)
_COLLAR = (0.07, 0.43, 0.55, 0.56)
_SLEEVES = ((0.62, 0.14, 0.84, 0.40), (0.03, 0.74, 0.28, 1.0))
_FACE_X = 0.327  # of the face's middle line


@dataclass(frozen=True)
class Look:
    """Shading style and colours; empty text leaves a colour as the avatar has it.

    jacket, top, hair: `#rrggbb`; hair applies to wigs. grey: 0…1, how far painted hair and brows have turned
    silver. lids: 0…1, how far dark painted eyelids are lightened. shine: strength of highlights, 1 as made.
    """

    style: Style = "natural"
    jacket: str = ""
    top: str = ""
    hair: str = ""
    grey: float = 0.0
    lids: float = 0.0
    shine: float = 1.0


def dressed(avatar: Avatar, look: Look) -> tuple[DrawGroup, ...]:
    """Return the avatar's draw groups with the look's colours in their textures."""
    groups = []
    for index, group in enumerate(avatar.groups):
        colour = group.colour
        if index == 0:
            colour = _dress_outfit(colour, look)
            colour = _grey_scalp(colour, look.grey) if look.grey > 0 else colour
            colour = _lift_lids(colour, look.lids) if look.lids > 0 else colour
        elif look.hair or look.grey > 0:
            target = parse_colour(look.hair) if look.hair else np.array([186, 186, 190], np.float32)
            colour = _recolour(colour, np.ones(colour.shape[:2], np.float32), target)
        if look.style == "cel":
            colour = _flatten(colour)
        groups.append(replace(group, colour=colour))
    return tuple(groups)


def skin_albedo(avatar: Avatar) -> float:
    """Return the mean linear reflectance of the middle of the face."""
    colour = avatar.groups[0].colour
    height, width = colour.shape[:2]
    near = np.linalg.norm(avatar.positions - (avatar.face_centre + np.array([0.0, 0.0, 0.02])), axis=1) < 0.05
    uv = avatar.uv[near & (avatar.materials[:, 0] > 0.9)] % 1.0
    if not len(uv):
        return float((colour.mean() / 255) ** 2.2)
    texels = colour[(uv[:, 1] * (height - 1)).astype(int), (uv[:, 0] * (width - 1)).astype(int)]
    return float(np.mean((texels.mean(axis=1) / 255.0) ** 2.2))


def _box_mask(shape: tuple[int, ...], box: tuple[float, float, float, float]) -> NDArray[np.float32]:
    """Return (H, W) float32, 1 inside the box."""
    mask = np.zeros(shape, np.float32)
    x0, y0, x1, y1 = box
    height, width = shape
    mask[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = 1
    return mask


def _dress_outfit(colour: NDArray[np.uint8], look: Look) -> NDArray[np.uint8]:
    """Recolour the dark jacket and the violet top that the business outfits share."""
    if not look.jacket and not look.top:
        return colour
    shape = colour.shape[:2]
    garment = np.maximum.reduce([_box_mask(shape, box) for box in (_TORSO, _COLLAR, *_SLEEVES)])
    values = colour.astype(np.float32)
    light, spread = values.max(axis=2), values.max(axis=2) - values.min(axis=2)
    if look.jacket:
        dark = garment * np.clip((78 - light) / 20, 0, 1) * np.clip((24 - spread) / 6, 0, 1)
        colour = _recolour(colour, _soft(dark), parse_colour(look.jacket))
    if look.top:
        blueness = values[..., 2] - np.maximum(values[..., 0], values[..., 1])
        violet = garment * np.clip((blueness - 4) / 8, 0, 1) * np.clip((light - 24) / 14, 0, 1)
        # The cloth is woven of many hues: fill the holes between the threads that were recognised.
        filled = cv2.GaussianBlur(violet, (0, 0), shape[0] / 180)
        colour = _recolour(colour, _soft(((filled > 0.3) * garment).astype(np.float32)), parse_colour(look.top))
    return colour


def _soft(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    return cast("NDArray[np.float32]", cv2.GaussianBlur(mask, (0, 0), mask.shape[0] / 1400))


def _recolour(colour: NDArray[Any], mask: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the texture with the masked part in a target colour, its own light and dark kept."""
    light = colour.astype(np.float32).mean(axis=2)
    inside = mask > 0.5
    if not inside.any():
        return colour
    middle = float(np.median(light[inside]))
    detail = np.clip((light + 12) / (middle + 12), 0.35, 2.0) ** 0.8
    painted = np.clip(detail[..., None] * target, 0, 255)
    share = mask[..., None]
    return _mixed(colour, painted, share)


def _grey_scalp(colour: NDArray[np.uint8], grey: float) -> NDArray[np.uint8]:
    """Turn painted hair and brows silver: what lies on the scalp and is clearly less warm than the cheek."""
    height, width = colour.shape[:2]
    values = colour.astype(np.float32)
    warmth = values[..., 0] - values[..., 2]
    x, y = np.meshgrid(np.arange(width) / width - _FACE_X, np.arange(height) / height)
    cheek = float(np.median(warmth[int(0.26 * height) : int(0.29 * height), int(0.22 * width) : int(0.25 * width)]))
    hairy = np.clip((0.80 - warmth / cheek) / 0.2, 0, 1)
    aside = np.abs(x)
    scalp = (y < 0.13) | (aside > 0.115) & (y < 0.31) | (aside > 0.175) & (y < 0.43)
    scalp &= (aside < 0.33) & ~((np.hypot(aside - 0.185, y - 0.055) < 0.062) & (y < 0.098))  # the eyeballs' charts
    light = values.mean(axis=2)
    brow = (np.abs(y - 0.185) < 0.02) & (aside < 0.14) & (aside > 0.025)
    dark = np.clip((np.median(light[brow]) - light) / 30, 0, 1) * brow * 0.3
    mask = _soft(np.maximum(hairy * scalp, dark).astype(np.float32))
    # The painted strands are too contrasty for silver: bring their light and dark together first.
    calm: NDArray[Any] = cv2.addWeighted(colour, 0.45, cv2.GaussianBlur(colour, (0, 0), height / 120), 0.55, 0)
    silver = _recolour(calm, mask, np.array([146, 146, 150], np.float32))
    return _mixed(colour, silver, mask[..., None] * np.float32(grey))


def _lift_lids(colour: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Bring dark painted eyelids towards the cheek's colour, so that closed eyes do not read as holes."""
    height, width = colour.shape[:2]
    x, y = np.meshgrid(np.arange(width) / width - _FACE_X, np.arange(height) / height)
    out = np.hypot((np.abs(x) - 0.078) / 0.052, (y - 0.208) / 0.026)
    patch = colour[int(0.26 * height) : int(0.29 * height), int(0.22 * width) : int(0.25 * width)]
    cheek = np.median(patch.reshape(-1, 3), axis=0)
    mask = np.clip((1.15 - out) / 0.5, 0, 1)[..., None] * share
    return _mixed(colour, np.maximum(colour, cheek * 0.8 + colour * 0.2), mask)


def _mixed(first: NDArray[Any], second: NDArray[Any], share: Any) -> NDArray[np.uint8]:
    """Return first → second by share, which broadcasts over both."""
    return np.asarray(first * (1 - share) + second * share).astype(np.uint8)


def _flatten(colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the texture as flat areas of stronger colour, as painted with a broad brush."""
    smooth: NDArray[Any] = colour
    for _ in range(3):
        smooth = cv2.bilateralFilter(smooth, 9, 34, 9)
    hls = cv2.cvtColor(smooth, cv2.COLOR_RGB2HLS).astype(np.float32)
    hls[..., 2] = np.clip(hls[..., 2] * 1.35 + 8, 0, 255)
    return cast("NDArray[np.uint8]", cv2.cvtColor(hls.astype(np.uint8), cv2.COLOR_HLS2RGB))
