# SPDX-License-Identifier: Apache-2.0
"""Two minutes of real training of each model on a real pack, from the command line: the dev loss must fall.

What must fall is the loss of the picture. The priors that the learned-keypoint models add to it start at nothing, since
nothing is learned yet, and cannot.

The pack is built from what ships (the demo clip and a built-in set's pictures), by the same command as any other.
Two models train at a time with one thread each.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from engine.assets import asset_path
from engine.training.tasks import TASKS

ROOT = Path(__file__).parents[2]
MINUTES = 2.0
_AT_A_TIME = 2
# Batch norms stand a higher rate than the decoder of implicit warping, which has none.
_RATE = {"implicit_warp": 4e-4, "implicit_warp_paper": 1e-3, "fomm": 1e-3, "fv2v": 1e-3}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "engine.training", *(str(a) for a in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of what ships."""
    folder = tmp_path_factory.mktemp("smoke")
    for split in ("train", "dev"):
        clips = folder / "sources" / split / "demo"
        clips.mkdir(parents=True)
        shutil.copy(asset_path("clips", "driver.mp4"), clips / "driver.mp4")
        (clips / "LICENSE").write_text("MIT\n")
    stills = folder / "sources" / "train" / "amara"
    stills.mkdir()
    for picture in asset_path("source_sets", "amara.bunraku").glob("*.webp"):
        shutil.copy(picture, stills)
    (stills / "LICENSE").write_text("MIT\n")
    built = start("pack", "build", "--sources", folder / "sources", "--out", folder / "pack", "--quiet")
    _, said = built.communicate()
    assert built.returncode == 0, said
    return folder / "pack"


def dev_losses(run: Path) -> list[float]:
    """Return the picture's loss at every dev evaluation, mean over the numbers of source pictures."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [statistics.mean(f["pixels"] for f in line["dev"].values()) for line in lines if "dev" in line]


def test_two_minutes_of_training_lower_the_dev_loss_of_every_model(pack: Path, tmp_path: Path) -> None:
    waiting = list(TASKS)
    while waiting:
        now, waiting = waiting[:_AT_A_TIME], waiting[_AT_A_TIME:]
        common = ["--pack", pack, "--minutes", MINUTES, "--batch", 4, "--threads", 1, "--device", "cpu"]
        running = {
            name: start("train", "--model", name, "--rate", _RATE[name], *common, "--out", tmp_path / name)
            for name in now
        }
        for name, process in running.items():
            _, said = process.communicate()
            assert process.returncode == 0, f"{name}: {said}"
    for name in TASKS:
        losses = dev_losses(tmp_path / name)
        assert losses[-1] < losses[0], f"{name}: {losses}"
        assert (tmp_path / name / "weights.safetensors").is_file()
