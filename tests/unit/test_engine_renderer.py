# SPDX-License-Identifier: Apache-2.0
"""The synchronous core: hold, fade, return; live settings; nothing raw, nothing unmarked."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from engine.assets import load_canonical_face
from engine.clock import NS_PER_S, FakeClock
from engine.config import LiveSettings, MotionSettings, OutputSettings, PipelineSettings
from engine.errors import CalibrationRejected, InferenceFailed, InvalidSetting, WatermarkError
from engine.events import Calibrated, CalibrationFailed, PipelineEvent, SourceSetReady, TrackingLost, TrackingRecovered
from engine.renderer import LOOKING, WAITING, Renderer
from engine.sources.driving_crop import DrivingCrop
from engine.track.calibration import make_neutral
from engine.types import Frame
from engine.watermark import gate
from engine.watermark.gate import has_mark, holding_card
from tests.helpers.scripted import (
    RAW_RGB,
    SIZE_WH,
    BesideWarper,
    ReadingWarper,
    ScriptedTracker,
    ScriptedWarper,
    driving_frame,
    make_renderer,
    make_source_set,
    shows_person,
    shows_raw,
)

_OUTPUT = OutputSettings(size_wh=SIZE_WH)
_WAITS = PipelineSettings(hold_s=1.0, fade_s=1.0, recover_s=0.5)


def _at(seconds: float, *, index: int = 0) -> object:
    return driving_frame(index, at_ns=round(seconds * NS_PER_S))


def _is_card(rgb: np.ndarray, reason: str) -> bool:
    return np.array_equal(rgb, holding_card(SIZE_WH, reason).rgb)


def _losing(lost_from: int = 1) -> tuple[Renderer, ScriptedTracker, list[PipelineEvent]]:
    tracker = ScriptedTracker(lost={lost_from})
    renderer = make_renderer(tracker=tracker, settings=LiveSettings(output=_OUTPUT, pipeline=_WAITS))
    events: list[PipelineEvent] = []
    renderer.listener = events.append
    return renderer, tracker, events


def test_a_frame_in_a_marked_frame_out() -> None:
    clock = FakeClock(start_ns=77)
    renderer = make_renderer(clock=clock)
    output = renderer.render(driving_frame(0, at_ns=5))
    assert (output.captured_ns, output.rendered_ns) == (5, 77)
    assert output.rgb.shape == (SIZE_WH[1], SIZE_WH[0], 3)
    assert shows_person(output) > 0.98
    assert has_mark(output.rgb)
    assert not shows_raw(output)


def test_timings_cover_every_stage() -> None:
    renderer = make_renderer()
    renderer.render(driving_frame(0))
    times = dataclasses.asdict(renderer.last_timings)
    assert set(times) == {"track_ns", "retarget_ns", "warp_ns", "composite_ns", "watermark_ns"}
    assert all(value > 0 for value in times.values())


def test_without_a_face_from_the_start_there_is_only_the_card() -> None:
    renderer, _, events = _losing(lost_from=0)
    output = renderer.render(_at(0, index=0))
    assert _is_card(output.rgb, LOOKING)
    assert renderer.tracking_lost
    assert [type(event) for event in events] == [TrackingLost]
    assert renderer.last_timings.warp_ns == 0


def test_loss_holds_then_fades_then_shows_the_card() -> None:
    renderer, _, events = _losing()
    renderer.render(_at(10))
    shares = [shows_person(renderer.render(_at(10 + s, index=1))) for s in (0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 5.0)]
    assert shares[0] > 0.98
    assert shares[1] > 0.98
    assert shares[1] > shares[2] > shares[3] > shares[4] > shares[5]
    assert shares[5] == shares[6] < 0.5
    assert _is_card(renderer.render(_at(20, index=1)).rgb, LOOKING)
    assert [type(event) for event in events] == [TrackingLost], "told once"


def test_every_frame_of_a_loss_is_marked_and_holds_no_camera_pixel() -> None:
    renderer, _, _ = _losing()
    for n, second in enumerate((0, 0.5, 1.3, 1.6, 2.5, 2.6)):
        output = renderer.render(_at(second, index=int(0 < n < 5)))
        assert has_mark(output.rgb)
        assert not shows_raw(output)


def test_the_face_comes_back_at_once_from_a_held_pose() -> None:
    renderer, _, events = _losing()
    renderer.render(_at(0))
    renderer.render(_at(0.5, index=1))
    assert shows_person(renderer.render(_at(0.6))) > 0.98
    assert [type(event) for event in events] == [TrackingLost, TrackingRecovered]
    assert renderer._performer.retargeter.resets == 0, "a short loss does not restart the filters"


def test_the_face_fades_back_from_the_card() -> None:
    renderer, _, _ = _losing()
    renderer.render(_at(0))
    renderer.render(_at(5, index=1))
    shares = [shows_person(renderer.render(_at(5 + s))) for s in (0.25, 0.5, 0.75)]
    assert shares[0] < 0.9 < shares[1]
    assert shares[2] > 0.98
    assert renderer._performer.retargeter.resets == 1
    assert renderer._performer.warper.resets == 1


def test_zero_waits_switch_at_once() -> None:
    waits = PipelineSettings(hold_s=0, fade_s=0, recover_s=0)
    renderer = make_renderer(tracker=ScriptedTracker(lost={1}), settings=LiveSettings(output=_OUTPUT, pipeline=waits))
    renderer.render(_at(0))
    assert _is_card(renderer.render(_at(0.001, index=1)).rgb, LOOKING)
    assert shows_person(renderer.render(_at(0.002))) > 0.98


def test_no_frame_at_all_is_a_loss_too() -> None:
    renderer, _, _ = _losing()
    renderer.render(_at(1))
    assert shows_person(renderer.render_absent(NS_PER_S * 3 // 2, WAITING)) > 0.98
    assert _is_card(renderer.render_absent(9 * NS_PER_S, WAITING).rgb, WAITING)


def test_the_panic_key_shows_the_card_without_looking_at_the_frame() -> None:
    tracker = ScriptedTracker(error_at={7: AssertionError("looked")})
    renderer = make_renderer(tracker=tracker)
    renderer.render(_at(0))
    renderer.set_settings(dataclasses.replace(renderer.settings, blanked=True))
    blank = renderer.render(_at(0.1, index=7))
    assert _is_card(blank.rgb, "Back in a moment")
    assert _is_card(renderer.render_absent(NS_PER_S, WAITING).rgb, "Back in a moment")
    renderer.set_settings(dataclasses.replace(renderer.settings, blanked=False))
    assert shows_person(renderer.render(_at(2))) > 0.98


def test_settings_reach_every_stage_with_the_next_frame() -> None:
    renderer = make_renderer()
    first = renderer.render(_at(0))
    look = OutputSettings(size_wh=(256, 256), background="green", watermark_corner="bottom-left")
    renderer.set_settings(LiveSettings(motion=MotionSettings(head=0.5), output=look))
    second = renderer.render(_at(0.1))
    assert second.rgb.shape == (256, 256, 3) != first.rgb.shape
    assert renderer._performer.retargeter.settings.head == 0.5
    assert (second.rgb[230:250, 10:100] == 255).any(), "the mark's letters are in the other corner"


def test_a_new_size_during_a_loss_does_not_mix_sizes() -> None:
    renderer, _, _ = _losing()
    renderer.render(_at(0))
    renderer.set_settings(dataclasses.replace(renderer.settings, output=OutputSettings(size_wh=(256, 256))))
    assert renderer.render(_at(1.5, index=1)).rgb.shape == (256, 256, 3)


def test_refused_settings_leave_the_old_ones() -> None:
    renderer = make_renderer()
    before = renderer.settings
    with pytest.raises(InvalidSetting):
        renderer.set_settings(LiveSettings(output=OutputSettings(size_wh=SIZE_WH, background="/no/such/picture.png")))
    assert renderer.settings is before
    assert shows_person(renderer.render(_at(0))) > 0.98


def test_switching_characters() -> None:
    warper = ScriptedWarper()
    renderer = make_renderer(warper=warper)
    events: list[PipelineEvent] = []
    renderer.listener = events.append
    renderer.set_source_set(make_source_set("maya"))
    renderer.use(renderer.prepare(make_source_set("otto")))
    assert warper.used == ["maya", "otto"]
    assert renderer._performer.retargeter.characters == 2
    assert [event.name for event in events if isinstance(event, SourceSetReady)] == ["maya", "otto"]


class _Calibrator:
    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)

    def add(self, motion: object) -> object:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _calibrating(monkeypatch: pytest.MonkeyPatch, *answers: object, keep_trying: bool) -> tuple[Renderer, list[type]]:
    renderer = make_renderer()
    calibrator = _Calibrator(*answers)
    monkeypatch.setattr("engine.performer.Calibrator", lambda: calibrator)
    events: list[PipelineEvent] = []
    renderer.listener = events.append
    renderer.start_calibration(keep_trying=keep_trying)
    for n in range(4):
        renderer.render(driving_frame(n))
    return renderer, [type(event) for event in events]


def test_calibration_takes_the_neutral_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, events = _calibrating(monkeypatch, None, "neutral", keep_trying=False)
    assert renderer._performer.retargeter.neutral == "neutral"
    assert events == [Calibrated]


def test_a_rejected_calibration_is_told_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, events = _calibrating(monkeypatch, CalibrationRejected("blink"), keep_trying=False)
    assert renderer._performer.retargeter.neutral is None
    assert events == [CalibrationFailed]


def test_a_calibration_may_keep_trying(monkeypatch: pytest.MonkeyPatch) -> None:
    rejected = CalibrationRejected("blink")
    renderer, events = _calibrating(monkeypatch, rejected, rejected, "neutral", keep_trying=True)
    assert renderer._performer.retargeter.neutral == "neutral"
    assert events == [CalibrationFailed, CalibrationFailed, Calibrated]


def test_reset_and_close_reach_every_stage() -> None:
    tracker, warper = ScriptedTracker(), ScriptedWarper()
    renderer = make_renderer(tracker=tracker, warper=warper)
    assert renderer.description == "engine: scripted"
    renderer.reset()
    assert (tracker.resets, warper.resets, renderer._performer.retargeter.resets) == (1, 1, 1)
    with renderer as same:
        assert same is renderer
    assert tracker.closed
    assert warper.closed_on


def test_errors_pass_through_and_nothing_comes_out() -> None:
    failed = InferenceFailed("The back-end failed.")
    renderer = make_renderer(warper=ScriptedWarper(error_at={1: failed}))
    with pytest.raises(InferenceFailed) as caught:
        renderer.render(_at(0))
    assert caught.value is failed


def test_an_unmarkable_frame_never_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    renderer = make_renderer()
    monkeypatch.setattr(gate, "draw_mark", lambda rgb, mark, *, corner: None)
    with pytest.raises(WatermarkError):
        renderer.render(_at(0))


class QueryNotingWarper(ScriptedWarper):
    def warp(self, query):
        self.query = query
        return super().warp(query)


def test_driving_pixels_go_no_further_than_the_tracker() -> None:
    warper = QueryNotingWarper()
    renderer = make_renderer(warper=warper)
    renderer.render(driving_frame(0))
    assert not renderer.needs_portrait
    assert warper.query.portrait is None


def test_a_model_that_needs_it_gets_the_driving_portrait_and_still_nothing_raw_comes_out() -> None:
    warper = ReadingWarper()
    renderer = make_renderer(warper=warper)
    assert renderer.needs_portrait
    output = renderer.render(driving_frame(0))
    (portrait,) = warper.portraits
    assert portrait is not None
    assert portrait.shape == (64, 64, 3)
    assert (portrait == RAW_RGB).all()
    assert not shows_raw(output)
    assert has_mark(output.rgb)


def test_motion_settings_reach_a_model_that_reads_portraits() -> None:
    warper = ReadingWarper()
    renderer = make_renderer(warper=warper)
    renderer.set_settings(dataclasses.replace(renderer.settings, motion=MotionSettings(motion=0.25)))
    assert warper.shares == [1.0, 0.25]


def _marked(index: int, value: int) -> Frame:
    return Frame(index, index, np.full((48, 64, 3), value, np.uint8))


def test_the_neutral_picture_is_the_frame_at_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    warper = ReadingWarper()
    renderer = make_renderer(warper=warper)
    neutral = make_neutral(load_canonical_face() * 40 + 100)
    calibrator = _Calibrator(None, neutral)
    monkeypatch.setattr("engine.performer.Calibrator", lambda: calibrator)
    renderer.start_calibration()
    for index, value in enumerate((10, 20, 30)):
        renderer.render(_marked(index, value))
    (picture,) = warper.neutrals
    assert picture is not None
    assert (picture == 20).all()
    renderer.set_neutral(neutral, frame=_marked(5, 50))
    assert (warper.neutrals[-1] == 50).all()
    renderer.set_neutral(neutral)
    assert warper.neutrals[-1] is None, "without a frame the next one serves"
    renderer.set_neutral(None, frame=_marked(5, 50))
    assert warper.neutrals[-1] is None


def test_the_crop_stands_still_until_the_past_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes: list[str] = []
    monkeypatch.setattr(DrivingCrop, "fix", _noting(DrivingCrop.fix, boxes))
    renderer = make_renderer(warper=ReadingWarper(), tracker=ScriptedTracker(lost={2}))
    for index in range(2):
        renderer.render(driving_frame(index))
    assert len(boxes) == 1
    renderer.render(_at(0.1, index=2))  # lost
    renderer.render(_at(0.2))
    assert len(boxes) == 1, "a short loss changes nothing"
    renderer.render(_at(2, index=2))
    renderer.render(_at(9))
    assert len(boxes) == 2, "whoever comes back after a while may sit elsewhere"
    renderer.reset()
    renderer.render(_at(9.1))
    assert len(boxes) == 3
    renderer.set_neutral(make_neutral(load_canonical_face() * 40 + 100))
    renderer.render(_at(9.2))
    assert len(boxes) == 4


def _noting(method, notes):
    def noted(self, *args, **options):
        notes.append("fixed")
        return method(self, *args, **options)

    return noted


def _eventful(warper: ScriptedWarper) -> Renderer:
    """A renderer whose performer is away for a while, so that frames hold, fade and come back."""
    settings = LiveSettings(output=_OUTPUT, pipeline=PipelineSettings(hold_s=0.1, fade_s=0.1, recover_s=0.1))
    return make_renderer(warper=warper, tracker=ScriptedTracker(lost={3, 4, *range(6, 16)}), settings=settings)


def test_ahead_the_frames_are_those_of_one_after_another() -> None:
    frames = [driving_frame(index) for index in range(24)]
    one, other = _eventful(BesideWarper()), _eventful(BesideWarper())
    expected = [(one.render(frame), one.tracking_lost) for frame in frames]
    found = list(other.render_ahead(frames))
    assert [done.lost for done in found] == [lost for _, lost in expected]
    for done, frame, (output, _) in zip(found, frames, expected, strict=True):
        assert done.frame is frame
        assert done.output.captured_ns == output.captured_ns
        np.testing.assert_array_equal(done.output.rgb, output.rgb)
    assert other._performer.retargeter.resets == one._performer.retargeter.resets == 1
    assert other.last_timings.warp_ns > 0


def test_ahead_a_warper_of_one_step_serves_too() -> None:
    frames = [driving_frame(index) for index in range(5)]
    found = list(make_renderer().render_ahead(frames))
    assert [shows_person(done.output) > 0.98 for done in found] == [True] * 5


@pytest.mark.parametrize("warper", [BesideWarper, ScriptedWarper])
def test_ahead_an_error_comes_after_the_frames_before_it(warper: type[ScriptedWarper]) -> None:
    renderer = make_renderer(warper=warper(error_at={4: InferenceFailed("The back-end failed.")}))
    frames = renderer.render_ahead(map(driving_frame, range(9)))
    assert [next(frames).frame.index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(InferenceFailed):
        next(frames)


def test_ahead_a_broken_tracker_takes_no_frame_with_it() -> None:
    renderer = make_renderer(warper=BesideWarper(), tracker=ScriptedTracker(error_at={3: RuntimeError("broken")}))
    frames = renderer.render_ahead(map(driving_frame, range(9)))
    assert [next(frames).frame.index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(RuntimeError, match="broken"):
        next(frames)


def test_ahead_nothing_is_being_drawn_when_it_is_closed() -> None:
    warper = BesideWarper()
    frames = make_renderer(warper=warper).render_ahead(map(driving_frame, range(9)))
    next(frames)
    assert warper.begun is not None
    frames.close()
    assert warper.begun is None


def test_ahead_behind_the_panic_key_there_is_only_the_card() -> None:
    renderer = make_renderer(warper=BesideWarper())
    renderer.set_settings(dataclasses.replace(renderer.settings, blanked=True))
    found = list(renderer.render_ahead(map(driving_frame, range(2))))
    assert all(_is_card(done.output.rgb, "Back in a moment") for done in found)
    assert not any(done.lost for done in found)
