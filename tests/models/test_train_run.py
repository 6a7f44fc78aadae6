# SPDX-License-Identifier: Apache-2.0
"""Training runs of a tiny task: what they write, exact resume, bad numbers, full disks, several processes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from engine.errors import DiskFull, InferenceFailed, InvalidSetting, ModelFileMissing, ModelMismatch, OutputUnwritable
from engine.training.train.checkpoint import CHECKPOINT, FORMAT, read_checkpoint, read_facts, write_checkpoint
from engine.training.train.folder import BEST, WEIGHTS
from engine.training.train.journal import Journal
from engine.training.train.schedule import Budget
from engine.training.train.settings import TrainSettings
from tests.helpers.tiny_task import TinySource, TinyTask, every_step, make_run

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
    command = [sys.executable, "-W", "error", "-m", "tests.helpers.tiny_task", str(out), *words]
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
    assert (tmp_path / WEIGHTS).stat().st_mode == (tmp_path / "log.jsonl").stat().st_mode


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


def test_an_adversary_plays_from_its_share_on_and_resumes_too(tmp_path: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"

    def run(out: Path, steps: int, **others: Any) -> None:
        settings = every_step(4, batch=2, gan_from=0.5, rival_width=4)
        run = make_run(out, settings, source=TinySource(side=64), **others)
        run.train(stop=lambda: run.progress.step == steps)

    run(whole, 4)
    run(parted, 3)
    run(parted, 4, resume=True)
    lines = [line["losses"] for line in log_of(whole) if "losses" in line]
    assert [set(line) for line in lines] == [{"pixels", "square"}] * 2 + [
        {"pixels", "square", "hinge", "features", "rival"}
    ] * 2
    same_tensors(whole / CHECKPOINT, parted / CHECKPOINT)
    assert any(name.startswith("rival_optimizer/") for name in load_file(str(whole / CHECKPOINT)))


def test_bad_numbers_are_skipped_and_leave_no_trace(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(tmp_path, every_step(3), source=TinySource(bad=[1]))
    result = run.train()
    assert result.skipped == 1
    assert "Step 2 is skipped: pixels nan" in caplog.text
    assert all(t.isfinite().all() for t in load_file(str(tmp_path / CHECKPOINT)).values())
    first, second, third = (line for line in log_of(tmp_path) if "losses" in line)
    assert (first["skipped"], second["skipped"], third["skipped"]) == (0, 1, 1)
    assert second["losses"] == {}


def test_too_many_bad_steps_end_it_and_keep_the_checkpoint(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = make_run(tmp_path, every_step(50), source=TinySource(bad=range(2, 50)))
    with pytest.raises(InferenceFailed, match="20 steps in a row"):
        run.train()
    assert caplog.text.count("is skipped") == 20
    assert all(t.isfinite().all() for t in load_file(str(tmp_path / CHECKPOINT)).values())
    assert "20 steps in a row" in log_of(tmp_path)[-1]["failed"]


def test_a_bad_gradient_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    task = TinyTask()
    task.model.gain.register_hook(lambda gradient: gradient * float("inf"))
    result = make_run(tmp_path, every_step(1), task=task).train()
    assert result.skipped == 1
    assert torch.equal(task.model.gain, torch.tensor(1.0))
    assert "gradient" in caplog.text


def test_a_full_disk_costs_a_checkpoint_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make_run(tmp_path, every_step(4)).train(stop=stop_after(2))
    before = (tmp_path / CHECKPOINT).read_bytes()
    run = make_run(tmp_path, every_step(4), resume=True)
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if ".part" in path.name and path.suffix == ".safetensors":
            write(path, data[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull, match="No space left"):
        run.train()
    assert run.progress.step == 4
    assert "training goes on with the last one kept: No space left" in caplog.text
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob("*.part*"))
    monkeypatch.undo()
    assert make_run(tmp_path, every_step(4), resume=True).train().progress.step == 4


def stop_after(looks: int) -> Callable[[], bool]:
    """Return a stop question that is answered with yes after so many steps."""
    seen = itertools.count()
    return lambda: next(seen) >= looks


def test_a_stopped_run_writes_a_checkpoint(tmp_path: Path) -> None:
    result = make_run(tmp_path, TrainSettings(Budget(steps=9), batch=2)).train(stop=stop_after(3))
    assert result.stopped
    assert read_facts(tmp_path)["progress"]["step"] == 3
    assert (tmp_path / WEIGHTS).is_file()


def test_minutes_add_up_over_resumes(tmp_path: Path) -> None:
    """The clock of these runs goes on by a second at each look: five looks a step."""
    budget = TrainSettings(Budget(minutes=1.0), batch=2, log_s=1e9)
    first = make_run(tmp_path, budget).train(stop=stop_after(4))
    assert first.stopped
    second = make_run(tmp_path, budget, resume=True).train()
    assert not second.stopped
    assert first.progress.elapsed_s < 30
    assert 60 <= second.progress.elapsed_s < 66
    third = make_run(tmp_path, budget, resume=True).train()
    assert third.progress.step == second.progress.step  # nothing left to do


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": TinyTask(width=5)}, "of another model: expected config.width 5, got 4"),
        ({"pack": "other"}, "on another pack: expected other, got pack"),
        ({"settings": every_step(3, seed=7)}, "began with --seed 0, expected 7"),
    ],
    ids=["model", "pack", "seed"],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    make_run(tmp_path, every_step(1)).train()
    with pytest.raises(ModelMismatch, match=says):
        make_run(tmp_path, **{"settings": every_step(3), "resume": True, **change})


def test_a_checkpoint_that_is_missing_damaged_or_newer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match="no checkpoint to go on from"):
        make_run(tmp_path, every_step(1), resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(ModelMismatch, match="cannot be read"):
        make_run(tmp_path, every_step(1), resume=True)
    write_checkpoint(tmp_path, {"task/x": torch.zeros(1)}, {"format": FORMAT + 1})
    with pytest.raises(ModelMismatch, match=f"has format {FORMAT + 1}"):
        make_run(tmp_path, every_step(1), resume=True)


def test_tensors_of_another_version_of_the_model_are_refused(tmp_path: Path) -> None:
    make_run(tmp_path, every_step(1)).train()
    tensors, facts = read_checkpoint(tmp_path)
    tensors["task/model.gain"] = torch.zeros(3)
    write_checkpoint(tmp_path, tensors, facts)
    with pytest.raises(ModelMismatch, match="do not fit the model"):
        make_run(tmp_path, every_step(2), resume=True)


def test_a_new_run_does_not_write_over_an_old_one(tmp_path: Path) -> None:
    make_run(tmp_path, every_step(1)).train()
    with pytest.raises(InvalidSetting, match="holds a training run already"):
        make_run(tmp_path, every_step(1))


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        make_run(tmp_path / "file" / "run", every_step(1))


def test_a_run_without_gpu_memory_says_what_to_try(tmp_path: Path) -> None:
    class Greedy(TinySource):
        def draw(self, step: int, **_: Any) -> Any:
            raise torch.OutOfMemoryError

    with pytest.raises(InferenceFailed, match=r"does not hold a batch of 4\. Try --batch 2"):
        make_run(tmp_path, every_step(1), source=Greedy()).train()


def test_bf16_trains_too(tmp_path: Path) -> None:
    result = make_run(tmp_path, every_step(2), bf16=True).train()
    assert result.skipped == 0
    assert all(t.dtype != torch.bfloat16 for t in load_file(str(tmp_path / CHECKPOINT)).values())


def test_events_can_be_read_back(tmp_path: Path) -> None:
    make_run(tmp_path, every_step(4), dev=True).train(stop=stop_after(2))
    make_run(tmp_path, every_step(4), dev=True, resume=True).train()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [e.step for e in events.Scalars("train/pixels")] == [4, 8, 12, 16]
    assert [e.step for e in events.Scalars("dev_4/psnr_db")] == [0, 16]
    assert {"run/rate", "run/gradient", "run/skipped", "dev/loss"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Images("dev/preview")] == [0, 16]


def test_a_log_cut_off_amid_a_line_goes_on_in_the_next(tmp_path: Path) -> None:
    make_run(tmp_path, every_step(2)).train(stop=stop_after(1))
    path = tmp_path / "log.jsonl"
    path.write_text(path.read_text() + '{"step": 2, "los')
    make_run(tmp_path, every_step(2), resume=True).train()
    lines = path.read_text().splitlines()
    assert '{"step": 2, "los' in lines
    assert json.loads(lines[-1])["step"] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_log_on_a_full_disk_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(tmp_path, samples=0)
    journal._lines.close()
    journal._lines = open("/dev/full", "w")  # noqa: SIM115
    journal.note({"step": 1})
    journal.note({"step": 2})
    journal.close()
    assert caplog.text.count("cannot be written any more: No space left") == 1
