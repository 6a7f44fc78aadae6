# SPDX-License-Identifier: Apache-2.0
"""Parts of the trainer on their own: schedule, groups, average, adversary, judging, devices, files, signals."""

from __future__ import annotations

import math
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from engine.errors import BackendUnavailable, InvalidSetting
from engine.training.train import parallel
from engine.training.train.adversary import Adversary
from engine.training.train.average import Average
from engine.training.train.checkpoint import replace_file
from engine.training.train.device import choose_device, choose_precision, lay_out
from engine.training.train.folder import make_folder
from engine.training.train.global_norm import GlobalBatchNorm2d, use_global_norms
from engine.training.train.journal import Journal
from engine.training.train.judge import face_box, judge, psnr_db
from engine.training.train.optimiser import load_optimizer, make_optimizer, optimizer_tensors, set_rate
from engine.training.train.parallel import open_ranks, rows_of_rank, seed_step
from engine.training.train.preview import PreviewRow, draw_preview
from engine.training.train.schedule import Budget, rate_factor
from engine.training.train.settings import TrainSettings
from engine.training.train.signals import watch_for_stop
from tests.helpers.tiny_task import TinySource, TinyTask

CPU = torch.device("cpu")


def test_the_rate_warms_up_and_falls_to_almost_nothing() -> None:
    assert rate_factor(0, 0.0) == pytest.approx(1 / 200)
    assert rate_factor(0, 0.03) == pytest.approx(1.0, abs=0.01)  # a short run warms up by its share
    assert rate_factor(500, 0.01) == pytest.approx(1.0, abs=0.01)
    falling = [rate_factor(1000, share) for share in np.linspace(0.1, 1, 10)]
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.01)
    assert rate_factor(1000, 0.5) == pytest.approx(0.505)


def test_a_budget_counts_minutes_or_steps() -> None:
    assert Budget(minutes=2).share(1000, 30.0) == 0.25
    assert Budget(steps=10).share(5, 1e9) == 0.5
    assert Budget(minutes=2).bar(7, 500.0) == (120, 120)
    assert Budget(steps=10).bar(7, 500.0) == (7, 10)
    assert (Budget(minutes=2).unit, Budget(steps=10).unit) == ("seconds", "steps")


@pytest.mark.parametrize(
    ("minutes", "steps", "says"),
    [
        (None, None, "exactly one"),
        (1.0, 1, "exactly one"),
        (0.0, None, "--minutes must be above 0, got 0"),
        (math.nan, None, "--minutes must be above 0, got nan"),
        (None, -3, "--steps must be above 0, got -3"),
    ],
)
def test_a_budget_refuses_bad_lengths(minutes: float | None, steps: int | None, says: str) -> None:
    with pytest.raises(InvalidSetting, match=says):
        Budget(minutes, steps)


@pytest.mark.parametrize(
    "bad",
    [
        {"batch": 0},
        {"seed": -1},
        {"rate": 0.0},
        {"rate": math.nan},
        {"gan_from": 1.5},
        {"eval_minutes": 0.0},
        {"checkpoint_minutes": -1.0},
    ],
    ids=str,
)
def test_settings_refuse_bad_numbers(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidSetting, match=f"--{next(iter(bad)).replace('_', '-')} must be"):
        TrainSettings(Budget(steps=1), **bad)  # type: ignore[arg-type]


def test_only_matrices_and_kernels_decay_and_groups_keep_their_rates() -> None:
    task = TinyTask()
    optimizer = make_optimizer(task)
    set_rate(optimizer, 0.1)
    names = {id(p): n for n, p in task.model.named_parameters()}
    found = {names[id(p)]: (g["weight_decay"], g["lr"]) for g in optimizer.param_groups for p in g["params"]}
    assert found["enter.weight"] == (1e-4, 0.1)
    assert found["enter.bias"] == found["norm.weight"] == (0.0, 0.1)
    assert found["gain"] == (0.0, 0.05)
    assert found.keys() == set(names.values())


def test_frozen_parameters_are_not_trained() -> None:
    task = TinyTask()
    task.model.enter.requires_grad_(False)
    trained = {id(p) for group in make_optimizer(task).param_groups for p in group["params"]}
    assert not trained & {id(p) for p in task.model.enter.parameters()}


