# SPDX-License-Identifier: Apache-2.0
"""Every kind of picture a user may drop on us, good and bad."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from engine.errors import SourceUnreadable
from engine.sources import picture as picture_module
from engine.sources.picture import WORKING_SIDE_PX, decode_picture, read_picture
from tests.helpers.source_faces import picture_bytes, portrait_rgb

RGB = portrait_rgb((96, 80))


def decode(data: bytes):
    return decode_picture(data, label="folder/some.png")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_pictures_come_out_unchanged(kind):
    picture = decode(picture_bytes(RGB, kind))
    np.testing.assert_array_equal(picture.rgb, RGB)
    assert picture.alpha is None
    assert picture.size_wh == picture.original_size_wh == (96, 80)
    assert not picture.rgb.flags.writeable


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_pictures_come_out_close(kind):
    picture = decode(picture_bytes(RGB, kind, quality=95))
    assert np.abs(picture.rgb.astype(int) - RGB).mean() < 4


def test_grey_palette_and_bilevel_become_rgb():
    grey = decode(picture_bytes(Image.fromarray(RGB[..., 0])))
    np.testing.assert_array_equal(grey.rgb, np.repeat(RGB[..., :1], 3, axis=2))
    palette = Image.fromarray(RGB).quantize(16)
    np.testing.assert_array_equal(decode(picture_bytes(palette)).rgb, np.array(palette.convert("RGB")))
    bilevel = Image.fromarray(RGB[..., 0]).convert("1")
    assert set(np.unique(decode(picture_bytes(bilevel)).rgb)) == {0, 255}


def test_alpha_is_kept_apart_from_colour():
    alpha = np.zeros((80, 96), np.uint8)
    alpha[20:60, 30:70] = 255
    alpha[10:20] = 90
    picture = decode(picture_bytes(np.dstack([RGB, alpha])))
    np.testing.assert_array_equal(picture.rgb, RGB)
    np.testing.assert_array_equal(picture.alpha, alpha)


def test_grey_with_alpha_and_palette_with_transparency():
    alpha = np.full((80, 96), 255, np.uint8)
    alpha[:40] = 0
    grey = Image.merge("LA", [Image.fromarray(RGB[..., 0]), Image.fromarray(alpha)])
    np.testing.assert_array_equal(decode(picture_bytes(grey)).alpha, alpha)
    palette = Image.fromarray(RGB).quantize(8)
    data = picture_bytes(palette, transparency=bytes([0, 255, 255, 255, 255, 255, 255, 255]))
    np.testing.assert_array_equal(decode(data).alpha == 0, np.array(palette) == 0)


def test_fully_opaque_alpha_counts_as_none():
    assert decode(picture_bytes(np.dstack([RGB, np.full((80, 96), 255, np.uint8)]))).alpha is None


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 80 * 96).reshape(80, 96).astype(np.uint16)
    picture = decode(picture_bytes(Image.fromarray(ramp)))
    np.testing.assert_allclose(picture.rgb[..., 1], ramp / 257.0, atol=0.51)
    assert picture.notes


def _png_16_bit_rgb(values: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint16 by hand: Pillow writes no such PNG."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_sixteen_bit_colour_keeps_its_range():
    values = RGB.astype(np.uint16) * 257
    assert np.abs(decode(_png_16_bit_rgb(values)).rgb.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize(("top", "full"), [(1.0, 1.0), (200.0, 255.0), (5000.0, 65535.0), (1e6, 1e6)])
def test_float_tiff_is_scaled_by_its_range(top, full):
    values = (np.linspace(0, top, 80 * 96).reshape(80, 96)).astype(np.float32)
    picture = decode(picture_bytes(Image.fromarray(values), "TIFF"))
    assert picture.rgb.max() == round(255 * top / full)


def test_cmyk_becomes_rgb():
    cmyk = Image.new("CMYK", (80, 80), (0, 255, 255, 0))
    red = decode(picture_bytes(cmyk, "JPEG", quality=95)).rgb[40, 40]
    assert red[0] > 200
    assert red[1] < 60
    assert red[2] < 60


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation):
    upright = np.zeros((80, 96, 3), np.uint8)
    upright[:40, :48] = (250, 20, 20)  # red only in the upper left of the scene
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(picture_bytes(stored, "JPEG", quality=95, exif=exif))
    assert picture.size_wh == picture.original_size_wh == (96, 80)
    assert np.abs(picture.rgb.astype(int) - upright).mean() < 4


def test_first_frame_of_an_animation_is_used_and_noted():
    first, second = Image.new("RGB", (80, 80), (200, 0, 0)), Image.new("RGB", (80, 80), (0, 200, 0))
    for kind in ("GIF", "PNG", "WEBP"):
        picture = decode(picture_bytes(first, kind, save_all=True, append_images=[second], lossless=True))
        assert picture.rgb[40, 40, 0] > 150, kind
        assert any("several frames" in note for note in picture.notes), kind


def test_colour_profile_is_converted_to_srgb():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    odd = decode(picture_bytes(RGB, icc_profile=profile))  # a LAB profile on RGB pixels: nonsense, ignored
    np.testing.assert_array_equal(odd.rgb, RGB)
    assert any("profile" in note for note in odd.notes)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    np.testing.assert_array_equal(decode(picture_bytes(RGB, icc_profile=srgb)).rgb, RGB)


def test_pixels_follow_their_colour_profile():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # sRGB under another name whose red and blue primaries are exchanged.
    swapped = profile.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
    swapped = swapped.replace("sRGB".encode("utf-16-be"), "oRGB".encode("utf-16-be"))
    assert swapped != profile
    converted = decode(picture_bytes(Image.new("RGB", (80, 80), (200, 60, 20)), icc_profile=swapped)).rgb[40, 40]
    np.testing.assert_allclose(converted, (20, 60, 200), atol=6)


def test_large_pictures_are_reduced_for_work():
    wide = Image.new("RGB", (WORKING_SIDE_PX * 2, WORKING_SIDE_PX), (10, 200, 90))
    for kind in ("PNG", "JPEG"):
        picture = decode(picture_bytes(wide, kind))
        assert picture.size_wh == (WORKING_SIDE_PX, WORKING_SIDE_PX // 2)
        assert picture.original_size_wh == (WORKING_SIDE_PX * 2, WORKING_SIDE_PX)
        assert abs(int(picture.rgb[100, 100, 1]) - 200) < 3


def bad(message: str, data: bytes) -> str:
    with pytest.raises(SourceUnreadable, match=message) as caught:
        decode(data)
    sentence = str(caught.value)
    assert "some.png" in caught.value.message
    assert sentence.endswith("(folder/some.png)")
    assert "\n" not in sentence
    return sentence


def test_bad_bytes_each_get_one_sentence():
    png, jpeg = picture_bytes(RGB), picture_bytes(portrait_rgb((400, 300)), "JPEG")
    bad("is empty: 0 bytes", b"")
    bad("not a picture", b"hello, I am a text file\n" * 20)
    bad("not a picture", png[:6])
    bad("damaged|not a picture", png[: len(png) // 2])
    bad("damaged", jpeg[: len(jpeg) // 2])
    bad("damaged|not a picture", png[:60] + b"\xff" * 200 + png[260:])
    bad("not a picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 80 80\n")
    bad("too small: expected at least 64 x 64 pixels, got 80 x 20", picture_bytes(RGB[:20, :80]))
    bad("fully transparent", picture_bytes(np.dstack([RGB, np.zeros((80, 96), np.uint8)])))


def test_a_bomb_of_pixels_is_refused_before_decoding():
    def claims(width: int, height: int) -> bytes:
        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = b"IHDR" + head
        start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + body + struct.pack(">I", zlib.crc32(body))
        return start + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))

    bad("at most 32 million pixels, got 7000 x 5000", claims(7000, 5000))  # a JPEG may have 64: it is decoded smaller
    bad("at most 32 million pixels, got 12000 x 10000", claims(12000, 10000))  # Pillow would only warn
    bad("at most 64 million pixels", claims(60000, 60000))  # Pillow itself refuses


def test_a_large_file_is_refused(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(picture_module, "MAX_FILE_BYTES", 1000)
    path = tmp_path / "big.png"
    path.write_bytes(picture_bytes(RGB))
    with pytest.raises(SourceUnreadable, match=r"big\.png is too large"):
        read_picture(path)


def test_missing_file_and_folder(tmp_path: Path):
    with pytest.raises(SourceUnreadable, match=r"no\.png does not exist"):
        read_picture(tmp_path / "no.png")
    with pytest.raises(SourceUnreadable, match="is a folder"):
        read_picture(tmp_path)


def test_a_name_the_system_refuses(tmp_path: Path):
    with pytest.raises(SourceUnreadable, match="cannot be opened"):
        read_picture(tmp_path / ("x" * 300 + ".png"))
