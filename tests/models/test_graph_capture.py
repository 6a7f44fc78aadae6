# SPDX-License-Identifier: Apache-2.0
"""What a CUDA graph may not hold: tensors made on the host. The models run on torch's `meta` device, where nothing is
computed and every operation can be watched; a copy from the host is then as visible as on a GPU, where it fails."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp
from engine.models.layers import dense_sample
from engine.models.registry import MODELS

SMALL: dict[str, Any] = {"side_px": 128, "width": 8, "value": 16, "learned": 8, "extra": 4, "blocks": 1}
CONFIGS = {
    "geometric": WarpModelConfig(side_px=128, decoder=False),
    "decoder": WarpModelConfig(**SMALL),
    "thinned keys": WarpModelConfig(**SMALL, key_stride=2),
}


class HostTensors(TorchDispatchMode):
    """Notes every operation that reads or makes a tensor in host memory."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        leaves = tree_leaves((args, kwargs, result))
        if any(isinstance(x, torch.Tensor) and x.device.type == "cpu" for x in leaves):
            self.seen.add(str(function))
        return result


@pytest.fixture(autouse=True)
def _autocast_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """`meta` knows no autocast; what it would choose makes no difference to where tensors lie."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


@pytest.mark.parametrize("name", CONFIGS)
def test_a_frame_needs_nothing_from_the_host(name: str) -> None:
    config = CONFIGS[name]
    model = ImplicitWarp(config).eval().to("meta")
    shares = torch.zeros(1, 2, device="meta")
    with torch.inference_mode():
        cache = model.encode_sources(
            torch.zeros(1, 3, 4, config.side_px, config.side_px, device="meta"),
            torch.zeros(1, 3, 478, 3, device="meta"),
        )
        with HostTensors() as host:
            portrait, _ = model.animate(
                torch.zeros(1, 478, 3, device="meta"),
                cache,
                pick=torch.zeros(1, 2, dtype=torch.int64, device="meta"),
                log_stage=shares,
                log_face=shares,
            )
    assert portrait.shape == (1, 4, config.side_px, config.side_px)
    assert not host.seen


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"implicit_warp"}))
def test_neither_do_the_models_with_learned_keypoints(name: str) -> None:
    kind = MODELS[name]
    model = kind.model(kind.sizes["small"]).eval().to("meta")
    side = model.config.side_px
    pictures = torch.zeros(1, 2, 3, side, side, device="meta")
    motion = {key: torch.zeros(1, *shape, device="meta") for key, shape in model.motion_shapes.items()}
    sources = {key: torch.zeros(1, 2, *shape, device="meta") for key, shape in model.motion_shapes.items()}
    with torch.inference_mode():
        cache = model.encode_sources(pictures, sources)
        with HostTensors() as host:
            model.detect(pictures[:, 0])
            model.animate(motion, cache)
    assert not host.seen


def test_the_watch_sees_a_copy_from_the_host() -> None:
    with HostTensors() as host:
        torch.arange(3).to("meta")
    assert "aten._to_copy.default" in host.seen or "aten.to.device" in host.seen


class TestAutocast:
    """With autocast as it is: places keep float32 in the middle of a network in half precision."""

    @pytest.fixture(autouse=True)
    def _autocast_off(self) -> None:
        """Nothing is patched here."""

    def test_places_are_exact(self) -> None:
        generator = torch.Generator().manual_seed(5)
        maps = torch.rand(1, 1, 4, 64, 64, generator=generator)
        flow = (torch.rand(1, 2, 8, 8, generator=generator) - 0.5) * 0.9
        weight = torch.ones(1, 1, 8, 8)
        exact = dense_sample(maps, flow, weight)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(dense_sample(maps, flow, weight), exact)
