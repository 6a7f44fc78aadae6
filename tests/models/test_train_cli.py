# SPDX-License-Identifier: Apache-2.0
"""The train and judge commands on a pack made of numbers, with the smallest implicit-warp model there is."""

from __future__ import annotations

import dataclasses
import functools
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from engine.errors import (
    BackendUnavailable,
    InvalidSetting,
    ModelFileMissing,
    ModelMismatch,
    OutputUnwritable,
    PackInvalid,
)
from engine.models.checkpoint import load_checkpoint, save_checkpoint
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.training.data import PackItem, PackSplit
from engine.training.pack.format import MANIFEST, PackManifest, StoredItem, write_manifest
from engine.training.sampler import Sampler
from engine.training.train import cli, judge_cli
from engine.training.train.checkpoint import read_facts
from engine.training.train.cli import parse_options, train
from engine.training.train.judge_cli import judge_weights
from engine.training.train.settings import TrainSettings
from tests.helpers.source_faces import make_keypoints

SIDE, FRAMES = 128, 6
SMALL = {"side_px": SIDE, "width": 8, "value": 16, "learned": 8, "extra": 4, "blocks": 1}
OPTIONS = [word for key, value in SMALL.items() for word in ("--option", f"{key}={value}")]


def make_split() -> PackSplit:
    """One clip of a face that turns, and one still."""
    rng = np.random.default_rng(4)
    count = FRAMES + 1
    keypoints = np.stack([make_keypoints(yaw=0.05 * i) for i in range(count)]).astype(np.float32)
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    matte = np.where(rows**2 + columns**2 < 0.5, 255, 0).astype(np.uint8)
    frames = np.repeat(np.repeat(rng.integers(0, 256, (count, 16, 16, 3), np.uint8), SIDE // 16, 1), SIDE // 16, 2)
    items = (
        PackItem("group/clip", "clip", "group", 0, FRAMES),
        PackItem("group/still", "still", "group", FRAMES, count),
    )
    return PackSplit(frames, np.repeat(matte[None], count, 0), keypoints, items)


def make_manifest(pack: Path, *, digest: str = "a") -> None:
    """Write what tells one pack from another."""
    item = StoredItem("clip", "train", "group", "clip", 6, 6, 25, "exact", "x", "MIT", digest * 64, "b" * 64)
    pack.mkdir(exist_ok=True)
    write_manifest(pack, PackManifest(SIDE, 25, 0, {}, {}, (), (item,)))


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_manifest(tmp_path / "pack")
    monkeypatch.setattr(cli, "TrainSettings", functools.partial(TrainSettings, dev_samples=1))
    monkeypatch.setattr(cli, "load_split", lambda *_args, **_kwargs: (make_split(), {}))
    return tmp_path / "pack"


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def call(command: Any, *words: object, fails: type[Exception] | None = None) -> Result:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(word) for word in words])
    if fails is None:
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    else:
        assert isinstance(result.exception, fails), result.output
    return result


def run(pack: Path, out: Path, *words: object, fails: type[Exception] | None = None) -> Result:
    fixed = ("--model", "implicit_warp", *OPTIONS, "--device", "cpu", "--threads", 1, "--batch", 2)
    return call(train, *fixed, "--pack", pack, "--out", out, *words, fails=fails)


def header_of(out: Path, index: int = -1) -> dict[str, Any]:
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [line["run"] for line in lines if "run" in line][index]


