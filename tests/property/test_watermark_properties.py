# SPDX-License-Identifier: Apache-2.0
"""The mark survives what calls and recordings do to a picture."""

from __future__ import annotations

import io

import av
import cv2
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.config import WATERMARK_CORNERS, WATERMARK_STYLES
from engine.types import Composite
from engine.watermark.gate import has_mark, seal

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
