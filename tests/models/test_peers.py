# SPDX-License-Identifier: Apache-2.0
"""`python -m engine.training peers` on tiny networks: what runs, what is counted, what is told. No durations."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.errors import BackendUnavailable, InvalidSetting, OutputUnwritable
from engine.models.implicit_warp import ImplicitWarp
from engine.models.live_portrait import LivePortraitConfig
from engine.models.registry import MODELS
from engine.models.volume import SliceBlock
from engine.training.__main__ import main
from engine.training.peers import cli, networks
from engine.training.peers.cli import time_peers
from engine.training.peers.cpu import open_cpu
from engine.training.peers.gpu import computing, fold_norms, open_gpu
from engine.training.peers.networks import CONTENDERS, Contender, Network, Part, learned, live_portrait, ours
from engine.training.peers.report import PeersReport, make_rows, peers_tables
from engine.training.peers.timing import Cost, Samples, Timed, TimedPart, measure, ratios_of
from tests.helpers.small_export import SMALL

LIVE = LivePortraitConfig(
    side_px=64, keypoints=3, depth=2, volume=4, compressed=2, flow_width=2, flow_cap=8, flow_levels=1, width=8,
    blocks=1, hidden=4, last=4,
)  # fmt: skip
FOMM = {"side_px": 64, "motion_px": 16, "detector_levels": 1, "motion_levels": 1, "width": 8, "blocks": 1}


def tiny_fomm(seed: int) -> Network:
    torch.manual_seed(seed)
    kind = MODELS["fomm"]
    return learned(kind.model(replace(kind.sizes["full"], **FOMM)), seed=seed)  # type: ignore[arg-type]


def one_layer() -> Network:
    """The least that can be exported, where it is not the network that matters."""
    return Network((Part("warp + decode", nn.Conv2d(3, 3, 3), {"x": torch.rand(1, 3, 16, 16)}, ("portrait",)),))


TINY = Contender("tiny", lambda seed: live_portrait(LIVE, seed=seed))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scripted(name: str, times: dict[str, list[int]]) -> Timed:
    """A network whose parts say that they took these times, over and over."""
    parts = tuple(TimedPart(part, cycle(values).__next__, 10, 100) for part, values in times.items())
    return Timed(name, "", parts, "")


def test_command_times_a_network_beside_the_shipped_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CONTENDERS, "live_portrait", Contender("one layer", lambda seed: one_layer()))
    monkeypatch.setattr(cli, "measure", lambda *args, **how: measure(*args, block_s=0.0, **how))
    out = tmp_path / "peers.json"
    time_peers(only=["live_portrait"], frames=4, rounds=2, threads=1, out=out, quiet=True)
    report = json.loads(out.read_text())
    assert [row["model"] for row in report["rows"]] == ["lite", "live_portrait"]
    assert [row["runs"] for row in report["rows"]] == ["animate", "warp + decode"]
    assert [row["frames"] for row in report["rows"]] == [4, 4]
    assert [report["rows"][0][name] for name in ("ratio", "cpu_ratio")] == [1, 1]
    assert all(row["cores"] > 0 and row["cpu_p50_ms"] > 0 for row in report["rows"])
    assert "1 threads" in report["rows"][1]["how"]
    assert report["machine"]["date"]
    told = capsys.readouterr().out
    assert "vs lite" in told
    assert "live_portrait" in told


def test_openvino_runs_and_counts_every_part() -> None:
    timed = open_cpu("fomm", Contender("tiny", tiny_fomm), threads=1, precision="fp32", seed=0)
    assert [part.name for part in timed.parts] == ["detect", "animate"]
    assert all(part.run() > 0 for part in timed.parts)
    with torch.no_grad(), computing(torch.device("cpu"), "fp32"):
        told = open_gpu("fomm", Contender("tiny", tiny_fomm), device=torch.device("cpu"), precision="fp32", seed=0)
    for mine, other in zip(timed.parts, told.parts, strict=True):
        assert mine.macs == pytest.approx(other.macs, rel=0.02)
        assert mine.parameters == pytest.approx(other.parameters, rel=0.05)  # without biases


def test_our_decoder_runs_in_the_shipped_runner(small_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def export(model: ImplicitWarp, folder: Path) -> dict[str, object]:
        assert model.config == SMALL
        shutil.copytree(small_folder, folder, dirs_exist_ok=True)
        return dict(json.loads((folder / "manifest.json").read_text()))

    monkeypatch.setattr(networks, "export_model", export)  # which other tests have judged, and takes half a minute
    contender = Contender("tiny", lambda seed: ours(ImplicitWarp(SMALL), seed=seed))
    timed = open_cpu("tiny", contender, threads=1, precision="bf16", seed=0)
    assert timed.how.endswith("fp32 + bf16 decoder")
    (part,) = timed.parts
    assert part.run() > 0
    assert part.macs > 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_torch_lane_runs_every_kind(precision: str) -> None:
    device = torch.device("cpu")
    made = {
        "fomm": Contender("", tiny_fomm),
        "live": TINY,
        "ours": Contender("", lambda seed: ours(ImplicitWarp(SMALL), seed=seed)),
    }
    with computing(device, precision):
        for name, contender in made.items():
            timed = open_gpu(name, contender, device=device, precision=precision, seed=0)
            assert timed.how.endswith(precision)
            for part in timed.parts:
                assert part.run() > 0
                assert part.macs > part.parameters > 0


def test_folded_norms_change_nothing() -> None:
    torch.manual_seed(0)
    graph = nn.Sequential(
        SliceBlock(3, 5, depth=2, factorised=False), nn.Sequential(nn.Conv2d(5, 4, 3, bias=False), nn.BatchNorm2d(4))
    ).eval()
    for module in graph.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.running_mean)  # type: ignore[arg-type]
            module.running_var = torch.rand_like(module.running_var) + 0.5  # type: ignore[arg-type]
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        before = graph(x)
        after = fold_norms(graph)(x)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    assert torch.allclose(before, after, atol=1e-5)


def test_no_head_is_left_at_zero() -> None:
    for part in tiny_fomm(0).parts:
        weights = [weight for weight in part.graph.parameters() if weight.ndim > 1]
        assert weights
        assert all(weight.any() for weight in weights)


def test_networks_take_turns_and_the_first_frame_of_a_block_does_not_count() -> None:
    order: list[str] = []

    def part(name: str) -> TimedPart:
        return TimedPart("all", lambda: (order.append(name), len(order))[1])

    steps: list[int] = []
    networks = [Timed(name, "", (part(name),), "") for name in "ab"]
    samples = measure(networks, rounds=2, frames=2, block_s=0.0, step=lambda: steps.append(len(order)))
    assert "".join(order) == "aaabbbbbbaaa"
    assert steps == [3, 6, 9, 12]
    walls = [[cost.wall for (cost,) in block] for block in samples["a"].blocks]
    assert walls == [[2, 3], [11, 12]]


def test_ratios_pair_neighbouring_blocks() -> None:
    def block(*frames: tuple[int, ...]) -> list[tuple[Cost, ...]]:
        return [tuple(Cost(wall, 2 * wall + 3) for wall in frame) for frame in frames]

    samples = {
        "base": Samples([block((10,), (10,)), block((100,), (100,)), block((10,), (10,))]),
        # ten times slower in every round; the second round met a slow machine
        "other": Samples([block((50, 50), (50, 50)), block((500, 500), (500, 500)), block((50, 50), (50, 50))]),
    }
    assert ratios_of(samples, "other", (0, 1), base="base") == pytest.approx((10, 206 / 23))
    assert ratios_of(samples, "other", (0,), base="base") == pytest.approx((5, 103 / 23))


def test_rows_say_what_they_hold() -> None:
    networks = [
        scripted("lite", {"animate": [2_000_000]}),
        scripted("b", {"detect": [1_000_000], "animate": [3_000_000]}),
    ]
    samples = measure(networks, rounds=2, frames=1, block_s=0.0)
    rows = make_rows(networks, samples, base="lite")
    told = [(row.model, row.runs, row.time.p50_ms, row.ratio, row.parameters_m * 1e6) for row in rows]
    assert told == [
        ("lite", "animate", 2.0, 1.0, 10),
        ("b", "animate", 3.0, 1.5, 10),
        ("b", "detect + animate", 4.0, 2.0, 20),
    ]
    report = PeersReport(rows, "lite", "cpu", "fp32", 2, 0, 1.0)
    table, _ = peers_tables(report)
    assert list(table.columns[6].cells) == ["1.0x", "1.5x", "2.0x"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"only": ["pirender"]}, "no network 'pirender'"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"device": "cpu:1"}, "no device 'cpu:1'"),
        ({"precision": "fp16"}, "no precision 'fp16' on cpu"),
        ({"device": "cuda", "precision": "int8"}, "no precision 'int8' on cuda"),
        ({"frames": 2, "rounds": 3}, "at least --rounds"),
        ({"rounds": 0}, "at least --rounds"),
        ({"threads": -1}, "--threads must be 0 or more"),
    ],
)
def test_wrong_options_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        time_peers(**options)  # type: ignore[arg-type]


def test_a_report_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    for out in (tmp_path / "none" / "peers.json", tmp_path):
        with pytest.raises(OutputUnwritable, match="cannot be written"):
            time_peers(out=out)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BackendUnavailable):
        time_peers(device="cuda")
    monkeypatch.setattr(sys, "argv", ["training", "peers", "--device", "cuda"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == BackendUnavailable.exit_code
    told = capsys.readouterr().err.strip()
    assert told.startswith("error: torch cannot use the device 'cuda'")
    assert "\n" not in told
