# SPDX-License-Identifier: Apache-2.0
"""Back-ends by name, and the OpenVINO runner's own promises: any count, one or two picks, and clear refusals."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.errors import BackendUnavailable, InferenceFailed, ModelFileMissing, ModelMismatch
from engine.runtime import select
from engine.runtime.base import EncodedSourceSet, FrameInputs, StartsFrames
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.openvino_runner import OpenVinoRunner
from engine.runtime.select import BACKENDS, open_runner
from tests.helpers.source_faces import make_keypoints, portrait_rgb

SIDE = 256
FACES: list[dict[str, float]] = [{}, {"yaw": 0.3}, {"mouth": 0.3}]


@pytest.fixture(scope="module")
def runner() -> Iterator[OpenVinoRunner]:
    runner = OpenVinoRunner(load_manifest("lite"), threads=1)
    yield runner
    runner.close()


@pytest.fixture
def copied(tmp_path: Path) -> ModelManifest:
    """The shipped model in a folder that a test may damage."""
    manifest = load_manifest("lite")
    for name in manifest.files:
        shutil.copy(manifest.folder / name, tmp_path)
    return dataclasses.replace(manifest, folder=tmp_path)


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rgba (count, 4, SIDE, SIDE) in [-1, 1], opaque, and keypoints."""
    rgb = np.stack([portrait_rgb((SIDE, SIDE), seed=i) for i in range(count)]).astype(np.float32) / 127.5 - 1
    rgba = np.concatenate([rgb, np.ones_like(rgb[..., :1])], -1).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(rgba), np.stack([make_keypoints(**FACES[i % 3]) for i in range(count)])


def inputs(pick: list[int], face: dict[str, float], *, stage: int = 0) -> FrameInputs:
    log_stage = np.full(len(pick), -8.0, np.float32)
    log_stage[stage] = 0.0
    return FrameInputs(make_keypoints(**face), np.array(pick, np.int64), log_stage, np.zeros(len(pick), np.float32))


def encode(runner: OpenVinoRunner, count: int) -> EncodedSourceSet:
    return runner.encode(*pictures(count))


@pytest.mark.parametrize("count", [1, 2, 3, 16])
def test_one_pick_draws_that_picture(runner: OpenVinoRunner, count: int) -> None:
    sources = encode(runner, count)
    assert sources.count == count
    last = count - 1
    portrait = runner.animate(sources, inputs([last], FACES[last % 3]))
    assert portrait.shape == (4, SIDE, SIDE)
    inner = np.s_[:3, 60:196, 60:196]  # the face, away from the picture's border
    difference = np.abs(portrait[inner] - pictures(count)[0][last][inner])
    assert difference.mean() < 0.02
    assert portrait[3].min() > 0.95, "an opaque picture stays opaque"


def test_one_and_two_picks_take_turns(runner: OpenVinoRunner) -> None:
    sources = encode(runner, 3)
    one, two = inputs([0], {}), inputs([0, 2], {"mouth": 0.3})
    first = [runner.animate(sources, i).copy() for i in (one, two)]
    again = [runner.animate(sources, i).copy() for i in (one, two)]
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(first[0] - first[1]).mean() > 0.01


def test_the_order_of_picks_means_nothing(runner: OpenVinoRunner) -> None:
    sources = encode(runner, 3)
    a = runner.animate(sources, inputs([1, 0], {"yaw": 0.2}, stage=0)).copy()
    b = runner.animate(sources, inputs([0, 1], {"yaw": 0.2}, stage=1)).copy()
    np.testing.assert_allclose(a, b, atol=2 / 255)


def test_sets_of_different_size_live_side_by_side(runner: OpenVinoRunner) -> None:
    small = encode(runner, 1)
    before = runner.animate(small, inputs([0], {})).copy()
    large = encode(runner, 5)
    runner.animate(large, inputs([4], {}))
    np.testing.assert_array_equal(runner.animate(small, inputs([0], {})), before)


def test_begun_and_waited_for_is_drawn_at_once(runner: OpenVinoRunner) -> None:
    assert isinstance(runner, StartsFrames)
    sources = encode(runner, 3)
    frames = [inputs([0], {}), inputs([0, 2], {"mouth": 0.3}), inputs([1, 0], {"yaw": 0.2})]
    expected = [runner.animate(sources, each).copy() for each in frames]
    for each, picture in zip(frames, expected, strict=True):
        runner.start(sources, each)
        np.testing.assert_array_equal(runner.wait(), picture)


def test_what_is_drawn_from_may_be_dropped_meanwhile(runner: OpenVinoRunner) -> None:
    expected = runner.animate(encode(runner, 2), inputs([1], {})).copy()
    runner.start(encode(runner, 2), inputs([1], {}))
    gc.collect()
    np.testing.assert_array_equal(runner.wait(), expected)


def test_a_frame_that_was_begun_gives_way_to_the_next(runner: OpenVinoRunner) -> None:
    sources = encode(runner, 2)
    expected = [runner.animate(sources, inputs([index], {})).copy() for index in (0, 1)]
    runner.start(sources, inputs([0], {}))
    runner.start(sources, inputs([1], {}))
    np.testing.assert_array_equal(runner.wait(), expected[1])
    runner.start(sources, inputs([1], {}))
    np.testing.assert_array_equal(runner.animate(sources, inputs([0], {})), expected[0])


