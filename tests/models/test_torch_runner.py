# SPDX-License-Identifier: Apache-2.0
"""The torch back-end refuses what it cannot do in words of our own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.build.export import export_model
from engine.errors import BackendUnavailable, ModelFileMissing, ModelMismatch
from engine.models.checkpoint import save_checkpoint
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.runtime.base import FrameInputs
from engine.runtime.manifest import ModelManifest, load_manifest
from engine.runtime.select import open_runner
from engine.runtime.torch_runner import TorchRunner
from tests.helpers.source_faces import make_keypoints

SMALL = WarpModelConfig(side_px=128, width=8, value=16, learned=8, extra=4, blocks=1)


@pytest.fixture(scope="module")
def awake(tmp_path_factory: pytest.TempPathFactory) -> ModelManifest:
    """A small model whose decoder does something."""
    torch.manual_seed(2)
    model = ImplicitWarp(SMALL).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("sketch", "finish")):
                parameter += 0.05 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("awake")
    facts = export_model(model, folder)
    save_checkpoint(model, folder / "weights.safetensors")
    return dataclasses.replace(
        load_manifest("lite"), name="awake", folder=folder, side_px=128, cache=tuple(facts["cache"]), files={}
    )


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "cpu:x"])
def test_devices_that_do_not_exist_are_unavailable(device: str) -> None:
    with pytest.raises(BackendUnavailable, match=f"torch cannot use the device '{device}'"):
        open_runner(f"torch:{device}")


def test_missing_and_damaged_weights_are_told_apart(tmp_path: Path) -> None:
    manifest = dataclasses.replace(load_manifest("lite"), folder=tmp_path)
    with pytest.raises(ModelFileMissing, match="Weights are missing"):
        TorchRunner(manifest)
    (tmp_path / "weights.safetensors").write_bytes(b"no weights")
    with pytest.raises(ModelMismatch, match="Weights cannot be loaded"):
        TorchRunner(manifest)


def test_half_precision_in_the_decoder_keeps_the_picture(awake: ModelManifest) -> None:
    rng = np.random.default_rng(3)
    rgba = rng.uniform(-1, 1, (3, 4, 8, 8)).astype(np.float32).repeat(16, 2).repeat(16, 3)
    faces = np.stack([make_keypoints(yaw=0.2 * i) for i in range(3)]).astype(np.float32)
    share = np.log(np.array([0.6, 0.4], np.float32))
    inputs = FrameInputs(make_keypoints(yaw=0.3).astype(np.float32), np.array([2, 0]), share, share)
    pictures = {}
    for precision in ("fp32", "bf16"):
        runner = TorchRunner(awake, precision=precision)
        assert ("bf16 decoder" in runner.description) == (precision == "bf16")
        pictures[precision] = runner.animate(runner.encode(rgba, faces), inputs).copy()
    error = np.square(pictures["fp32"] - pictures["bf16"]).mean()
    assert 0 < error < 4 * 10**-4.5  # 45 dB


def test_one_picture_is_drawn_as_if_asked_for_alone(awake: ModelManifest) -> None:
    rng = np.random.default_rng(4)
    rgba = rng.uniform(-1, 1, (2, 4, 8, 8)).astype(np.float32).repeat(16, 2).repeat(16, 3)
    faces = np.stack([make_keypoints(), make_keypoints(yaw=0.3)]).astype(np.float32)
    runner = TorchRunner(awake)
    zero, one = np.zeros(1, np.float32), np.array([1])
    driving = make_keypoints(yaw=0.2).astype(np.float32)
    alone = runner.animate(runner.encode(rgba[1:], faces[1:]), FrameInputs(driving, np.array([0]), zero, zero)).copy()
    both = runner.encode(np.concatenate([rgba[1:], rgba[1:]]), np.concatenate([faces[1:], faces[1:]]))
    again = runner.animate(both, FrameInputs(driving, one, zero, zero))
    assert np.abs(alone - again).max() < 1e-3
