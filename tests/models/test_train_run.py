# SPDX-License-Identifier: Apache-2.0
"""Training runs of a tiny task: what they write, exact resume, bad numbers, full disks, several processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from engine.training.train.checkpoint import CHECKPOINT, read_checkpoint, read_facts
from engine.training.train.folder import BEST, WEIGHTS
from tests.helpers.tiny_task import every_step, make_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def losses_of(out: Path) -> list[float]:
    return [sum(line["losses"].values()) for line in log_of(out) if "losses" in line]


def start(out: Path, *words: str, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.helpers.tiny_task", str(out), *words]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def same_tensors(a: Path, b: Path) -> None:
    first, second = load_file(str(a)), load_file(str(b))
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_a_run_lowers_its_loss_and_writes_everything(tmp_path: Path) -> None:
    result = make_run(tmp_path, every_step(60, rate=1e-2), dev=True).train()
    assert (result.progress.step, result.progress.samples, result.stopped) == (60, 240, False)
    assert result.first is not None
    assert result.last is not None
    assert result.last.loss < 0.8 * result.first.loss
    header, *lines = log_of(tmp_path)
    assert header["run"]["describe"]["model"] == "tiny"
    assert header["run"]["machine"]["libraries"]["torch"]
    steps = [line for line in lines if "losses" in line]
    assert [line["step"] for line in steps] == list(range(1, 61))
    assert {"pixels", "square"} == set(steps[0]["losses"])
    assert all(line["gradient"] > 0 and line["rate"] > 0 and line["memory_mb"] >= 0 for line in steps)
    judged = [line for line in lines if "dev" in line]
    assert set(judged[0]["dev"]) == {"1", "4"}
    assert {"loss", "pixels", "square", "psnr_db", "psnr_face_db"} == set(judged[0]["dev"]["4"])
    with Image.open(tmp_path / "preview_00000240.png") as sheet:
        assert sheet.size[0] > 6 * 160
    weights = load_file(str(tmp_path / WEIGHTS))
    averaged = {n.removeprefix("average/model."): t for n, t in read_checkpoint(tmp_path)[0].items() if "average/" in n}
    assert weights.keys() == averaged.keys()
    assert all(torch.equal(weights[n], averaged[n]) for n in weights)
    same_tensors(tmp_path / BEST, tmp_path / WEIGHTS)  # here, the last ones are the best
    assert not list(tmp_path.glob("*.part*"))


def test_a_killed_run_goes_on_exactly(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    make_run(whole, every_step(8)).train()
    child = start(killed, "8", "--kill-at", "4")
    _, said = child.communicate()
    assert child.returncode == -signal.SIGKILL, said
    assert read_facts(killed)["progress"]["step"] == 4
    result = make_run(killed, every_step(8), resume=True).train()
    assert result.progress.step == 8
    same_tensors(killed / WEIGHTS, whole / WEIGHTS)
    same_tensors(killed / CHECKPOINT, whole / CHECKPOINT)
    assert losses_of(killed) == losses_of(whole)


def test_two_processes_learn_as_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    steps, bad = 10, 6
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "GLOO_SOCKET_IFNAME": "lo"}
    words = (str(steps), "--batch", "8", "--bad", str(bad))
    ranks = [start(two, *words, RANK=str(r), LOCAL_RANK=str(r), **shared) for r in range(2)]
    for rank in ranks:
        _, said = rank.communicate()
        assert rank.returncode == 0, said
    child = start(one, *words)
    _, said = child.communicate()
    assert child.returncode == 0, said
    np.testing.assert_allclose(losses_of(two), losses_of(one), atol=1e-4)
    assert [line["skipped"] for line in log_of(two) if "losses" in line] == [0] * bad + [1] * (steps - bad)
    first, second = load_file(str(one / WEIGHTS)), load_file(str(two / WEIGHTS))
    # The norm takes the bias before it away again: its gradient is rounding, which Adam scales up.
    for name in first.keys() - {"enter.bias", "norm.running_mean"}:
        tensor = first[name]
        torch.testing.assert_close(second[name], tensor, atol=1e-4, rtol=0)
