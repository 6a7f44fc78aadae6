# SPDX-License-Identifier: Apache-2.0
"""`bunraku verify` on what people hand in: re-encoded, trimmed, cut together, screenshotted, unmarked, broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from engine.app.demo import builtin_clip
from engine.cli.commands import app
from engine.evaluation.marks.attacks import h264
from engine.sinks.mp4 import Mp4Sink
from engine.sinks.png import png_bytes
from engine.types import Composite
from engine.verify import media
from engine.verify.check import verify
from engine.verify.media import Unreadable, read_media
from engine.watermark.gate import seal
from engine.watermark.imprint_reader import TRACE, best_guess, read_imprint
from engine.watermark.payload import Payload, current_payload

SIZE_WH = (960, 540)


def scene(count: int, *, seed: int = 3) -> list[np.ndarray]:
    """A soft picture with a block that moves."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(40, 210, (9, 16, 3)).astype(np.float32)
    ground = cv2.resize(coarse, SIZE_WH, interpolation=cv2.INTER_CUBIC) + rng.normal(0, 3, (*SIZE_WH[::-1], 3))
    frames = []
    for n in range(count):
        canvas = np.clip(ground, 0, 255).astype(np.uint8)
        canvas[200:400, 100 + 12 * n : 300 + 12 * n] = (180, 90, 60)
        frames.append(canvas)
    return frames


def marked(count: int, *, payload: Payload | None = None) -> list[np.ndarray]:
    return [seal(Composite(0, rgb), rendered_ns=0, payload=payload).rgb for rgb in scene(count)]


def write_video(path: Path, frames: list[np.ndarray], *, crf: int = 28) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["verify", *map(str, words)])
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("take") / "take.mp4"
    with Mp4Sink(path, fps=25) as sink:
        for n, rgb in enumerate(scene(30)):
            sink.send(seal(Composite(n * 40_000_000, rgb), rendered_ns=0))
    return path


def test_a_recording_has_all_three_layers(recording: Path) -> None:
    code, out, _ = run(recording)
    assert code == 0
    assert "made with Bunraku" in out
    assert "visible mark" in out
    assert f"run {current_payload().run_id:06x}" in out
    assert "valid, in the file" in out
    assert "cannot prove" in out


def test_json_says_the_same(recording: Path) -> None:
    code, out, _ = run(recording, "--json")
    said = json.loads(out)
    assert code == 0
    assert said["result"] == "marked"
    assert said["confidence"] > 0.99
    assert said["visible"]["frames_found"] == said["visible"]["frames_looked_at"] == 12
    assert said["invisible"]["run"] == f"{current_payload().run_id:06x}"
    assert said["signature"]["valid"]
    assert said["signature"]["this_installation"]
    assert said["limits"]


def test_reencoded_halved_and_trimmed(tmp_path: Path) -> None:
    frames = marked(24, payload=Payload((1, 2), 77))
    again = h264(frames, crf=26)[5:17]
    small = [cv2.resize(rgb, (480, 270), interpolation=cv2.INTER_AREA) for rgb in again]
    verdict = verify(write_video(tmp_path / "clip.mkv", small))
    assert verdict.marked
    assert verdict.signature is None
    assert verdict.invisible is not None
    assert verdict.invisible.payload == Payload((1, 2), 77)
    assert verdict.visible is not None


def test_a_screenshot_of_a_player(tmp_path: Path) -> None:
    frame = h264(marked(6), crf=23)[-1]
    desktop = np.full((1080, 1920, 3), 70, np.uint8)
    desktop[:40] = 30
    desktop[180:720, 420:1380] = frame
    Image.fromarray(desktop).save(tmp_path / "shot.png")
    verdict = verify(tmp_path / "shot.png")
    assert verdict.marked
    assert verdict.invisible is not None
    assert verdict.invisible.payload == current_payload()
    assert verdict.invisible.scale == pytest.approx(0.5, rel=0.02)


def test_a_small_window_on_a_large_screen() -> None:
    screen = np.full((1600, 2000, 3), 90, np.uint8)
    # less than a quarter of the screen's height: seen as a whole the screen is too coarse to read it
    screen[1200:1560, 1340:1980] = cv2.resize(marked(1)[0], (640, 360), interpolation=cv2.INTER_AREA)
    found = read_imprint([screen])
    assert found is not None
    assert found.payload == current_payload()
    assert best_guess([screen]).sync < TRACE


def test_a_mirrored_crop_as_jpeg(tmp_path: Path) -> None:
    crop = marked(1)[0][40:500, 90:900][:, ::-1]
    Image.fromarray(np.ascontiguousarray(crop)).save(tmp_path / "crop.jpg", quality=80)
    code, out, _ = run(tmp_path / "crop.jpg")
    assert code == 0
    assert "mirrored" in out


