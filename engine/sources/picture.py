# SPDX-License-Identifier: Apache-2.0
"""Bytes of any picture → RGB uint8 with an optional alpha channel; the border to Pillow. Any thread.

Pictures come from users: every failure ends as one `SourceUnreadable` sentence, whatever Pillow raised.
"""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from engine.errors import SourceUnreadable
from engine.types import freeze

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE_PX",
    "PICTURE_SUFFIXES",
    "WORKING_SIDE_PX",
    "Picture",
    "decode_picture",
    "is_animation",
    "read_picture",
    "read_picture_bytes",
    "unreadable",
]

log = logging.getLogger(__name__)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MAX_FILE_BYTES = 64 * 2**20  # no portrait needs more; keeps a mistaken path from filling the memory
MAX_PIXELS = 64_000_000  # below Pillow's own alarm (89 M), above any phone's portrait mode
_MAX_PIXELS_WHOLE = 32_000_000  # of formats that cannot be decoded at a smaller scale: half a gigabyte at work
# A progressive JPEG has some ten scans; each may be a few bytes long and still cost a pass over the whole picture.
_MAX_SCANS, _START_OF_SCAN = 100, b"\xff\xda"
MIN_SIDE_PX = 64  # the tracker sees nothing in less
WORKING_SIDE_PX = 2048  # a portrait is at most 512 px: more only costs memory and time

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")  # a closed list: no format that runs other programs
_KINDS = "PNG, JPEG, WebP, BMP, TIFF or GIF"


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One decoded picture.

    label: what to call it in messages (its path). rgb: (H, W, 3) uint8. alpha: (H, W) uint8 or None where the
    picture has no transparency; straight, not premultiplied. original_size_wh: pixels in the file after
    rotation; rgb is smaller where that exceeds `WORKING_SIDE_PX`. notes: what was done to it, for the log.
    """

    label: str
    rgb: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    original_size_wh: tuple[int, int]
    sha256: str
    notes: tuple[str, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgb.shape[1], self.rgb.shape[0]


def unreadable(label: str, what: str, hint: str) -> SourceUnreadable:
    """Make the one sentence: what happened to which picture, what to do, the path last."""
    return SourceUnreadable(f"Picture {Path(label).name} {what}.", hint=f"{hint} ({label})", path=label)


def read_picture(path: Path) -> Picture:
    """Read a picture file.

    Raises:
        SourceUnreadable: missing, empty, corrupt, truncated, too large, too small or not a picture.
    """
    return decode_picture(read_picture_bytes(path), label=str(path))


def is_animation(path: Path) -> bool:
    """Whether a picture file holds several frames; False for one that cannot be read at all."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            return _is_animated(image)
    except Exception:  # noqa: BLE001 - `read_picture` has a sentence for each of them
        return False


