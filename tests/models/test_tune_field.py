# SPDX-License-Identifier: Apache-2.0
"""Tuning the geometric model on a short clip: the loss falls, a seed decides the result, bad input is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.assets import asset_path
from engine.capture import open_camera
from engine.cv import cv2
from engine.errors import InferenceFailed, NoFaceInDriver
from engine.evaluation.clips import EvalClip
from engine.evaluation.protocol import Instruments, open_instruments
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.training import samples
from engine.training.losses import face_weight, laplacian_loss, sample_loss
from engine.training.samples import TuningClip, draw_sample, read_clips
from engine.training.tune_field import Budget, main, mix_in, tune
from tests.helpers.source_faces import make_keypoints

SMALL = WarpModelConfig(side_px=128, key_stride=2, decoder=False)
STEP = 16  # every 16th frame of the driver: 16 frames that differ


def write_video(path: Path, pictures: list[np.ndarray]) -> Path:
    height, width = pictures[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height))
    for rgb in pictures:
        writer.write(np.ascontiguousarray(rgb[..., ::-1]))
    writer.release()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one usable clip, and one that shows nobody."""
    root = tmp_path_factory.mktemp("clips")
    with open_camera(str(asset_path("clips", "driver.mp4")), paced=False) as camera:
        frames = list(iter(camera.read, None))
    write_video(root / "performer.avi", [frame.rgb for frame in frames[::STEP]])
    write_video(root / "nobody.avi", [np.full((96, 96, 3), 90, np.uint8)] * 14)
    return root


@pytest.fixture(scope="module")
def clips(folder: Path) -> list[TuningClip]:
    with open_instruments() as instruments:
        return read_clips(folder, side_px=SMALL.side_px, instruments=instruments)


def numbers(model: ImplicitWarp) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])


def tuned(clips: list[TuningClip], *, seed: int = 0, steps: int = 2) -> torch.Tensor:
    model = ImplicitWarp(SMALL)
    assert tune(model, clips, budget=Budget(steps=steps), seed=seed) == steps
    return numbers(model)


def test_clips_that_show_nobody_are_left_out(clips: list[TuningClip]) -> None:
    assert [c.clip.name for c in clips] == ["performer"]
    assert clips[0].mattes.shape == clips[0].clip.frames.shape[:3]
    assert 0.2 < (clips[0].mattes > 127).mean() < 0.9


