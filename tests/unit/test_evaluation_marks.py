# SPDX-License-Identifier: Apache-2.0
"""The measuring command, small: its figures are real, and it notices when a mark is missing."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from engine.evaluation.marks import survival as survival_module
from engine.evaluation.marks.__main__ import main
from engine.evaluation.marks.attacks import ATTACKS, Sent
from engine.evaluation.marks.scenes import FRAMES, Scene, flat_scenes, picture_scenes
from engine.evaluation.marks.strangers import measure_strangers
from engine.evaluation.marks.survival import measure_survival

SIZE_WH = (960, 540)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one soft picture and one fine-grained."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(11)
    for name, cells in (("soft", 6), ("fine", 40)):
        blobs = rng.uniform(30, 220, (cells, cells, 3)).astype(np.float32)
        picture = cv2.resize(blobs, SIZE_WH, interpolation=cv2.INTER_CUBIC) + rng.normal(0, 3, (*SIZE_WH[::-1], 3))
        cv2.imwrite(str(folder / f"{name}.png"), np.clip(picture, 0, 255).astype(np.uint8))
    return folder


@pytest.mark.slow
def test_command_measures_and_writes(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    words = ["--rendered", "1", "--pictures", str(pictures), "--most", "1", "--no-flat", "--unmarked", "3"]
    assert main([*words, "--size", "960x540", "--json", str(out)]) == 0
    table = capsys.readouterr().out
    assert "H.264 crf 28, then 0.5×" in table
    report = json.loads(out.read_text(encoding="utf-8"))
    assert {row["attack"] for row in report["survival"]} == set(ATTACKS)
    for row in report["survival"]:
        assert row["frames"] == 1
        assert row["bit_accuracy"] >= 0.99, row
        assert row["payload_read"] == 1.0, row
    assert min(found["least"] for found in report["psnr_db"].values()) >= 42.0
    assert (report["unmarked"]["read"], report["unmarked"]["traces"], report["unmarked"]["seen"]) == (0, 0, 0)
    assert report["cost_ms"]["imprint_ms"][0] > 0


def test_without_the_invisible_mark_nothing_is_read(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survival_module, "seal", lambda composite, **_: composite)
    scenes = list(picture_scenes([pictures], size_wh=SIZE_WH, most=1))
    (result, *_), _ = measure_survival(scenes, attacks={"untouched": ATTACKS["untouched"]})
    assert result.read == [False]
    assert result.seen == [False]
    assert result.bits[0] < 0.85


def test_a_marked_picture_among_strangers_is_noticed(pictures: Path) -> None:
    (scene, *_) = picture_scenes([pictures], size_wh=SIZE_WH, most=1)
    sealed = survival_module.seal(survival_module.Composite(0, scene.frames[0]), rendered_ns=0).rgb
    found = measure_strangers([sealed], 4)
    assert found.read + found.traces > 0


def test_attacks_do_what_they_say(pictures: Path) -> None:
    (scene, *_) = picture_scenes([pictures], size_wh=SIZE_WH, most=1)
    sent, random = Sent(scene.frames), np.random.default_rng(0)
    arrived = {name: attack(sent, random) for name, attack in ATTACKS.items()}
    assert len(scene.frames) == FRAMES
    assert arrived["0.5×, then H.264 crf 28"].shape == (270, 480, 3)
    assert arrived["crop to 80 %"].shape == (432, 768, 3)
    bright = [arrived[f"brightness {sign}20 %"].mean() for sign in ("−", "+")]
    assert bright[0] < sent.seen.mean() < bright[1]
    errors = [np.abs(arrived[f"H.264 crf {crf}"].astype(int) - sent.seen).mean() for crf in (18, 23, 28, 33)]
    assert errors == sorted(errors)
    for name in ("YUY2", "NV12", "JPEG q50"):
        assert 0 < np.abs(arrived[name].astype(int) - sent.seen).mean() < 8, name
    assert (arrived["mirrored"][:, ::-1] == sent.seen).all()


def test_flat_scenes_are_flat() -> None:
    scenes = {scene.name: scene for scene in flat_scenes(size_wh=(320, 240))}
    assert isinstance(scenes["#000000"], Scene)
    assert scenes["#000000"].frames[0].max() == 0
    assert any(name.startswith("card") for name in scenes)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "961x540"], "even"),
        (["--rendered", "0", "--no-flat"], "nothing to measure"),
        (["--rendered", "0", "--pictures", "/nowhere"], "no picture below"),
    ],
)
def test_wrong_options_are_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
