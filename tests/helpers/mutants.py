# SPDX-License-Identifier: Apache-2.0
"""Real set files and what a broken disk, a bad download or a hostile stranger makes of them."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
from PIL import Image

__all__ = ["SEED_TOML", "make_zip", "mutate", "seed_pictures"]

SEED_TOML = b"""format = 2
name = "mara"
title = "Mara"
author = "A. Person"
licence = "MIT"
origin = "drawn"
order = "listed"
colour_match = true

[consent]
kind = "consented"
who = "B. Person"
how = "a form"
when = 2026-01-31
until = "2027-01-31"

[[pictures]]
file = "front.png"
enabled = true
notes = "neutral"
crop = { x = 0.5, y = 0.4, size = 0.8 }

[[pictures]]
file = "left.jpg"
"""

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def seed_pictures(side: int = 64) -> dict[str, bytes]:
    """Return one small picture of every format that is read, in several modes."""
    rng = np.random.default_rng(5)
    rgb = np.kron(rng.integers(0, 255, (side // 8, side // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    image = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    alpha = np.dstack([rgb, np.full((side, side), 200, np.uint8)])
    kinds: list[tuple[str, Image.Image, str, dict[str, object]]] = [
        ("rgb.png", image, "PNG", {"icc_profile": b"nonsense" * 20}),
        ("alpha.png", Image.fromarray(alpha), "PNG", {}),
        ("palette.png", image.convert("P"), "PNG", {"transparency": 3}),
        ("deep.png", Image.fromarray(rgb[..., 0].astype(np.uint16) * 257), "PNG", {}),
        ("one.png", image.convert("1"), "PNG", {}),
        ("plain.jpg", image, "JPEG", {"quality": 80, "exif": exif}),
        ("progressive.jpg", image, "JPEG", {"quality": 60, "progressive": True}),
        ("cmyk.jpg", image.convert("CMYK"), "JPEG", {}),
        ("lossy.webp", image, "WEBP", {"quality": 70}),
        ("lossless.webp", Image.fromarray(alpha), "WEBP", {"lossless": True}),
        ("moving.gif", image.convert("P"), "GIF", {"save_all": True, "append_images": [image.convert("L")] * 3}),
        ("plain.bmp", image, "BMP", {}),
        ("packed.tif", image, "TIFF", {"compression": "tiff_lzw"}),
        ("float.tif", Image.fromarray(rgb[..., 0].astype(np.float32) / 255), "TIFF", {}),
    ]
    out = {}
    for name, picture, kind, options in kinds:
        buffer = io.BytesIO()
        picture.save(buffer, kind, **options)
        out[name] = buffer.getvalue()
    return out


def make_zip(members: dict[str, bytes], *, folder: str = "mara.bunraku/", method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(folder + name, (1980, 1, 1, 0, 0, 0)), data, compress_type=method)
    return buffer.getvalue()


def mutate(data: bytes, rng: np.random.Generator, *, others: tuple[bytes, ...] = ()) -> bytes:
    """Return a damaged copy: flipped, overwritten, cut, doubled, spliced, or with a number that means something."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if not out:
            break
        at, kind = int(rng.integers(len(out))), int(rng.integers(8))
        # Most of what decides lies in the head.
        at = at if rng.random() < 0.5 else int(at % min(len(out), 64))
        length = int(rng.integers(1, 1 + min(64, len(out) - at)))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at : at + length] = rng.bytes(length)
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + length]
        elif kind == 4:
            out[at:at] = out[at : at + length] * int(rng.integers(1, 20))
        elif kind == 5:
            value = _NUMBERS[int(rng.integers(len(_NUMBERS)))]
            packed = struct.pack(("<I", ">I")[int(rng.integers(2))], value)
            out[at : at + 4] = packed
        elif kind == 6 and others:
            other = others[int(rng.integers(len(others)))]
            start = int(rng.integers(max(1, len(other))))
            out[at : at + length] = other[start : start + length]
        else:
            out[at:at] = rng.bytes(length)
    return bytes(out)
