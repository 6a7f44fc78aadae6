# SPDX-License-Identifier: Apache-2.0
"""The compositor: placement, backgrounds, edges without fringes, mirroring."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.compose.background import GREEN, colour_of, cover_crop, extend_sides
from engine.compose.compositor import Compositor, cross_fade
from engine.config import OutputSettings
from engine.errors import InvalidSetting
from engine.types import WarpedPortrait

_RED, _BLUE = (200, 30, 40), (20, 60, 180)


def _portrait(
    side: int = 64, *, alpha: np.ndarray | None = None, hidden_rgb: tuple[int, ...] = (0, 0, 0)
) -> WarpedPortrait:
    """A red square person in the middle of a blue backdrop; what alpha hides has another colour."""
    if alpha is None:
        alpha = np.zeros((side, side), np.uint8)
        alpha[side // 4 : 3 * side // 4, side // 4 : 3 * side // 4] = 255
    rgba = np.empty((side, side, 4), np.uint8)
    rgba[..., :3] = np.where(alpha[..., None] > 0, np.array(_RED), np.array(hidden_rgb))
    rgba[..., 3] = alpha
    backdrop = np.empty((side, side, 3), np.uint8)
    backdrop[:] = _BLUE
    return WarpedPortrait(11, rgba, backdrop, np.ones(1, np.float32))


def _compose(portrait: WarpedPortrait, **settings: object) -> np.ndarray:
    composite = Compositor(OutputSettings(**settings)).compose(portrait)
    assert composite.captured_ns == 11
    return composite.rgb


@pytest.mark.parametrize("size_wh", [(1280, 720), (256, 256), (640, 480), (360, 640), (129, 301), (1024, 256)])
@pytest.mark.parametrize("background", ["source", "green", "#102030"])
def test_canvas_has_its_size_and_the_person_in_the_middle(size_wh: tuple[int, int], background: str) -> None:
    rgb = _compose(_portrait(), size_wh=size_wh, background=background)
    assert rgb.shape == (size_wh[1], size_wh[0], 3)
    assert np.abs(rgb[size_wh[1] // 2, size_wh[0] // 2].astype(int) - _RED).max() <= 2


@pytest.mark.parametrize(("background", "colour"), [("source", _BLUE), ("green", GREEN), ("#102030", (16, 32, 48))])
def test_background_fills_everything_else(background: str, colour: tuple[int, int, int]) -> None:
    rgb = _compose(_portrait(), size_wh=(400, 200), background=background)
    for y, x in ((0, 0), (199, 399), (100, 5), (3, 200)):
        assert np.abs(rgb[y, x].astype(int) - colour).max() <= 1


def test_nothing_is_scaled_where_sizes_agree() -> None:
    rgb = _compose(_portrait(128), size_wh=(128, 128), background="#000000")
    assert (rgb[40, 40] == _RED).all()
    assert (rgb[10, 10] == 0).all()
    assert set(np.unique(rgb[..., 0])) == {0, 200}, "no interpolated pixel"


def test_large_portraits_are_made_smaller() -> None:
    rgb = _compose(_portrait(512), size_wh=(256, 256), background="green")
    assert np.abs(rgb[128, 128].astype(int) - _RED).max() <= 1


@pytest.mark.parametrize("use_picture", [False, True])
def test_hidden_colour_never_shows_at_the_edge(tmp_path: Path, use_picture: bool) -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[16:48, 16:48] = 128
    alpha[20:44, 20:44] = 255
    background = "#ffffff"
    if use_picture:
        background = str(tmp_path / "white.png")
        cv2.imwrite(background, np.full((300, 300, 3), 255, np.uint8))
    dark = _compose(_portrait(alpha=alpha, hidden_rgb=(0, 0, 0)), size_wh=(300, 300), background=background)
    light = _compose(_portrait(alpha=alpha, hidden_rgb=(255, 255, 255)), size_wh=(300, 300), background=background)
    assert (dark == light).all(), "colour under zero alpha must not matter"
    # Cubic scaling overshoots by a few levels; a fringe of the hidden black would fall to 128 and below.
    assert dark[..., 0].min() >= 185, "between red 200 and white 255 lies nothing darker"


def test_picture_covers_the_canvas(tmp_path: Path) -> None:
    path = tmp_path / "bild ü.png"
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[:, 100:200] = (10, 20, 30)
    path.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
    rgb = _compose(_portrait(alpha=np.zeros((64, 64), np.uint8)), size_wh=(200, 200), background=str(path))
    assert np.abs(rgb.astype(int) - (10, 20, 30)).max() <= 1, "the middle third, cut to the square"


def test_picture_and_person_meet_on_a_narrow_canvas(tmp_path: Path) -> None:
    path = tmp_path / "white.png"
    cv2.imwrite(str(path), np.full((50, 50, 3), 255, np.uint8))
    rgb = _compose(_portrait(), size_wh=(150, 300), background=str(path))
    assert np.abs(rgb[150, 75].astype(int) - _RED).max() <= 1
    assert (rgb[5] == 255).all()


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unusable_pictures_are_refused_and_the_old_look_stays(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.png"
    if content is not None:
        path.write_bytes(content)
    compositor = Compositor(OutputSettings(size_wh=(256, 256), background="green"))
    with pytest.raises(InvalidSetting, match=r"broken\.png"):
        compositor.set_settings(OutputSettings(size_wh=(256, 256), background=str(path)))
    assert compositor.settings.background == "green"
    assert (compositor.compose(_portrait()).rgb[0, 0] == GREEN).all()


def test_mirroring_turns_person_and_backdrop() -> None:
    side = 64
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[:, : side // 2] = (*_RED, 255)
    backdrop = np.zeros((side, side, 3), np.uint8)
    backdrop[:, side // 2 :] = _BLUE
    portrait = WarpedPortrait(11, rgba, backdrop, np.ones(1, np.float32))
    plain = _compose(portrait, size_wh=(300, 160), background="source")
    mirrored = _compose(portrait, size_wh=(300, 160), background="source", mirrored=True)
    assert np.abs(plain[:, ::-1].astype(int) - mirrored).max() <= 2
    assert np.abs(plain.astype(int) - mirrored).max() > 100


def test_a_chosen_picture_is_not_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "writing.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (160, 300, 3), dtype=np.uint8))
    empty = _portrait(alpha=np.zeros((64, 64), np.uint8))
    plain = _compose(empty, size_wh=(300, 160), background=str(path))
    assert (plain == _compose(empty, size_wh=(300, 160), background=str(path), mirrored=True)).all()


def test_shoulders_fade_out_on_a_wide_canvas_and_not_on_a_square_one() -> None:
    full = _portrait(alpha=np.full((64, 64), 255, np.uint8))
    wide = _compose(full, size_wh=(400, 200), background="#000000")[100, :, 0].astype(int)
    assert wide[101] < 20, "no hard edge where the square ends"
    assert (np.diff(wide[100:200]) >= -1).all()
    square = _compose(full, size_wh=(200, 200), background="#000000")
    assert (square[..., 0] == _RED[0]).all()


def test_new_backdrop_is_noticed_and_an_equal_one_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def counted(*args: object, **kwargs: object) -> object:
        calls.append(1)
        return extend_sides(*args, **kwargs)

    monkeypatch.setattr("engine.compose.compositor.extend_sides", counted)
    compositor = Compositor(OutputSettings(size_wh=(400, 200)))
    first = compositor.compose(_portrait()).rgb
    compositor.compose(_portrait())
    assert len(calls) == 1
    other = _portrait()
    changed = dataclasses.replace(other, backdrop=255 - other.backdrop)
    assert (compositor.compose(changed).rgb[0, 0] != first[0, 0]).any()
    assert len(calls) == 2


def test_settings_change_between_frames() -> None:
    compositor = Compositor(OutputSettings(size_wh=(256, 256), background="green"))
    compositor.compose(_portrait())
    compositor.set_settings(compositor.settings)
    compositor.set_settings(OutputSettings(size_wh=(256, 256), background="#010203"))
    assert (compositor.compose(_portrait()).rgb[0, 0] == (1, 2, 3)).all()


def test_sides_continue_the_backdrop_without_a_step() -> None:
    ramp = np.tile(np.linspace(0, 255, 96, dtype=np.uint8)[None, :, None], (96, 1, 3))
    left, square, right = extend_sides(ramp, side_px=150, canvas_height_px=192)
    assert left.shape == right.shape == (192, 150, 3)
    assert np.abs(left[:, -1].astype(int) - square[0, 0]).max() <= 4
    assert np.abs(right[:, 0].astype(int) - square[0, -1]).max() <= 4
    assert (square[:, 40:56] == ramp[:, 40:56]).all(), "the middle stays sharp"


def test_colours() -> None:
    assert colour_of("green") == GREEN
    assert colour_of("#0a0B0c") == (10, 11, 12)
    assert colour_of("source") is None
    assert colour_of("picture.png") is None


@pytest.mark.parametrize("shape", [(10, 500, 3), (500, 10, 3), (1, 1, 3), (64, 64, 3)])
def test_cover_crop_always_covers(shape: tuple[int, int, int]) -> None:
    assert (cover_crop(np.full(shape, 77, np.uint8), (160, 90)) == 77).all()


def test_cross_fade_ends_and_middle() -> None:
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert cross_fade(black, white, share=0) is black
    assert cross_fade(black, white, share=1) is white
    assert (cross_fade(black, white, share=0.5) == 128).all()


def test_blur_softens_the_own_background_and_not_the_person() -> None:
    portrait = _portrait()
    backdrop = portrait.backdrop.copy()
    backdrop[:, ::4] = 255  # bars that a blur takes away
    barred = dataclasses.replace(portrait, backdrop=backdrop)
    sharp = _compose(barred, size_wh=(256, 256), background="source")
    soft = _compose(barred, size_wh=(256, 256), background="blur")
    assert soft[10].std(axis=0).max() < 0.25 * sharp[10].std(axis=0).max()
    assert np.abs(soft[128, 128].astype(int) - _RED).max() <= 2


@pytest.mark.parametrize("size_wh", [(320, 200), (200, 200), (160, 240)])
def test_nothing_stands_behind_a_transparent_canvas(size_wh: tuple[int, int]) -> None:
    composite = Compositor(OutputSettings(size_wh=size_wh, background="transparent")).compose(_portrait())
    assert composite.alpha is not None
    middle = (size_wh[1] // 2, size_wh[0] // 2)
    assert composite.alpha[middle] == 255
    assert np.abs(composite.rgb[middle].astype(int) - _RED).max() <= 2
    assert composite.alpha[0, 0] == 0
    assert composite.rgb[0, 0].max() == 0
    assert (composite.rgb <= composite.alpha[..., None]).all()  # premultiplied: no colour without cover


def test_other_backgrounds_are_opaque() -> None:
    assert Compositor(OutputSettings(background="green")).compose(_portrait()).alpha is None