def test_optimiser_state_comes_back_in_the_parameters_own_layout() -> None:
    def learned() -> tuple[TinyTask, torch.optim.Optimizer]:
        task = TinyTask()
        lay_out(task)
        return task, make_optimizer(task)

    task, optimizer = learned()
    task.train()(TinySource().draw(0, batch=2)).losses["pixels"].backward()
    optimizer.step()
    saved = optimizer_tensors(optimizer, task)
    assert not any("unused" in name for name in saved)
    other, fresh = learned()
    load_optimizer(fresh, other, {name: t.contiguous() for name, t in saved.items()})
    again = optimizer_tensors(fresh, other)
    assert again.keys() == saved.keys()
    for name, tensor in saved.items():
        assert torch.equal(tensor, again[name])
        assert tensor.stride() == again[name].stride()


def test_the_average_follows_weights_and_statistics() -> None:
    task = TinyTask()
    average = Average(task)
    before = task.model.gain.item()
    with torch.no_grad():
        task.model.gain += 1
        task.model.norm.running_mean += 1
        task.model.norm.num_batches_tracked += 5
    average.update(task, step=0)  # decay 0.1
    assert average.task.model.gain.item() == pytest.approx(before + 0.9)
    assert average.task.model.norm.running_mean[0].item() == pytest.approx(0.9)
    assert average.task.model.norm.num_batches_tracked.item() == 5
    average.update(task, step=10**6)  # decay 0.999
    assert average.task.model.gain.item() == pytest.approx(before + 0.9 + 0.0001)
    assert not average.task.training
    assert not any(p.requires_grad for p in average.task.parameters())


def test_the_adversary_learns_to_tell_and_leaves_the_other_side_alone() -> None:
    torch.manual_seed(0)
    rival = Adversary(CPU, width=4)
    truth, made = torch.full((2, 3, 64, 64), 0.5), torch.full((2, 3, 64, 64), -0.5, requires_grad=True)
    losses = []
    for _ in range(12):
        loss = rival.own_loss(made, truth)
        assert made.grad is None
        rival.optimizer.zero_grad()
        loss.backward()
        rival.optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    state = {name: tensor.clone() for name, tensor in rival.net.state_dict().items()}
    told = rival.losses(made, truth)
    torch.stack(list(told.values())).sum().backward()
    assert made.grad is not None
    assert made.grad.abs().sum() > 0
    assert all(torch.equal(tensor, state[name]) for name, tensor in rival.net.state_dict().items())
    assert rival.losses(truth, truth)["features"] == 0


