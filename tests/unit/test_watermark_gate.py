# SPDX-License-Identifier: Apache-2.0
"""The gate: nothing leaves unmarked, and what cannot be marked does not leave."""

from __future__ import annotations

import numpy as np
import pytest

from engine.config import WATERMARK_CORNERS, WATERMARK_STYLES
from engine.errors import ShapeError, WatermarkError
from engine.types import Composite, OutputFrame
from engine.watermark import gate
from engine.watermark.card import draw_card
from engine.watermark.detector import mark_score
from engine.watermark.gate import has_mark, holding_card, seal
from engine.watermark.imprint_reader import read_imprint
from engine.watermark.payload import Payload, current_payload
from engine.watermark.visible import box_of, make_mark, mark_height_px


def _canvas(size_wh: tuple[int, int], level: int) -> Composite:
    return Composite(5, np.full((size_wh[1], size_wh[0], 3), level, np.uint8))


def _busy(size_wh: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (size_wh[1], size_wh[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("style", WATERMARK_STYLES)
@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("size_wh", [(1280, 720), (256, 256), (128, 96), (720, 1280)])
def test_mark_is_found_on_any_background(size_wh: tuple[int, int], level: int, style: str) -> None:
    frame = seal(_canvas(size_wh, level), rendered_ns=9, style=style)
    assert has_mark(frame.rgb)
    assert (frame.captured_ns, frame.rendered_ns) == (5, 9)


@pytest.mark.parametrize("corner", WATERMARK_CORNERS)
def test_mark_sits_in_its_corner_and_nowhere_else(corner: str) -> None:
    before = _canvas((640, 360), 90)
    after = seal(before, rendered_ns=0, corner=corner).rgb
    changed = np.argwhere((np.abs(after.astype(int) - before.rgb) > 6).any(axis=2))
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0) + 1
    assert (left < 320) == corner.endswith("left")
    assert (top < 180) == corner.startswith("top")
    assert bottom - top >= 0.05 * 360, "at least 5 % of the short side"
    assert right - left < 320


def test_the_invisible_mark_goes_in_first_and_says_which_run() -> None:
    payload = Payload((3, 4), 0xC0FFEE)
    frame = seal(Composite(0, _busy((640, 360)) // 8 + 100), rendered_ns=0, payload=payload)
    found = read_imprint([frame.rgb])
    assert found is not None
    assert found.payload == payload
    assert has_mark(frame.rgb)


def test_without_a_payload_the_mark_says_this_run() -> None:
    found = read_imprint([seal(_canvas((640, 360), 90), rendered_ns=0).rgb])
    assert found is not None
    assert found.payload == current_payload()


def test_fails_closed_when_the_invisible_mark_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(rgb: np.ndarray, payload: Payload) -> np.ndarray:
        raise RuntimeError("no pattern")

    monkeypatch.setattr(gate, "imprint", broken)
    with pytest.raises(WatermarkError, match=r"withheld: no pattern"):
        seal(_canvas((640, 360), 40), rendered_ns=0)


def test_fails_closed_when_the_invisible_mark_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "imprint", lambda rgb, payload: rgb.copy())
    with pytest.raises(WatermarkError, match=r"withheld: the invisible mark changed nothing"):
        seal(_canvas((640, 360), 40), rendered_ns=0)


def test_composite_is_not_written() -> None:
    composite = _canvas((640, 360), 90)
    seal(composite, rendered_ns=0)
    assert (composite.rgb == 90).all()


def test_random_pixels_carry_no_mark_until_sealed() -> None:
    noise = _busy((640, 360))
    assert not has_mark(noise)
    assert has_mark(seal(Composite(0, noise), rendered_ns=0).rgb)


def test_a_mirrored_mark_is_no_mark() -> None:
    frame = seal(_canvas((640, 360), 60), rendered_ns=0)
    assert mark_score(np.ascontiguousarray(frame.rgb[:, ::-1])) < 0.5 < mark_score(frame.rgb)


def test_a_frame_too_small_is_withheld() -> None:
    with pytest.raises(WatermarkError, match="80x200 pixels is too small"):
        seal(_canvas((80, 200), 0), rendered_ns=0)


def test_a_wrong_style_is_withheld_like_any_fault() -> None:
    with pytest.raises(WatermarkError, match="withheld"):
        seal(_canvas((640, 360), 0), rendered_ns=0, style="none")


def test_fails_closed_when_drawing_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "draw_mark", lambda rgb, mark, *, corner: None)
    with pytest.raises(WatermarkError, match=r"not in the frame.*letters are covered"):
        seal(_canvas((640, 360), 40), rendered_ns=0)


def test_fails_closed_when_the_plate_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def letters_only(rgb: np.ndarray, mark: object, *, corner: str) -> None:
        height_px, width_px = mark.coverage.shape
        left, top, right, bottom = box_of((640, 360), (width_px, height_px), corner)
        pixels = rgb[top:bottom, left:right].reshape(-1, 3)
        pixels[mark.letters] = mark.colour
        rgb[top:bottom, left:right] = pixels.reshape(height_px, width_px, 3)

    monkeypatch.setattr(gate, "draw_mark", letters_only)
    with pytest.raises(WatermarkError, match="contrast"):
        seal(_canvas((640, 360), 250), rendered_ns=0)


def test_fails_closed_when_drawing_moves_the_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = gate.draw_mark
    monkeypatch.setattr(gate, "draw_mark", lambda rgb, mark, *, corner: draw(rgb[1:], mark, corner=corner))
    with pytest.raises(WatermarkError, match="letters are covered"):
        seal(_canvas((640, 360), 40), rendered_ns=0)


def test_fails_closed_when_the_mark_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "make_mark", lambda height_px, style: make_mark(400, style))
    monkeypatch.setattr(gate, "draw_mark", lambda rgb, mark, *, corner: None)
    with pytest.raises(WatermarkError, match="does not fit"):
        seal(_canvas((640, 360), 40), rendered_ns=0)


def test_an_output_frame_cannot_be_made_without_a_seal() -> None:
    with pytest.raises(ShapeError, match="Seal"):
        OutputFrame(0, 0, np.zeros((4, 4, 3), np.uint8), None)


def test_letters_are_opaque_and_plate_is_not() -> None:
    mark = make_mark(mark_height_px((1280, 720)), "dark")
    kept = mark.kept.reshape(-1)
    assert (kept[mark.letters] == 0).all()
    assert (kept[mark.plate] > 0).all()
    assert not set(mark.letters.tolist()) & set(mark.plate.tolist())


@pytest.mark.parametrize("size_wh", [(1280, 720), (512, 512), (720, 1280), (128, 128)])
def test_holding_card_is_calm_marked_and_says_why(size_wh: tuple[int, int]) -> None:
    card = holding_card(size_wh, "Looking for a face", at_ns=7)
    other = holding_card(size_wh, "Waiting for the camera", at_ns=7)
    assert card.rgb.shape == (size_wh[1], size_wh[0], 3)
    assert has_mark(card.rgb)
    assert card.captured_ns == 7
    assert (card.rgb != other.rgb).any(), "the reason is legible text"


def test_a_long_reason_stays_inside_the_card() -> None:
    plain, wordy = draw_card((256, 256), ""), draw_card((256, 256), "word " * 100)
    columns = np.flatnonzero((plain != wordy).any(axis=(0, 2)))
    assert columns.min() > 5
    assert columns.max() < 250