def test_training_goes_on_where_it_ended_and_its_weights_can_be_judged(pack: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = run(pack, out, "--steps", 1, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert "1 steps, 2 samples" in result.output
    assert "dev loss" in result.output
    assert "N=4" in result.output
    for name in ("weights.safetensors", "best.safetensors", "checkpoint.safetensors", "preview_00000002.png"):
        assert (out / name).is_file()
    assert load_checkpoint(out / "weights.safetensors").config == WarpModelConfig(**SMALL)
    run(pack, out, "--steps", 2, "--resume")
    facts = read_facts(out)
    assert (facts["progress"]["step"], facts["seed"]) == (2, 3)
    assert header_of(out)["from_step"] == 1
    assert header_of(out)["arguments"]["steps"] == 2

    sheet = tmp_path / "sheet.png"
    words = ("--weights", out / "weights.safetensors", "--pack", pack, "--samples", 1, "--device", "cpu")
    told = call(judge_weights, *words, "--sheet", sheet).stdout.splitlines()
    assert [line.split()[0] for line in told] == ["N=1", "N=4"]
    assert "psnr_face_db" in told[0]
    assert sheet.stat().st_size > 1000
    call(judge_weights, *words, "--sheet", tmp_path / "no" / "sheet.png", fails=OutputUnwritable)

    make_manifest(pack, digest="c")
    error = run(pack, out, "--steps", 3, "--resume", fails=ModelMismatch).exception
    assert "on another pack" in str(error)


def test_what_fits_of_other_weights_is_taken(pack: Path, tmp_path: Path) -> None:
    geometric = ImplicitWarp(WarpModelConfig(side_px=SIDE, decoder=False))
    with torch.no_grad():
        geometric.field.neck_y.fill_(0.123)
    save_checkpoint(geometric, tmp_path / "start.safetensors")
    run(pack, tmp_path / "run", "--steps", 1, "--start", tmp_path / "start.safetensors")
    started = header_of(tmp_path / "run")["arguments"]["started_with"]
    assert started["taken"] > 0
    assert started["untrained"] > started["unused"] == 0
    model = load_checkpoint(tmp_path / "run" / "weights.safetensors")
    assert model.field.neck_y.item() == pytest.approx(0.123)
    wider = ImplicitWarp(dataclasses.replace(WarpModelConfig(**SMALL), width=16))
    save_checkpoint(wider, tmp_path / "wide.safetensors")
    words = ("--steps", 1, "--start", tmp_path / "wide.safetensors")
    assert "do not fit" in str(run(pack, tmp_path / "other", *words, fails=ModelMismatch).exception)


def test_sigterm_writes_a_checkpoint_and_ends_with_130(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = Sampler.draw

    def interrupted(self: Sampler, step: int, **how: Any) -> Any:
        if step == 0 and how["batch"] == 2:
            signal.raise_signal(signal.SIGTERM)
        return draw(self, step, **how)

    monkeypatch.setattr(Sampler, "draw", interrupted)
    result = run(pack, tmp_path / "run", "--minutes", 60)
    assert result.exit_code == 130
    assert "Stopped; go on with --resume. 1 steps" in result.output
    assert read_facts(tmp_path / "run")["progress"]["step"] == 1


def test_ctrl_c_while_the_pack_is_read_ends_with_130(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_args: Any, **_kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load_split", interrupt)
    assert run(pack, tmp_path / "run", "--steps", 1).exit_code == 130


@pytest.mark.parametrize(
    ("words", "fails", "says"),
    [
        (["--model", "warpinator"], InvalidSetting, "no model 'warpinator'"),
        (["--size", "huge"], InvalidSetting, "no size 'huge'"),
        (["--option", "nope=3"], InvalidSetting, "nope"),
        (["--option", "width=abc"], InvalidSetting, "cannot be made"),
        (["--option", "width"], InvalidSetting, "must be KEY=VALUE"),
        (["--pack", "nowhere"], PackInvalid, "does not exist"),
        (["--minutes", "5"], InvalidSetting, "exactly one"),
        (["--steps", "0"], InvalidSetting, "--steps must be above 0"),
        (["--batch", "0"], InvalidSetting, "--batch must be at least 1"),
        (["--rate", "0"], InvalidSetting, "--rate must be above 0"),
        (["--threads", "0"], InvalidSetting, "--threads must be at least 1"),
        (["--gan-from", "2"], InvalidSetting, "--gan-from must be from 0 to 1"),
        (["--device", "warp:9"], BackendUnavailable, "cannot use the device 'warp:9'"),
        (["--precision", "fp8"], InvalidSetting, "no precision 'fp8'"),
        (["--resume"], ModelFileMissing, "no checkpoint to go on from"),
        (["--resume", "--start", "x"], InvalidSetting, "exclude each other"),
        (["--start", "nowhere.safetensors"], ModelFileMissing, "missing"),
        (["--out", "/dev/null/run"], OutputUnwritable, "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    words: list[str], fails: type[Exception], says: str, pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_args: Any, **_kwargs: Any) -> None:
        raise AssertionError("the pack was read before the mistake was found")

    monkeypatch.setattr(cli, "load_split", unread)
    error = str(run(pack, tmp_path / "run", "--steps", 1, *words, fails=fails).exception)
    assert says in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_options_are_read_as_json_where_they_are_json() -> None:
    words = ["width=8", "fine=false", "share=0.5", "name=abc", "text=a=b"]
    assert parse_options(words) == {"width": 8, "fine": False, "share": 0.5, "name": "abc", "text": "a=b"}


def test_a_pack_is_known_by_its_content(pack: Path, tmp_path: Path) -> None:
    first = cli.pack_identity(pack)
    make_manifest(tmp_path / "copy")
    assert cli.pack_identity(tmp_path / "copy") == first
    make_manifest(tmp_path / "copy", digest="c")
    assert cli.pack_identity(tmp_path / "copy") != first
    (pack / MANIFEST).unlink()
    with pytest.raises(PackInvalid):
        cli.pack_identity(pack)


def test_a_task_is_made_again_from_its_weights(tmp_path: Path) -> None:
    model = ImplicitWarp(WarpModelConfig(**SMALL))
    save_checkpoint(model, tmp_path / "w.safetensors")
    task = judge_cli.task_of(tmp_path / "w.safetensors")
    assert task.model.config == model.config
    for name, tensor in task.model.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