def test_global_norms_are_plain_ones_in_one_process() -> None:
    task, twin = TinyTask(noise=0.0), TinyTask(noise=0.0)
    use_global_norms(task)
    assert isinstance(task.model.norm, GlobalBatchNorm2d)
    assert task.state_dict().keys() == twin.state_dict().keys()
    batch = TinySource().draw(0, batch=2)
    assert torch.equal(task.train()(batch).output, twin.train()(batch).output)
    assert torch.equal(task.eval()(batch).output, twin.eval()(batch).output)


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_global_norms_compute_what_torch_computes(
    kind: type[nn.Module], momentum: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of one process, so that the sum over ranks is the identity."""
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 1)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda _tensor: None)
    torch.manual_seed(1)
    plain, ours = kind(3, momentum=momentum), kind(3, momentum=momentum)
    use_global_norms(ours)
    dims = {nn.BatchNorm1d: (), nn.BatchNorm2d: (5, 4), nn.BatchNorm3d: (2, 3, 4)}[kind]
    for _ in range(2):
        x = torch.randn(6, 3, *dims) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        out, other = plain(a), ours(b)
        torch.testing.assert_close(other, out)
        pull = torch.randn_like(out)
        (out * pull).sum().backward()
        (other * pull).sum().backward()
        torch.testing.assert_close(b.grad, a.grad, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(ours.state_dict(), plain.state_dict())
    half = ours(torch.randn(6, 3, *dims, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16


def test_judging_is_the_same_every_time_and_leaves_the_task_as_it_was() -> None:
    task = TinyTask().train()
    state = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    sources = {n: TinySource(sources=n) for n in (1, 4)}
    first, second = (judge(task, sources, samples=6, batch=4, shown=5) for _ in range(2))
    assert first.figures == second.figures
    assert task.training
    assert all(torch.equal(tensor, state[name]) for name, tensor in task.state_dict().items())
    assert len(first.rows) == 10
    assert [len(row.sources) for row in first.rows] == [1] * 5 + [4] * 5
    loss = {n: f["pixels"] + f["square"] for n, f in first.figures.items()}
    assert first.figures[4]["loss"] == pytest.approx(loss[4])
    assert first.loss == pytest.approx((loss[1] + loss[4]) / 2)


def test_psnr_over_the_picture_and_over_a_box() -> None:
    truth = torch.zeros(2, 3, 8, 8)
    output = truth.clone()
    output[0, :, 2:4, 2:4] = 0.2
    box = torch.zeros(2, 1, 8, 8)
    box[:, :, 2:4, 2:4] = 1
    assert psnr_db(output, truth, box)[0] == pytest.approx(20.0, abs=1e-4)
    assert psnr_db(output, truth)[0] == pytest.approx(20.0 + 10 * math.log10(16), abs=1e-4)
    assert psnr_db(output, truth)[1] > 100


def test_the_face_box_lies_around_the_landmarks() -> None:
    keypoints = torch.tensor([[[-0.5, 0.0, 0.0], [0.0, 0.5, 0.0]], [[3.0, 3.0, 0.0], [4.0, 4.0, 0.0]]])
    box = face_box(keypoints, side_px=8)
    assert box.shape == (2, 1, 8, 8)
    rows, columns = box[0, 0].any(1).nonzero()[:, 0].tolist(), box[0, 0].any(0).nonzero()[:, 0].tolist()
    assert (rows, columns) == ([3, 4, 5, 6], [1, 2, 3, 4])
    assert box[1].sum() == 1  # all outside the picture: the corner next to them


def test_a_preview_has_a_row_per_sample_and_room_for_every_source() -> None:
    picture = np.full((8, 8, 3), 200, np.uint8)
    sheet = draw_preview([PreviewRow([picture] * n, picture, picture) for n in (1, 3)])
    cells = np.asarray(sheet)[:, :, 0]
    assert sheet.size == (5 * 163 + 3, 18 + 2 * 163 + 3)
    assert (cells[100, 80], cells[100, 250], cells[100, 570]) == (200, 24, 200)


def test_a_step_draws_the_same_numbers_in_every_run() -> None:
    def drawn(seed: int, step: int) -> float:
        seed_step(seed, step)
        return torch.rand(()).item()

    assert drawn(1, 5) == drawn(1, 5)
    assert len({drawn(s, t) for s in (0, 1) for t in (-1, 0, 1)}) == 6


def test_rows_of_a_rank_are_cut_from_the_global_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = torch.arange(6.0)
    assert torch.equal(rows_of_rank(lambda rows: whole[:rows], 6), whole)
    monkeypatch.setattr(parallel.dist, "is_initialized", lambda: True)
    monkeypatch.setattr(parallel.dist, "get_world_size", lambda: 3)
    monkeypatch.setattr(parallel.dist, "get_rank", lambda: 1)
    assert rows_of_rank(lambda rows: whole[:rows], 2).tolist() == [2.0, 3.0]


def test_processes_that_cannot_meet_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendUnavailable, match="2 processes cannot reach each other"), open_ranks("cpu"):
        pass


def test_devices_and_precisions_that_do_not_exist_are_refused() -> None:
    with pytest.raises(BackendUnavailable, match="cannot use the device 'warp:9'"):
        choose_device("warp:9")
    with pytest.raises(InvalidSetting, match="no precision 'fp8'"):
        choose_precision("fp8", CPU)
    assert choose_device("cpu") == CPU
    assert not choose_precision("fp32", CPU).bf16
    assert choose_precision("bf16", CPU).name == "bf16"


def test_auto_precision_asks_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for answer in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda answer=answer: answer)
        assert choose_precision("auto", CPU).bf16 is answer
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert not choose_precision("auto", CPU).bf16


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    replace_file(path, lambda part: part.write_text("old"))

    def fail(part: Path) -> None:
        part.write_text("half")
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        replace_file(path, fail)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]
    assert path.read_text() == "old"


def test_what_a_kill_left_behind_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.part.safetensors").write_text("half")
    make_folder(tmp_path, resumed=True)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_none_become_null_in_the_log(tmp_path: Path) -> None:
    journal = Journal(tmp_path, samples=0)
    journal.note({"a": math.nan, "b": [1 / 3, {"c": math.inf}], "d": "text"})
    journal.scalars(0, {"x": math.nan})
    journal.close()
    assert (tmp_path / "log.jsonl").read_text() == '{"a": null, "b": [0.333333, {"c": null}], "d": "text"}\n'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_becomes_a_question_and_the_second_one_acts(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with watch_for_stop() as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert signal.getsignal(number) is before
    assert signal.getsignal(number) is before
