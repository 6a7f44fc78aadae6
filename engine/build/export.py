# SPDX-License-Identifier: Apache-2.0
"""Torch model -> `encode.onnx` + `animate.onnx` + `shares.onnx` + `manifest.json`: what every back-end reads.

Standard ONNX operators only (opset 18), the number of pictures N and of picked pictures K dynamic, everything else
fixed. Run by `python -m engine.build`; torch and onnx are imported by this module and nothing at run time.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from engine.assets import load_canonical_face
from engine.build.graph import (
    ALLOWED_OPERATORS,
    MANIFEST_FORMAT,
    OPSET,
    save_graph,
    sha256_of,
    trace_graph,
    write_manifest,
)
from engine.models.config import WarpModelConfig
from engine.models.implicit_warp import ImplicitWarp, SourceCache
from engine.models.layers import upsampling_matrix
from engine.runtime.manifest import SHARES_GRAPH
from engine.types import LANDMARK_COUNT

__all__ = [
    "ALLOWED_OPERATORS",
    "AnimateGraph",
    "EncodeGraph",
    "ShareGraph",
    "cache_names",
    "example_inputs",
    "export_model",
    "export_shares",
]

HALVES = ("model.sketch", "model.finish")  # modules whose convolutions may run in half precision


def cache_names(config: WarpModelConfig) -> tuple[str, ...]:
    """Return the names of the encoded source set's tensors, in graph order (`rgba` is the encoder's own input)."""
    names = ("rest_frame", "key", "rest", "deform", "pose", "scale", "origin", "exact")
    return (*names, "value", "fine") if config.decoder else names


class EncodeGraph(nn.Module):
    """`encode_sources` with flat tensors."""

    def __init__(self, model: ImplicitWarp) -> None:
        super().__init__()
        self.model = model

    def forward(self, rgba: Tensor, keypoints: Tensor) -> tuple[Tensor, ...]:
        """rgba (1, N, 4, R, R), keypoints (1, N, 478, 3) -> tensors of `cache_names`."""
        cache = self.model.encode_sources(rgba, keypoints)
        return tuple(getattr(cache, name) for name in cache_names(self.model.config))


class AnimateGraph(nn.Module):
    """`animate` with flat tensors."""

    def __init__(self, model: ImplicitWarp) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, keypoints: Tensor, pick: Tensor, log_stage: Tensor, log_face: Tensor, rgba: Tensor, *cache: Tensor
    ) -> Tensor:
        """Return rgba (1, 4, R, R)."""
        named: dict[str, Any] = dict(zip(cache_names(self.model.config), cache, strict=True))
        out, _ = self.model.animate(
            keypoints, SourceCache(rgba=rgba, **named), pick=pick, log_stage=log_stage, log_face=log_face
        )
        return out


class ShareGraph(nn.Module):
    """What each picked picture gives to each pixel; of geometric models, whose attention hangs on landmarks alone."""

    def __init__(self, model: ImplicitWarp) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("up", upsampling_matrix(model.config.tokens, model.config.side_px), persistent=False)

    def forward(
        self, keypoints: Tensor, source_keypoints: Tensor, pick: Tensor, log_stage: Tensor, log_face: Tensor
    ) -> Tensor:
        """Return (1, K, R, R), sums to 1 over K; source_keypoints: (1, N, 478, 3), the others as `AnimateGraph`."""
        weight = self.model.attention_weight(
            keypoints, source_keypoints, pick=pick, log_stage=log_stage, log_face=log_face
        )
        return self.up @ weight @ self.up.T


def example_inputs(config: WarpModelConfig, *, sources: int, picked: int, seed: int = 0) -> dict[str, Tensor]:
    """Return plausible random inputs for both graphs: canonical faces, slightly moved, over smooth noise."""
    generator = torch.Generator().manual_seed(seed)
    face = torch.from_numpy(load_canonical_face().copy()) * 0.28
    shift = torch.rand(1, sources, 1, 3, generator=generator) * 0.1
    wobble = torch.randn(1, sources, LANDMARK_COUNT, 3, generator=generator) * 0.004
    coarse = torch.rand(sources, 4, 16, 16, generator=generator) * 2 - 1
    rgba = nn.functional.interpolate(coarse, size=(config.side_px, config.side_px), mode="bicubic").clamp(-1, 1)
    return {
        "rgba": rgba[None],
        "source_keypoints": face + shift + wobble,
        "keypoints": (face + 0.03 + torch.randn(1, LANDMARK_COUNT, 3, generator=generator) * 0.004),
        "pick": torch.arange(picked)[None],
        "log_stage": torch.log_softmax(torch.arange(picked, 0, -1).float(), 0)[None],
        "log_face": torch.zeros(1, picked),
    }


def export_model(
    model: ImplicitWarp,
    folder: Path,
    *,
    card: str = "",
    note: dict[str, object] | None = None,
    shares: bool = True,
) -> dict[str, Any]:
    """Write both graphs and the manifest; return the manifest.

    Args:
        model: in evaluation mode, on the CPU, float32.
        folder: created if missing; files are replaced.
        card: text of card.md, or nothing to leave the file alone.
        note: training facts to keep beside the shapes.
        shares: with the graph of the heat map, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    inputs = example_inputs(config, sources=3, picked=2)
    names = cache_names(config)
    with torch.no_grad():
        cache = model.encode_sources(inputs["rgba"], inputs["source_keypoints"])
    # N and K are named per tensor; the exporter joins equal ones by their example size.
    n, k = torch.export.Dim("N", min=1, max=16), torch.export.Dim("K", min=1, max=16)
    _export(
        EncodeGraph(model),
        (inputs["rgba"], inputs["source_keypoints"]),
        folder / "encode.onnx",
        ["rgba", "keypoints"],
        list(names),
        ({1: n}, {1: n}),
    )
    frame = (inputs["keypoints"], inputs["pick"], inputs["log_stage"], inputs["log_face"], inputs["rgba"])
    cached = tuple(getattr(cache, name) for name in names)
    shapes: tuple[Any, ...] = (
        {},
        {1: k},
        {1: k},
        {1: k},
        {1: n},
        tuple({} if x == "rest_frame" else {1: n} for x in names),
    )
    halves = _export(
        AnimateGraph(model),
        (*frame, *cached),
        folder / "animate.onnx",
        ["keypoints", "pick", "log_stage", "log_face", "rgba", *names],
        ["portrait"],
        shapes,
    )
    files = ["encode.onnx", "animate.onnx", *([SHARES_GRAPH] if shares and export_shares(model, folder) else [])]
    manifest: dict[str, Any] = {
        "format": MANIFEST_FORMAT,
        "model": "implicit_warp",
        "config": asdict(config),
        "cache": list(names),
        # the convolutions after the warp, which may run in half precision: what each part reads and what it makes
        "half_precision": halves,
        # the source selection outside the graph weighs pose and expression as the attention does
        "selection": {
            "face_pose": round(float(model.attention.pose_gain.detach()) ** 2, 3),
            "expression": round(float(model.attention.expression_gain.detach()) ** 2, 3),
        },
        "opset": OPSET,
        "files": {name: sha256_of(folder / name) for name in files},
        **({"note": note} if note else {}),
    }
    write_manifest(folder, manifest, card=card)
    return manifest