def read_picture_bytes(path: Path) -> bytes:
    """Return a picture file's bytes, or say why not; never reads more than `MAX_FILE_BYTES`."""
    label = str(path)
    try:
        if path.is_dir():
            raise unreadable(label, "is a folder, expected a file", "Name the picture itself.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError as error:
        raise unreadable(label, "does not exist", "Check the name.") from error
    except OSError as error:
        raise unreadable(label, f"cannot be opened: {error.strerror or error}", "Check its permissions.") from error
    return data


def decode_picture(data: bytes, *, label: str) -> Picture:
    """Decode a picture's bytes.

    EXIF rotation is applied, 16-bit and floating-point values are scaled to 8 bits, grey, palette and CMYK become
    RGB, an embedded colour profile is converted to sRGB, and of an animation the first frame is used.

    Raises:
        SourceUnreadable: as `read_picture`.
    """
    if not data:
        raise unreadable(label, f"is empty: 0 bytes, expected a {_KINDS} picture", "Save or copy it again.")
    if len(data) > MAX_FILE_BYTES:
        limit = f"over {MAX_FILE_BYTES // 2**20} MiB, the limit for one picture"
        raise unreadable(label, f"is too large: {limit}", "Make it smaller; 1024 x 1024 is plenty.")
    try:
        with warnings.catch_warnings():
            # Pillow warns about odd metadata that does not matter here; it must not reach the user's terminal.
            warnings.simplefilter("ignore")
            rgb, alpha, original_size_wh, notes = _decode(data, label)
    except SourceUnreadable:
        raise
    except UnidentifiedImageError as error:
        hint = f"Use a {_KINDS} file."
        raise unreadable(label, f"is not a picture Bunraku can read, expected {_KINDS}", hint) from error
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(label, "far more") from error
    except Exception as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise unreadable(label, f"is damaged and cannot be decoded: {reason}", "Save or copy it again.") from error
    for note in notes:
        log.info("Picture %s: %s", label, note)
    digest = hashlib.sha256(data).hexdigest()
    return Picture(label, freeze(rgb), alpha if alpha is None else freeze(alpha), original_size_wh, digest, notes)


def _decode(
    data: bytes, label: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, tuple[int, int], tuple[str, ...]]:
    notes: list[str] = []
    with Image.open(io.BytesIO(data), formats=_FORMATS) as opened:
        width, height = opened.size
        if opened.format in ("JPEG", "MPO") and (scans := data.count(_START_OF_SCAN)) > _MAX_SCANS:
            what = f"is built to keep a program busy: expected at most {_MAX_SCANS} scans, got {scans}"
            raise unreadable(label, what, "Save it again with another program.")
        limit = MAX_PIXELS if opened.format in ("JPEG", "MPO") else _MAX_PIXELS_WHOLE
        if width * height > limit:
            raise _too_many_pixels(label, f"{width} x {height}", limit=limit)
        if min(width, height) < MIN_SIDE_PX:
            wanted = f"expected at least {MIN_SIDE_PX} x {MIN_SIDE_PX} pixels, got {width} x {height}"
            raise unreadable(label, f"is too small: {wanted}", "Use a larger picture of the face.")
        # Not `n_frames`: counting walks through the whole file, for minutes where it was made to.
        if opened.format != "MPO" and _is_animated(opened):  # a phone's MPO holds previews, not an animation
            notes.append("has several frames; the first is used")
        # Lets the JPEG decoder skip work; the size after it is still at least the working size.
        opened.draft(None, (WORKING_SIDE_PX, WORKING_SIDE_PX))
        opened.load()
        profile = opened.info.get("icc_profile")
        image = ImageOps.exif_transpose(opened)
        if opened.getexif().get(0x0112, 1) >= 5:  # orientations 5 to 8 swap the sides
            width, height = height, width
        image, alpha_image = _to_rgb(image, profile, notes)
    image, alpha_image = _shrink(image, alpha_image, notes)
    rgb = np.array(image, np.uint8)
    alpha = None if alpha_image is None else np.array(alpha_image, np.uint8)
    if alpha is not None and alpha.max() == 0:
        raise unreadable(label, "is fully transparent, expected a visible person", "Export it with its content.")
    if alpha is not None and alpha.min() == 255:
        alpha = None
    return rgb, alpha, (width, height), tuple(notes)


def _is_animated(image: Image.Image) -> bool:
    if image.format == "TIFF":  # Pillow counts its pages to answer
        return False
    return bool(getattr(image, "is_animated", False))


def _too_many_pixels(label: str, got: str, *, limit: int = MAX_PIXELS) -> SourceUnreadable:
    wanted = f"expected at most {limit // 10**6} million pixels, got {got}"
    return unreadable(label, f"is too large: {wanted}", "Make it smaller; 1024 x 1024 is plenty.")


def _to_rgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    """Return an 8-bit RGB image and its alpha channel, if any."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scale_to_8_bits(image, notes), None
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        image = image.convert("RGB")
    elif image.mode in ("P", "1", "LA", "PA"):
        image = image.convert("RGB")
    if profile:
        image = _to_srgb(image, profile, notes)
    return image.convert("RGB"), alpha


def _scale_to_8_bits(image: Image.Image, notes: list[str]) -> Image.Image:
    # Pillow's own convert("L") clips these modes at 255, which turns a 16-bit picture white.
    values = np.nan_to_num(np.asarray(image, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max())
    if image.mode == "F" and top <= 1.0:
        full = 1.0
    elif image.mode.startswith("I;16") or 255.0 < top <= 65535.0:
        full = 65535.0
    else:
        full = max(top, 255.0)
    notes.append(f"has {image.mode} values; scaled from 0 to {full:g} down to 8 bits")
    return Image.fromarray(np.clip(np.rint(values * (255.0 / full)), 0, 255).astype(np.uint8)).convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        # A profile of another colour model than the pixels is common in the wild and harmless to ignore.
        notes.append(f"has a colour profile that cannot be used: {error}")
        return image
    return image if converted is None else converted


def _shrink(image: Image.Image, alpha: Image.Image | None, notes: list[str]) -> tuple[Image.Image, Image.Image | None]:
    longest = max(image.size)
    if longest <= WORKING_SIDE_PX:
        return image, alpha
    scale = WORKING_SIDE_PX / longest
    size_wh = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    notes.append(f"is reduced to {size_wh[0]} x {size_wh[1]} for speed")
    image = image.resize(size_wh, Image.Resampling.BOX)
    return image, None if alpha is None else alpha.resize(size_wh, Image.Resampling.BOX)
