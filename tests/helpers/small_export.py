# SPDX-License-Identifier: Apache-2.0
"""A small implicit-warping model whose decoder and learned logits do something, exported once for a whole test run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from filelock import FileLock

from engine.build.export import export_model
from engine.models.checkpoint import save_checkpoint
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.runtime import manifest as manifests
from engine.runtime.manifest import ModelManifest, load_manifest

__all__ = ["SMALL", "export_small", "load_small", "make_small"]

SMALL = WarpModelConfig(side_px=128, width=8, value=16, learned=8, extra=4, blocks=1)


def make_small() -> ImplicitWarp:
    """Return the model; the same one every time, and no other test's random numbers change with it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = ImplicitWarp(SMALL).eval()
        with torch.no_grad():
            for weight in (model.finish.out.weight, model.sketch.steer.weight, model.sketch.context.weight):
                weight.normal_(std=0.05)
            model.finish.out.bias.copy_(torch.tensor([0.1, -0.1, 0.2]))
    return model


def export_small(root: Path) -> Path:
    """Return the model's folder below `root`, with its weights; another process may make it meanwhile."""
    folder = root / "small" / "models" / "small"
    with FileLock(root / "small.lock"):
        if not (folder / "weights.safetensors").exists():
            model = make_small()
            export_model(model, folder)
            save_checkpoint(model, folder / "weights.safetensors")
    return folder


def load_small(folder: Path) -> ModelManifest:
    """Return the manifest as if the model were shipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifests, "asset_root", lambda: folder.parents[1])
        return load_manifest(folder.name)
