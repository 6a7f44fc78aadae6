# SPDX-License-Identifier: Apache-2.0
"""The torch back-end refuses what it cannot do in words of our own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.errors import BackendUnavailable, ModelFileMissing, ModelMismatch
from engine.runtime.manifest import load_manifest
from engine.runtime.select import open_runner
from engine.runtime.torch_runner import TorchRunner


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
