# SPDX-License-Identifier: Apache-2.0
"""A learned-keypoint model -> `detect.onnx`, `encode.onnx`, `animate.onnx` and `manifest.json`.

    detect   rgb (1, 3, R, R) -> motion tensors (1, …)
    encode   rgb (1, N, 3, R, R), motion tensors (1, N, …) -> cache tensors
    animate  motion tensors (1, …), cache tensors -> portrait (1, 3, R, R)

The number of pictures N is dynamic, everything else fixed. The manifest lists motion and cache by name.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from engine.build.graph import MANIFEST_FORMAT, OPSET, save_graph, sha256_of, trace_graph, write_manifest
from engine.models.learned_motion import LearnedMotion

__all__ = ["FILES", "export_learned"]

FILES = ("detect.onnx", "encode.onnx", "animate.onnx")
_EXAMPLE_SOURCES = 3  # any number but one, which would be taken for fixed
_MOST_SOURCES = 16


def export_learned(
    model: LearnedMotion, folder: Path, *, card: str = "", note: dict[str, object] | None = None
) -> dict[str, Any]:
    """Write the three graphs and the manifest; return the manifest.

    Args:
        model: in evaluation mode, on the CPU, float32.
        folder: created if missing; files are replaced.
        card: text of card.md, or nothing to leave the file alone.
        note: training facts to keep beside the shapes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = tuple(model.motion_shapes)
    side = model.config.side_px
    rgb = torch.rand(1, _EXAMPLE_SOURCES, 3, side, side) * 2 - 1
    with torch.no_grad():
        found = model.detect(rgb[0])
        theirs = {name: found[name][None] for name in names}
        ours = {name: found[name][:1] for name in names}
        cache = model.encode_sources(rgb, theirs)
    n = torch.export.Dim("N", min=1, max=_MOST_SOURCES)
    per_source = {name: {1: n} if name in _per_source(model, rgb, theirs) else {} for name in cache}
    proto = trace_graph(_Detect(model), (rgb[0, :1],), inputs=["rgb"], outputs=names, shapes=({},))
    save_graph(proto, folder / "detect.onnx")
    proto = trace_graph(
        _Encode(model),
        (rgb, *theirs.values()),
        inputs=["rgb", *names],
        outputs=list(cache),
        shapes=({1: n}, tuple({1: n} for _ in names)),
    )
    save_graph(proto, folder / "encode.onnx")
    proto = trace_graph(
        _Animate(model, tuple(cache)),
        (*ours.values(), *cache.values()),
        inputs=[*names, *cache],
        outputs=["portrait"],
        shapes=(({},) * len(names) + tuple(per_source.values()),),
    )
    save_graph(proto, folder / "animate.onnx")
    manifest: dict[str, Any] = {
        "format": MANIFEST_FORMAT,
        "model": model.name,
        "config": asdict(model.config),
        "motion": {name: list(shape) for name, shape in model.motion_shapes.items()},
        "cache": list(cache),
        "opset": OPSET,
        "files": {name: sha256_of(folder / name) for name in FILES},
        **({"note": note} if note else {}),
    }
    write_manifest(folder, manifest, card=card)
    return manifest


def _per_source(model: LearnedMotion, rgb: Tensor, motion: dict[str, Tensor]) -> set[str]:
    """Return the cache tensors that grow with the number of sources."""
    with torch.no_grad():
        few = model.encode_sources(rgb[:, :2], {name: tensor[:, :2] for name, tensor in motion.items()})
        many = model.encode_sources(rgb, motion)
    return {name for name in many if few[name].shape != many[name].shape}


class _Detect(nn.Module):
    """`detect` with flat tensors."""

    def __init__(self, model: LearnedMotion) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor) -> tuple[Tensor, ...]:
        found = self.model.detect(rgb)
        return tuple(found[name] for name in self.model.motion_shapes)


class _Encode(nn.Module):
    """`encode_sources` with flat tensors."""

    def __init__(self, model: LearnedMotion) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgb: Tensor, *motion: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model.encode_sources(rgb, dict(zip(self.model.motion_shapes, motion, strict=True))).values())


class _Animate(nn.Module):
    """`animate` with flat tensors."""

    def __init__(self, model: LearnedMotion, cache: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.names = model, (*model.motion_shapes, *cache)

    def forward(self, *tensors: Tensor) -> Tensor:
        named = dict(zip(self.names, tensors, strict=True))
        count = len(self.model.motion_shapes)
        motion = {name: named[name] for name in self.names[:count]}
        return self.model.animate(motion, {name: named[name] for name in self.names[count:]})
