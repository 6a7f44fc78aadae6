# SPDX-License-Identifier: Apache-2.0
"""All models by name: what a checkpoint's header, a manifest and the trainer's command line call them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from engine.models.config import SIZES, WarpModelConfig
from engine.models.fomm import Fomm
from engine.models.fv2v import Fv2v
from engine.models.implicit_warp import ImplicitWarp
from engine.models.implicit_warp_paper import ImplicitWarpPaper
from engine.models.learned_config import FOMM_SIZES, FV2V_SIZES, PAPER_SIZES, FommConfig, Fv2vConfig, PaperConfig

__all__ = ["MODELS", "ModelKind", "kind_of"]


@dataclass(frozen=True, slots=True)
class ModelKind:
    """One architecture. model: built from a config. config: frozen dataclass. sizes: named configs."""

    model: type[nn.Module]
    config: type
    sizes: Mapping[str, Any]


MODELS: dict[str, ModelKind] = {
    "implicit_warp": ModelKind(ImplicitWarp, WarpModelConfig, SIZES),
    "implicit_warp_paper": ModelKind(ImplicitWarpPaper, PaperConfig, PAPER_SIZES),
    "fomm": ModelKind(Fomm, FommConfig, FOMM_SIZES),
    "fv2v": ModelKind(Fv2v, Fv2vConfig, FV2V_SIZES),
}


def kind_of(model: nn.Module) -> str:
    """Return the name of a model's architecture.

    Raises:
        KeyError: it is none of ours.
    """
    for name, kind in MODELS.items():
        if type(model) is kind.model:
            return name
    raise KeyError(type(model).__name__)