def export_shares(model: ImplicitWarp, folder: Path) -> bool:
    """Write the graph of the attention's weights; return False, and write none, for a model without geometry."""
    if not model.config.geometry:
        return False
    inputs = example_inputs(model.config, sources=3, picked=2)
    names = ["keypoints", "source_keypoints", "pick", "log_stage", "log_face"]
    n, k = torch.export.Dim("N", min=1, max=16), torch.export.Dim("K", min=1, max=16)
    shapes: tuple[Any, ...] = ({}, {1: n}, {1: k}, {1: k}, {1: k})
    _export(ShareGraph(model), tuple(inputs[x] for x in names), folder / SHARES_GRAPH, names, ["shares"], shapes)
    return True


def _export(
    graph: nn.Module, args: tuple[Tensor, ...], path: Path, ins: list[str], outs: list[str], shapes: tuple[Any, ...]
) -> list[dict[str, list[str]]]:
    """Write one graph; return the boundaries of its `HALVES`, those that it has, in order."""
    proto = trace_graph(graph, args, inputs=ins, outputs=outs, shapes=shapes)
    found = [_boundary(proto, scope) for scope in HALVES]
    save_graph(proto, path)
    return [boundary for boundary in found if boundary["inputs"]]


def _boundary(proto: onnx.ModelProto, scope: str) -> dict[str, list[str]]:
    """Return the tensors that a module's nodes read from outside the module, and those that others read of them."""
    inside, outside = [], []
    for node in proto.graph.node:
        scopes = [p.value for p in node.metadata_props if p.key.endswith("name_scopes")]
        (inside if any(scope in text for text in scopes) else outside).append(node)
    made = {name for node in inside for name in node.output}
    constant = {x.name for x in proto.graph.initializer}
    constant |= {name for node in proto.graph.node if node.op_type == "Constant" for name in node.output}
    read = {name for node in outside for name in node.input} | {x.name for x in proto.graph.output}
    taken = dict.fromkeys(n for node in inside for n in node.input if n and n not in made and n not in constant)
    return {
        "inputs": list(taken),
        "outputs": list(dict.fromkeys(n for node in inside for n in node.output if n in read and n not in constant)),
    }