def test_closing_waits_for_a_frame_that_nobody_wants(copied: ModelManifest) -> None:
    runner = OpenVinoRunner(copied, threads=1)
    sources = encode(runner, 1)
    request = runner._animator(1, 1)[0][1]
    runner.start(sources, inputs([0], {}))
    runner.close()
    assert request.wait_for(0), "it is done"


def test_description_names_backend_device_and_precision(runner: OpenVinoRunner) -> None:
    assert runner.description.startswith("openvino 20")
    assert runner.description.endswith("on CPU (1 threads), fp32")


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_a_model_without_decoder_is_exact_whatever_is_asked(precision: str) -> None:
    assert OpenVinoRunner(load_manifest("lite"), precision=precision).description.endswith("fp32")


def test_closing_frees_and_the_next_use_compiles_again(copied: ModelManifest) -> None:
    runner = OpenVinoRunner(copied, threads=1)
    sources = encode(runner, 1)
    before = runner.animate(sources, inputs([0], {})).copy()
    runner.close()
    np.testing.assert_array_equal(runner.animate(sources, inputs([0], {})), before)


@pytest.mark.parametrize("device", ["FPGA", "MULTI:CPU", "", "cpu"])
def test_devices_that_do_not_exist_name_those_that_do(device: str) -> None:
    with pytest.raises(BackendUnavailable, match=r"no device '.*' here; it sees: .*CPU"):
        OpenVinoRunner(load_manifest("lite"), device=device)


def test_a_device_that_refuses_to_start_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    class Core:
        available_devices = ("CPU", "GPU.0")

        def get_property(self, device: str, _name: str) -> list[str]:
            raise RuntimeError(f"Exception from somewhere:1:\n\nno such index: {device}\n\n")

    monkeypatch.setattr("engine.runtime.openvino_device._core", Core)
    with pytest.raises(BackendUnavailable, match=r"cannot use 'GPU\.5': no such index: GPU\.5"):
        OpenVinoRunner(load_manifest("lite"), device="GPU.5")


def test_missing_and_damaged_files_are_found_before_anything_runs(copied: ModelManifest) -> None:
    path = copied.folder / "animate.onnx"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelMismatch, match=r"animate\.onnx"):
        OpenVinoRunner(copied)
    path.unlink()
    with pytest.raises(ModelFileMissing, match=r"animate\.onnx"):
        OpenVinoRunner(copied)


def test_a_graph_that_is_none_is_refused_although_its_hash_fits(copied: ModelManifest) -> None:
    (copied.folder / "encode.onnx").write_bytes(b"not a graph")
    files = {**copied.files, "encode.onnx": hashlib.sha256(b"not a graph").hexdigest()}
    with pytest.raises(ModelMismatch, match=r"cannot read encode\.onnx"):
        encode(OpenVinoRunner(dataclasses.replace(copied, files=files)), 1)


def test_a_graph_that_vanished_after_the_start_is_reported(copied: ModelManifest) -> None:
    runner = OpenVinoRunner(copied)
    (copied.folder / "encode.onnx").unlink()
    with pytest.raises(ModelMismatch, match=r"cannot read encode\.onnx"):
        encode(runner, 1)


def test_inputs_that_do_not_fit_fail_as_inference(runner: OpenVinoRunner) -> None:
    sources = encode(runner, 1)
    wrong = dataclasses.replace(inputs([0], {}), keypoints=np.zeros((7, 3), np.float32))
    with pytest.raises(InferenceFailed, match="OpenVINO failed on CPU"):
        runner.animate(sources, wrong)
    runner.animate(sources, inputs([0], {}))  # and the next frame works


@pytest.mark.parametrize("name", ["", "tensor", "OpenVINO", "cuda", "onnx:cpu"])
def test_unknown_backends_name_the_known_ones(name: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"There is no back-end '{name}'") as caught:
        open_runner(name)
    assert all(known in caught.value.hint for known in BACKENDS)


@pytest.mark.parametrize("name", ["openvino", "openvino:CPU", "openvino:cpu", "openvino:"])
def test_openvino_by_name(name: str) -> None:
    runner, reason = open_runner(name)
    assert (reason, "on CPU" in runner.description) == ("asked for", True)


def test_auto_says_why() -> None:
    runner, reason = open_runner()
    assert runner.description.startswith("openvino")
    assert runner.manifest.name == "lite"
    assert reason.startswith("auto: ")


def test_the_model_is_chosen_by_name() -> None:
    assert open_runner("openvino", model="lite-512")[0].manifest.side_px == 512
    with pytest.raises(ModelFileMissing, match="no model 'huge'"):
        open_runner("openvino", model="huge")


@pytest.mark.parametrize(("name", "remedy"), [("openvino", "run.py"), ("auto", "run.py"), ("torch", "train")])
def test_a_backend_that_is_not_installed_says_how_to(name: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find_spec(package: str, *rest: Any) -> Any:
        return None if package in ("openvino", "torch") else real(package, *rest)

    monkeypatch.setattr(select.importlib.util, "find_spec", find_spec)
    with pytest.raises(BackendUnavailable, match="which is not installed") as caught:
        open_runner(name)
    assert remedy in caught.value.hint
