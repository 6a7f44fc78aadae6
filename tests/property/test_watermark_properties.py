# SPDX-License-Identifier: Apache-2.0
"""Both marks are in every sealed frame, and survive what calls and recordings do to a picture."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.compose.compositor import Compositor
from engine.config import WATERMARK_CORNERS, WATERMARK_STYLES, OutputSettings
from engine.types import Composite, WarpedPortrait
from engine.watermark.gate import has_mark, seal
from engine.watermark.imprint_reader import read_imprint
from engine.watermark.payload import PAYLOAD_BITS, Payload, decode, encode

_SIZES = st.sampled_from([(1280, 720), (640, 480), (512, 512), (360, 640)])
_SMALLEST_PX = 240  # short side down to which `has_mark` promises to see the mark
_SLOW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _picture(seed: int, size_wh: tuple[int, int]) -> np.ndarray:
    """Blobs and edges at several scales, like a photograph, and some noise."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((size_wh[1], size_wh[0], 3), np.float32)
    for cells, weight in ((3, 0.5), (12, 0.3), (60, 0.2)):
        blobs = rng.uniform(0, 255, (cells, cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(
            blobs, size_wh, interpolation=cv2.INTER_NEAREST if cells == 12 else cv2.INTER_CUBIC
        )
    return np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def _marked(seed: int, size_wh: tuple[int, int], corner: str, style: str) -> np.ndarray:
    return seal(Composite(0, _picture(seed, size_wh)), rendered_ns=0, corner=corner, style=style).rgb


def _composited(picture: np.ndarray, *, mirrored: bool) -> Composite:
    """Put a portrait on its canvas as the renderer does, flipped where the user wants it."""
    height_px, width_px = picture.shape[:2]
    side = min(height_px, width_px)
    rgb = picture[:side, :side]
    rgba = np.dstack([rgb, np.full((side, side), 255, np.uint8)])
    portrait = WarpedPortrait(0, rgba, np.ascontiguousarray(rgb), np.ones(1, np.float32))
    return Compositor(OutputSettings(size_wh=(width_px, height_px), mirrored=mirrored)).compose(portrait)


def _halves_seen(rgb: np.ndarray) -> set[str]:
    """Return the corners in which the independent detector sees the mark when all other quarters are painted over."""
    height_px, width_px = rgb.shape[:2]
    seen = set()
    for corner in WATERMARK_CORNERS:
        covered = np.full_like(rgb, 128)
        # whole rows, since a mark may be wider than half of a narrow frame
        rows = slice(0, height_px // 2) if corner.startswith("top") else slice(height_px // 2, None)
        cols = slice(width_px * 45 // 100, None) if corner.endswith("right") else slice(0, width_px * 55 // 100)
        covered[rows, cols] = rgb[rows, cols]
        if has_mark(covered):
            seen.add(corner)
    return seen


_LOOKS = {
    "seed": st.integers(0, 2**16),
    "size_wh": _SIZES,
    "corner": st.sampled_from(WATERMARK_CORNERS),
    "style": st.sampled_from(WATERMARK_STYLES),
}


@_SLOW
@given(**_LOOKS, quality=st.integers(25, 95))
def test_survives_jpeg(seed: int, size_wh: tuple[int, int], corner: str, style: str, quality: int) -> None:
    marked = _marked(seed, size_wh, corner, style)
    encoded = cv2.imencode(".jpg", marked[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    assert has_mark(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


@_SLOW
@given(**_LOOKS, factor=st.floats(0.55, 1.6))
def test_survives_scaling(seed: int, size_wh: tuple[int, int], corner: str, style: str, factor: float) -> None:
    scaled = cv2.resize(_marked(seed, size_wh, corner, style), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    # below that the letters are a few pixels high; of 417 random pictures all misses had a short side of 210 or less
    assume(min(scaled.shape[:2]) >= _SMALLEST_PX)
    assert has_mark(scaled)


@_SLOW
@given(**_LOOKS, crf=st.integers(18, 33))
def test_survives_h264(seed: int, size_wh: tuple[int, int], corner: str, style: str, crf: int) -> None:
    marked = _marked(seed, size_wh, corner, style)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = size_wh[0], size_wh[1], "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(marked), format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert has_mark(decoded)


@_SLOW
@given(seed=st.integers(0, 2**16), size_wh=_SIZES)
def test_unmarked_pictures_are_not_taken_for_marked(seed: int, size_wh: tuple[int, int]) -> None:
    assert not has_mark(_picture(seed, size_wh))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(**_LOOKS, mirrored=st.booleans())
def test_every_sealed_frame_shows_the_mark_where_and_how_it_was_chosen(
    seed: int, size_wh: tuple[int, int], corner: str, style: str, mirrored: bool
) -> None:
    composite = _composited(_picture(seed, size_wh), mirrored=mirrored)
    sealed = seal(composite, rendered_ns=0, corner=corner, style=style).rgb
    assert _halves_seen(sealed) == {corner}
    assert not has_mark(np.ascontiguousarray(sealed[:, ::-1])), (
        "a mirrored mark is no mark, so this one is not mirrored"
    )


_PAYLOADS = st.builds(Payload, st.tuples(st.integers(0, 15), st.integers(0, 15)), st.integers(0, 2**24 - 1))


@given(payload=_PAYLOADS)
def test_payload_survives_its_bits(payload: Payload) -> None:
    assert Payload.from_bits(payload.as_bits()) == payload


@given(payload=_PAYLOADS, flipped=st.sets(st.integers(0, PAYLOAD_BITS - 1), min_size=1, max_size=3))
def test_a_payload_with_wrong_bits_is_refused(payload: Payload, flipped: set[int]) -> None:
    bits = payload.as_bits()
    bits[list(flipped)] ^= 1
    assert Payload.from_bits(bits) is None


@settings(max_examples=40, deadline=None)
@given(payload=_PAYLOADS, wrong=st.sets(st.integers(0, 223), max_size=22))
def test_the_code_corrects_a_tenth_of_wrong_bits(payload: Payload, wrong: set[int]) -> None:
    bits = payload.as_bits()
    # spread over the word as the carriers spread them: the code is made for single errors, not for bursts
    soft = 1.0 - 2.0 * encode(bits)
    soft[[(place * 97) % 224 for place in sorted(wrong)[: len(wrong)]]] *= -0.5
    assert (decode(soft) == bits).all()


@_SLOW
@given(
    seed=st.integers(0, 2**16),
    size_wh=st.sampled_from([(1280, 720), (720, 1280)]),  # these pictures are too rough for 4:3: one of 20 is lost
    payload=_PAYLOADS,
    factor=st.floats(0.5, 1.5),
    quality=st.integers(50, 95),
    mirrored=st.booleans(),
)
def test_invisible_mark_survives_scaling_jpeg_and_mirroring(
    seed: int, size_wh: tuple[int, int], payload: Payload, factor: float, quality: int, mirrored: bool
) -> None:
    sealed = seal(Composite(0, _picture(seed, size_wh)), rendered_ns=0, payload=payload).rgb
    scaled = cv2.resize(sealed, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    turned = np.ascontiguousarray(scaled[:, ::-1]) if mirrored else scaled
    encoded = cv2.imencode(".jpg", turned[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    found = read_imprint([cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1]])
    assert found is not None
    assert (found.payload, found.mirrored) == (payload, mirrored)


@_SLOW
@given(seed=st.integers(0, 2**16), left=st.floats(0, 1), top=st.floats(0, 1), gain=st.floats(0.8, 1.2))
def test_invisible_mark_survives_crop_and_brightness(seed: int, left: float, top: float, gain: float) -> None:
    payload = Payload((0, 1), seed)
    sealed = seal(Composite(0, _picture(seed, (1280, 720))), rendered_ns=0, payload=payload).rgb
    x, y = round(left * 256), round(top * 144)
    cropped = np.clip(sealed[y : y + 576, x : x + 1024] * gain, 0, 255).astype(np.uint8)
    found = read_imprint([cropped])
    assert found is not None
    assert found.payload == payload


@_SLOW
@given(seed=st.integers(0, 2**16), size_wh=_SIZES)
def test_unmarked_pictures_carry_no_invisible_mark(seed: int, size_wh: tuple[int, int]) -> None:
    assert read_imprint([_picture(seed, size_wh)]) is None