def test_a_marked_part_between_foreign_ones(tmp_path: Path) -> None:
    foreign = scene(12, seed=9)
    verdict = verify(write_video(tmp_path / "cut.mp4", [*foreign, *marked(8), *foreign]))
    assert verdict.marked
    assert verdict.invisible is not None
    assert 1 <= verdict.invisible.found < verdict.invisible.looked


def test_two_runs_in_one_file(tmp_path: Path) -> None:
    frames = [*marked(12, payload=Payload((0, 1), 5)), *marked(12, payload=Payload((0, 1), 6))]
    verdict = verify(write_video(tmp_path / "both.mp4", frames, crf=20))
    assert verdict.invisible is not None
    assert verdict.invisible.payload is not None
    assert len(verdict.invisible.other_runs) == 1


def test_an_edited_recording_is_said_to_be_edited(recording: Path, tmp_path: Path) -> None:
    path = tmp_path / "edited.mp4"
    content = bytearray(recording.read_bytes())
    content[content.index(b"mdat") + 100] ^= 1
    path.write_bytes(content)
    code, out, _ = run(path)
    assert code == 0
    assert "not what was signed" in out


def test_a_snapshot(tmp_path: Path) -> None:
    (tmp_path / "shot.png").write_bytes(png_bytes(seal(Composite(0, scene(1)[0]), rendered_ns=0)))
    verdict = verify(tmp_path / "shot.png")
    assert verdict.signature is not None
    assert verdict.signature.intact
    assert verdict.confidence > 0.9999


def test_an_unmarked_video_and_an_unmarked_picture(tmp_path: Path) -> None:
    Image.fromarray(scene(1)[0]).save(tmp_path / "plain.png")
    for path in (builtin_clip(), tmp_path / "plain.png"):
        code, out, _ = run(path)
        assert code == 1, path
        assert "no mark of Bunraku found" in out
        code, out, _ = run(path, "--json")
        assert (code, json.loads(out)["result"]) == (1, "no mark")


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"\0\0\0\x18ftypmp42" + b"\0" * 99]
)
def test_what_cannot_be_read_is_code_2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.bin"
    path.write_bytes(content)
    code, out, err = run(path)
    assert (code, out) == (2, "")
    assert "cannot be read" in err
    code, out, _ = run(path, "--json")
    assert (code, json.loads(out)["result"]) == (2, "cannot read")


def test_a_missing_file_and_a_folder_are_code_2(tmp_path: Path) -> None:
    assert run(tmp_path / "none.mp4")[0] == 2
    assert run(tmp_path)[0] == 2


def test_a_recording_that_was_never_finished(tmp_path: Path) -> None:
    with Mp4Sink(tmp_path / "live.mp4", fps=10) as sink:
        for n, rgb in enumerate(scene(30)):
            sink.send(seal(Composite(n * 100_000_000, rgb), rendered_ns=0))
        shutil.copy(sink.path, tmp_path / "killed.mp4")
    verdict = verify(tmp_path / "killed.mp4")
    assert verdict.marked
    assert verdict.signature is None


def test_sound_without_pictures_is_code_2(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))
    assert run(path)[0] == 2


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_MOST_PIXELS", 1000)
    Image.fromarray(scene(1)[0]).save(tmp_path / "large.png")
    with pytest.raises(Unreadable, match="960x540 pixels"):
        read_media(tmp_path / "large.png")
    write_video(tmp_path / "large.mp4", scene(2))
    with pytest.raises(Unreadable, match="960x540 pixels"):
        read_media(tmp_path / "large.mp4")


def test_a_long_video_is_sampled_over_its_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "_SHORT_S", 0)
    write_video(tmp_path / "long.mp4", scene(60), crf=40)
    assert 1 <= len(read_media(tmp_path / "long.mp4").pictures) <= 12


def test_a_transparent_picture_is_read_on_grey(tmp_path: Path) -> None:
    rgba = np.dstack([scene(1)[0], np.zeros(SIZE_WH[::-1], np.uint8)])
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    (picture,) = read_media(tmp_path / "clear.png").pictures
    assert (picture == 128).all()


def test_the_help_says_what_it_cannot_prove() -> None:
    _, out, _ = run("--help")
    assert "cannot prove" in " ".join(out.split())
    assert "0 marked by Bunraku, 1 no mark found, 2 the file cannot be read" in " ".join(out.split())


def test_a_copied_sidecar_alone_proves_nothing(recording: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "foreign.mp4", scene(6, seed=4))
    shutil.copy(recording.with_suffix(".c2pa"), tmp_path / "foreign.c2pa")
    assert run(tmp_path / "foreign.mp4")[0] == 1


def test_a_picture_too_small_to_tell_says_so(tmp_path: Path) -> None:
    Image.fromarray(scene(1)[0]).resize((160, 90)).save(tmp_path / "tiny.png")
    code, out, _ = run(tmp_path / "tiny.png")
    assert code == 1
    assert "a short side of 90 px is too little to tell, 240 are needed" in out
    assert "120 are needed" in out
