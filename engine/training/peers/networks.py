# SPDX-License-Identifier: Apache-2.0
"""What is timed: the networks that run for every frame, ours and the peers' in their published widths.

Rivals get one source picture, which is what their papers have; ours gets four, of which it picks two a frame, which is
its slowest case. Encoders run once per source picture and are left out everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from engine.build.export import AnimateGraph, cache_names, example_inputs, export_model
from engine.models.checkpoint import load_checkpoint
from engine.models.config import SIZES
from engine.models.implicit_warp import ImplicitWarp
from engine.models.learned_motion import LearnedMotion
from engine.models.live_portrait import LIVE_PORTRAIT, LivePortraitConfig, LivePortraitShaped
from engine.models.registry import MODELS
from engine.runtime.manifest import Island, ModelManifest, load_manifest

__all__ = ["BASE", "CONTENDERS", "Contender", "Network", "Part", "learned", "live_portrait", "ours", "shipped"]

BASE = "lite"  # what all others are compared with
_SOURCES, _PICKED = 4, 2
_HEAD_STD = 0.02  # of heads that start at zero, which a compiler could fold away


_Model = TypeVar("_Model", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A graph that runs once a frame. graph: takes the tensors of `feeds`, in order. outputs: names of its results."""

    name: str
    graph: nn.Module
    feeds: Mapping[str, Tensor]
    outputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """All parts of a frame, in order.

    manifest: for our own model alone: writes it into a folder, or finds the shipped one, for the shipped runner, which
    gets `sources`: rgba (N, 4, R, R) and keypoints (N, 478, 3).
    """

    parts: tuple[Part, ...]
    manifest: Callable[[Path], ModelManifest] | None = None
    sources: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Contender:
    """One architecture. words: what it is and where it was published. make: builds it from a seed, on the CPU."""

    words: str
    make: Callable[[int], Network]


class _Flat(nn.Module):
    """A method of a model as a graph of flat tensors."""

    def __init__(
        self, model: nn.Module, names: Sequence[str], call: Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]]
    ) -> None:
        super().__init__()
        self.model, self.names, self.call = model, tuple(names), call

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return self.call(dict(zip(self.names, tensors, strict=True)))


def learned(model: LearnedMotion, *, seed: int = 0) -> Network:
    """Return `detect` and `animate` of a model with learned keypoints, for one source picture."""
    model = _awake(model, seed).eval()
    side, names = model.config.side_px, tuple(model.motion_shapes)
    generator = torch.Generator().manual_seed(seed)
    source, driving = (torch.rand(1, 3, side, side, generator=generator) * 2 - 1 for _ in range(2))
    with torch.no_grad():
        motion = model.detect(driving)
        cache = model.encode_sources(source[None], {name: x[None] for name, x in model.detect(source).items()})

    def detect(given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        found = model.detect(given["rgb"])
        return tuple(found[name] for name in names)

    def animate(given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return (model.animate({n: given[n] for n in names}, {n: given[n] for n in cache}),)

    feeds = {**{name: motion[name] for name in names}, **cache}
    return Network(
        (
            Part("detect", _Flat(model, ("rgb",), detect), {"rgb": driving}, names),
            Part("animate", _Flat(model, tuple(feeds), animate), feeds, ("portrait",)),
        )
    )


def live_portrait(config: LivePortraitConfig = LIVE_PORTRAIT, *, seed: int = 0) -> Network:
    """Return LivePortrait's warping network and SPADE decoder as one graph."""
    model = LivePortraitShaped(config, seed=seed).eval()
    return Network((Part("warp + decode", model, model.example(seed=seed), ("portrait",)),))


def shipped(name: str) -> Network:
    """Return a shipped implicit-warping model, trained weights and all.

    Raises:
        ModelFileMissing, ModelMismatch: it is missing or damaged.
    """
    manifest = load_manifest(name)
    model = load_checkpoint(manifest.folder / "weights.safetensors")
    assert isinstance(model, ImplicitWarp)
    return _implicit(model, lambda _: manifest)


def ours(model: ImplicitWarp, *, seed: int = 0) -> Network:
    """Return an implicit-warping model with random weights in all its heads."""
    model = _awake(model, seed)
    return _implicit(model, lambda folder: _export(model, folder))


def _implicit(model: ImplicitWarp, manifest: Callable[[Path], ModelManifest]) -> Network:
    model.eval()
    config = model.config
    inputs = example_inputs(config, sources=_SOURCES, picked=_PICKED)
    with torch.no_grad():
        cache = model.encode_sources(inputs["rgba"], inputs["source_keypoints"])
    frame = {name: inputs[name] for name in ("keypoints", "pick", "log_stage", "log_face", "rgba")}
    feeds = {**frame, **{name: getattr(cache, name) for name in cache_names(config)}}
    part = Part("animate", AnimateGraph(model), feeds, ("portrait",))
    return Network((part,), manifest, (inputs["rgba"][0], inputs["source_keypoints"][0]))


def _export(model: ImplicitWarp, folder: Path) -> ModelManifest:
    written = export_model(model, folder)
    islands = (Island(tuple(x["inputs"]), tuple(x["outputs"])) for x in written["half_precision"])
    return ModelManifest(
        name=folder.name,
        folder=folder,
        side_px=model.config.side_px,
        cache=tuple(written["cache"]),
        files=dict(written["files"]),
        islands=tuple(islands),
    )


def _awake(model: _Model, seed: int) -> _Model:
    """Draw the weights that start at zero: no compiler may leave out what a trained network computes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=_HEAD_STD, generator=generator)
    return model


def _full(kind: str, seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[kind].model(MODELS[kind].sizes["full"])
    assert isinstance(model, LearnedMotion)
    return learned(model, seed=seed)


def _decoder(seed: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ImplicitWarp(SIZES["lite"])
    return ours(model, seed=seed)


CONTENDERS: dict[str, Contender] = {
    BASE: Contender("ours as shipped, 256²", lambda _: shipped(BASE)),
    "lite-decoder": Contender("ours, lite with its decoder, 256², random weights", _decoder),
    "fomm": Contender("First Order Motion Model, arXiv 2003.00196, 256²", lambda seed: _full("fomm", seed)),
    "fv2v": Contender("face-vid2vid, arXiv 2011.15126, 256²", lambda seed: _full("fv2v", seed)),
    "live_portrait": Contender(
        "LivePortrait's W and G, arXiv 2407.03168, 256² features, 512² out", lambda seed: live_portrait(seed=seed)
    ),
}