def test_a_clip_left_out_is_named(
    clips: list[TuningClip], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def load(path: Path, **_: object) -> EvalClip:
        if path.stem == "bad":
            raise NoFaceInDriver("Clip bad.avi shows nobody.")
        return clips[0].clip

    monkeypatch.setattr(samples, "load_clip", load)
    monkeypatch.setattr(samples, "list_clips", lambda _folder: [Path("bad.avi"), Path("good.avi")])
    instruments = Instruments(None, None, lambda rgb: rgb[..., 0])
    assert len(read_clips(Path(), side_px=128, instruments=instruments)) == 1
    assert "bad.avi" in caplog.text


def test_a_sample_holds_source_pictures_and_another_frame(clips: list[TuningClip]) -> None:
    rng = np.random.default_rng(5)
    drawn = [draw_sample(clips, rng) for _ in range(12)]
    assert {s.rgba.shape[1] for s in drawn} == {1, 2, 4}
    for s in drawn:
        assert s.rgba.shape[2:] == (4, 128, 128)
        assert s.truth.shape == s.backdrop.shape == (1, 3, 128, 128)
        assert not (s.source_keypoints == s.keypoints[:, None]).all((2, 3)).any()
        assert s.rgba.abs().max() <= 1


def test_a_few_steps_lower_the_loss(clips: list[TuningClip]) -> None:
    model = ImplicitWarp(SMALL)
    with torch.no_grad():
        model.field.log_bandwidth.fill_(-2.0)  # landmarks that reach three times too far
    rng = np.random.default_rng(99)
    held = [draw_sample(clips, rng) for _ in range(6)]

    def loss() -> float:
        with torch.no_grad():
            return float(sum(sample_loss(model, sample) for sample in held))

    before, notes = loss(), []
    tune(model, clips, budget=Budget(steps=6), note=notes.append)
    assert loss() < before
    assert [fact["step"] for fact in notes] == [1, 2, 3, 4, 5, 6]


def test_seed_and_steps_decide_the_result(clips: list[TuningClip]) -> None:
    first = tuned(clips)
    assert not torch.equal(first, numbers(ImplicitWarp(SMALL)))
    assert torch.equal(first, tuned(clips))
    assert not torch.equal(first, tuned(clips, seed=1))


def test_time_ends_the_tuning_too(clips: list[TuningClip]) -> None:
    assert tune(ImplicitWarp(SMALL), clips, budget=Budget(seconds=1e-6)) <= 1
    assert Budget(seconds=60).share(1000, 30) == 0.5
    assert Budget(steps=10).share(5, 1000) == 0.5


def test_a_decoder_is_left_alone(clips: list[TuningClip]) -> None:
    torch.manual_seed(2)
    model = ImplicitWarp(WarpModelConfig(side_px=128, width=8, value=16, learned=8, extra=4, blocks=1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    tune(model, clips, budget=Budget(steps=1))
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert "field.log_bandwidth" in moved
    assert moved <= {name for name, _ in ImplicitWarp(SMALL).named_parameters()}


def test_an_undefined_loss_ends_it(clips: list[TuningClip]) -> None:
    model = ImplicitWarp(SMALL)
    with torch.no_grad():
        model.field.neck_y.fill_(float("nan"))
    with pytest.raises(InferenceFailed, match="the loss is nan"):
        tune(model, clips, budget=Budget(steps=1))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_mix_lies_between_start_and_result(share: float) -> None:
    start, result = ImplicitWarp(SMALL), ImplicitWarp(SMALL)
    with torch.no_grad():
        for parameter in result.parameters():
            parameter += 0.4
    mix_in(result, start, share=share)
    torch.testing.assert_close(numbers(result) - numbers(start), torch.full_like(numbers(start), 0.4 * share))
    assert share or torch.equal(numbers(result), numbers(start))


def test_command_writes_weights_and_log(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start, out = tmp_path / "start.safetensors", tmp_path / "weights.safetensors"
    save_checkpoint(ImplicitWarp(SMALL), start)
    clip = folder / "performer.avi"
    status = main(["--clips", str(clip), "--start", str(start), "--out", str(out), "--steps", "1", "--mix", "0"])
    assert status == 0
    assert torch.equal(numbers(load_checkpoint(out)), numbers(load_checkpoint(start)))
    first, step, last = map(json.loads, out.with_suffix(".jsonl").read_text().splitlines())
    assert first["clips"] == ["performer"]
    assert step["loss"] > 0
    assert last["judged"]["mixed"] == last["judged"]["start"] != last["judged"]["tuned"]
    assert "1 steps on 1 clips" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "status", "says"), [("empty", 4, "no video"), ("nobody", 4, "None of the 1 clips can be used")]
)
def test_command_refuses_a_folder_without_usable_clips(
    content: str, status: int, says: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    if content == "nobody":
        (tmp_path / "clips" / "nobody.avi").write_bytes((folder / "nobody.avi").read_bytes())
    out = tmp_path / "weights.safetensors"
    assert main(["--clips", str(tmp_path / "clips"), "--out", str(out), "--steps", "1"]) == status
    told = capsys.readouterr().err.strip().splitlines()
    assert says in told[-1]
    assert not out.exists()


def test_command_refuses_an_output_folder_that_does_not_exist(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--clips", str(folder), "--out", str(tmp_path / "no" / "w.safetensors"), "--steps", "1"]) == 6
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "bad", [["--mix", "1.5"], ["--minutes", "0"], ["--minutes", "nan"], ["--steps", "0"], ["--out", "w.jsonl"]]
)
def test_command_refuses_bad_numbers(bad: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--clips", ".", "--out", "w.safetensors", *bad])
    assert "must" in capsys.readouterr().err


def test_the_loss_counts_the_face_more_and_knows_displaced_edges() -> None:
    keypoints = torch.from_numpy(make_keypoints())[None]
    weight = face_weight(keypoints, side_px=64)
    assert weight.shape == (1, 1, 64, 64)
    eye = ((keypoints[0, 159, :2] + 1) * 32).long()
    assert weight[0, 0, eye[1], eye[0]] > 2 * weight[0, 0, 32, 2]
    assert weight[0, 0, 0, 0] == pytest.approx(0.5, abs=0.01)
    edge = torch.zeros(1, 3, 64, 64)
    edge[..., 20:] = 1
    near, far = (laplacian_loss(torch.roll(edge, shift, -1), edge, torch.ones(1, 1, 64, 64)) for shift in (2, 8))
    assert laplacian_loss(edge, edge, torch.ones(1, 1, 64, 64)) == 0
    assert 0 < near < far
